//! Without a device: this thread reads the socket, for messages to itself and for the first sign of the peer.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

use meshtun_dataplane::{DropReason, Opened, Opening};
use meshtun_openvpn::text::Statistics;
use meshtun_sys::udp;
use tokio::io::unix::AsyncFd;

use super::{AFTER_TROUBLE, Event, Refusal, watch};
use crate::{
    fatal::Fatal,
    link::{Carrier, Link},
    wire::{Incoming, Outgoing, memory::Newest},
};

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
    events: VecDeque<Event>,
    told: Option<Instant>,
    pub(super) said: Option<Instant>,
    pub(super) heard: Option<Instant>,
    pub(super) statistics: Statistics,
}

/// The longest train.
const LONGEST: usize = 65_535;

impl Waiting {
    pub(super) fn new(link: Link, wire: (Outgoing, Incoming), anybody: bool) -> Result<Waiting, Fatal> {
        let failed = |error: io::Error| Fatal::new(format_args!("cannot watch the link's socket: {error}"));
        let Carrier::Udp(udp) = &link.carrier;
        let readable = udp.as_fd().try_clone_to_owned().and_then(watch).map_err(failed)?;
        let (outgoing, incoming) = wire;
        Ok(Waiting {
            newest: incoming.newest(),
            link,
            outgoing,
            incoming,
            anybody,
            readable,
            buffer: vec![0; LONGEST],
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
            let Carrier::Udp(udp) = &self.link.carrier;
            let received = match self.readable.readable().await {
                Ok(mut ready) => match ready.try_io(|_| udp.receive(&mut self.buffer)) {
                    Ok(received) => received,
                    Err(_not_yet) => continue,
                },
                Err(error) => Err(error),
            };
            match received {
                Ok(received) => {
                    let segment = received.segment.max(1);
                    let datagrams = (0..received.len).step_by(segment).map(|at| at..(at + segment).min(received.len));
                    for datagram in datagrams {
                        self.take(datagram, received.from.into());
                    }
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
        if !self.anybody && self.link.remote.is_some_and(|remote| remote != from) {
            return self.refuse(Refusal::Source(from), now);
        }
        let datagram = &mut self.buffer[at];
        match self.incoming.open(datagram, now) {
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
                    // There is no device yet to give it to.
                    Opened::Inner(payload) => self.statistics.auth_read += payload.len() as u64,
                    Opened::Swallowed(length) => self.statistics.auth_read += length as u64,
                    Opened::Part | Opened::Assembled => {}
                }
            }
            Err(reason) => match (self.incoming.why(), reason) {
                (Some(why), DropReason::Replayed) => self.refuse(Refusal::Replay(why), now),
                (Some(why), _) => self.refuse(Refusal::Packet(why), now),
                (None, _) => {}
            },
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
        let Carrier::Udp(udp) = &self.link.carrier;
        let Some(datagram) = self.outgoing.frame(frame) else { return };
        match udp.send_to(&datagram, &remote.into()) {
            Ok(()) => {
                self.said = Some(Instant::now());
                self.statistics.link_write += datagram.len() as u64;
            }
            Err(error) if udp::is_would_block(&error) => {}
            Err(error) => self.events.push_back(Event::Trouble(error)),
        }
    }

    pub(super) fn memory(&self) -> (&Newest, u32) {
        (&self.newest, self.outgoing.time())
    }
}
