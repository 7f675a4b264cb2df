//! The two ways of a session: from packets to datagrams and back.
//!
//! ```text
//!   out: packet ─► compression's byte ─► pieces with a header ─► packet id, encryption, HMAC
//!   in:  the other way about, then: a ping is swallowed, a message is the control side's, all else is an inner packet
//! ```
//!
//! The order is that of forward.c, `encrypt_sign` and `process_incoming_link_part1` and `_part2`. Nothing here allocates once it
//! is made.

mod incoming;
mod outgoing;

pub use incoming::{Drop, Incoming, Kind, Opened};
pub use outgoing::{Outgoing, Pieces};

use thiserror::Error;

use crate::{
    key::KeyPair,
    options::{Options, Protocol},
    packet_id::{PacketId, Persisted, SendIds, Window},
    wire::{Opener, Sealer},
};

/// What a session needs beyond its options and keys.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// What carries the datagrams.
    pub protocol: Protocol,
    /// Whether over IPv6.
    pub is_ipv6: bool,
    /// The clock, in seconds since 1970.
    pub now: u32,
    /// What a predecessor kept.
    pub persisted: Persisted,
    /// Random, and used for nothing but this session: IVs come from it, and the number of its first packet in fragments.
    pub seed: [u8; 32],
}

/// The keys are shorter than the options ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the keys are too short for the cipher or the digest")]
pub struct ShortKeys;

/// Makes the two ways of a session.
///
/// # Errors
/// [`ShortKeys`], which keys of [`StaticKey::pair`](crate::key::StaticKey::pair) for the same options never are.
pub fn begin(options: &Options, keys: &KeyPair, start: &Start) -> Result<(Outgoing, Incoming), ShortKeys> {
    let (cipher, digest) = (options.cipher, options.digest);
    let ids = SendIds::new(start.now, start.persisted.sent);
    let mut window = Window::new(window_rule(options, start.protocol));
    if let Some(newest) = start.persisted.received {
        window.resume(newest);
    }
    let sealer = Sealer::new(cipher, digest, &keys.outgoing, ids, start.seed).ok_or(ShortKeys)?;
    let opener = Opener::new(cipher, digest, &keys.incoming, window).ok_or(ShortKeys)?;
    Ok((Outgoing::new(options, start, sealer), Incoming::new(options, start.protocol, opener)))
}

/// A stream keeps its order, so every id must be the next one.
fn window_rule(options: &Options, protocol: Protocol) -> crate::options::ReplayWindow {
    let mut rule = options.replay_window;
    if protocol != Protocol::Udp {
        rule.packets = 0;
    }
    rule
}

/// What a successor must be told of a session that ends, or goes on: `received` is [`Incoming::newest`], `sent`
/// [`Outgoing::time`].
#[must_use]
pub fn persisted(received: PacketId, sent: u32) -> Persisted {
    Persisted { received: Some(received).filter(|id| id.time > 0), sent: Some(sent) }
}

#[cfg(test)]
mod tests;
