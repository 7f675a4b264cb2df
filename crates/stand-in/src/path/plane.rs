//! With a device: the data plane carries, and tells this thread what concerns it.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Instant,
};

use meshtun_dataplane::{
    ChannelId, ChannelParts, ClampMss, Command, Counters, DataPlane, DropReason, Event as PlaneEvent, Events, Filter,
    Format, Half, PlaneConfig, ReceiveSession, SendSession, Shaper, Stream, Transport,
};
use meshtun_openvpn::text::Statistics;
use meshtun_sys::tun;
use tokio::io::unix::AsyncFd;

use super::{Event, Manner, Refusal, Waiting, of_stream, watch};
use crate::{
    device::Device,
    fatal::Fatal,
    link::Carrier,
    privileges,
    wire::{SESSION, memory::Newest},
};

/// A session in the data plane.
#[derive(Debug)]
pub(crate) struct Carrying {
    is_stream: bool,
    /// None once it has ended.
    plane: Option<DataPlane>,
    events: Events,
    wake: AsyncFd<OwnedFd>,
    counters: Arc<Counters>,
    local: SocketAddr,
    remote: Option<SocketAddr>,
    confirmed: bool,
    newest: Newest,
    /// The time that every packet carries.
    sent: u32,
    /// From before there was a device.
    before: Statistics,
    said: Option<Instant>,
    heard: Option<Instant>,
    /// Events that were looked at too early.
    kept: VecDeque<PlaneEvent>,
}

const CHANNEL: ChannelId = ChannelId(0);

impl Carrying {
    pub(super) fn new(waiting: Waiting, device: &Device, manner: Manner) -> Result<Carrying, Fatal> {
        let Manner { longest, rate, copies_class } = manner;
        let (newest, sent) = waiting.memory();
        let newest = newest.clone();
        let Waiting { link, outgoing, incoming, anybody, said, heard, statistics: before, .. } = waiting;
        let failed = |error: io::Error| Fatal::new(format_args!("cannot watch the data plane: {error}"));
        let config = PlaneConfig { cpus: (0..privileges::workers()).collect(), pin: false, apart: true };
        let (mut plane, events) = DataPlane::start(&config).map_err(Fatal::new)?;
        let wake = events.as_fd().try_clone_to_owned().and_then(watch).map_err(failed)?;
        let is_stream = matches!(link.carrier, Carrier::Tcp(_));
        let transport = match link.carrier {
            Carrier::Udp(udp) => Transport::Udp(udp),
            Carrier::Tcp(stream) => Transport::Tcp(Stream::new(stream, link.longest).map_err(failed)?),
        };
        let mut first = vec![
            Command::InstallReceive(ReceiveSession::Other(Box::new(incoming))),
            Command::InstallSend(SendSession::Other(Box::new(outgoing))),
            Command::Use(SESSION),
            Command::Admit(SESSION),
        ];
        if let (false, Some(remote)) = (anybody, link.remote) {
            first.push(Command::Sources([&[remote], &link.addresses[..]].concat()));
        }
        first.extend(longest.map(|longest| Command::ClampMss(ClampMss::To(longest))));
        first.extend(copies_class.then_some(Command::CopyClass));
        if let Some((rate, overhead)) = rate {
            first.push(Command::Shape(Box::new(Shaper::new(rate, overhead).map_err(failed)?)));
        }
        let parts = ChannelParts {
            tun: Arc::clone(&device.tun),
            transport,
            format: Format::Sole,
            mtu: device.mtu,
            endpoint: link.remote,
            filter: Arc::new(Filter::all()),
            first,
        };
        let counters = plane.add_channel(CHANNEL, parts).map_err(Fatal::new)?;
        Ok(Carrying {
            is_stream,
            plane: Some(plane),
            events,
            wake,
            counters,
            local: link.local,
            remote: link.remote,
            confirmed: heard.is_some(),
            newest,
            sent,
            before,
            said,
            heard,
            kept: VecDeque::new(),
        })
    }

    /// The next event. May be dropped at any time.
    pub(super) async fn event(&mut self) -> Event {
        loop {
            while let Some(event) = self.next() {
                if let Some(event) = self.translate(event) {
                    return event;
                }
            }
            match self.wake.readable().await {
                Ok(mut ready) => {
                    ready.clear_ready();
                    // Before the queues are looked at: what comes later wakes again.
                    let _spurious = self.events.acknowledge();
                }
                Err(error) => return Event::Broken(format!("the data plane cannot be heard: {error}")),
            }
        }
    }

    /// The data plane's next event; that it cannot go on comes last, since why it cannot waits in another queue.
    fn next(&mut self) -> Option<PlaneEvent> {
        let event = self.kept.pop_front().or_else(|| self.events.poll_event())?;
        if !self.kept.is_empty() || !matches!(event, PlaneEvent::Failed { .. }) {
            return Some(event);
        }
        self.kept.extend(std::iter::from_fn(|| self.events.poll_event()));
        self.kept.push_back(event);
        self.kept.pop_front()
    }

    fn translate(&mut self, event: PlaneEvent) -> Option<Event> {
        match event {
            PlaneEvent::Confirmed { .. } => self.confirm(),
            PlaneEvent::Moved { from, .. } => {
                self.confirmed = true;
                self.remote = Some(from);
                self.order(Command::Endpoint(from));
                Some(Event::Heard(from))
            }
            PlaneEvent::Frame { plaintext, .. } => Some(Event::Frame(plaintext.into())),
            PlaneEvent::Refused { from, reason: DropReason::WrongPeer, .. } => {
                Some(Event::Refused(Refusal::Source(from)))
            }
            PlaneEvent::Refused { reason: DropReason::Replayed, why, .. } => Some(Event::Refused(Refusal::Replay(why))),
            PlaneEvent::Refused { why, .. } => Some(Event::Refused(Refusal::Packet(why))),
            PlaneEvent::TooBigForUnderlay { datagram, .. } => Some(Event::TooBig(datagram)),
            PlaneEvent::Unsent { error, .. } => Some(Event::Unsent(error)),
            PlaneEvent::Failed { half, error, .. } => Some(self.failed(half, &error)),
            PlaneEvent::Handshake { .. } | PlaneEvent::UnknownSession { .. } | PlaneEvent::OffloadLost { .. } => None,
        }
    }

    fn failed(&self, half: Half, error: &io::Error) -> Event {
        match error {
            error if tun::is_gone(error) => Event::DeviceGone,
            error if self.is_stream => of_stream(error),
            error => Event::Broken(format!("{half:?}: {error}")),
        }
    }

    /// The first authentic packet. If it came from elsewhere than expected, the next event says so.
    fn confirm(&mut self) -> Option<Event> {
        if self.kept.is_empty() {
            self.kept.extend(self.events.poll_event());
        }
        let moves = matches!(self.kept.front(), Some(PlaneEvent::Moved { .. }));
        if std::mem::replace(&mut self.confirmed, true) || moves {
            return None;
        }
        self.remote.map(Event::Heard)
    }

    pub(super) fn send(&self, frame: Vec<u8>) {
        self.order(Command::Seal { session: SESSION, plaintext: frame });
    }

    fn order(&self, command: Command) {
        if let Some(plane) = &self.plane {
            plane.send(CHANNEL, command);
        }
    }

    pub(super) fn statistics(&self) -> Statistics {
        let counted = self.counters.snapshot();
        let Statistics { link_read, link_write, auth_read, .. } = self.before;
        Statistics {
            tun_read: counted.sending.bytes,
            tun_write: counted.receiving.bytes,
            link_read: link_read + counted.receiving.wire_bytes,
            link_write: link_write + counted.sending.wire_bytes,
            auth_read: auth_read + counted.receiving.authentic_bytes,
        }
    }

    pub(super) fn said_and_heard(&self) -> (Option<Instant>, Option<Instant>) {
        (self.counters.said().or(self.said), self.counters.heard().or(self.heard))
    }

    pub(super) fn ends(&self) -> (SocketAddr, Option<SocketAddr>) {
        (self.local, self.remote)
    }

    pub(super) fn memory(&self) -> (&Newest, u32) {
        (&self.newest, self.sent)
    }
}

impl Drop for Carrying {
    fn drop(&mut self) {
        if let Some(plane) = self.plane.take() {
            plane.shutdown();
        }
    }
}
