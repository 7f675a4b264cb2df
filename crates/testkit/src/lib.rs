//! An in-memory underlay with a virtual clock, and packet builders, for tests.
//!
//! Nothing here sleeps, opens a socket or knows another crate of meshtun:
//!
//! - [`clock`]: a time that goes on only when it is told to.
//! - [`mod@line`]: decides, by a seed, what one direction of a path loses, delays, duplicates, reorders, corrupts, blocks
//!   and limits: the same seed gives the same fates.
//! - [`counts`]: what became of packets, in numbers that add up.
//! - [`underlay`]: carries datagrams between addresses, over such lines.
//! - [`packet`]: inner packets of IPv4 and IPv6 with correct checksums, and their verification.

#![forbid(unsafe_code)]

pub mod clock;
pub mod counts;
pub mod line;
pub mod packet;
pub mod underlay;

pub use clock::Clock;
pub use counts::Counts;
pub use line::{Fate, Line, Loss, Path};
pub use packet::{Packet, Tcp};
pub use underlay::{Datagram, Underlay};
