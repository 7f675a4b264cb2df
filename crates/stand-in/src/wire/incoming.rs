//! The way in: what the receiving half opens with.

use std::{
    ops::Range,
    time::{Duration, Instant, UNIX_EPOCH},
};

use meshtun_dataplane::{DropReason, Opened, Opening};
use meshtun_openvpn::{
    packet_id::PacketId,
    text::{replayed, stamp},
    wire::{OpenError, Opener},
};

use super::{SESSION, memory::Newest};
use crate::{log::civil, peer};

/// Opens packets and frames of one session.
#[derive(Debug)]
pub(crate) struct Incoming {
    opener: Opener,
    /// From where seconds are counted.
    began: Instant,
    newest: Newest,
    /// Why the last datagram was not opened.
    refused: Option<OpenError>,
    /// Nothing is said of replays.
    mute: bool,
}

impl Incoming {
    pub(super) fn new(opener: Opener, mute: bool) -> Incoming {
        let newest = Newest::default();
        Incoming { opener, began: Instant::now(), newest, refused: None, mute }
    }

    /// For whoever keeps it.
    pub(crate) fn newest(&self) -> Newest {
        self.newest.clone()
    }

    fn payload(&mut self, datagram: &mut [u8], now: Instant) -> Result<Range<usize>, DropReason> {
        let seconds = now.saturating_duration_since(self.began).as_secs();
        match self.opener.open(datagram, seconds) {
            Ok(payload) => {
                self.newest.set(self.opener.window().newest());
                Ok(payload)
            }
            Err(error) => {
                self.refused = Some(error);
                Err(match error {
                    OpenError::Replay { .. } => DropReason::Replayed,
                    OpenError::BadTag => DropReason::Forged,
                    _ => DropReason::Malformed,
                })
            }
        }
    }
}

impl Opening for Incoming {
    fn session(&self) -> u32 {
        SESSION
    }

    fn expires(&self) -> Option<Instant> {
        None
    }

    fn open(&mut self, datagram: &mut [u8], now: Instant) -> Result<Opened, DropReason> {
        let range = self.payload(datagram, now)?;
        let payload = &datagram[range.clone()];
        Ok(if payload == peer::PING {
            Opened::Swallowed(payload.len())
        } else if payload.starts_with(&peer::OCC) {
            Opened::Control(range)
        } else {
            Opened::Inner(range)
        })
    }

    fn why(&self) -> Option<String> {
        let error = self.refused?;
        match error {
            OpenError::Replay { .. } if self.mute => None,
            OpenError::Replay { id, .. } => Some(replayed(id, &time_of(id))),
            error => Some(format!("Authenticate/Decrypt packet error: {error}")),
        }
    }
}

fn time_of(id: PacketId) -> String {
    stamp(&civil(UNIX_EPOCH + Duration::from_secs(id.time.into())), false)
}
