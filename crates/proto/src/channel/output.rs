//! What a [`Channel`](super::Channel) asks of its owner, and the reasons it gives.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::control::Reason;
use crate::session::{ReceiveKey, SendKey};

/// One order to the owner of a channel. Orders are to be carried out in the order in which
/// [`poll_output`](super::Channel::poll_output) hands them out: a key comes before the frame that
/// is sealed with it, and a frame before the [`Output::Use`] that lets inner packets follow it.
#[expect(clippy::large_enum_variant, reason = "a receive key, which is large, is handed out once in two minutes")]
pub enum Output {
    /// Send this handshake or cookie datagram, in the clear as it stands.
    Transmit {
        /// Where to.
        to: Destination,
        /// A whole initiation, response or cookie reply.
        datagram: Vec<u8>,
    },
    /// Give this key to the receiving half. Messages under it are authenticated from here on, and
    /// control frames in them handed to [`handle_frame`](super::Channel::handle_frame); inner
    /// packets are dropped until [`Output::Admit`] names the session.
    InstallReceive(ReceiveKey),
    /// Give this key to the sending half, for [`Output::Seal`] only until [`Output::Use`] names it.
    InstallSend(SendKey),
    /// Inner packets go out under this session from here on. The key of the one before is kept:
    /// a hello may still have to be answered under it.
    Use(u32),
    /// Inner packets received under this session may pass.
    Admit(u32),
    /// Seal and send what still waits under this session, and no inner packet after that; it goes on receiving until it is
    /// retired. The [`Output::Down`] before it has taken the channel out of the owner's routes.
    Drain(u32),
    /// Forget both keys of this session. They are kept until then, or until they expire.
    Retire(u32),
    /// Seal this plaintext (a control frame, or nothing at all: a keepalive) under this session,
    /// padded as an inner packet is, and send it to the endpoint.
    Seal {
        /// The local index of the session.
        session: u32,
        /// What to seal. Empty for a keepalive.
        plaintext: Vec<u8>,
    },
    /// The peer proved that it is to be reached at this address. The owner decides whether it
    /// may roam; until an endpoint is known there is nowhere to send [`Output::Seal`] to.
    Endpoint(SocketAddr),
    /// The channel carries inner packets both ways: give it carrier.
    Up {
        /// From the initiation to the proof that both ends hold the session.
        handshake: Duration,
    },
    /// The channel does not carry inner packets: take its carrier. Comes only after an `Up`.
    Down(DownReason),
    /// The longest inner packet that the path takes, in bytes, is another than before.
    PathMtu(u16),
    /// The handshake succeeded and yet this is not the other end of our channel. For the log and
    /// the status; repeated at every attempt.
    Unmatched {
        /// What was wrong.
        why: Unmatched,
    },
}

impl fmt::Debug for Output {
    /// Shows a key as its local index.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Transmit { to, datagram } => write!(f, "Transmit({to:?}, {} bytes)", datagram.len()),
            Output::InstallReceive(key) => write!(f, "InstallReceive({:#x})", key.local_index()),
            Output::InstallSend(key) => write!(f, "InstallSend({:#x})", key.local_index()),
            Output::Use(session) => write!(f, "Use({session:#x})"),
            Output::Admit(session) => write!(f, "Admit({session:#x})"),
            Output::Drain(session) => write!(f, "Drain({session:#x})"),
            Output::Retire(session) => write!(f, "Retire({session:#x})"),
            Output::Seal { session, plaintext } => write!(f, "Seal({session:#x}, {plaintext:02x?})"),
            Output::Endpoint(address) => write!(f, "Endpoint({address})"),
            Output::Up { handshake } => write!(f, "Up({handshake:?})"),
            Output::Down(reason) => write!(f, "Down({reason:?})"),
            Output::PathMtu(mtu) => write!(f, "PathMtu({mtu})"),
            Output::Unmatched { why } => write!(f, "Unmatched({why})"),
        }
    }
}

/// Where a handshake datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// To the endpoint that the owner holds for the peer.
    Endpoint,
    /// Back to the address that it answers, whether that is the endpoint or not.
    Addr(SocketAddr),
}

/// Why a channel went down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownReason {
    /// From plain WireGuard: inner packets were sent, nothing authentic came back for 15 s, and 5 s of new handshakes
    /// were not answered either.
    Silent,
    /// The last session reached 180 s and none had replaced it.
    Expired,
    /// Nothing was heard from the peer for the detection time, which is this.
    NotHeard(Duration),
    /// Another channel of the link fell silent, and nothing had been heard on this one for so long either.
    WithSibling(Duration),
    /// The peer took it out along with another channel of the link that fell silent, and had not heard this one for a
    /// while either.
    WithSiblingAtPeer,
    /// The peer said that it hears nothing from us.
    NotHeardByPeer,
    /// The peer said that it is down: it holds a channel down that flapped, or does not come up.
    PeerDown,
    /// The peer was restarted: what is sent under the old session means nothing to it.
    PeerRestarted,
    /// The peer said goodbye under the newest session.
    Goodbye {
        /// What it gave as its reason.
        reason: Reason,
        /// How long it asked us to hold on.
        hold: Duration,
    },
    /// [`close`](super::Channel::close) was called.
    Closed,
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DownReason::Silent => f.write_str("nothing heard from the peer for 20 s"),
            DownReason::Expired => f.write_str("the last session expired, and no new one came up"),
            DownReason::NotHeard(time) => write!(f, "nothing heard from the peer for {} ms", time.as_millis()),
            DownReason::WithSibling(time) => {
                write!(f, "nothing heard from the peer for {} ms, and a sibling has just failed", time.as_millis())
            }
            DownReason::WithSiblingAtPeer => f.write_str("the peer took it out along with a sibling that failed there"),
            DownReason::NotHeardByPeer => f.write_str("the peer hears nothing from this end"),
            DownReason::PeerDown => f.write_str("the peer has taken it down"),
            DownReason::PeerRestarted => f.write_str("the peer was restarted"),
            DownReason::Goodbye { reason, hold } => {
                let word = match reason {
                    Reason::Unspecified => "no reason given",
                    Reason::Down => "taken down",
                    Reason::Restarting => "restarting",
                };
                write!(f, "the peer said goodbye ({word}, hold {} ms)", hold.as_millis())
            }
            DownReason::Closed => f.write_str("closed"),
        }
    }
}

/// Why the peer is not the other end of this channel, though it holds the right keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmatched {
    /// Its hello names another link or another channel.
    #[error(
        "this end is {our_link}/{our_channel}, but the other end says {their_link}/{their_channel}: \
         check the ports of this link at both gateways"
    )]
    Name {
        /// Our link.
        our_link: String,
        /// Our channel number in it.
        our_channel: u16,
        /// The peer's link.
        their_link: String,
        /// The peer's channel number in it.
        their_channel: u16,
    },
    /// Its hello is of a version that we do not speak.
    #[error("this end speaks version {ours} of the hello, the other end version {theirs}")]
    Version {
        /// Our version.
        ours: u8,
        /// The peer's version.
        theirs: u8,
    },
    /// It never said hello.
    #[error(
        "the other end completes handshakes but says no hello: \
         if it is plain WireGuard, set peer = \"wireguard\" for that gateway"
    )]
    NoHello,
    /// It said hello, and never that it had received ours.
    #[error("the other end says hello but does not hear ours")]
    Unheard,
}

/// What a channel is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not started, closed, or without an endpoint to initiate to.
    Down,
    /// Looking for a session.
    Handshaking,
    /// A session exists, and the hello of the peer is awaited.
    Greeting,
    /// A session is in use, and probes are to tell that both directions carry: see
    /// [`liveness`](super::Channel::liveness).
    Probing,
    /// Inner packets flow both ways.
    Up,
}

/// The session that inner packets go out under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its local (receiver) index.
    pub index: u32,
    /// When its keys were derived at this end.
    pub since: Instant,
    /// Whether this end sent the initiation.
    pub initiated_by_us: bool,
}

/// Counters of both halves of a channel since it was made, over all sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Inner packets sealed.
    pub sent_packets: u64,
    /// All transport messages sealed: inner packets, keepalives and control frames.
    pub sent_messages: u64,
    /// Inner packets received that were admitted.
    pub received_packets: u64,
    /// All transport messages that were authentic and no replay.
    pub received_messages: u64,
    /// When the last of these came; none before the first.
    pub heard: Option<Instant>,
}
