//! A session that carries its last packets.

use std::time::{Duration, Instant};

use meshtun_sys::thread;

use super::SendingHalf;
use crate::{DropReason, scratch::Scratch, turn::Turn};

/// How long a drain may take: the other halves of the worker wait for it. A device's whole queue of 500 super-packets and
/// the half's own are 42 MB, which take about 45 ms with ChaCha20-Poly1305.
const AT_MOST: Duration = Duration::from_millis(50);

impl SendingHalf {
    /// Seals and sends what waits here and in the device under a session that is about to end, and no packet after that.
    ///
    /// Whoever orders it has taken the device out of the routes before, so that the device runs empty.
    pub(super) fn drain(&mut self, session: u32, scratch: &mut Scratch) {
        if self.active != Some(session) {
            return;
        }
        let begun = Instant::now();
        loop {
            let now = Instant::now();
            let was_stuck = self.is_stuck();
            let turned = if was_stuck { self.resume(scratch, now) } else { self.turn(scratch, now) };
            let is_empty = self.queue.is_empty() && !self.is_stuck();
            if turned == Turn::Failed || (turned == Turn::Idle && is_empty) || now - begun > AT_MOST {
                break;
            }
            if self.is_stuck() {
                thread::yield_now();
            }
        }
        self.active = None;
        self.clear(scratch, DropReason::NoSession);
    }
}
