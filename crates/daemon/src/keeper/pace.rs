//! How often the kernel is looked at, and how often what others changed is put back.

use std::time::{Duration, Instant};

/// Gives each look its time. The first change is acted on at once; a crowd of them ten times a second; and who changes the
/// same again and again is answered less often, so that a fight without end costs little.
#[derive(Debug)]
pub(super) struct Pace {
    last_look: Option<Instant>,
    /// Repairs that may be made at once.
    saved: f64,
    counted: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Pace {
        Pace { last_look: None, saved: REPAIRS_AT_ONCE, counted: now }
    }

    /// When a change that is told of now is to be looked at: the rest of its crowd shall have come.
    pub(super) fn next_look(&self, now: Instant) -> Instant {
        let earliest = self.last_look.map_or(now, |last| last + BETWEEN_LOOKS);
        earliest.max(now + CROWD)
    }

    pub(super) fn looked(&mut self, now: Instant) {
        self.last_look = Some(now);
    }

    /// Whether another repair may be made now.
    pub(super) fn may_repair(&mut self, now: Instant) -> bool {
        let earned = (now - self.counted).as_secs_f64() / REPAIR_EARNED_IN.as_secs_f64();
        self.saved = (self.saved + earned).min(REPAIRS_AT_ONCE);
        self.counted = now;
        self.saved >= 1.0
    }

    /// A repair was made.
    pub(super) fn repaired(&mut self) {
        self.saved -= 1.0;
    }

    /// How long until the next look if nothing is told: what the kernel does not tell is found so. A fiftieth of the
    /// time goes into it at most, unless a look takes more than 200 ms.
    pub(super) fn audit_after(took: Duration) -> Duration {
        (took * 50).clamp(AUDIT, LONGEST_REST)
    }
}

/// Changes come in crowds.
const CROWD: Duration = Duration::from_millis(3);

const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

const AUDIT: Duration = Duration::from_secs(1);

/// A look on a busy machine takes long although there is little to look at.
const LONGEST_REST: Duration = Duration::from_secs(10);

const REPAIRS_AT_ONCE: f64 = 30.0;

/// In a fight without end there is one repair in this time.
pub(super) const REPAIR_EARNED_IN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_is_looked_at_at_once_and_the_next_ones_ten_times_a_second() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.next_look(start), start + CROWD);
        pace.looked(start);
        assert_eq!(pace.next_look(start), start + BETWEEN_LOOKS);
        let later = start + Duration::from_secs(9);
        assert_eq!(pace.next_look(later), later + CROWD);
    }

    #[test]
    fn there_is_an_audit_every_second_or_less_often_where_it_takes_long() {
        for (took, rest) in [(0, 1000), (20, 1000), (100, 5000), (200, 10_000), (5000, 10_000)] {
            assert_eq!(Pace::audit_after(Duration::from_millis(took)), Duration::from_millis(rest));
        }
    }

    #[test]
    fn a_fight_of_an_hour_costs_a_repair_every_two_seconds() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut repairs = 0;
        for tenth in 0..36_000 {
            if pace.may_repair(start + Duration::from_millis(100 * tenth)) {
                pace.repaired();
                repairs += 1;
            }
        }
        assert!((1800..=1831).contains(&repairs), "{repairs}");
    }
}
