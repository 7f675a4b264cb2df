//! Without a device: this thread reads the socket, for messages to itself and for the first sign of the peer.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

use meshtun_dataplane::{DropReason, Opened, Opening, StreamError};
use meshtun_openvpn::{
    tcp::{self, HEADER_LEN},
    text::Statistics,
};
use meshtun_sys::udp;
use tokio::io::unix::AsyncFd;

use super::{AFTER_TROUBLE, Event, Refusal, of_stream, watch};
use crate::{
    fatal::Fatal,
    link::{Carrier, Link},
    wire::{Incoming, Outgoing, memory::Newest},
};

/// What came in with one read.
enum Came {
    /// Datagrams of so many bytes each in so many bytes, from there.
    Datagrams(usize, usize, SocketAddr),
    /// Not a whole one yet.
    NotYet,
}

/// A link that this thread reads.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(super) link: Link,
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
    newest: Newest,
    /// Packets may come from anywhere.
    pub(super) anybody: bool,
    readable: AsyncFd<OwnedFd>,
    buffer: Vec<u8>,
    /// How much of a datagram of the stream is there, its length included.
    filled: usize,
    events: VecDeque<Event>,
    told: Option<Instant>,
    pub(super) said: Option<Instant>,
    pub(super) heard: Option<Instant>,
    pub(super) statistics: Statistics,
}

/// The longest train.
const LONGEST: usize = 65_535 + HEADER_LEN;

impl Waiting {
    pub(super) fn new(link: Link, wire: (Outgoing, Incoming), anybody: bool) -> Result<Waiting, Fatal> {
        let failed = |error: io::Error| Fatal::new(format_args!("cannot watch the link's socket: {error}"));
        let descriptor = match &link.carrier {
            Carrier::Udp(udp) => udp.as_fd(),
            Carrier::Tcp(stream) => {
                stream.set_nonblocking(true).map_err(failed)?;
                stream.as_fd()
            }
        };
        let readable = descriptor.try_clone_to_owned().and_then(watch).map_err(failed)?;
        let (outgoing, incoming) = wire;
        Ok(Waiting {
            newest: incoming.newest(),
            link,
            outgoing,
            incoming,
            anybody,
            readable,
            buffer: vec![0; LONGEST],
            filled: 0,
            events: VecDeque::new(),
            told: None,
            said: None,
            heard: None,
            statistics: Statistics::default(),
        })
    }

    /// The next event. May be dropped at any time.
    pub(super) async fn event(&mut self) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let (link, buffer, filled) = (&self.link, &mut self.buffer, &mut self.filled);
            let came = match self.readable.readable().await {
                Ok(mut ready) => match ready.try_io(|_| receive(link, buffer, filled)) {
                    Ok(came) => came,
                    Err(_not_yet) => continue,
                },
                Err(error) => Err(error),
            };
            match came {
                Ok(Came::NotYet) => {}
                Ok(Came::Datagrams(segment, length, from)) => {
                    for at in (0..length).step_by(segment.max(1)) {
                        self.take(at..(at + segment).min(length), from);
                    }
                }
                Err(error) if matches!(self.link.carrier, Carrier::Tcp(_)) => {
                    return of_stream(&error);
                }
                Err(error) => {
                    tokio::time::sleep(AFTER_TROUBLE).await;
                    return Event::Trouble(error);
                }
            }
        }
    }

    fn take(&mut self, at: std::ops::Range<usize>, from: SocketAddr) {
        let now = Instant::now();
        self.statistics.link_read += at.len() as u64;
        let is_known = self.link.remote == Some(from) || self.link.addresses.contains(&from);
        if !self.anybody && self.link.remote.is_some() && !is_known {
            return self.refuse(Refusal::Source(from), now);
        }
        let datagram = &mut self.buffer[at];
        match self.incoming.open(datagram, None, now) {
            Ok(opened) => {
                let is_new = self.heard.is_none() || self.link.remote != Some(from);
                self.heard = Some(now);
                if is_new {
                    self.link.remote = Some(from);
                    self.events.push_back(Event::Heard(from));
                }
                match opened {
                    Opened::Control(payload) => {
                        self.statistics.auth_read += payload.len() as u64;
                        self.events.push_back(Event::Frame(datagram[payload].to_vec()));
                    }
                    Opened::AssembledControl => {
                        let payload = self.incoming.assembled().to_vec();
                        self.statistics.auth_read += payload.len() as u64;
                        self.events.push_back(Event::Frame(payload));
                    }
                    // There is no device yet to give it to.
                    Opened::Inner(payload) => self.statistics.auth_read += payload.len() as u64,
                    Opened::Swallowed(length) => self.statistics.auth_read += length as u64,
                    Opened::Assembled => self.statistics.auth_read += self.incoming.assembled().len() as u64,
                    Opened::Part => {}
                }
            }
            Err(reason) => {
                match (self.incoming.why(), reason) {
                    (Some(why), DropReason::Replayed) => self.refuse(Refusal::Replay(why), now),
                    (Some(why), _) => self.refuse(Refusal::Packet(why), now),
                    (None, _) => {}
                }
                let is_stream = matches!(self.link.carrier, Carrier::Tcp(_));
                if is_stream && !matches!(reason, DropReason::BadInner | DropReason::BadFragment) {
                    // Of what comes behind it nothing can be opened, either.
                    self.events.push_back(Event::Unreadable);
                }
            }
        }
    }

    /// Once a second.
    fn refuse(&mut self, refusal: Refusal, now: Instant) {
        if self.told.is_none_or(|told| now.duration_since(told).as_secs() >= 1) {
            self.told = Some(now);
            self.events.push_back(Event::Refused(refusal));
        }
    }

    /// Sends a frame, if it is known to whom. What is lost is sent again by whoever wants an answer.
    pub(super) fn send(&mut self, frame: &[u8]) {
        let Some(remote) = self.link.remote else { return };
        for datagram in self.outgoing.frame(frame) {
            let sent = match &self.link.carrier {
                Carrier::Udp(udp) => udp.send_to(&datagram, &remote.into()),
                Carrier::Tcp(stream) => send_whole(stream, &datagram),
            };
            match sent {
                Ok(()) => {
                    self.said = Some(Instant::now());
                    self.statistics.link_write += datagram.len() as u64;
                }
                Err(error) if matches!(self.link.carrier, Carrier::Tcp(_)) => {
                    self.events.push_back(Event::Reset(error.raw_os_error().unwrap_or(0)));
                }
                Err(error) if udp::is_would_block(&error) => {}
                Err(error) if udp::is_message_too_long(&error) => {
                    self.events.push_back(Event::TooBig(datagram.len()));
                }
                Err(error) => self.events.push_back(Event::Unsent(error)),
            }
        }
    }

    pub(super) fn memory(&self) -> (&Newest, u32) {
        (&self.newest, self.outgoing.time())
    }
}

/// What waits in the socket, up to one train or one datagram of the stream, and no further.
fn receive(link: &Link, buffer: &mut [u8], filled: &mut usize) -> io::Result<Came> {
    let stream = match &link.carrier {
        Carrier::Udp(udp) => {
            let received = udp.receive(buffer)?;
            return Ok(Came::Datagrams(received.segment, received.len, received.from.into()));
        }
        Carrier::Tcp(stream) => stream,
    };
    let peer = stream.peer_addr()?;
    let longest = link.longest;
    let wanted = |filled: usize, buffer: &[u8]| match (filled, u16::from_be_bytes([buffer[0], buffer[1]])) {
        (0 | 1, _) => Ok(HEADER_LEN),
        (_, length) if length == 0 || length > longest => Err(StreamError::Length { length, longest }),
        (_, length) => Ok(HEADER_LEN + usize::from(length)),
    };
    let end = wanted(*filled, buffer)?;
    let Some(room) = buffer.get_mut(*filled..end) else { return Err(io::ErrorKind::InvalidData.into()) };
    match (&*stream).read(room)? {
        0 => Err(StreamError::Closed.into()),
        read => {
            *filled += read;
            let end = wanted(*filled, buffer)?;
            if *filled < end || end == HEADER_LEN {
                return Ok(Came::NotYet);
            }
            *filled = 0;
            buffer.copy_within(HEADER_LEN..end, 0);
            Ok(Came::Datagrams(end - HEADER_LEN, end - HEADER_LEN, peer))
        }
    }
}

/// A datagram with its length before it. So little, and so seldom, always has room; if it has not, the connection hangs.
fn send_whole(stream: &TcpStream, datagram: &[u8]) -> io::Result<()> {
    let header = tcp::header(datagram.len()).ok_or(io::ErrorKind::InvalidInput)?;
    let whole = [&header[..], datagram].concat();
    match (&*stream).write(&whole)? {
        written if written == whole.len() => Ok(()),
        _ => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests;
