//! An in-memory underlay with a virtual clock, and packet builders, for tests.
//!
//! Nothing here sleeps, opens a socket or knows another crate of meshtun:
//!
//! - [`clock`]: a time that goes on only when it is told to.
//! - [`underlay`]: carries datagrams between addresses, and loses, delays, duplicates, reorders,
//!   corrupts and blocks them by a seed: the same seed gives the same run.
//! - [`packet`]: inner packets of IPv4 and IPv6 with correct checksums, and their verification.

#![forbid(unsafe_code)]

pub mod clock;
pub mod packet;
pub mod underlay;

pub use clock::Clock;
pub use packet::{Packet, Tcp};
pub use underlay::{Datagram, Path, Statistics, Underlay};
