//! TAI64N stamps: the replay guard of initiations (WireGuard paper, section 5.1).

use std::time::{SystemTime, UNIX_EPOCH};

/// A moment as TAI64N writes it: seconds since 1970 TAI plus 2^62, then nanoseconds, both
/// big-endian, so that stamps order as their bytes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tai64n(pub [u8; 12]);

/// The label of the Unix epoch: 2^62, and the ten seconds that TAI was ahead of it.
const EPOCH: u64 = (1 << 62) + 10;

/// A stamp's fraction is cut to 2^24 ns, some 17 ms, as the kernel does: an initiation shows no
/// one a fine clock.
const GRAIN: u32 = 1 << 24;

impl Tai64n {
    /// Before every stamp that a clock can give.
    pub const ZERO: Self = Self([0; 12]);

    /// The next larger stamp; the largest is its own successor.
    fn successor(self) -> Self {
        let value = self.0.iter().fold(0u128, |value, &byte| value << 8 | u128::from(byte));
        let mut bytes = [0; 12];
        bytes.copy_from_slice(&(value + 1).min((1 << 96) - 1).to_be_bytes()[4..]);
        Self(bytes)
    }
}

impl From<SystemTime> for Tai64n {
    /// The stamp of a moment, to a grain of 2^24 ns; a clock before 1970 counts as 1970.
    fn from(moment: SystemTime) -> Self {
        let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = EPOCH.saturating_add(since.as_secs());
        let nanoseconds = since.subsec_nanos() / GRAIN * GRAIN;
        let mut stamp = [0; 12];
        stamp[..8].copy_from_slice(&seconds.to_be_bytes());
        stamp[8..].copy_from_slice(&nanoseconds.to_be_bytes());
        Self(stamp)
    }
}

/// A source of stamps that grow, whatever the clock does.
#[derive(Clone, Debug)]
pub struct Stamps {
    last: Tai64n,
}

impl Stamps {
    /// Starts above `floor`: the last stamp that was ever sent, or [`Tai64n::ZERO`].
    pub fn new(floor: Tai64n) -> Self {
        Self { last: floor }
    }

    /// The stamp for an initiation sent at `now`: the clock's, or where the clock stands still or
    /// went back, the one after the last.
    pub fn next(&mut self, now: SystemTime) -> Tai64n {
        self.last = Tai64n::from(now).max(self.last.successor());
        self.last
    }

    /// The last stamp that was given out: what to keep on disk.
    pub fn last(&self) -> Tai64n {
        self.last
    }
}

#[cfg(test)]
mod tests;
