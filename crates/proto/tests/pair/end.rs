//! One end of a channel: the [`Channel`] and model halves with the keys that the data plane holds.
//!
//! A model half does what the real one does and no more: it opens and seals, drops what is not
//! admitted, and reports its counters. It also asserts what the outputs promise: no key for a
//! session twice, no order about a session without keys, never more than four sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use meshtun_proto::channel::{Channel, ChannelConfig, Destination, Output, Peer, State, Traffic};
use meshtun_proto::channel::{DownReason, Unmatched, liveness};
use meshtun_proto::control;
use meshtun_proto::message::{self, Kind, OVERHEAD};
use meshtun_proto::session::{ReceiveKeys, SendKey, padding_len};
use meshtun_proto::tai64n::{Stamps, Tai64n};
use meshtun_proto::{LocalIdentity, Suite};
use meshtun_testkit::{Datagram, Packet};
use zeroize::Zeroizing;

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
    pub(crate) probe: liveness::Settings,
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
    pub(super) stamps: Stamps,
    receive: ReceiveKeys,
    send: BTreeMap<u32, SendKey>,
    used: Option<u32>,
    admitted: BTreeSet<u32>,
    confirmed: BTreeSet<u32>,
    pub(super) carrier: bool,
    reported: Traffic,
    pub(super) next_packet: Instant,
    pub(super) restarts: u8,
    /// How far its monotonic clock is behind the world's: that clock stands still while a machine is suspended.
    pub(super) slept: Duration,
    /// Since when it has been suspended, in the world's time.
    pub(super) asleep: Option<Instant>,
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
    pub(crate) path_mtus: Vec<u16>,
    pub(crate) unmatched: Vec<(Duration, Unmatched)>,
    pub(crate) keepalives: Vec<Duration>,
    pub(crate) hellos: usize,
    pub(crate) probes: usize,
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
            probe: liveness::Settings::default(),
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
            probe: self.probe,
        };
        Channel::new(config, now, seed)
    }
}

impl End {
    pub(super) fn new(setup: Setup, now: Instant, seed: [u8; 32]) -> End {
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
            slept: Duration::ZERO,
            asleep: None,
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

    pub(super) fn used_key(&self) -> Option<&SendKey> {
        self.send.get(&self.used?)
    }

    pub(super) fn receive(&mut self, now: Instant, datagram: Datagram) {
        match message::classify(&datagram.bytes) {
            Some(Kind::Transport) => self.open(now, datagram.from, datagram.bytes),
            _ => {
                let result = self.channel.handle_handshake(now, datagram.from, &datagram.bytes, self.under_load);
                self.log.handshake_errors += usize::from(result.is_err());
            }
        }
    }

    fn open(&mut self, now: Instant, from: SocketAddr, mut bytes: Vec<u8>) {
        let index = message::transport_receiver(&bytes).unwrap();
        self.receive.expire(now);
        let Some(key) = self.receive.get_mut(index) else { return self.channel.handle_unknown_session(now) };
        let Ok(plaintext) = key.open(&mut bytes) else { return };
        self.traffic.received_messages += 1;
        self.traffic.heard = Some(now);
        if self.confirmed.insert(index) {
            self.channel.handle_confirmed(now, index);
        }
        if self.endpoint != Some(from) {
            self.channel.handle_moved(index, from);
        }
        if control::is_control(plaintext) {
            self.channel.handle_frame(now, now, index, plaintext);
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

    pub(super) fn report(&mut self, now: Instant) {
        if self.traffic != self.reported {
            self.reported = self.traffic;
            self.channel.handle_traffic(now, self.traffic);
        }
    }

    pub(super) fn inner_packet(&mut self, now: Instant) -> Option<Datagram> {
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
    pub(super) fn carry_out(&mut self, output: Output, now: Instant, elapsed: Duration) -> Option<Datagram> {
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
                    self.log.probes += usize::from(plaintext[1] == 2);
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
            // Nothing waits in the model.
            Output::Drain(session) => self.used = self.used.filter(|used| *used != session),
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
            Output::PathMtu(mtu) => self.log.path_mtus.push(mtu),
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

    pub(super) fn check(&mut self) {
        assert!(self.send.len() <= ReceiveKeys::CAPACITY);
        assert_eq!(self.carrier, self.is_up(), "carrier is the truth");
        assert_eq!(self.channel.established().map(|session| session.index), self.used.filter(|_| self.carrier));
        self.log.most_sessions = self.log.most_sessions.max(self.receive.len());
    }
}
