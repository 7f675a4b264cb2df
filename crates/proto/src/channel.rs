//! The state machine of one channel's control side: handshakes, the rotation of sessions, hellos,
//! keepalives and the verdict whether the cable carries.
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

use zeroize::Zeroizing;

use crate::control::Reason;
use crate::tai64n::Tai64n;
use crate::{LocalIdentity, Suite};

mod output;

pub use output::{Destination, DownReason, Output, SessionInfo, State, Traffic, Unmatched};

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

/// Why a handshake datagram was dropped. Nothing changed in the channel but
/// [`Channel::last_error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Not of a known type and length, or a transport message.
    #[error("not a handshake message")]
    Malformed,
}

/// The control side of one channel, without I/O, clock or threads.
///
/// Calling order:
/// 1. [`Channel::new`], then [`Channel::start`].
/// 2. On each event the `handle_*` method for it.
/// 3. After *every* call, [`Channel::poll_output`] until it returns `None`, each output carried
///    out in its order; then [`Channel::poll_timeout`], and [`Channel::handle_timeout`] when that
///    instant has come (earlier does no harm).
/// 4. [`Channel::close`], the outputs a last time, and drop it. A closed channel ignores
///    everything.
///
/// `now` must never go back. Only [`Channel::handle_timeout`] makes initiations, so only it asks
/// for a TAI64N stamp.
pub struct Channel {
    outputs: VecDeque<Output>,
}

impl Channel {
    /// Makes a channel that does nothing until [`Channel::start`], apart from answering.
    ///
    /// All randomness (indices, ephemeral keys, cookies, jitter) comes from a CSPRNG that is seeded with
    /// `seed`: 32 bytes from the operating system, never used twice.
    pub fn new(config: ChannelConfig, now: Instant, seed: [u8; 32]) -> Channel {
        let _ = (config, now, seed);
        Channel { outputs: VecDeque::new() }
    }

    /// Schedules the first initiation, within 100 ms.
    pub fn start(&mut self, now: Instant) {
        let _ = now;
    }

    /// Says whether there is an endpoint to initiate to: it was learned, or lost.
    pub fn set_initiates(&mut self, initiates: bool, now: Instant) {
        let _ = (initiates, now);
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
        let _ = (now, from, datagram, under_load);
        Err(HandshakeError::Malformed)
    }

    /// The receiving half opened its first message under `session`.
    pub fn handle_confirmed(&mut self, now: Instant, session: u32) {
        let _ = (now, session);
    }

    /// The receiving half opened a control frame under `session`. Padding may follow the frame.
    /// Probes and what is malformed or unknown are ignored.
    pub fn handle_frame(&mut self, now: Instant, session: u32, frame: &[u8]) {
        let _ = (now, session, frame);
    }

    /// Takes the counters of both halves; about four times a second while anything flows.
    pub fn handle_traffic(&mut self, now: Instant, traffic: Traffic) {
        let _ = (now, traffic);
    }

    /// Does what is due. `stamp` is called at most once, and only when an initiation is made: it
    /// must give a TAI64N stamp greater than every one this gateway ever sent to this peer, as
    /// `|| stamps.next(SystemTime::now())` of [`Stamps`](crate::tai64n::Stamps) does.
    pub fn handle_timeout(&mut self, now: Instant, stamp: impl FnOnce() -> Tai64n) {
        let _ = (now, stamp);
    }

    /// When [`Channel::handle_timeout`] is due next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The next order to carry out.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Says goodbye under the newest session (to a meshtun peer) and retires all sessions.
    /// `hold` asks the peer to hold on for so long.
    pub fn close(&mut self, now: Instant, reason: Reason, hold: Duration) {
        let _ = (now, reason, hold);
    }

    /// What the channel is doing.
    pub fn state(&self) -> State {
        State::Down
    }

    /// The session that inner packets go out under.
    pub fn established(&self) -> Option<SessionInfo> {
        None
    }

    /// Why the last handshake datagram was dropped, until a handshake succeeds.
    pub fn last_error(&self) -> Option<HandshakeError> {
        None
    }

    /// Why the last session was no match, until one is.
    pub fn unmatched(&self) -> Option<&Unmatched> {
        None
    }
}
