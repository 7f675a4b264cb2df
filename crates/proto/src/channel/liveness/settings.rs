//! How often a channel is probed, and what follows from it.

use std::time::Duration;

/// How a channel is probed: `probe` in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// A probe goes out this often, less up to a quarter (RFC 5880, section 6.8.7).
    pub interval: Duration,
    /// The channel is down when nothing was heard for so many intervals; at least 1.
    pub down_after: u32,
    /// After a failure it is up again after so many good round trips in a row; at least 1.
    pub up_after: u32,
    /// A channel that keeps failing is held down for as long as this at the most.
    pub hold_down: Duration,
}

impl Default for Settings {
    /// A loss is detected within 750 ms and a probe.
    fn default() -> Self {
        Settings {
            interval: Duration::from_millis(250),
            down_after: 3,
            up_after: 3,
            hold_down: Duration::from_secs(180),
        }
    }
}

impl Settings {
    /// How long until the next probe; `random` is from 0 to 1. With a `down_after` of 1 at most 90 % of the interval, so
    /// that a probe that is not lost comes in time (RFC 5880, section 6.8.7).
    pub(super) fn until_next_probe(&self, random: f64) -> Duration {
        let (most, spread) = if self.down_after <= 1 { (0.9, 0.15) } else { (1.0, 0.25) };
        self.interval.mul_f64(most - spread * random.clamp(0.0, 1.0))
    }
}
