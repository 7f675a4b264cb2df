//! A virtual clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The wall clock's time when a virtual clock starts: 2026-01-01 00:00:00 UTC.
const WALL_START: Duration = Duration::from_secs(1_767_225_600);

/// A clock that goes on only when it is told to: hours pass in no time.
#[derive(Debug, Clone)]
pub struct Clock {
    start: Instant,
    elapsed: Duration,
    wall: Duration,
}

impl Clock {
    /// A clock that stands at its start.
    ///
    /// The real clock is read once, since an [`Instant`] cannot be had otherwise.
    pub fn new() -> Self {
        Clock { start: Instant::now(), elapsed: Duration::ZERO, wall: WALL_START }
    }

    /// The monotonic time.
    pub fn now(&self) -> Instant {
        self.start + self.elapsed
    }

    /// How long the clock has run.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The wall clock, which can be stepped.
    pub fn wall(&self) -> SystemTime {
        UNIX_EPOCH + self.wall
    }

    /// Lets time pass.
    pub fn advance(&mut self, by: Duration) {
        self.elapsed += by;
        self.wall += by;
    }

    /// Lets time pass until `then`; a moment that is over changes nothing.
    pub fn advance_to(&mut self, then: Instant) {
        self.advance(then.saturating_duration_since(self.now()));
    }

    /// Steps the wall clock, as a person or NTP does; the monotonic time goes on unmoved.
    pub fn set_wall(&mut self, to: SystemTime) {
        self.wall = to.duration_since(UNIX_EPOCH).unwrap_or_default();
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_times_pass_together_and_a_step_moves_only_the_wall() {
        let mut clock = Clock::new();
        let (now, wall) = (clock.now(), clock.wall());
        clock.advance(Duration::from_secs(3600));
        assert_eq!(clock.now() - now, Duration::from_secs(3600));
        assert_eq!(clock.wall().duration_since(wall).unwrap(), Duration::from_secs(3600));
        clock.set_wall(wall);
        assert_eq!(clock.wall(), wall);
        assert_eq!(clock.elapsed(), Duration::from_secs(3600));
    }

    #[test]
    fn it_never_goes_back() {
        let mut clock = Clock::new();
        let start = clock.now();
        clock.advance_to(start + Duration::from_secs(2));
        clock.advance_to(start + Duration::from_secs(1));
        assert_eq!(clock.elapsed(), Duration::from_secs(2));
    }
}
