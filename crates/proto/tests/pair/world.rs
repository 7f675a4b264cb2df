//! Channels with model halves on an underlay in memory, under virtual time.
//!
//! A [`World`] has any number of [`End`]s, each a [`Channel`] with the keys that the data plane
//! would hold for it. A model half does what the real one does and no more: it opens and seals,
//! drops what is not admitted, and reports its counters four times a second. It also asserts what
//! the outputs promise: no key for a session twice, no order about a session without keys, never
//! more than four sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use meshtun_proto::channel::{Channel, ChannelConfig, Destination, Output, Peer, State, Traffic};
use meshtun_proto::channel::{DownReason, Unmatched};
use meshtun_proto::control;
use meshtun_proto::message::{self, Kind, OVERHEAD};
use meshtun_proto::session::{ReceiveKeys, SendKey, padding_len};
use meshtun_proto::tai64n::{Stamps, Tai64n};
use meshtun_proto::{LocalIdentity, Suite};
use meshtun_testkit::{Clock, Datagram, Packet, Path, Underlay};
use zeroize::Zeroizing;

/// The first end of a pair; the lower gateway number.
pub(crate) const A: usize = 0;
/// The second end of a pair.
pub(crate) const B: usize = 1;

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// One-way latency, unless a test changes it.
pub(crate) const LATENCY: Duration = Duration::from_millis(10);

const REPORT_EVERY: Duration = Duration::from_millis(250);
const MTU: usize = 1420;

/// What one end of a channel is made of.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) suite: Suite,
    pub(crate) secret: [u8; 32],
    pub(crate) peer_secret: [u8; 32],
    pub(crate) preshared_key: [u8; 32],
    pub(crate) peer: Peer,
    pub(crate) address: SocketAddr,
    pub(crate) peer_address: Option<SocketAddr>,
}

/// One end of a channel.
pub(crate) struct End {
    pub(crate) setup: Setup,
    pub(crate) channel: Channel,
    pub(crate) under_load: bool,
    /// An inner packet is sent this often.
    pub(crate) sends_every: Option<Duration>,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) traffic: Traffic,
    pub(crate) log: Log,
    stamps: Stamps,
    receive: ReceiveKeys,
    send: BTreeMap<u32, SendKey>,
    used: Option<u32>,
    admitted: BTreeSet<u32>,
    confirmed: BTreeSet<u32>,
    carrier: bool,
    reported: Traffic,
    next_packet: Instant,
    restarts: u8,
}

/// What happened at an end; times are since the start of the world.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) initiations: Vec<Duration>,
    /// When each session came into use, with its local index.
    pub(crate) uses: Vec<(Duration, u32)>,
    pub(crate) ups: Vec<Duration>,
    pub(crate) handshakes: Vec<Duration>,
    pub(crate) downs: Vec<(Duration, DownReason)>,
    pub(crate) unmatched: Vec<(Duration, Unmatched)>,
    pub(crate) keepalives: Vec<Duration>,
    pub(crate) hellos: usize,
    pub(crate) cookies: usize,
    pub(crate) endpoints: Vec<SocketAddr>,
    /// Numbers of the inner packets that were sent, and of those that were received.
    pub(crate) sent: Vec<u32>,
    pub(crate) received: Vec<u32>,
    /// Inner packets that came under a session that was not admitted.
    pub(crate) refused: usize,
    pub(crate) admits: usize,
    pub(crate) handshake_errors: usize,
    pub(crate) most_sessions: usize,
}

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

impl Setup {
    /// Both ends of channel 0 of the link `nq`, gateway numbers 1 and 2.
    pub(crate) fn pair() -> [Setup; 2] {
        let [a, b] = ["192.0.2.1:6000", "192.0.2.2:6000"].map(|address| address.parse().unwrap());
        let setup = |own: u8, other: u8, address, peer_address| Setup {
            suite: Suite::ChaCha20Poly1305,
            secret: [own; 32],
            peer_secret: [other; 32],
            preshared_key: [0; 32],
            peer: Peer::Meshtun { link: "nq".into(), channel: 0, local_number: own.into(), peer_number: other.into() },
            address,
            peer_address: Some(peer_address),
        };
        [setup(1, 2, a, b), setup(2, 1, b, a)]
    }

    /// As [`Setup::pair`], with plain WireGuard as the peer of both.
    pub(crate) fn plain_pair() -> [Setup; 2] {
        Self::pair().map(|setup| Setup { peer: Peer::WireGuard, ..setup })
    }

    pub(crate) fn named(mut self, link: &str, channel: u16) -> Self {
        if let Peer::Meshtun { link: ours, channel: number, .. } = &mut self.peer {
            (*ours, *number) = (link.into(), channel);
        }
        self
    }

    fn channel(&self, now: Instant, seed: [u8; 32]) -> Channel {
        let config = ChannelConfig {
            suite: self.suite,
            identity: Arc::new(LocalIdentity::new(self.secret)),
            peer_key: LocalIdentity::new(self.peer_secret).public_key(),
            preshared_key: Zeroizing::new(self.preshared_key),
            peer: self.peer.clone(),
            initiates: self.peer_address.is_some(),
        };
        Channel::new(config, now, seed)
    }
}

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
        let now = self.clock.now();
        self.ends[end].channel.start(now);
        self.carry_out(end);
    }

    /// The daemon dies without a word and comes back with nothing but its keys and its last stamp.
    pub(crate) fn restart(&mut self, end: usize) {
        let now = self.clock.now();
        let old = &mut self.ends[end];
        let restarts = old.restarts + 1;
        let mut new = End::new(old.setup.clone(), now, channel_seed(7, end, restarts));
        new.stamps = Stamps::new(old.stamps.last());
        new.restarts = restarts;
        new.log = std::mem::take(&mut old.log);
        new.sends_every = old.sends_every;
        *old = new;
        self.start(end);
    }

    pub(crate) fn call(&mut self, end: usize, call: impl FnOnce(&mut Channel, Instant)) {
        let now = self.clock.now();
        call(&mut self.ends[end].channel, now);
        self.carry_out(end);
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

    /// Brings a datagram to whoever has the address it is for.
    pub(crate) fn deliver(&mut self, datagram: Datagram) {
        let now = self.clock.now();
        let Some(end) = self.ends.iter().position(|end| end.setup.address == datagram.to) else {
            return self.astray.push(datagram);
        };
        self.ends[end].receive(now, datagram);
        self.carry_out(end);
    }

    fn next_event(&self) -> Option<Instant> {
        let timeouts = self.ends.iter().filter_map(|end| end.channel.poll_timeout());
        let packets = self.ends.iter().filter(|end| end.sends_every.is_some()).map(|end| end.next_packet);
        timeouts.chain(packets).chain(self.underlay.next_arrival()).chain([self.next_report]).min()
    }

    fn step(&mut self) {
        let now = self.clock.now();
        while let Some(datagram) = self.underlay.receive(now) {
            self.deliver(datagram);
        }
        let is_report_due = now >= self.next_report;
        for end in 0..self.ends.len() {
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
        let number = self.underlay.statistics().sent as usize;
        let now = self.clock.now();
        if self.censor.as_mut().is_some_and(|censor| censor(number, &datagram)) {
            // Counted, so that the numbers go on, and lost for its address.
            let nowhere = "203.0.113.255:9".parse().unwrap();
            return self.underlay.send(now, datagram.from, nowhere, datagram.bytes);
        }
        self.underlay.send(now, datagram.from, datagram.to, datagram.bytes);
    }

    fn carry_out(&mut self, number: usize) {
        let (now, elapsed) = (self.clock.now(), self.clock.elapsed());
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

impl End {
    fn new(setup: Setup, now: Instant, seed: [u8; 32]) -> End {
        End {
            channel: setup.channel(now, seed),
            under_load: false,
            sends_every: None,
            endpoint: setup.peer_address,
            traffic: Traffic::default(),
            log: Log::default(),
            stamps: Stamps::new(Tai64n::ZERO),
            receive: ReceiveKeys::new(),
            send: BTreeMap::new(),
            used: None,
            admitted: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            carrier: false,
            reported: Traffic::default(),
            next_packet: now,
            restarts: 0,
            setup,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.channel.state() == State::Up
    }

    pub(crate) fn sessions(&self) -> usize {
        self.receive.len()
    }

    /// How often a session came into use.
    pub(crate) fn uses(&self) -> usize {
        self.log.uses.len()
    }

    fn used_key(&self) -> Option<&SendKey> {
        self.send.get(&self.used?)
    }

    fn receive(&mut self, now: Instant, datagram: Datagram) {
        match message::classify(&datagram.bytes) {
            Some(Kind::Transport) => self.open(now, datagram.bytes),
            _ => {
                let result = self.channel.handle_handshake(now, datagram.from, &datagram.bytes, self.under_load);
                self.log.handshake_errors += usize::from(result.is_err());
            }
        }
    }

    fn open(&mut self, now: Instant, mut bytes: Vec<u8>) {
        let index = message::transport_receiver(&bytes).unwrap();
        self.receive.expire(now);
        let Some(key) = self.receive.get_mut(index) else { return };
        let Ok(plaintext) = key.open(&mut bytes) else { return };
        self.traffic.received_messages += 1;
        if self.confirmed.insert(index) {
            self.channel.handle_confirmed(now, index);
        }
        if control::is_control(plaintext) {
            self.channel.handle_frame(now, index, plaintext);
        } else if !plaintext.is_empty() {
            // An output of the confirmation may still wait: the real half would see it later, too.
            self.take_packet(index, plaintext.to_vec());
        }
    }

    fn take_packet(&mut self, index: u32, mut packet: Vec<u8>) {
        if !self.admitted.contains(&index) {
            self.log.refused += 1;
            return;
        }
        self.traffic.received_packets += 1;
        packet.truncate(usize::from(u16::from_be_bytes([packet[2], packet[3]])));
        let number = packet[28..].first_chunk().copied().map(u32::from_le_bytes);
        self.log.received.push(number.expect("four bytes of payload"));
    }

    fn report(&mut self, now: Instant) {
        if self.traffic != self.reported {
            self.reported = self.traffic;
            self.channel.handle_traffic(now, self.traffic);
        }
    }

    fn inner_packet(&mut self, now: Instant) -> Option<Datagram> {
        let number = self.log.sent.len() as u32;
        let packet = Packet::between("10.0.0.1", "10.0.0.2").udp(1, 2, &number.to_le_bytes());
        let datagram = self.seal(now, self.used?, &packet)?;
        self.log.sent.push(number);
        self.traffic.sent_packets += 1;
        Some(datagram)
    }

    fn seal(&mut self, now: Instant, session: u32, plaintext: &[u8]) -> Option<Datagram> {
        let to = self.endpoint?;
        let key = self.send.get_mut(&session).filter(|key| key.expires() > now)?;
        let mut bytes = vec![0; plaintext.len() + OVERHEAD + 16];
        let len = key.seal(plaintext, padding_len(plaintext.len(), MTU), &mut bytes).unwrap();
        bytes.truncate(len);
        self.traffic.sent_messages += 1;
        Some(Datagram { from: self.setup.address, to, bytes })
    }

    /// Does what the channel orders; returns what is to be sent for it.
    fn carry_out(&mut self, output: Output, now: Instant, elapsed: Duration) -> Option<Datagram> {
        match output {
            Output::Transmit { to, datagram: bytes } => {
                match message::classify(&bytes).expect("what goes out is well-formed") {
                    Kind::Initiation => self.log.initiations.push(elapsed),
                    Kind::CookieReply => self.log.cookies += 1,
                    _ => {}
                }
                let to = match to {
                    Destination::Endpoint => self.endpoint?,
                    Destination::Addr(address) => address,
                };
                return Some(Datagram { from: self.setup.address, to, bytes });
            }
            Output::Seal { session, plaintext } => {
                if plaintext.is_empty() {
                    self.log.keepalives.push(elapsed);
                } else {
                    self.log.hellos += usize::from(plaintext[1] == 1);
                }
                assert!(self.send.contains_key(&session), "a frame is sealed under a session that exists");
                return self.seal(now, session, &plaintext);
            }
            Output::InstallReceive(key) => {
                assert!(self.receive.get_mut(key.local_index()).is_none(), "an index is used once");
                assert!(self.receive.len() < ReceiveKeys::CAPACITY, "room was made");
                self.receive.insert(key);
            }
            Output::InstallSend(key) => {
                assert!(self.send.insert(key.local_index(), key).is_none(), "an index is used once");
            }
            Output::Use(session) => {
                assert!(self.send.contains_key(&session) && self.admitted.contains(&session));
                self.used = Some(session);
                self.log.uses.push((elapsed, session));
            }
            Output::Admit(session) => {
                assert!(self.receive.get_mut(session).is_some(), "a session that exists is admitted");
                self.admitted.insert(session);
                self.log.admits += 1;
            }
            Output::Retire(session) => self.retire(session),
            Output::Endpoint(address) => {
                self.endpoint = Some(address);
                self.log.endpoints.push(address);
            }
            Output::Up { handshake } => {
                assert!(!std::mem::replace(&mut self.carrier, true), "up comes after down");
                self.log.ups.push(elapsed);
                self.log.handshakes.push(handshake);
            }
            Output::Down(reason) => {
                assert!(std::mem::replace(&mut self.carrier, false), "down comes after up");
                self.log.downs.push((elapsed, reason));
            }
            Output::Unmatched { why } => self.log.unmatched.push((elapsed, why)),
        }
        None
    }

    fn retire(&mut self, session: u32) {
        self.receive.retire(session);
        self.send.remove(&session);
        self.admitted.remove(&session);
        self.confirmed.remove(&session);
        self.used = self.used.filter(|used| *used != session);
    }

    fn check(&mut self) {
        assert!(self.send.len() <= ReceiveKeys::CAPACITY);
        assert_eq!(self.carrier, self.is_up(), "carrier is the truth");
        assert_eq!(self.channel.established().map(|session| session.index), self.used.filter(|_| self.carrier));
        self.log.most_sessions = self.log.most_sessions.max(self.receive.len());
    }
}

fn channel_seed(seed: u64, end: usize, restart: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8] = end as u8;
    bytes[9] = restart;
    bytes
}
