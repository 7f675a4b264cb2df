//! The switch: where each frame goes, and when.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use meshtun_sys::{
    epoll::{Epoll, Events, Interest},
    tun::Tap,
};
use meshtun_testkit::{Counts, Fate, Line, Path, line::Arrival};

use super::{
    classify::{Mac, addresses, is_for_many, is_handshake, port_of},
    damage,
    key::Key,
};

/// Frames that one device is read for before the next one's turn.
const TURN: usize = 64;

/// Bytes under way, of all directions.
const ROOM: usize = 256 << 20;

/// The longest frame: an MTU of 65535 and the header.
const LONGEST: usize = (1 << 16) + 64;

/// From which device to which, and for which UDP port.
type Way = (usize, usize, Option<u16>);

/// Lines, addresses, counters and what is under way.
#[derive(Debug)]
pub(super) struct Switch {
    devices: usize,
    seed: u64,
    /// Those of everything, and those of ports that have faults of their own.
    lines: HashMap<Way, Line>,
    seen: HashMap<Mac, usize>,
    counts: HashMap<Key, Counts>,
    /// By arrival, then by the order of sending.
    under_way: BTreeMap<(Instant, u64), Frame>,
    bytes_under_way: usize,
    next_number: u64,
}

#[derive(Debug)]
struct Frame {
    key: Key,
    bytes: Vec<u8>,
}

impl Switch {
    pub(super) fn new(devices: usize, seed: u64) -> Switch {
        let mut switch = Switch {
            devices,
            seed,
            lines: HashMap::new(),
            seen: HashMap::new(),
            counts: HashMap::new(),
            under_way: BTreeMap::new(),
            bytes_under_way: 0,
            next_number: 0,
        };
        switch.clear();
        switch
    }

    pub(super) fn set(&mut self, from: usize, to: usize, port: Option<u16>, path: Option<Path>) {
        let way = (from, to, port);
        let Some(path) = path else {
            self.lines.remove(&way);
            return;
        };
        match self.lines.get_mut(&way) {
            Some(line) => *line.path_mut() = path,
            None => {
                self.lines.insert(way, Line::new(self.seed_of(way), path));
            }
        }
    }

    pub(super) fn path(&self, from: usize, to: usize, port: Option<u16>) -> Path {
        let own = self.lines.get(&(from, to, port)).or_else(|| self.lines.get(&(from, to, None)));
        own.map_or_else(|| Path::after(Duration::ZERO), |line| line.path().clone())
    }

    pub(super) fn clear(&mut self) {
        self.lines.retain(|(_, _, port), _| port.is_none());
        for from in 0..self.devices {
            for to in (0..self.devices).filter(|to| *to != from) {
                self.set(from, to, None, Some(Path::after(Duration::ZERO)));
            }
        }
    }

    pub(super) fn counts(&self) -> Vec<(Key, Counts)> {
        let mut counts: Vec<_> = self.counts.iter().map(|(key, counts)| (*key, *counts)).collect();
        counts.sort_by_key(|(key, _)| *key);
        counts
    }

    /// A frame came from a device: learn where its sender is, and send it on.
    fn come(&mut self, from: usize, frame: &[u8], now: Instant, taps: &[Tap]) {
        let Some((destination, source)) = addresses(frame) else { return };
        if !is_for_many(&source) && self.seen.get(&source) != Some(&from) {
            self.seen.insert(source, from);
        }
        match self.seen.get(&destination) {
            Some(to) if *to == from => {}
            Some(to) => self.send(from, *to, frame, now, taps),
            None => (0..self.devices).filter(|to| *to != from).for_each(|to| self.send(from, to, frame, now, taps)),
        }
    }

    fn send(&mut self, from: usize, to: usize, frame: &[u8], now: Instant, taps: &[Tap]) {
        let key = Key { from, to, port: port_of(frame), handshake: is_handshake(frame) };
        let own = (from, to, key.port);
        let own = if self.lines.contains_key(&own) { own } else { (from, to, None) };
        let counts = self.counts.entry(key).or_default();
        let Some(line) = self.lines.get_mut(&own) else { return };
        if line.path().is_perfect() && self.under_way.is_empty() {
            counts.sent += 1;
            deliver(counts, &taps[to], frame);
            return;
        }
        let fate = line.send(now, frame.len());
        counts.note(&fate);
        if let Fate::Arrives(first, second) = fate {
            for arrival in [Some(first), second].into_iter().flatten() {
                self.dispatch(key, arrival, frame.to_vec());
            }
        }
    }

    fn dispatch(&mut self, key: Key, arrival: Arrival, mut bytes: Vec<u8>) {
        let counts = self.counts.entry(key).or_default();
        if self.bytes_under_way + bytes.len() > ROOM {
            counts.overflowed += 1;
            return;
        }
        if let Some(bit) = arrival.flipped {
            damage::flip(&mut bytes, bit);
        }
        counts.note_departure(&arrival);
        self.bytes_under_way += bytes.len();
        self.under_way.insert((arrival.at, self.next_number), Frame { key, bytes });
        self.next_number += 1;
    }

    /// Delivers what has arrived, and tells when the next arrives.
    fn deliver(&mut self, now: Instant, taps: &[Tap]) -> Option<Instant> {
        while let Some(entry) = self.under_way.first_entry() {
            let at = entry.key().0;
            if at > now {
                return Some(at);
            }
            let frame = entry.remove();
            self.bytes_under_way -= frame.bytes.len();
            deliver(self.counts.entry(frame.key).or_default(), &taps[frame.key.to], &frame.bytes);
        }
        None
    }

    /// Each line draws by itself, whatever the order in which they are made.
    fn seed_of(&self, (from, to, port): Way) -> u64 {
        let number = (from as u64) << 40 | (to as u64) << 32 | port.map_or(1 << 20, u64::from);
        self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

fn deliver(counts: &mut Counts, tap: &Tap, frame: &[u8]) {
    match tap.write(frame) {
        Ok(()) => counts.delivered += 1,
        Err(_) => counts.refused += 1,
    }
}

/// The thread's own: what waits for frames and for time.
pub(super) struct Poll {
    epoll: Epoll,
    buffer: Vec<u8>,
}

impl Poll {
    pub(super) fn new(taps: &[Tap]) -> io::Result<Poll> {
        let epoll = Epoll::new()?;
        for (token, tap) in (0..).zip(taps) {
            epoll.add(tap, token, Interest::Read)?;
        }
        Ok(Poll { epoll, buffer: vec![0; LONGEST] })
    }

    pub(super) fn run(mut self, taps: &[Tap], switch: &Mutex<Switch>, over: &AtomicBool) {
        const TICK: Duration = Duration::from_millis(20);
        let (mut wait, mut events) = (TICK, Events::with_capacity(taps.len()));
        while !over.load(Ordering::Relaxed) {
            // It fails for no reason that goes away, and then the underlay is dead, which every scenario sees.
            if self.epoll.wait(&mut events, Some(wait)).is_err() {
                return;
            }
            let mut switch = switch.lock().unwrap_or_else(PoisonError::into_inner);
            for (from, tap) in taps.iter().enumerate() {
                for _ in 0..TURN {
                    // Nothing waits, or the device is down for now.
                    let Ok(len) = tap.read(&mut self.buffer) else { break };
                    switch.come(from, &self.buffer[..len], Instant::now(), taps);
                }
            }
            let next = switch.deliver(Instant::now(), taps);
            wait = next.map_or(TICK, |next| next.saturating_duration_since(Instant::now()).min(TICK));
        }
    }
}
