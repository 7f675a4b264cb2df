//! The static-key wire in the data plane: what it seals and opens with, and what must outlive a session.

mod incoming;
pub(crate) mod memory;
mod outgoing;

use std::time::{SystemTime, UNIX_EPOCH};

use meshtun_openvpn::{
    key::StaticKey,
    options::{Options, Protocol, ReplayWindow},
    packet_id::{SendIds, Window},
    wire::{Opener, Sealer},
};

use self::memory::Memory;
pub(crate) use self::{incoming::Incoming, outgoing::Outgoing};
use crate::fatal::Fatal;

/// Both sides of a session, with packet ids that go on where the last session's ended.
pub(crate) fn make(
    options: &Options,
    key: &StaticKey,
    protocol: Protocol,
    memory: &Memory,
) -> Result<(Outgoing, Incoming), Fatal> {
    let (cipher, digest) = (options.cipher, options.digest);
    let pair = key.pair(options.key_direction, cipher, digest).map_err(Fatal::new)?;
    // The file was read with this cipher and digest, so its keys are long enough.
    let too_short = || Fatal::new("the static key is too short for the cipher");
    let rule = match protocol {
        Protocol::Udp => options.replay_window,
        // A stream brings everything in order.
        Protocol::TcpServer | Protocol::TcpClient => ReplayWindow { packets: 0, ..options.replay_window },
    };
    let mut window = Window::new(rule);
    if let Some(newest) = memory.received() {
        window.resume(newest);
    }
    let sealer = Sealer::new(
        (cipher, &pair.outgoing.cipher),
        (digest, &pair.outgoing.hmac),
        SendIds::new(seconds(), memory.sent()),
        rand::random(),
    );
    let opener = Opener::new((cipher, &pair.incoming.cipher), (digest, &pair.incoming.hmac), window);
    let outgoing = Outgoing::new(sealer.ok_or_else(too_short)?);
    let incoming = Incoming::new(opener.ok_or_else(too_short)?, options.mute_replay_warnings);
    Ok((outgoing, incoming))
}

/// The clock, in seconds since 1970.
fn seconds() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

/// The one session's number.
pub(crate) const SESSION: u32 = 0;
