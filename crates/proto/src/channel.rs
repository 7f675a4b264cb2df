//! The state machine of one channel's control side: handshakes, the rotation of sessions, hellos,
//! probes and the verdict whether the cable carries.
//!
//! ```text
//!  datagrams 1-3 ──> handle_handshake ─┐                     ┌─> Transmit          ──> socket
//!  first opened  ──> handle_confirmed ─┤                     ├─> InstallReceive, Admit ──> receiving half
//!  control frame ──> handle_frame     ─┼─> Channel ─> poll_  ├─> InstallSend, Seal, Use ─> sending half
//!  counters      ──> handle_traffic   ─┤             output  ├─> Retire            ──> both halves
//!  clock         ──> handle_timeout   ─┘                     └─> Endpoint, Up, Down, Unmatched ──> owner
//! ```
//! The sending and the receiving half hold the keys and carry the packets; this side never sees a
//! packet. It decides when there is a handshake, which of the channel's sessions is used, and when
//! the channel is up.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use zeroize::Zeroizing;

use crate::noise::Peering;
use crate::tai64n::Tai64n;
use crate::{LocalIdentity, Suite};

mod greeting;
mod handshake;
mod hello;
mod leaving;
pub mod liveness;
mod output;
mod padding;
pub mod path_mtu;
mod probing;
mod sessions;
pub mod timers;

pub use handshake::HandshakeError;
pub use hello::HELLO_VERSION;
pub use leaving::LINGER;
pub use output::{Destination, DownReason, Output, SessionInfo, State, Traffic, Unmatched};

use handshake::Handshakes;
use leaving::Leaving;
use liveness::Liveness;
use sessions::{Session, Sessions};
use timers::Timers;

/// What a channel must know from the start.
pub struct ChannelConfig {
    /// The cipher suite; the peer must have the same.
    pub suite: Suite,
    /// Our static key.
    pub identity: Arc<LocalIdentity>,
    /// The peer's static public key.
    pub peer_key: [u8; 32],
    /// The pre-shared key; all zero for none.
    pub preshared_key: Zeroizing<[u8; 32]>,
    /// What stands at the other end.
    pub peer: Peer,
    /// Whether we may initiate: false while the peer's endpoint is not known.
    pub initiates: bool,
    /// How the channel is probed; plain WireGuard is not.
    pub probe: liveness::Settings,
}

/// What stands at the other end of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// meshtun: sessions are used once the hellos matched.
    Meshtun {
        /// The link's name, the same at both ends.
        link: String,
        /// The channel's number in it, the same at both ends.
        channel: u16,
        /// Our gateway number.
        local_number: u16,
        /// The peer's gateway number.
        peer_number: u16,
    },
    /// Any WireGuard: nothing that is ours is sent.
    WireGuard,
}

/// The control side of one channel, without I/O, clock or threads.
///
/// Calling order:
/// 1. [`Channel::new`], then [`Channel::start`].
/// 2. On each event the `handle_*` method for it.
/// 3. After *every* call, [`Channel::poll_output`] until it returns `None`, each output carried
///    out in its order; then [`Channel::poll_timeout`], and [`Channel::handle_timeout`] when that
///    instant has come (earlier does no harm), with [`Channel::handle_traffic`] right before it.
/// 4. [`Channel::close`], and on as before until it [has ended](Channel::has_ended): then drop it.
///    A closed channel ignores everything but its clock.
///
/// `now` must never go back. Only [`Channel::handle_timeout`] makes initiations, so only it asks
/// for a TAI64N stamp.
pub struct Channel {
    peer: Peer,
    suite: Suite,
    initiates: bool,
    started: bool,
    closed: bool,
    rng: StdRng,
    incarnation: u32,
    handshakes: Handshakes,
    sessions: Sessions,
    /// Sessions that were left and still receive.
    leaving: Leaving,
    /// None towards plain WireGuard.
    liveness: Option<Liveness>,
    /// Which of the peer's lives liveness is about, as [`Session::life`].
    peer_life: u32,
    /// None until it is asked for, and towards plain WireGuard.
    path_mtu: Option<path_mtu::PathMtu>,
    /// Between [`Output::Up`] and [`Output::Down`].
    up: bool,
    /// How long the handshake of the session in use took.
    handshake: Duration,
    timers: Timers,
    /// Exchanges of hellos that failed in a row without a word.
    silent_greetings: u32,
    last_error: Option<HandshakeError>,
    unmatched: Option<Unmatched>,
    outputs: VecDeque<Output>,
}

impl Channel {
    /// Makes a channel that does nothing of its own accord until [`Channel::start`]; it answers.
    ///
    /// All randomness (indices, ephemeral keys, cookies, jitter) comes from a CSPRNG that is
    /// seeded with `seed`: 32 bytes from the operating system, never used twice.
    pub fn new(config: ChannelConfig, now: Instant, seed: [u8; 32]) -> Channel {
        let ChannelConfig { suite, identity, peer_key, preshared_key, peer, initiates, probe } = config;
        let public_key = identity.public_key();
        let our_initiations_win = match &peer {
            Peer::Meshtun { local_number, peer_number, .. } => local_number < peer_number,
            Peer::WireGuard => true,
        };
        let mut rng = StdRng::from_seed(seed);
        let peering = Peering::new(suite, identity, peer_key, preshared_key);
        Channel {
            liveness: (peer != Peer::WireGuard).then(|| Liveness::new(probe, now)),
            peer_life: 0,
            path_mtu: None,
            up: false,
            handshake: Duration::ZERO,
            peer,
            suite,
            initiates,
            started: false,
            closed: false,
            incarnation: rng.random(),
            rng,
            handshakes: Handshakes::new(peering, &public_key, &peer_key),
            sessions: Sessions::new(our_initiations_win),
            leaving: Leaving::default(),
            timers: Timers::new(now),
            silent_greetings: 0,
            last_error: None,
            unmatched: None,
            outputs: VecDeque::new(),
        }
    }

    /// Says how many channels this one's gateway has: so many must not initiate all at once.
    pub fn spread_over(&mut self, channels: usize) {
        self.timers.spread_over(channels);
    }

    /// Schedules the first initiation: within 100 ms, or a millisecond for each channel of the gateway where there are more
    /// than 100.
    pub fn start(&mut self, now: Instant) {
        self.started = !self.closed;
        self.schedule_start(now);
    }

    /// Says whether there is an endpoint to initiate to: it was learned, or lost.
    pub fn set_initiates(&mut self, initiates: bool, now: Instant) {
        if initiates && !self.initiates {
            self.schedule_start(now);
        }
        self.initiates = initiates;
    }

    /// Takes a datagram of type 1, 2 or 3 (initiation, response, cookie reply).
    ///
    /// `under_load` demands a valid MAC2; without one a cookie reply goes out.
    ///
    /// # Errors
    /// [`HandshakeError`] if the datagram was dropped; the channel goes on as before.
    pub fn handle_handshake(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        under_load: bool,
    ) -> Result<(), HandshakeError> {
        if self.closed {
            return Err(HandshakeError::Closed);
        }
        self.take_handshake(now, from, datagram, under_load)
    }

    /// The receiving half opened a message under `session` that came from `from`, which is another place than the last one's.
    /// Where the peer is known to be this channel's under that session it is followed; before that, as soon as it is.
    ///
    /// Whether there is such a session: if not, the peer has others by now, and they will tell.
    pub fn handle_moved(&mut self, session: u32, from: SocketAddr) -> bool {
        if self.closed {
            return true;
        }
        let Some(session) = self.sessions.get_mut(session) else { return false };
        session.from = from;
        if session.admitted {
            self.outputs.push_back(Output::Endpoint(from));
        }
        true
    }

    /// The receiving half opened its first message under `session`.
    pub fn handle_confirmed(&mut self, now: Instant, session: u32) {
        self.confirm(now, session);
    }

    /// The receiving half opened a control frame under `session`. Padding may follow the frame; what is malformed or
    /// unknown is ignored. `arrived` is when it was taken from the socket, from which round trips are counted.
    pub fn handle_frame(&mut self, now: Instant, arrived: Instant, session: u32, frame: &[u8]) {
        self.confirm(now, session);
        if self.peer != Peer::WireGuard {
            self.take_frame(now, arrived.min(now), session, frame);
        }
    }

    /// A datagram came for a session that is not there: the peer may have one that we lost. It is not authentic, so at
    /// most once in 5 s it makes a channel that has no usable session try a handshake at once, with the endpoint it knows.
    pub fn handle_unknown_session(&mut self, now: Instant) {
        let has_session = self.sessions.used().is_some() && !self.is_deaf();
        if !has_session && !self.closed {
            self.timers.wake(now);
        }
    }

    /// The underlay is there again, after it was not: what would be tried sooner or later is tried at once, unless the peer
    /// asked for rest.
    pub fn hasten(&mut self, now: Instant) {
        let is_lost = self.sessions.used().is_none() || self.is_deaf();
        if is_lost && self.started && !self.closed {
            self.hasten_initiation(now);
        }
        if let Some(liveness) = &mut self.liveness {
            liveness.hasten(now);
        }
    }

    /// Takes the counters of both halves: right before each [`Channel::handle_timeout`], and about four times a second
    /// while anything flows.
    pub fn handle_traffic(&mut self, now: Instant, traffic: Traffic) {
        self.observe(now, traffic);
    }

    /// Does what is due. `stamp` is called at most once, and only when an initiation is made: it
    /// must give a TAI64N stamp greater than every one that this gateway ever sent to this peer,
    /// as `|| stamps.next(SystemTime::now())` of [`Stamps`](crate::tai64n::Stamps) does.
    pub fn handle_timeout(&mut self, now: Instant, stamp: impl FnOnce() -> Tai64n) {
        self.retire_expired(now);
        self.go_on_leaving(now);
        self.go_down_if_silent(now);
        self.watch_over(now);
        self.go_on_discovering(now);
        self.go_on_greeting(now);
        self.keep_alive(now);
        if self.initiate_at().is_some_and(|at| at <= now) {
            self.initiate(now, stamp());
        }
    }

    /// When [`Channel::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_due()
    }

    /// The next order to carry out.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What the channel is doing.
    pub fn state(&self) -> State {
        if self.up {
            State::Up
        } else if self.sessions.used().is_some() {
            State::Probing
        } else if self.sessions.is_greeting() {
            State::Greeting
        } else if self.started && self.initiates {
            State::Handshaking
        } else {
            State::Down
        }
    }

    /// The session that inner packets go out under, while the channel is up.
    pub fn established(&self) -> Option<SessionInfo> {
        if !self.up {
            return None;
        }
        let Session { index, since, initiated_by_us, .. } = *self.sessions.used()?;
        Some(SessionInfo { index, since, initiated_by_us })
    }

    /// What was wrong with the last of the peer's handshake messages that failed, until one of
    /// ours is answered.
    pub fn last_error(&self) -> Option<HandshakeError> {
        self.last_error
    }

    /// Why the last session was no match, until one is.
    pub fn unmatched(&self) -> Option<&Unmatched> {
        self.unmatched.as_ref()
    }

    /// Forgets a session. One in use goes only when it expires.
    fn retire(&mut self, index: u32) {
        let was_used = self.sessions.used().is_some_and(|session| session.index == index);
        self.sessions.remove(index);
        if was_used {
            self.disconnect(DownReason::Expired);
        }
        self.outputs.push_back(Output::Retire(index));
    }

    /// A random duration up to `most`.
    fn up_to(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.rng.random())
    }
}
