//! A limit on log lines that a peer, or anybody on the underlay, can cause.

use std::time::{Duration, Instant};

/// Lets one line through in a period, and counts those that it held back.
#[derive(Clone, Debug)]
pub(crate) struct Limiter {
    period: Duration,
    quiet_until: Option<Instant>,
    held_back: u64,
}

impl Limiter {
    pub(crate) fn new(period: Duration) -> Limiter {
        Limiter { period, quiet_until: None, held_back: 0 }
    }

    /// Whether a line may be written now; if so, how many were held back since the last one.
    pub(crate) fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.quiet_until.is_some_and(|until| now < until) {
            self.held_back += 1;
            return None;
        }
        self.quiet_until = Some(now + self.period);
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_passes_in_a_period_and_the_others_are_counted() {
        let start = Instant::now();
        let mut limiter = Limiter::new(Duration::from_secs(60));
        assert_eq!(limiter.admit(start), Some(0));
        for second in 1..60 {
            assert_eq!(limiter.admit(start + Duration::from_secs(second)), None);
        }
        assert_eq!(limiter.admit(start + Duration::from_secs(60)), Some(59));
        assert_eq!(limiter.admit(start + Duration::from_secs(61)), None);
    }
}
