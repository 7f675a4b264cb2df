//! Controlled delay (RFC 8289, section 5) for one flow.

use std::time::{Duration, Instant};

/// The wait that is fine for as long as it likes.
pub(super) const TARGET: Duration = Duration::from_millis(5);

/// How long packets must have waited longer than that before one is dropped: the longest usual round trip.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Send,
    Drop,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Codel {
    /// When the wait will have been over the target for an interval.
    above_since: Option<Instant>,
    /// When the next packet is dropped, while dropping.
    drop_next: Option<Instant>,
    /// When dropping ended.
    ended: Option<Instant>,
    /// Packets dropped since it began.
    count: u32,
    /// What `count` was when it began.
    began_with: u32,
}

impl Codel {
    pub(super) const NEW: Codel = Codel { above_since: None, drop_next: None, ended: None, count: 0, began_with: 0 };

    /// Judges a packet that waited so long; `last` tells that nothing waits behind it.
    pub(super) fn judge(&mut self, waited: Duration, last: bool, now: Instant) -> Verdict {
        if !self.is_late(waited, last, now) {
            if self.drop_next.take().is_some() {
                self.ended = Some(now);
            }
            return Verdict::Send;
        }
        match self.drop_next {
            Some(next) if now < next => Verdict::Send,
            Some(next) => {
                self.count += 1;
                self.drop_next = Some(next + self.pause());
                Verdict::Drop
            }
            None => {
                self.begin(now);
                Verdict::Drop
            }
        }
    }

    /// Nothing is left in the flow.
    pub(super) fn rest(&mut self, now: Instant) {
        self.above_since = None;
        if self.drop_next.take().is_some() {
            self.ended = Some(now);
        }
    }

    fn is_late(&mut self, waited: Duration, last: bool, now: Instant) -> bool {
        if waited < TARGET || last {
            self.above_since = None;
            return false;
        }
        now >= *self.above_since.get_or_insert(now + INTERVAL)
    }

    /// Begins at the rate that worked, if that was not long ago.
    fn begin(&mut self, now: Instant) {
        let recent = self.ended.is_some_and(|ended| now.saturating_duration_since(ended) < 16 * INTERVAL);
        let worked = self.count - self.began_with;
        self.count = if recent && worked > 1 { worked } else { 1 };
        self.began_with = self.count;
        self.drop_next = Some(now + self.pause());
    }

    /// The pauses between drops shrink with the square root of their number, which slows TCP evenly.
    fn pause(&self) -> Duration {
        INTERVAL.div_f64(f64::from(self.count.max(1)).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// One packet a millisecond, each of which waited so long; when packets were dropped.
    fn drops(codel: &mut Codel, start: Instant, span: std::ops::Range<u64>, waited: Duration) -> Vec<u64> {
        span.filter(|at| codel.judge(waited, false, start + ms(*at)) == Verdict::Drop).collect()
    }

    #[test]
    fn a_short_wait_is_never_punished() {
        let mut codel = Codel::NEW;
        assert!(drops(&mut codel, Instant::now(), 0..10_000, ms(4)).is_empty());
    }

    #[test]
    fn a_long_wait_is_borne_for_an_interval_and_then_punished_ever_faster() {
        let mut codel = Codel::NEW;
        let dropped = drops(&mut codel, Instant::now(), 0..500, ms(20));
        // 100, then 100/1, 100/√2, 100/√3, … later.
        assert_eq!(dropped, [100, 200, 271, 329, 379, 424, 464]);
    }

    #[test]
    fn the_last_packet_of_a_flow_is_not_dropped_however_long_it_waited() {
        let mut codel = Codel::NEW;
        let start = Instant::now();
        assert!((0..1000).all(|at| codel.judge(ms(500), true, start + ms(at)) == Verdict::Send));
    }

    #[test]
    fn one_packet_in_time_ends_the_dropping() {
        let (mut codel, start) = (Codel::NEW, Instant::now());
        assert_eq!(drops(&mut codel, start, 0..250, ms(20)), [100, 200]);
        assert_eq!(codel.judge(ms(1), false, start + ms(250)), Verdict::Send);
        assert_eq!(drops(&mut codel, start, 251..340, ms(20)), []);
    }

    #[test]
    fn a_flow_that_comes_back_after_a_rest_is_not_late_at_once() {
        let (mut codel, start) = (Codel::NEW, Instant::now());
        assert_eq!(drops(&mut codel, start, 0..250, ms(20)), [100, 200]);
        codel.rest(start + ms(250));
        assert_eq!(drops(&mut codel, start, 5000..5100, ms(20)), []);
    }

    #[test]
    fn dropping_begins_again_at_the_rate_that_worked() {
        let (mut codel, start) = (Codel::NEW, Instant::now());
        assert_eq!(drops(&mut codel, start, 0..500, ms(20)).len(), 7);
        codel.judge(ms(1), false, start + ms(500));
        let again = drops(&mut codel, start, 501..700, ms(20));
        // After an interval above the target, with pauses of 100/√6 ms and less.
        assert_eq!(again[..3], [601, 642, 680]);
    }
}
