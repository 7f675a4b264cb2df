//! The WireGuard protocol and meshtun's control frames, without sockets, clock or threads.
//!
//! A channel's conversation, from the outside in:
//!
//! 1. [`message`] names the four wire messages and tells them apart.
//! 2. [`cookie`] checks a handshake message's MACs before anything dear is computed.
//! 3. [`noise`] turns two handshake messages into a session's keys, for either [`Suite`].
//! 4. [`session`] seals and opens transport messages; [`replay`] is its sliding window.
//! 5. [`control`] is what meshtun says to itself inside the encryption.
//! 6. [`channel`] is the state machine that decides when each of these happens.
//!
//! Time and randomness are always arguments.

#![forbid(unsafe_code)]

pub mod channel;
pub mod control;
pub mod cookie;
mod crypto;
#[cfg(test)]
mod fixtures;
pub mod identity;
pub mod message;
pub mod noise;
pub mod replay;
pub mod session;
pub mod suite;
pub mod tai64n;

pub use identity::LocalIdentity;
/// The crate whose generators [`cookie::CookieChecker::verify`] takes.
pub use rand;
pub use suite::Suite;
/// How secrets are handed over: wiped on drop.
pub use zeroize::Zeroizing;
