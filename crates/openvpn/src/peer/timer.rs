//! A timer that comes again and again until it is started anew.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub(super) struct Timer(Option<(Duration, Instant)>);

impl Timer {
    pub(super) fn never() -> Self {
        Self(None)
    }

    /// First due after one period.
    pub(super) fn every(period: Duration, now: Instant) -> Self {
        Self(Some((period, now + period)))
    }

    /// First due now.
    pub(super) fn at_once(period: Duration, now: Instant) -> Self {
        Self(Some((period, now)))
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.0.map(|(_, due)| due)
    }

    /// Whether it is due; then it is due again one period later.
    pub(super) fn fire(&mut self, now: Instant) -> bool {
        let Some((period, due)) = &mut self.0 else { return false };
        let is_due = *due <= now;
        if is_due {
            *due = now + *period;
        }
        is_due
    }

    /// Due one period from `now`.
    pub(super) fn restart(&mut self, now: Instant) {
        self.0 = self.0.map(|(period, _)| (period, now + period));
    }

    /// Due one period from what happened, unless it is later anyway.
    pub(super) fn restart_after(&mut self, happened: Instant) {
        self.0 = self.0.map(|(period, due)| (period, due.max(happened + period)));
    }
}
