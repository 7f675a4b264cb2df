//! The way out: what the sending half seals with.

use std::time::Instant;

use meshtun_dataplane::{Datagrams, DropReason, Pieces, Sealing};
use meshtun_openvpn::{session, wire::SealError};

use super::SESSION;

/// Seals packets and frames of one session.
#[derive(Debug)]
pub(crate) struct Outgoing(session::Outgoing);

impl Outgoing {
    pub(super) fn new(inner: session::Outgoing) -> Outgoing {
        Outgoing(inner)
    }

    /// The time that every packet of this session carries.
    pub(crate) fn time(&self) -> u32 {
        self.0.time()
    }

    /// A frame as datagrams of its own; none if there is no packet id left.
    pub(crate) fn frame(&mut self, payload: &[u8]) -> Vec<Vec<u8>> {
        self.0.seal(payload).unwrap_or_default()
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
        match self.0.pieces(length) {
            Some(session::Pieces { count, each, last }) => Pieces { count, each, last },
            // More than there may be pieces: `seal` refuses.
            None => Pieces::one(1),
        }
    }

    fn seal(&mut self, packet: &[u8], piece: usize, room: &mut [u8]) -> Result<(), DropReason> {
        self.0.stage(packet, piece, room).map_err(|error| match error {
            SealError::Exhausted => DropReason::NoSession,
            SealError::Room => DropReason::TooBig,
        })
    }

    fn finish(&mut self, mut datagrams: Datagrams<'_>) {
        self.0.finish(datagrams.iter_mut());
    }
}
