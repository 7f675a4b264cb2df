//! The way out: what the sending half seals with.

use std::time::Instant;

use meshtun_dataplane::{Datagrams, DropReason, Pieces, Sealing};
use meshtun_openvpn::wire::{SealError, Sealer};

use super::SESSION;

/// Seals packets and frames of one session.
#[derive(Debug)]
pub(crate) struct Outgoing {
    sealer: Sealer,
}

impl Outgoing {
    pub(super) fn new(sealer: Sealer) -> Outgoing {
        Outgoing { sealer }
    }

    /// The time that every packet of this session carries.
    pub(crate) fn time(&self) -> u32 {
        self.sealer.time()
    }

    /// A frame as a datagram of its own; none if there is no packet id left.
    pub(crate) fn frame(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let mut room = vec![0; self.sealer.shape().sealed_len(payload.len())];
        self.sealer.seal(payload, &mut room).ok()?;
        Some(room)
    }
}

impl Sealing for Outgoing {
    fn session(&self) -> u32 {
        SESSION
    }

    fn expires(&self) -> Option<Instant> {
        None
    }

    fn pieces(&self, length: usize, _mtu: usize) -> Pieces {
        Pieces::one(self.sealer.shape().sealed_len(length))
    }

    fn seal(&mut self, packet: &[u8], _piece: usize, room: &mut [u8]) -> Result<(), DropReason> {
        let staged = self.sealer.stage(packet.len(), room, |content| content.copy_from_slice(packet));
        staged.map_err(|error| match error {
            SealError::Exhausted | SealError::Room => DropReason::NoSession,
        })
    }

    fn finish(&mut self, mut datagrams: Datagrams<'_>) {
        self.sealer.finish(datagrams.iter_mut());
    }
}
