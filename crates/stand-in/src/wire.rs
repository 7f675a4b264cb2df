//! The static-key wire in the data plane: what it seals and opens with, and what must outlive a session.

mod incoming;
pub(crate) mod memory;
mod outgoing;

use std::time::{SystemTime, UNIX_EPOCH};

use meshtun_openvpn::{
    key::StaticKey,
    options::Options,
    session::{self, Start},
};

use self::memory::Memory;
pub(crate) use self::{incoming::Incoming, outgoing::Outgoing};
use crate::{fatal::Fatal, link::Link};

/// The one session's number.
pub(crate) const SESSION: u32 = 0;

/// Both sides of a session, with packet ids that go on where the last session's ended.
pub(crate) fn make(
    options: &Options,
    key: &StaticKey,
    link: &Link,
    memory: &Memory,
) -> Result<(Outgoing, Incoming), Fatal> {
    let keys = key.pair(options.key_direction, options.cipher, options.digest).map_err(Fatal::new)?;
    let start = Start {
        protocol: link.protocol,
        is_ipv6: link.local.is_ipv6(),
        now: seconds(),
        persisted: memory.persisted(),
        seed: rand::random(),
    };
    let (outgoing, incoming) = session::begin(options, &keys, &start).map_err(Fatal::new)?;
    Ok((Outgoing::new(outgoing), Incoming::new(incoming, options.mute_replay_warnings)))
}

/// The clock, in seconds since 1970.
fn seconds() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
