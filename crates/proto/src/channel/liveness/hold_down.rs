//! How long a channel that keeps failing is held down: not at all for the first failure in a long time, then from a second
//! on for twice as long with each failure, and forgotten by halves with time of good health.

use std::time::{Duration, Instant};

/// What a channel pays for its second failure.
const FIRST: Duration = Duration::from_secs(1);

/// What a channel's failures cost.
#[derive(Debug)]
pub(super) struct HoldDown {
    /// The most that a failure costs, and how long a channel must be up for its penalty to be halved.
    most: Duration,
    /// What the next failure costs.
    penalty: Duration,
    /// What it was before the last failure.
    before: Duration,
    until: Option<Instant>,
}

impl HoldDown {
    pub(super) fn new(most: Duration) -> Self {
        HoldDown { most, penalty: Duration::ZERO, before: Duration::ZERO, until: None }
    }

    /// The channel failed after it had been up for a time.
    pub(super) fn fail(&mut self, now: Instant, was_up: Duration) {
        self.recover(was_up);
        self.before = self.penalty;
        self.until = (!self.penalty.is_zero()).then(|| now + self.penalty);
        self.penalty = (self.penalty * 2).max(FIRST).min(self.most);
    }

    /// The failure was none of the path's: the peer had only been restarted.
    pub(super) fn forgive(&mut self) {
        self.penalty = self.before;
        self.until = None;
    }

    /// Lets go of the channel before its time; the next failure costs what it would have cost.
    pub(super) fn waive(&mut self) {
        self.until = None;
    }

    /// Other settings; what was imposed is shortened, never lengthened.
    pub(super) fn set_most(&mut self, now: Instant, most: Duration) {
        self.most = most;
        self.penalty = self.penalty.min(most);
        self.before = self.before.min(most);
        self.until = self.until.map(|until| until.min(now + most));
    }

    /// Until when the channel is held down.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether the channel is held down.
    pub(super) fn is_on(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until > now)
    }

    /// Lets go of a channel whose time has come.
    pub(super) fn release(&mut self, now: Instant) {
        self.until = self.until.filter(|until| *until > now);
    }

    /// As a channel that flaps.
    #[cfg(test)]
    pub(super) fn fail_often(&mut self, now: Instant) {
        (0..9).for_each(|_| self.fail(now, Duration::ZERO));
    }

    fn recover(&mut self, was_up: Duration) {
        if self.most.is_zero() {
            self.penalty = Duration::ZERO;
            return;
        }
        let halvings = was_up.as_nanos() / self.most.as_nanos();
        for _ in 0..halvings {
            if self.penalty <= FIRST {
                self.penalty = Duration::ZERO;
                return;
            }
            self.penalty /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(180);

    fn held_for(hold: &HoldDown, now: Instant) -> u64 {
        hold.until().map_or(0, |until| (until - now).as_secs())
    }

    #[test]
    fn each_failure_costs_twice_as_much_as_the_one_before_and_the_first_nothing() {
        let (now, mut hold) = (Instant::now(), HoldDown::new(MOST));
        let costs: Vec<u64> = (0..11)
            .map(|_| {
                hold.fail(now, Duration::from_secs(1));
                held_for(&hold, now)
            })
            .collect();
        assert_eq!(costs, [0, 1, 2, 4, 8, 16, 32, 64, 128, 180, 180]);
    }

    #[test]
    fn good_health_halves_what_the_next_failure_costs_until_it_costs_nothing() {
        let now = Instant::now();
        for (halves, cost) in [(0, 8), (1, 4), (2, 2), (3, 1), (4, 0), (5, 0), (u32::MAX, 0)] {
            let mut hold = HoldDown::new(MOST);
            (0..4).for_each(|_| hold.fail(now, Duration::ZERO));
            hold.fail(now, MOST * halves);
            assert_eq!(held_for(&hold, now), cost, "after {halves} times 180 s");
        }
    }

    #[test]
    fn a_failure_that_is_forgiven_leaves_nothing_behind() {
        let (now, mut hold) = (Instant::now(), HoldDown::new(MOST));
        (0..4).for_each(|_| hold.fail(now, Duration::ZERO));
        hold.forgive();
        hold.forgive();
        assert_eq!(hold.until(), None);
        hold.fail(now, Duration::ZERO);
        assert_eq!(held_for(&hold, now), 4, "as the fourth did");
    }

    #[test]
    fn without_a_hold_down_no_failure_costs_anything() {
        let (now, mut hold) = (Instant::now(), HoldDown::new(Duration::ZERO));
        for _ in 0..5 {
            hold.fail(now, Duration::from_secs(1));
            assert_eq!(hold.until(), None);
        }
    }

    #[test]
    fn a_shorter_hold_down_holds_at_once() {
        let (now, mut hold) = (Instant::now(), HoldDown::new(MOST));
        (0..11).for_each(|_| hold.fail(now, Duration::ZERO));
        hold.set_most(now, Duration::from_secs(5));
        assert_eq!(held_for(&hold, now), 5);
        hold.release(now + Duration::from_secs(5));
        assert_eq!(hold.until(), None);
    }
}
