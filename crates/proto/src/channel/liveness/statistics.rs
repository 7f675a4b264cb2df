//! What probes and their replies tell of a channel: loss, round trip, variation. Each channel has its own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A probe that is not answered within this, or three smoothed round trips if that is longer, is lost.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many of the latest probes [`Statistics::recent_loss`] is about.
const RECENT: u32 = 100;
/// Probes whose fate is open at once, at most: what goes out in [`PATIENCE`] at the shortest interval, and more.
const MAX_OPEN: usize = 256;

/// What a channel's probes tell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Statistics {
    /// Probes whose fate is decided: answered in time or lost.
    pub probes: u64,
    /// How many of them were lost, they or their replies.
    pub lost: u64,
    /// The share that was lost of the latest, up to 100: 0 to 1. None before there are any.
    pub recent_loss: Option<f64>,
    /// Round trips; none before the first.
    pub round_trip: Option<RoundTrip>,
    /// How far the delay towards the peer varies from probe to probe, as [`RoundTrip::jitter`].
    pub variation_out: Option<Duration>,
    /// The same for the delay from the peer.
    pub variation_in: Option<Duration>,
}

/// Round trips of probes, without the time that the peer held them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundTrip {
    /// Of the last probe that was answered.
    pub last: Duration,
    /// Smoothed (SRTT of RFC 6298, section 2).
    pub smoothed: Duration,
    /// Its variation (RTTVAR of RFC 6298).
    pub variation: Duration,
    /// The shortest of all.
    pub least: Duration,
    /// How far it varies from probe to probe, smoothed (RFC 3550, section 6.4.1).
    pub jitter: Duration,
}

/// When a probe and its reply were sent and taken, in microseconds of the clocks of where that was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) sent: u64,
    pub(super) arrived_there: u64,
    pub(super) replied_there: u64,
    pub(super) arrived: u64,
}

/// The statistics as they grow.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// Probes whose fate is open, oldest first; the numbers follow one another.
    open: VecDeque<Open>,
    /// The latest decided probes, the last in the lowest bit; a set bit is a lost one.
    recent: u128,
    probes: u64,
    lost: u64,
    round_trip: Option<RoundTrip>,
    out: Variation,
    inward: Variation,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    sequence: u64,
    sent: Instant,
    answered: bool,
}

/// The estimator of RFC 3550, section 6.4.1, over transit times of which only the differences mean anything.
#[derive(Debug, Clone, Copy, Default)]
struct Variation {
    last: Option<i128>,
    /// In sixteenths of a microsecond (as RFC 3550, appendix A.8); none before there is a difference.
    sixteenths: Option<u64>,
}

impl Recorder {
    pub(super) fn sent(&mut self, now: Instant, sequence: u64) {
        self.settle(now);
        if self.open.len() == MAX_OPEN {
            self.decide();
        }
        self.open.push_back(Open { sequence, sent: now, answered: false });
    }

    /// A reply came, in time or late, for the first time or again.
    pub(super) fn answered(&mut self, now: Instant, sequence: u64, times: Times) {
        let first = self.open.front().map_or(sequence, |open| open.sequence);
        let position = sequence.checked_sub(first).and_then(|at| usize::try_from(at).ok());
        if let Some(open) = position.and_then(|at| self.open.get_mut(at))
            && std::mem::replace(&mut open.answered, true)
        {
            return;
        }
        self.measure(times);
        self.settle(now);
    }

    pub(super) fn round_trip(&self) -> Option<RoundTrip> {
        self.round_trip
    }

    pub(super) fn statistics(&self) -> Statistics {
        let decided = self.probes.min(u64::from(RECENT)) as u32;
        let lost = (self.recent & ((1 << RECENT) - 1)).count_ones();
        Statistics {
            probes: self.probes,
            lost: self.lost,
            recent_loss: (decided > 0).then(|| f64::from(lost) / f64::from(decided)),
            round_trip: self.round_trip,
            variation_out: self.out.smoothed(),
            variation_in: self.inward.smoothed(),
        }
    }

    /// Decides what can be decided.
    fn settle(&mut self, now: Instant) {
        let patience = self.round_trip.map_or(PATIENCE, |times| PATIENCE.max(times.smoothed * 3));
        while self.open.front().is_some_and(|open| open.answered || open.sent + patience <= now) {
            self.decide();
        }
    }

    fn decide(&mut self) {
        let Some(open) = self.open.pop_front() else { return };
        self.probes += 1;
        self.lost += u64::from(!open.answered);
        self.recent = self.recent << 1 | u128::from(!open.answered);
    }

    fn measure(&mut self, times: Times) {
        let Times { sent, arrived_there, replied_there, arrived } = times;
        let held = replied_there.saturating_sub(arrived_there);
        let took = Duration::from_micros(arrived.saturating_sub(sent).saturating_sub(held));
        self.round_trip = Some(match self.round_trip {
            None => RoundTrip { last: took, smoothed: took, variation: took / 2, least: took, jitter: Duration::ZERO },
            Some(before) => before.followed_by(took),
        });
        self.out.add(i128::from(arrived_there) - i128::from(sent));
        self.inward.add(i128::from(arrived) - i128::from(replied_there));
    }
}

impl RoundTrip {
    fn followed_by(self, took: Duration) -> RoundTrip {
        RoundTrip {
            last: took,
            variation: (self.variation * 3 + self.smoothed.abs_diff(took)) / 4,
            smoothed: (self.smoothed * 7 + took) / 8,
            least: self.least.min(took),
            jitter: (self.jitter * 15 + self.last.abs_diff(took)) / 16,
        }
    }
}

impl Variation {
    fn add(&mut self, transit: i128) {
        let Some(last) = self.last.replace(transit) else { return };
        // No more than a minute: the clock is the peer's, and may say anything.
        let difference = u64::try_from(last.abs_diff(transit)).unwrap_or(u64::MAX).min(60_000_000);
        let before = self.sixteenths.unwrap_or(0);
        self.sixteenths = Some((before - (before + 8) / 16).saturating_add(difference));
    }

    fn smoothed(&self) -> Option<Duration> {
        self.sixteenths.map(|sixteenths| Duration::from_micros(sixteenths / 16))
    }
}

#[cfg(test)]
mod tests;
