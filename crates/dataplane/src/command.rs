//! What the control side tells the halves, and what it hears from them.

use std::{io, net::SocketAddr, sync::Arc, time::Instant};

use crate::{ClampMss, DropReason, Filter, ReceiveSession, SendSession, Shaper};

/// A channel's number in this process, chosen by the control side and never used again while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(pub u32);

/// One of a channel's two sides in the data plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Half {
    /// tun → UDP.
    Sending,
    /// UDP → tun.
    Receiving,
}

/// An order to a channel's halves. Orders to one half are obeyed in the order given.
#[derive(Debug)]
pub enum Command {
    /// Takes a session's sealing side over, such as a WireGuard send key. Nothing is sent under it until [`Command::Use`] or [`Command::Seal`].
    InstallSend(SendSession),
    /// Takes a session's opening side over, such as a WireGuard receive key. Inner packets under it are dropped until [`Command::Admit`].
    InstallReceive(ReceiveSession),
    /// Inner packets go out under this session from here on.
    Use(u32),
    /// Inner packets received under this session pass from here on.
    Admit(u32),
    /// What waits in the half's queue and in the device is sealed and sent under this session, if it carries inner packets
    /// now, and no inner packet after that. It goes on beside everything else for 400 ms at the most; what is left then is
    /// dropped. [`Command::Retire`] ends it at once, and [`Command::Use`] carries the rest under the session that it names.
    Drain(u32),
    /// Both keys of this session are forgotten.
    Retire(u32),
    /// Seals a control frame (or a keepalive, if empty) under this session and sends it.
    Seal {
        /// The session, by its local index.
        session: u32,
        /// The frame, at most [`Command::LONGEST_FRAME`] bytes.
        plaintext: Vec<u8>,
    },
    /// Where the peer's channel socket is.
    Endpoint(SocketAddr),
    /// From where datagrams may come: those from elsewhere are dropped unopened. None: from anywhere, which is the rule unless
    /// told otherwise.
    Sources(Vec<SocketAddr>),
    /// Which inner packets may come out of the channel.
    Filter(Arc<Filter>),
    /// The tun device's MTU in bytes: padding does not go beyond it.
    Mtu(u16),
    /// The sending half keeps to a rate. Among a channel's first commands alone.
    Shape(Box<Shaper>),
    /// Datagrams get the traffic class of the inner packets that they carry: the codepoint (RFC 2474), without the two bits of
    /// congestion. What carries none keeps the last one.
    CopyClass,
    /// To what the maximum segment size of TCP connections is lowered. It is left alone unless told otherwise.
    ClampMss(ClampMss),
}

impl Command {
    /// The longest plaintext of [`Command::Seal`], in bytes: that of the longest datagram.
    pub const LONGEST_FRAME: usize = 65_535 - 40 - 8 - 32;

    /// What of it is for the sending half, and what for the receiving half.
    pub(crate) fn for_halves(self) -> (Option<Command>, Option<Command>) {
        match self {
            Command::Retire(session) => (Some(Command::Retire(session)), Some(Command::Retire(session))),
            Command::Endpoint(endpoint) => (Some(Command::Endpoint(endpoint)), Some(Command::Endpoint(endpoint))),
            Command::Mtu(mtu) => (Some(Command::Mtu(mtu)), Some(Command::Mtu(mtu))),
            Command::ClampMss(how) => (Some(Command::ClampMss(how)), Some(Command::ClampMss(how))),
            Command::InstallReceive(_) | Command::Admit(_) | Command::Filter(_) | Command::Sources(_) => {
                (None, Some(self))
            }
            Command::InstallSend(_)
            | Command::Use(_)
            | Command::Drain(_)
            | Command::Seal { .. }
            | Command::Shape(_)
            | Command::CopyClass => (Some(self), None),
        }
    }
}

/// What the halves tell the control side.
#[derive(Debug)]
pub enum Event {
    /// A datagram that is not a transport message came in: a handshake message or a cookie, unauthenticated.
    Handshake {
        /// The channel whose socket it came to.
        channel: ChannelId,
        /// Its source address.
        from: SocketAddr,
        /// The whole datagram, at most 256 bytes.
        datagram: Box<[u8]>,
    },
    /// The first message under a session was opened: the peer has the session too.
    Confirmed {
        /// The channel.
        channel: ChannelId,
        /// The session, by its local index.
        session: u32,
    },
    /// An authenticated control frame.
    Frame {
        /// The channel.
        channel: ChannelId,
        /// When the receiving half took it.
        at: Instant,
        /// The session it came under, by its local index.
        session: u32,
        /// The plaintext, padding included.
        plaintext: Box<[u8]>,
    },
    /// An authenticated message came from an address other than the endpoint.
    Moved {
        /// The channel.
        channel: ChannelId,
        /// The session it came under, by its local index.
        session: u32,
        /// The new source address.
        from: SocketAddr,
    },
    /// A transport message names a session that this channel does not have. Unauthenticated; at most one a second a channel.
    UnknownSession {
        /// The channel.
        channel: ChannelId,
        /// Its source address.
        from: SocketAddr,
    },
    /// A datagram was dropped for a reason that the session or [`Command::Sources`] has words for. Unauthenticated; at most
    /// one a second for each reason. The counters have them all.
    Refused {
        /// The channel.
        channel: ChannelId,
        /// Its source address.
        from: SocketAddr,
        /// Under what it is counted.
        reason: DropReason,
        /// The session's words ([`Opening::why`](crate::Opening::why)); empty for a datagram from elsewhere.
        why: String,
    },
    /// The kernel refused a train because a datagram of it is longer than the underlay's MTU.
    TooBigForUnderlay {
        /// The channel.
        channel: ChannelId,
        /// The datagram's length in bytes, without IP and UDP headers.
        datagram: usize,
    },
    /// The kernel refused a datagram for another reason: there is no way to the peer, a firewall of this machine forbids it.
    /// At most one a second; the counters have them all.
    Unsent {
        /// The channel.
        channel: ChannelId,
        /// Why.
        error: io::Error,
    },
    /// The kernel does not have an offload, or refused it and it is off for good: the channel is slower, nothing else.
    OffloadLost {
        /// The channel.
        channel: ChannelId,
        /// Which one, in words.
        offload: &'static str,
    },
    /// A half cannot go on: its device or socket is gone. The half has stopped.
    Failed {
        /// The channel.
        channel: ChannelId,
        /// Which half.
        half: Half,
        /// Why.
        error: io::Error,
    },
}
