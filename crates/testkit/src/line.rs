//! What one direction of a path does to what is sent into it: when each packet arrives, how often, and how damaged.
//!
//! A [`Line`] carries nothing itself; its owner keeps the packets. So the same model serves an underlay in memory and one
//! between real devices.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// How one direction behaves. Probabilities are from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// What every datagram takes.
    pub latency: Duration,
    /// The most that is added to it; the order of datagrams is kept.
    pub jitter: Duration,
    /// The share that is lost.
    pub loss: f64,
    /// How many are lost in a row, in the mean: 1 loses each by itself, more is Gilbert's model with the same share.
    pub loss_burst: f64,
    /// The share that arrives twice.
    pub duplication: f64,
    /// The share that is held back by up to [`Path::held_back`], so that later ones overtake it.
    pub reordering: f64,
    /// The most that a reordered datagram is held back.
    pub held_back: Duration,
    /// The share in which one bit is flipped.
    pub corruption: f64,
    /// Loses everything.
    pub blocked: bool,
    /// Loses what is longer, in bytes of payload.
    pub mtu: usize,
    /// How much passes, in bits a second.
    pub rate: Option<u64>,
    /// How many bytes wait where the rate is limited; what comes when it is full is lost.
    pub queue: u64,
}

impl Path {
    /// A perfect path of a given latency.
    pub fn after(latency: Duration) -> Self {
        Path {
            latency,
            jitter: Duration::ZERO,
            loss: 0.0,
            loss_burst: 1.0,
            duplication: 0.0,
            reordering: 0.0,
            held_back: latency * 4,
            corruption: 0.0,
            blocked: false,
            mtu: usize::MAX,
            rate: None,
            queue: 1 << 20,
        }
    }

    /// Whether everything arrives at once and as it was.
    pub fn is_perfect(&self) -> bool {
        *self == Path { queue: self.queue, held_back: self.held_back, ..Path::after(Duration::ZERO) }
    }
}

/// What becomes of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is lost.
    Lost(Loss),
    /// It arrives, and perhaps a second copy does.
    Arrives(Arrival, Option<Arrival>),
}

/// Why a packet is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// By chance.
    Chance,
    /// The direction is blocked.
    Blocked,
    /// It is longer than the MTU.
    TooLong,
    /// The queue before the limit is full.
    Overflow,
}

/// One copy's arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: Instant,
    /// The bit that was flipped, counted from the first bit of the packet.
    pub flipped: Option<usize>,
    /// It was held back, so that later ones may overtake it.
    pub held_back: bool,
}

/// One direction.
#[derive(Debug)]
pub struct Line {
    path: Path,
    rng: StdRng,
    /// In Gilbert's bad state.
    losing: bool,
    /// When the last packet arrives that was not held back.
    last_arrival: Option<Instant>,
    /// When all that waits before the limit will have passed.
    busy_until: Option<Instant>,
}

impl Line {
    /// A line that behaves so; the same seed gives the same fates to the same packets.
    pub fn new(seed: u64, path: Path) -> Self {
        Line { path, rng: StdRng::seed_from_u64(seed), losing: false, last_arrival: None, busy_until: None }
    }

    /// How it behaves.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it behaves, to be changed; what is under way is not affected.
    pub fn path_mut(&mut self) -> &mut Path {
        &mut self.path
    }

    /// Decides over a packet of `len` bytes that is sent now.
    pub fn send(&mut self, now: Instant, len: usize) -> Fate {
        // Drawn for each packet, lost or not, so that what is lost for other reasons shifts nothing.
        let (lost, copies) = (self.is_lost(), if self.rng.random_bool(self.path.duplication) { 2 } else { 1 });
        let reason = match () {
            () if self.path.blocked => Some(Loss::Blocked),
            () if len > self.path.mtu => Some(Loss::TooLong),
            () if lost => Some(Loss::Chance),
            () => None,
        };
        if let Some(reason) = reason {
            return Fate::Lost(reason);
        }
        let Some(out) = self.pass_limit(now, len) else { return Fate::Lost(Loss::Overflow) };
        let first = self.arrive(out, len);
        Fate::Arrives(first, (copies == 2).then(|| self.arrive(out, len)))
    }

    fn is_lost(&mut self) -> bool {
        let Path { loss, loss_burst, .. } = self.path;
        if loss_burst <= 1.0 || loss <= 0.0 || loss >= 1.0 {
            return self.rng.random_bool(loss);
        }
        // Leaving has 1 / burst; entering follows from the share: loss = enter / (enter + leave).
        let (leave, enter) = (1.0 / loss_burst, loss / (loss_burst * (1.0 - loss)));
        self.losing = if self.losing { !self.rng.random_bool(leave) } else { self.rng.random_bool(enter.min(1.0)) };
        self.losing
    }

    /// When a packet has passed the limit; `None` if there is no room for it to wait.
    fn pass_limit(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Some(rate) = self.path.rate else { return Some(now) };
        let rate = rate.max(1) as f64;
        let begin = self.busy_until.map_or(now, |busy| busy.max(now));
        let waiting = begin.saturating_duration_since(now).as_secs_f64() * rate / 8.0;
        if waiting + len as f64 > self.path.queue as f64 {
            return None;
        }
        let out = begin + Duration::from_secs_f64(len as f64 * 8.0 / rate);
        self.busy_until = Some(out);
        Some(out)
    }

    fn arrive(&mut self, out: Instant, len: usize) -> Arrival {
        let damaged = self.rng.random_bool(self.path.corruption) && len > 0;
        let flipped = damaged.then(|| self.rng.random_range(0..len * 8));
        let at = out + self.path.latency + self.path.jitter.mul_f64(self.rng.random());
        if self.rng.random_bool(self.path.reordering) {
            let at = at + self.path.held_back.mul_f64(self.rng.random());
            return Arrival { at, flipped, held_back: true };
        }
        let at = self.last_arrival.map_or(at, |last| last.max(at));
        self.last_arrival = Some(at);
        Arrival { at, flipped, held_back: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn line(seed: u64, change: impl FnOnce(&mut Path)) -> Line {
        let mut path = Path::after(Duration::ZERO);
        change(&mut path);
        Line::new(seed, path)
    }

    /// Which of `count` packets are lost.
    fn losses(line: &mut Line, count: usize) -> Vec<bool> {
        let now = Instant::now();
        (0..count).map(|_| matches!(line.send(now, 100), Fate::Lost(_))).collect()
    }

    #[test]
    fn losses_in_bursts_have_their_share_and_their_length() {
        let lost = losses(&mut line(3, |path| (path.loss, path.loss_burst) = (0.2, 5.0)), 100_000);
        let share = lost.iter().filter(|lost| **lost).count() as f64 / 100_000.0;
        let begins = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count() as f64;
        assert!((0.18..0.22).contains(&share), "{share}");
        let length = share * 100_000.0 / begins;
        assert!((4.5..5.5).contains(&length), "{length}");
    }

    #[test]
    fn a_limit_spaces_packets_and_loses_what_has_no_room_to_wait() {
        // 100 bytes a millisecond, five packets of which wait.
        let mut line = line(1, |path| (path.rate, path.queue) = (Some(800_000), 500));
        let now = Instant::now();
        let fates: Vec<_> = (0..8).map(|_| line.send(now, 100)).collect();
        for (number, fate) in (1..).zip(&fates[..5]) {
            assert!(matches!(fate, Fate::Arrives(arrival, None) if arrival.at == now + MS * number), "{fates:?}");
        }
        assert!(fates[5..].iter().all(|fate| *fate == Fate::Lost(Loss::Overflow)), "{fates:?}");
        let later = line.send(now + MS * 3, 100);
        assert!(matches!(later, Fate::Arrives(arrival, None) if arrival.at == now + MS * 6), "{later:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_fates_and_another_one_others() {
        let faults = |path: &mut Path| (path.loss, path.duplication, path.corruption) = (0.3, 0.3, 0.3);
        assert_eq!(losses(&mut line(9, faults), 500), losses(&mut line(9, faults), 500));
        assert_ne!(losses(&mut line(9, faults), 500), losses(&mut line(8, faults), 500));
    }

    #[test]
    fn only_a_path_without_any_fault_is_perfect() {
        assert!(Path::after(Duration::ZERO).is_perfect());
        assert!(!Path::after(MS).is_perfect());
        assert!(!Path { blocked: true, ..Path::after(Duration::ZERO) }.is_perfect());
        assert!(!Path { corruption: 0.1, ..Path::after(Duration::ZERO) }.is_perfect());
    }
}
