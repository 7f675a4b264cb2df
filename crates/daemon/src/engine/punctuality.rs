//! How late the control loop is: probes that are not answered in time make channels seem dead.

use std::time::{Duration, Instant};

use crate::limiter::Limiter;

/// The longest that anything had to wait, ever and of late.
#[derive(Debug)]
pub(super) struct Punctuality {
    ever: Duration,
    /// In the minute that began then, and in the one before.
    minutes: (Instant, Duration, Duration),
    word: Limiter,
}

impl Punctuality {
    pub(super) fn new(now: Instant) -> Punctuality {
        Punctuality { ever: Duration::ZERO, minutes: (now, Duration::ZERO, Duration::ZERO), word: Limiter::new(MINUTE) }
    }

    /// Something was done so long after it was due.
    pub(super) fn note(&mut self, late: Duration, now: Instant) {
        self.turn_over(now);
        self.ever = self.ever.max(late);
        self.minutes.1 = self.minutes.1.max(late);
        if late >= WORTH_A_WORD
            && let Some(before) = self.word.admit(now)
        {
            tracing::warn!(
                "the control loop was {} ms late ({before} times before): the machine had no time for it; channels whose \
                 probes are as short may seem dead",
                late.as_millis()
            );
        }
    }

    /// The longest ever, and within the last minute or two.
    pub(super) fn longest(&mut self, now: Instant) -> (Duration, Duration) {
        self.turn_over(now);
        (self.ever, self.minutes.1.max(self.minutes.2))
    }

    fn turn_over(&mut self, now: Instant) {
        let (begun, this, _) = self.minutes;
        match now.saturating_duration_since(begun) {
            passed if passed < MINUTE => {}
            passed if passed < 2 * MINUTE => self.minutes = (begun + MINUTE, Duration::ZERO, this),
            _ => self.minutes = (now, Duration::ZERO, Duration::ZERO),
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// A third of the usual detection time.
const WORTH_A_WORD: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_delay_is_remembered_and_that_of_late_passes() {
        let start = Instant::now();
        let (ms, after) = (Duration::from_millis, |seconds| start + Duration::from_secs(seconds));
        let mut punctuality = Punctuality::new(start);
        punctuality.note(ms(70), after(1));
        punctuality.note(ms(9), after(61));
        assert_eq!(punctuality.longest(after(62)), (ms(70), ms(70)));
        assert_eq!(punctuality.longest(after(121)), (ms(70), ms(9)));
        assert_eq!(punctuality.longest(after(500)), (ms(70), ms(0)));
    }
}
