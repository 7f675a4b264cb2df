//! Ends of channels on an underlay in memory, under virtual time.

use std::time::{Duration, Instant};

use meshtun_proto::channel::Channel;
use meshtun_proto::tai64n::Stamps;
use meshtun_testkit::{Clock, Datagram, Path, Underlay};

pub(crate) use super::end::{End, Setup};

/// The first end of a pair; the lower gateway number.
pub(crate) const A: usize = 0;
/// The second end of a pair.
pub(crate) const B: usize = 1;

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// One-way latency, unless a test changes it.
pub(crate) const LATENCY: Duration = Duration::from_millis(10);

const REPORT_EVERY: Duration = Duration::from_millis(250);

/// All ends, the underlay between them, and the clock.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) underlay: Underlay,
    pub(crate) ends: Vec<End>,
    /// Everything that was sent, if wanted: before it was lost or changed.
    pub(crate) tap: Option<Vec<Datagram>>,
    /// Loses what it says yes to.
    pub(crate) censor: Option<Censor>,
    /// What arrived at an address that no end has.
    pub(crate) astray: Vec<Datagram>,
    next_report: Instant,
}

/// Looks at the number of a datagram, counted from 0, and the datagram.
pub(crate) type Censor = Box<dyn FnMut(usize, &Datagram) -> bool>;

impl World {
    pub(crate) fn new(seed: u64, setups: impl IntoIterator<Item = Setup>) -> World {
        Self::over(Path::after(LATENCY), seed, setups)
    }

    pub(crate) fn over(path: Path, seed: u64, setups: impl IntoIterator<Item = Setup>) -> World {
        let clock = Clock::new();
        let now = clock.now();
        let ends = setups.into_iter().enumerate();
        let ends = ends.map(|(number, setup)| End::new(setup, now, channel_seed(seed, number, 0))).collect();
        let underlay = Underlay::new(seed, path);
        World { clock, underlay, ends, tap: None, censor: None, astray: Vec::new(), next_report: now }
    }

    /// A pair of which both ends were started.
    pub(crate) fn started(seed: u64) -> World {
        let mut world = World::new(seed, Setup::pair());
        world.start(A);
        world.start(B);
        world
    }

    /// A pair that is up, in a session that A initiated.
    pub(crate) fn up(seed: u64) -> World {
        Self::up_over(Path::after(LATENCY), seed, Setup::pair())
    }

    /// As [`World::up`], over a path of a kind. B is not started before A's session is up.
    pub(crate) fn up_over(path: Path, seed: u64, setups: [Setup; 2]) -> World {
        let mut world = World::over(path, seed, setups);
        world.start(A);
        world.run_while(60 * SECOND, |world| !world.both_up());
        assert!(world.both_up(), "the channel came up");
        world.start(B);
        world
    }

    pub(crate) fn start(&mut self, end: usize) {
        let now = self.now_at(end);
        self.ends[end].channel.start(now);
        self.carry_out(end);
    }

    /// The daemon dies without a word and comes back with nothing but its keys and its last stamp.
    pub(crate) fn restart(&mut self, end: usize) {
        let now = self.now_at(end);
        let old = &mut self.ends[end];
        let restarts = old.restarts + 1;
        let mut new = End::new(old.setup.clone(), now, channel_seed(7, end, restarts));
        new.stamps = Stamps::new(old.stamps.last());
        (new.restarts, new.slept) = (restarts, old.slept);
        new.log = std::mem::take(&mut old.log);
        new.sends_every = old.sends_every;
        *old = new;
        self.start(end);
    }

    pub(crate) fn call(&mut self, end: usize, call: impl FnOnce(&mut Channel, Instant)) {
        let now = self.now_at(end);
        call(&mut self.ends[end].channel, now);
        self.carry_out(end);
    }

    /// The machine is suspended: it hears and does nothing, and its monotonic clock stands still.
    pub(crate) fn suspend(&mut self, end: usize) {
        self.ends[end].asleep = Some(self.clock.now());
    }

    /// The machine goes on as if nothing had been.
    pub(crate) fn resume(&mut self, end: usize) {
        let since = self.ends[end].asleep.take().expect("it was suspended");
        self.ends[end].slept += self.clock.now() - since;
    }

    /// An end's monotonic time.
    fn now_at(&self, end: usize) -> Instant {
        self.ends[end].asleep.unwrap_or(self.clock.now()) - self.ends[end].slept
    }

    pub(crate) fn block(&mut self, from: usize, to: usize, blocked: bool) {
        let (from, to) = (self.ends[from].setup.address, self.ends[to].setup.address);
        self.underlay.block(from, to, blocked);
    }

    pub(crate) fn block_both(&mut self, blocked: bool) {
        self.block(A, B, blocked);
        self.block(B, A, blocked);
    }

    pub(crate) fn run(&mut self, time: Duration) {
        self.run_while(time, |_| true);
    }

    /// Lets time pass, at most `time`, as long as `go_on` says so.
    pub(crate) fn run_while(&mut self, time: Duration, mut go_on: impl FnMut(&World) -> bool) {
        let end = self.clock.now() + time;
        while self.clock.now() < end && go_on(self) {
            let next = self.next_event().unwrap_or(end).min(end);
            self.clock.advance_to(next);
            self.step();
        }
    }

    /// Runs until `wanted` is true, and returns how long it took.
    pub(crate) fn run_until(&mut self, wanted: impl Fn(&World) -> bool) -> Duration {
        let start = self.clock.elapsed();
        self.run_while(3600 * SECOND, |world| !wanted(world));
        assert!(wanted(self), "it came true within an hour");
        self.clock.elapsed() - start
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    pub(crate) fn both_up(&self) -> bool {
        [A, B].iter().all(|end| self.ends[*end].is_up())
    }

    /// Whether both ends send under the same session.
    pub(crate) fn agree(&self) -> bool {
        let [Some(a), Some(b)] = [A, B].map(|end| self.ends[end].used_key()) else { return false };
        (a.local_index(), a.peer_index()) == (b.peer_index(), b.local_index())
    }

    /// Asserts that every inner packet sent by `from` so far arrived at `to`, once and in order.
    pub(crate) fn assert_nothing_lost(&mut self, from: usize, to: usize) {
        self.ends[from].sends_every = None;
        self.run(SECOND);
        let [sent, received] = [&self.ends[from].log.sent, &self.ends[to].log.received];
        assert!(!sent.is_empty(), "packets were sent");
        assert_eq!(sent, received);
    }

    /// An end's owner tells what its halves counted.
    pub(crate) fn report(&mut self, end: usize) {
        let now = self.now_at(end);
        self.ends[end].report(now);
        self.carry_out(end);
    }

    /// Brings a datagram to whoever has the address it is for.
    pub(crate) fn deliver(&mut self, datagram: Datagram) {
        let Some(end) = self.ends.iter().position(|end| end.setup.address == datagram.to) else {
            return self.astray.push(datagram);
        };
        // A suspended machine's network device is off.
        if self.ends[end].asleep.is_none() {
            let now = self.now_at(end);
            self.ends[end].receive(now, datagram);
            self.carry_out(end);
        }
    }

    fn next_event(&self) -> Option<Instant> {
        let awake = || self.ends.iter().filter(|end| end.asleep.is_none());
        let timeouts = awake().filter_map(|end| Some(end.channel.poll_timeout()? + end.slept));
        let packets = awake().filter(|end| end.sends_every.is_some()).map(|end| end.next_packet + end.slept);
        timeouts.chain(packets).chain(self.underlay.next_arrival()).chain([self.next_report]).min()
    }

    fn step(&mut self) {
        let now = self.clock.now();
        while let Some(datagram) = self.underlay.receive(now) {
            self.deliver(datagram);
        }
        let is_report_due = now >= self.next_report;
        for end in (0..self.ends.len()).filter(|end| self.ends[*end].asleep.is_none()).collect::<Vec<_>>() {
            let now = self.now_at(end);
            self.send_packets(end, now);
            if is_report_due {
                self.ends[end].report(now);
                self.carry_out(end);
            }
            self.let_time_out(end, now);
        }
        if is_report_due {
            self.next_report = now + REPORT_EVERY;
        }
    }

    fn let_time_out(&mut self, number: usize, now: Instant) {
        let wall = self.clock.wall();
        let end = &mut self.ends[number];
        if end.channel.poll_timeout().is_some_and(|at| at <= now) {
            end.report(now);
            end.channel.handle_timeout(now, || end.stamps.next(wall));
            self.carry_out(number);
            let next = self.ends[number].channel.poll_timeout();
            assert!(next.is_none_or(|at| at > now), "a timeout that was handled is over");
        }
    }

    fn send_packets(&mut self, number: usize, now: Instant) {
        let end = &mut self.ends[number];
        let Some(every) = end.sends_every else { return };
        end.next_packet = end.next_packet.clamp(now, now + every);
        if end.next_packet > now {
            return;
        }
        end.next_packet += every;
        if !end.carrier {
            return;
        }
        if let Some(datagram) = end.inner_packet(now) {
            self.transmit(datagram);
        }
    }

    fn transmit(&mut self, datagram: Datagram) {
        if let Some(tap) = &mut self.tap {
            tap.push(datagram.clone());
        }
        let number = self.underlay.counts().sent as usize;
        let now = self.clock.now();
        if self.censor.as_mut().is_some_and(|censor| censor(number, &datagram)) {
            // Counted, so that the numbers go on, and lost for its address.
            let nowhere = "203.0.113.255:9".parse().unwrap();
            return self.underlay.send(now, datagram.from, nowhere, datagram.bytes);
        }
        self.underlay.send(now, datagram.from, datagram.to, datagram.bytes);
    }

    fn carry_out(&mut self, number: usize) {
        let (now, elapsed) = (self.now_at(number), self.clock.elapsed());
        while let Some(output) = self.ends[number].channel.poll_output() {
            if let Some(datagram) = self.ends[number].carry_out(output, now, elapsed) {
                self.transmit(datagram);
            }
        }
        if self.ends[number].endpoint.is_some() {
            self.ends[number].channel.set_initiates(true, now);
        }
        self.ends[number].check();
    }
}

fn channel_seed(seed: u64, end: usize, restart: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = end as u8;
    bytes[9] = restart;
    bytes
}
