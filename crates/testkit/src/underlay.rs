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
use std::time::Instant;

use crate::counts::Counts;
use crate::line::{Arrival, Fate, Line, Path};

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

type Direction = (SocketAddr, SocketAddr);

/// The network.
#[derive(Debug)]
pub struct Underlay {
    seed: u64,
    default: Path,
    lines: HashMap<Direction, Line>,
    /// By arrival, then by the order of sending.
    under_way: BTreeMap<(Instant, u64), Datagram>,
    next_number: u64,
    counts: Counts,
}

impl Underlay {
    /// A network whose every direction behaves as `default` until told otherwise.
    pub fn new(seed: u64, default: Path) -> Self {
        Underlay {
            seed,
            default,
            lines: HashMap::new(),
            under_way: BTreeMap::new(),
            next_number: 0,
            counts: Counts::default(),
        }
    }

    /// The behaviour of one direction, to be changed; what is under way is not affected.
    pub fn path(&mut self, from: SocketAddr, to: SocketAddr) -> &mut Path {
        self.line(from, to).path_mut()
    }

    /// Blocks or opens one direction.
    pub fn block(&mut self, from: SocketAddr, to: SocketAddr, blocked: bool) {
        self.path(from, to).blocked = blocked;
    }

    /// Sends a datagram, or loses it.
    pub fn send(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let fate = self.line(from, to).send(now, bytes.len());
        self.counts.note(&fate);
        if let Fate::Arrives(first, second) = fate {
            for arrival in [Some(first), second].into_iter().flatten() {
                self.dispatch(arrival, Datagram { from, to, bytes: bytes.clone() });
            }
        }
    }

    /// When the next datagram arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.under_way.keys().next().map(|(arrival, _)| *arrival)
    }

    /// Takes the next datagram that has arrived.
    pub fn receive(&mut self, now: Instant) -> Option<Datagram> {
        let first = self.under_way.first_entry().filter(|entry| entry.key().0 <= now)?;
        self.counts.delivered += 1;
        Some(first.remove())
    }

    /// How many datagrams are under way.
    pub fn in_flight(&self) -> usize {
        self.under_way.len()
    }

    /// Loses everything that is under way.
    pub fn lose_in_flight(&mut self) {
        self.counts.lost += self.under_way.len() as u64;
        self.under_way.clear();
    }

    /// What became of the datagrams so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Each direction draws by itself, from a seed that follows from the order in which directions were first used.
    fn line(&mut self, from: SocketAddr, to: SocketAddr) -> &mut Line {
        let seed = self.seed.wrapping_add((self.lines.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let default = &self.default;
        self.lines.entry((from, to)).or_insert_with(|| Line::new(seed, default.clone()))
    }

    fn dispatch(&mut self, arrival: Arrival, mut datagram: Datagram) {
        if let Some(bit) = arrival.flipped {
            datagram.bytes[bit / 8] ^= 1 << (bit % 8);
        }
        self.counts.note_departure(&arrival);
        self.under_way.insert((arrival.at, self.next_number), datagram);
        self.next_number += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        assert_eq!(lab.underlay.counts().duplicated, 2);
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
        assert_eq!(lab.underlay.counts().too_long, 1);
    }

    #[test]
    fn every_datagram_is_accounted_for() {
        let mut lab = lab(3, |path| (path.loss, path.duplication, path.mtu) = (0.1, 0.1, 4));
        let arrived = lab.numbers(1000).len() as u64;
        let Counts { sent, delivered, lost, duplicated, .. } = lab.underlay.counts();
        assert_eq!((sent, delivered), (1000, arrived));
        assert_eq!(sent + duplicated, delivered + lost);
    }
}
