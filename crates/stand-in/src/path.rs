//! The way of packets: from the socket to this thread alone while there is no device, through the data plane afterwards.

mod plane;
mod waiting;

use std::{
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use meshtun_dataplane::StreamError;
use meshtun_openvpn::text::Statistics;
use tokio::io::{Interest, unix::AsyncFd};

pub(crate) use self::{plane::Carrying, waiting::Waiting};
use crate::{
    device::Device,
    fatal::Fatal,
    link::Link,
    wire::{Incoming, Outgoing, memory::Newest},
};

/// What comes of a path.
#[derive(Debug)]
pub(crate) enum Event {
    /// The first authentic packet, or the first from another address than before.
    Heard(SocketAddr),
    /// An authentic message about options.
    Frame(Vec<u8>),
    /// A packet was dropped; what to say of it.
    Refused(Refusal),
    /// A datagram longer than the underlay takes.
    TooBig(usize),
    /// A datagram that could not be sent for another reason.
    Unsent(io::Error),
    /// An error of reading that passes.
    Trouble(io::Error),
    /// The stream has ended.
    Reset(i32),
    /// A packet of the stream could not be opened: none behind it could, either.
    Unreadable,
    /// A packet of the stream cannot be as long as is announced.
    BadLength { length: u16, longest: u16 },
    /// The device was deleted under us.
    DeviceGone,
    /// The way of packets cannot go on.
    Broken(String),
}

/// Why a packet was dropped.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It came from somebody else.
    Source(SocketAddr),
    /// It could not be opened.
    Packet(String),
    /// It came twice, or too late.
    Replay(String),
}

/// How packets are carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manner {
    /// `mssfix`: to what the packets of TCP connections are made to keep, in bytes.
    pub(crate) longest: Option<u16>,
    /// `shaper`: bytes a second, and what each datagram counts beyond its own.
    pub(crate) rate: Option<(u32, usize)>,
    /// `passtos`.
    pub(crate) copies_class: bool,
}

/// The way of packets of one session.
#[derive(Debug)]
pub(crate) enum Path {
    Waiting(Box<Waiting>),
    Carrying(Box<Carrying>),
}

impl Path {
    /// A path for a link that is open.
    pub(crate) fn new(link: Link, wire: (Outgoing, Incoming), anybody: bool) -> Result<Path, Fatal> {
        Ok(Path::Waiting(Box::new(Waiting::new(link, wire, anybody)?)))
    }

    /// Goes on through the data plane. What waits in socket and device is carried.
    pub(crate) fn carry(self, device: &Device, manner: Manner) -> Result<Path, Fatal> {
        match self {
            Path::Waiting(waiting) => Ok(Path::Carrying(Box::new(Carrying::new(*waiting, device, manner)?))),
            Path::Carrying(carrying) => Ok(Path::Carrying(carrying)),
        }
    }

    /// The next event. May be dropped at any time.
    pub(crate) async fn event(&mut self) -> Event {
        match self {
            Path::Waiting(waiting) => waiting.event().await,
            Path::Carrying(carrying) => carrying.event().await,
        }
    }

    /// Sends a frame to the peer, if it is known where it is.
    pub(crate) fn send(&mut self, frame: Vec<u8>) {
        match self {
            Path::Waiting(waiting) => waiting.send(&frame),
            Path::Carrying(carrying) => carrying.send(frame),
        }
    }

    /// What went through.
    pub(crate) fn statistics(&self) -> Statistics {
        match self {
            Path::Waiting(waiting) => waiting.statistics,
            Path::Carrying(carrying) => carrying.statistics(),
        }
    }

    /// When something was last sent, and when something authentic last came.
    pub(crate) fn said_and_heard(&self) -> (Option<Instant>, Option<Instant>) {
        match self {
            Path::Waiting(waiting) => (waiting.said, waiting.heard),
            Path::Carrying(carrying) => carrying.said_and_heard(),
        }
    }

    /// Our end of the link, and the peer's.
    pub(crate) fn ends(&self) -> (SocketAddr, Option<SocketAddr>) {
        match self {
            Path::Waiting(waiting) => (waiting.link.local, waiting.link.remote),
            Path::Carrying(carrying) => carrying.ends(),
        }
    }

    /// What must outlive this session.
    pub(crate) fn memory(&self) -> (&Newest, u32) {
        match self {
            Path::Waiting(waiting) => waiting.memory(),
            Path::Carrying(carrying) => carrying.memory(),
        }
    }
}

/// What the end of a stream means.
fn of_stream(error: &io::Error) -> Event {
    match error.get_ref().and_then(|source| source.downcast_ref()) {
        Some(StreamError::Refused(_)) => Event::Unreadable,
        Some(&StreamError::Length { length, longest }) => Event::BadLength { length, longest },
        Some(StreamError::Closed) | None => Event::Reset(error.raw_os_error().unwrap_or(0)),
    }
}

/// A pause after an error that would come again at once.
const AFTER_TROUBLE: Duration = Duration::from_millis(100);

/// Makes a descriptor of our own known to the runtime, for reading.
#[expect(
    deprecated,
    reason = "the way that replaces it is unsafe; an owned descriptor stays open as long as it has to"
)]
fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}
