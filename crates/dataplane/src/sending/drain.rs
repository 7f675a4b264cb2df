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
        let most = scratch.drains.grant(begun);
        loop {
            let now = Instant::now();
            let was_stuck = self.is_stuck();
            let turned = if was_stuck { self.resume(scratch, now) } else { self.turn(scratch, now) };
            let is_empty = self.queue.is_empty() && !self.is_stuck();
            if turned == Turn::Failed || (turned == Turn::Idle && is_empty) || now - begun > most {
                break;
            }
            if self.is_stuck() {
                thread::yield_now();
            }
        }
        scratch.drains.spend(begun.elapsed());
        self.active = None;
        self.clear(scratch, DropReason::NoSession);
    }
}

/// What a worker may still spend on drains, so that many that follow each other do not keep its other channels waiting for
/// so long that they seem dead.
#[derive(Debug)]
pub(crate) struct DrainBudget {
    left: Duration,
    counted: Instant,
}

impl DrainBudget {
    pub(crate) fn new(now: Instant) -> DrainBudget {
        DrainBudget { left: TOGETHER, counted: now }
    }

    /// How long a drain that begins now may take. One turn it has in any case.
    fn grant(&mut self, now: Instant) -> Duration {
        let earned = now.saturating_duration_since(self.counted) / EARNED_IN;
        self.left = (self.left + earned).min(TOGETHER);
        self.counted = now;
        self.left.min(AT_MOST)
    }

    fn spend(&mut self, took: Duration) {
        self.left = self.left.saturating_sub(took);
    }
}

/// All drains of a worker that follow each other: far less than the 150 ms in which the shortest usual probes see a loss.
const TOGETHER: Duration = Duration::from_millis(75);

/// A tenth of the time, in the long run.
const EARNED_IN: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drains_that_follow_each_other_share_a_time_and_later_ones_have_it_again() {
        let start = Instant::now();
        let mut budget = DrainBudget::new(start);
        let mut now = start;
        let mut drained = |after: u64| {
            now += Duration::from_millis(after);
            let granted = budget.grant(now);
            budget.spend(granted);
            now += granted;
            u64::try_from(granted.as_millis()).unwrap()
        };
        assert_eq!(drained(0), 50);
        assert!((25..35).contains(&drained(0)));
        let rest: u64 = (0..100).map(|_| drained(0)).sum();
        assert!(rest < 10, "{rest}");
        assert_eq!(drained(1000), 50);
    }
}
