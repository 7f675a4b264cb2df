//! A network in memory: datagrams in, datagrams out, and a seed that decides their fate.
//!
//! ```
//! use meshtun_testkit::{Clock, Path, Underlay};
//! use std::time::Duration;
//!
//! let mut clock = Clock::new();
//! let mut underlay = Underlay::new(1, Path::after(Duration::from_millis(10)));
//! let (a, b) = ("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap());
//! underlay.send(clock.now(), a, b, vec![1, 2, 3]);
//! assert!(underlay.receive(clock.now()).is_none(), "it is still under way");
//! clock.advance_to(underlay.next_arrival().unwrap());
//! assert_eq!(underlay.receive(clock.now()).unwrap().bytes, [1, 2, 3]);
//! ```

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// How one direction between two addresses behaves. Probabilities are from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// What every datagram takes.
    pub latency: Duration,
    /// The most that is added to it; the order of datagrams is kept.
    pub jitter: Duration,
    /// The share that is lost.
    pub loss: f64,
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
}

impl Path {
    /// A perfect path of a given latency.
    pub fn after(latency: Duration) -> Self {
        Path {
            latency,
            jitter: Duration::ZERO,
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            held_back: latency * 4,
            corruption: 0.0,
            blocked: false,
            mtu: usize::MAX,
        }
    }
}

/// What arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// The sender's address.
    pub from: SocketAddr,
    /// The address it was sent to.
    pub to: SocketAddr,
    /// The payload.
    pub bytes: Vec<u8>,
}

/// What became of the datagrams, over all directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Given to [`Underlay::send`].
    pub sent: u64,
    /// Taken from [`Underlay::receive`], duplicates included.
    pub delivered: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Lost in a blocked direction.
    pub blocked: u64,
    /// Lost for their length.
    pub too_long: u64,
    /// Copies that were added.
    pub duplicated: u64,
    /// Datagrams that were held back.
    pub reordered: u64,
    /// Datagrams in which a bit was flipped.
    pub corrupted: u64,
}

type Direction = (SocketAddr, SocketAddr);

/// The network.
#[derive(Debug)]
pub struct Underlay {
    rng: StdRng,
    default: Path,
    paths: HashMap<Direction, Path>,
    /// When the last datagram of a direction arrives that was not reordered.
    last_arrivals: HashMap<Direction, Instant>,
    /// By arrival, then by the order of sending.
    under_way: BTreeMap<(Instant, u64), Datagram>,
    next_number: u64,
    statistics: Statistics,
}

impl Underlay {
    /// A network whose every direction behaves as `default` until told otherwise.
    pub fn new(seed: u64, default: Path) -> Self {
        Underlay {
            rng: StdRng::seed_from_u64(seed),
            default,
            paths: HashMap::new(),
            last_arrivals: HashMap::new(),
            under_way: BTreeMap::new(),
            next_number: 0,
            statistics: Statistics::default(),
        }
    }

    /// The behaviour of one direction, to be changed; what is under way is not affected.
    pub fn path(&mut self, from: SocketAddr, to: SocketAddr) -> &mut Path {
        self.paths.entry((from, to)).or_insert_with(|| self.default.clone())
    }

    /// Blocks or opens one direction.
    pub fn block(&mut self, from: SocketAddr, to: SocketAddr, blocked: bool) {
        self.path(from, to).blocked = blocked;
    }

    /// Sends a datagram, or loses it.
    pub fn send(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        self.statistics.sent += 1;
        let path = self.paths.get(&(from, to)).unwrap_or(&self.default).clone();
        if self.is_lost(&path, bytes.len()) {
            return;
        }
        let copies = if self.rng.random_bool(path.duplication) { 2 } else { 1 };
        self.statistics.duplicated += copies - 1;
        for _ in 0..copies {
            self.dispatch(now, &path, Datagram { from, to, bytes: bytes.clone() });
        }
    }

    /// When the next datagram arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.under_way.keys().next().map(|(arrival, _)| *arrival)
    }

    /// Takes the next datagram that has arrived.
    pub fn receive(&mut self, now: Instant) -> Option<Datagram> {
        let first = self.under_way.first_entry().filter(|entry| entry.key().0 <= now)?;
        self.statistics.delivered += 1;
        Some(first.remove())
    }

    /// How many datagrams are under way.
    pub fn in_flight(&self) -> usize {
        self.under_way.len()
    }

    /// Loses everything that is under way.
    pub fn lose_in_flight(&mut self) {
        self.statistics.lost += self.under_way.len() as u64;
        self.under_way.clear();
    }

    /// What became of the datagrams so far.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    fn is_lost(&mut self, path: &Path, len: usize) -> bool {
        let lost = self.rng.random_bool(path.loss);
        let reason = match () {
            () if path.blocked => &mut self.statistics.blocked,
            () if len > path.mtu => &mut self.statistics.too_long,
            () if lost => &mut self.statistics.lost,
            () => return false,
        };
        *reason += 1;
        true
    }

    fn dispatch(&mut self, now: Instant, path: &Path, mut datagram: Datagram) {
        if self.rng.random_bool(path.corruption) && !datagram.bytes.is_empty() {
            let bit = self.rng.random_range(0..datagram.bytes.len() * 8);
            datagram.bytes[bit / 8] ^= 1 << (bit % 8);
            self.statistics.corrupted += 1;
        }
        let arrival = self.arrival(now, path, (datagram.from, datagram.to));
        self.under_way.insert((arrival, self.next_number), datagram);
        self.next_number += 1;
    }

    fn arrival(&mut self, now: Instant, path: &Path, direction: Direction) -> Instant {
        let arrival = now + path.latency + path.jitter.mul_f64(self.rng.random());
        if self.rng.random_bool(path.reordering) {
            self.statistics.reordered += 1;
            return arrival + path.held_back.mul_f64(self.rng.random());
        }
        let last = self.last_arrivals.entry(direction).or_insert(arrival);
        *last = arrival.max(*last);
        *last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    struct Lab {
        underlay: Underlay,
        start: Instant,
        a: SocketAddr,
        b: SocketAddr,
    }

    fn lab(seed: u64, change: impl FnOnce(&mut Path)) -> Lab {
        let mut path = Path::after(10 * MS);
        change(&mut path);
        Lab {
            underlay: Underlay::new(seed, path),
            start: Instant::now(),
            a: "192.0.2.1:1".parse().unwrap(),
            b: "[2001:db8::2]:2".parse().unwrap(),
        }
    }

    impl Lab {
        /// Sends `count` numbered datagrams, 1 ms apart, and returns those that arrive.
        fn numbers(&mut self, count: u32) -> Vec<u32> {
            for number in 0..count {
                self.underlay.send(self.start + MS * number, self.a, self.b, number.to_le_bytes().to_vec());
            }
            let end = self.start + Duration::from_secs(3600);
            std::iter::from_fn(|| self.underlay.receive(end))
                .map(|datagram| u32::from_le_bytes(datagram.bytes.try_into().unwrap()))
                .collect()
        }
    }

    #[test]
    fn a_perfect_path_delivers_everything_in_order_after_its_latency() {
        let mut lab = lab(1, |_| ());
        lab.underlay.send(lab.start, lab.a, lab.b, vec![7]);
        assert_eq!(lab.underlay.next_arrival(), Some(lab.start + 10 * MS));
        assert_eq!(lab.underlay.receive(lab.start + 9 * MS), None);
        let expected = Datagram { from: lab.a, to: lab.b, bytes: vec![7] };
        assert_eq!(lab.underlay.receive(lab.start + 10 * MS), Some(expected));
        assert_eq!(lab.numbers(1000), (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let faults = |path: &mut Path| (path.loss, path.duplication, path.reordering) = (0.2, 0.2, 0.2);
        assert_eq!(lab(5, faults).numbers(500), lab(5, faults).numbers(500));
        assert_ne!(lab(5, faults).numbers(500), lab(6, faults).numbers(500));
    }

    #[test]
    fn loss_takes_about_its_share() {
        let arrived = lab(1, |path| path.loss = 0.3).numbers(10_000).len();
        assert!((6_800..7_200).contains(&arrived), "{arrived} of 10000 arrived");
    }

    #[test]
    fn jitter_keeps_the_order() {
        let arrived = lab(1, |path| path.jitter = 50 * MS).numbers(1000);
        assert_eq!(arrived, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn reordering_changes_the_order_and_loses_nothing() {
        let mut arrived = lab(1, |path| path.reordering = 0.1).numbers(1000);
        assert!(!arrived.is_sorted());
        arrived.sort_unstable();
        assert_eq!(arrived, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn duplication_adds_copies() {
        let mut lab = lab(1, |path| path.duplication = 1.0);
        assert_eq!(lab.numbers(2), [0, 0, 1, 1]);
        assert_eq!(lab.underlay.statistics().duplicated, 2);
    }

    #[test]
    fn corruption_flips_one_bit() {
        let mut lab = lab(1, |path| path.corruption = 1.0);
        lab.underlay.send(lab.start, lab.a, lab.b, vec![0; 100]);
        let bytes = lab.underlay.receive(lab.start + 10 * MS).unwrap().bytes;
        assert_eq!(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    }

    #[test]
    fn a_block_is_for_one_direction() {
        let mut lab = lab(1, |_| ());
        lab.underlay.block(lab.a, lab.b, true);
        lab.underlay.send(lab.start, lab.a, lab.b, vec![1]);
        lab.underlay.send(lab.start, lab.b, lab.a, vec![2]);
        assert_eq!(lab.underlay.receive(lab.start + 10 * MS).unwrap().bytes, [2]);
        assert_eq!(lab.underlay.receive(lab.start + 10 * MS), None);
        lab.underlay.block(lab.a, lab.b, false);
        assert_eq!(lab.numbers(1), [0]);
    }

    #[test]
    fn what_is_longer_than_the_mtu_is_lost() {
        let mut lab = lab(1, |path| path.mtu = 1400);
        lab.underlay.send(lab.start, lab.a, lab.b, vec![0; 1401]);
        lab.underlay.send(lab.start, lab.a, lab.b, vec![0; 1400]);
        assert_eq!(lab.underlay.in_flight(), 1);
        assert_eq!(lab.underlay.statistics().too_long, 1);
    }

    #[test]
    fn every_datagram_is_accounted_for() {
        let mut lab = lab(3, |path| (path.loss, path.duplication, path.mtu) = (0.1, 0.1, 4));
        let arrived = lab.numbers(1000).len() as u64;
        let Statistics { sent, delivered, lost, duplicated, .. } = lab.underlay.statistics();
        assert_eq!((sent, delivered), (1000, arrived));
        assert_eq!(sent + duplicated, delivered + lost);
    }
}
