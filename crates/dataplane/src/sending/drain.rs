//! A session that carries its last packets.

use std::time::{Duration, Instant};

use super::SendingHalf;
use crate::{DropReason, scratch::Scratch, turn::Turn};

/// How long a drain may take. It has turns like any other half's, so that a worker's channels that drain at once share its
/// time with all the others; the peer goes on receiving for 500 ms (`meshtun_proto::channel::LINGER`), of which the way
/// there takes some.
const AT_MOST: Duration = Duration::from_millis(400);

impl SendingHalf {
    /// From here on only what waits here and in the device goes out under this session, which then carries nothing more.
    ///
    /// Whoever orders it has taken the device out of the routes before, so that the device runs empty.
    pub(super) fn drain(&mut self, session: u32) {
        if self.active == Some(session) {
            self.drains_until = Some(Instant::now() + AT_MOST);
        }
    }

    /// Whether its session is about to carry nothing more.
    pub(crate) fn is_draining(&self) -> bool {
        self.drains_until.is_some()
    }

    /// After a turn: ends the drain if the turn found nothing more or failed, or if it has had its time.
    pub(crate) fn end_drain(&mut self, turned: Turn, scratch: &mut Scratch, now: Instant) {
        let Some(until) = self.drains_until else { return };
        let is_empty = turned == Turn::Idle && self.queue.is_empty() && !self.is_stuck();
        if is_empty || turned == Turn::Failed || now >= until {
            (self.active, self.drains_until) = (None, None);
            self.clear(scratch, DropReason::NoSession);
        }
    }
}
