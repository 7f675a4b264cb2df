//! The receiving half: UDP → tun.
//!
//! One turn receives trains behind one another into the worker's buffer, opens every message in place, lets the
//! coalescer note which packets follow one another, and at the end writes each run as one super-packet, gathered by
//! `writev` from where the packets lie. Nothing is copied in user space.

mod sessions;
mod sole;
mod stream;

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use meshtun_offload::{
    coalesce::{Item, Joining, MAX_SEGMENTS},
    mss,
    packet::{self, Addresses},
    virtio::VirtioNetHdr,
};
use meshtun_proto::message::{self, Kind};
use meshtun_sys::{
    epoll::{Epoll, Interest},
    tun::{self, Tun},
    udp::{self, Endpoint, RECEIVE_BATCH, Received},
};

use self::{
    sessions::{Session, Sessions},
    stream::Incoming,
};
use crate::{
    ChannelId, Command, Counters, DropReason, Event, Filter, Format, Half, Opened, Transport, Verdict,
    clamp::Clamp,
    counters::ReceiveCounters,
    events::EventSender,
    scratch::{PLACE, PLACES, Scratch},
    turn::{Source, Turn, token},
};

/// Bytes received in one turn before they are written: 512 KiB (and what one call may give beyond) are opened in about 0.3 ms. Eight trains are what a veth or
/// NIC hands over in one NAPI poll of 64 datagrams, many times.
const BYTES_PER_TURN: usize = 512 << 10;

/// Trains received with one call, while they are long.
const LONG_TRAINS: usize = 4;

/// The average from which trains are long, in bytes.
const LONG: usize = 16 << 10;

/// Socket errors in a row after which the socket is given up. Each is reported once and cleared by the kernel; a socket
/// that only has errors would turn for ever.
const ERRORS_IN_A_ROW: u32 = 1000;

/// How often a channel tells of messages for sessions that it does not have, and of datagrams refused for one reason.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Each packet by itself.
const NOTHING: Joining = Joining { tcp: false, udp: false };

/// What a receiving half is made of.
pub(crate) struct ReceivingParts {
    pub(crate) channel: ChannelId,
    pub(crate) tun: Arc<Tun>,
    pub(crate) transport: Transport,
    pub(crate) format: Format,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) filter: Arc<Filter>,
    pub(crate) mtu: u16,
    pub(crate) joining: Joining,
    pub(crate) counters: Arc<Counters>,
    pub(crate) events: EventSender,
}

/// UDP → tun for one channel.
pub(crate) struct ReceivingHalf {
    channel: ChannelId,
    tun: Arc<Tun>,
    transport: Transport,
    /// If it is a stream; taken out while it is read.
    stream: Option<Incoming>,
    endpoint: Option<Endpoint>,
    filter: Arc<Filter>,
    clamp: Clamp,
    format: Format,
    sessions: Sessions,
    /// From where datagrams may come; from anywhere if there is none.
    sources: Vec<Endpoint>,
    /// What the device takes joined.
    joining: Joining,
    /// When the control side was last told of a reason.
    told: [Option<Instant>; DropReason::ALL.len()],
    /// Why a session refused a datagram, until somebody looks.
    refused: Option<DropReason>,
    errors_in_a_row: u32,
    /// Its device or socket is gone, and the control side knows.
    has_failed: bool,
    /// How many trains to ask for with one call.
    batch: usize,
    counters: Arc<Counters>,
    events: EventSender,
}

impl ReceivingHalf {
    pub(crate) fn new(parts: ReceivingParts) -> ReceivingHalf {
        let (stream, endpoint) = match &parts.transport {
            Transport::Udp(_) => (None, parts.endpoint),
            Transport::Tcp(stream) => (Some(Incoming::new(stream.clone())), Some(stream.peer)),
        };
        ReceivingHalf {
            channel: parts.channel,
            tun: parts.tun,
            transport: parts.transport,
            stream,
            endpoint: endpoint.map(Endpoint::from),
            filter: parts.filter,
            clamp: Clamp::new(parts.mtu),
            format: parts.format,
            sessions: Sessions::new(),
            sources: Vec::new(),
            joining: parts.joining,
            told: [None; DropReason::ALL.len()],
            refused: None,
            errors_in_a_row: 0,
            has_failed: false,
            batch: RECEIVE_BATCH,
            counters: parts.counters,
            events: parts.events,
        }
    }

    pub(crate) fn channel(&self) -> ChannelId {
        self.channel
    }

    /// Receives, opens, judges, joins and writes.
    #[inline(never)] // `tests/scaling` counts its instructions.
    pub(crate) fn turn(&mut self, scratch: &mut Scratch, now: Instant) -> Turn {
        scratch.coalescer.set_joining(self.joining);
        let messages = self.counters.receiving.messages.get();
        let turned = match self.stream.take() {
            None => self.receive(scratch, now),
            Some(mut stream) => {
                let turned = self.read_stream(&mut stream, scratch, now);
                self.stream = Some(stream);
                turned
            }
        };
        if self.counters.receiving.messages.get() != messages {
            self.counters.hear(now);
        }
        self.write_or_fail(scratch);
        if self.has_failed { Turn::Failed } else { turned }
    }

    fn receive(&mut self, scratch: &mut Scratch, now: Instant) -> Turn {
        let (mut places, mut bytes, mut turned) = (0, 0, Turn::Idle);
        while places < PLACES && bytes < BYTES_PER_TURN {
            let batch = self.batch.min(PLACES - places);
            let room = &mut scratch.received[places * PLACE..];
            let Transport::Udp(udp) = &self.transport else { break };
            match udp.receive_each(room, PLACE, &mut scratch.arrivals[..batch]) {
                Ok(count) => {
                    (turned, self.errors_in_a_row) = (Turn::Busy, 0);
                    let came = self.open_trains(scratch, places, count, now);
                    self.batch = if came >= count * LONG { LONG_TRAINS } else { RECEIVE_BATCH };
                    (places, bytes) = (places + count, bytes + came);
                    if count < batch {
                        break;
                    }
                }
                Err(error) if udp::is_would_block(&error) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.errors_in_a_row += 1;
                    if self.errors_in_a_row > ERRORS_IN_A_ROW {
                        self.fail(error);
                    }
                    break;
                }
            }
        }
        turned
    }

    pub(crate) fn obey(&mut self, command: Command) {
        match command {
            Command::InstallReceive(key) => self.sessions.insert(key),
            Command::Admit(session) => {
                if let Some(session) = self.sessions.get_mut(session) {
                    session.is_admitted = true;
                }
            }
            Command::Retire(session) => self.sessions.retire(session),
            Command::Sources(sources) => self.sources = sources.into_iter().map(Endpoint::from).collect(),
            Command::Filter(filter) => self.filter = filter,
            Command::Mtu(mtu) => self.clamp.set_mtu(mtu),
            Command::ClampMss(how) => self.clamp.set(how),
            Command::Endpoint(endpoint) => self.endpoint = Some(endpoint.into()),
            Command::InstallSend(_)
            | Command::Use(_)
            | Command::Drain(_)
            | Command::Seal { .. }
            | Command::Shape(_)
            | Command::CopyClass => {}
        }
    }

    pub(crate) fn watch(&self, epoll: &Epoll) -> io::Result<()> {
        epoll.add(&self.transport, token(Some(self.channel), Source::Udp), Interest::Read)
    }

    pub(crate) fn unwatch(&self, epoll: &Epoll) {
        let _gone = epoll.delete(&self.transport);
    }

    /// What one call received, from a place on; tells how many bytes.
    fn open_trains(&mut self, scratch: &mut Scratch, first: usize, count: usize, now: Instant) -> usize {
        let arrivals = &scratch.arrivals[..count];
        let bytes = arrivals.iter().map(|train| train.len).sum();
        let truncated = arrivals.iter().filter(|train| train.truncated).count();
        let receiving = &self.counters.receiving;
        receiving.trains.add(count as u64);
        receiving.wire_bytes.add(bytes as u64);
        receiving.drops.add(DropReason::Truncated, truncated as u64);
        match self.format {
            Format::WireGuard => (0..count).for_each(|index| self.open_train(scratch, first, index, now)),
            Format::Sole => self.open_together(scratch, first, count, now),
        }
        bytes
    }

    /// The datagrams of one train, `segment` bytes each but the last.
    #[inline(never)] // One call a train, so that all that it does to a packet is compiled once, without calls.
    fn open_train(&mut self, scratch: &mut Scratch, first: usize, index: usize, now: Instant) {
        let Received { len, segment, from, .. } = scratch.arrivals[index];
        if len == 0 {
            return self.drop_one(DropReason::Malformed);
        }
        let (hears, sender) = (self.hears(&from), self.sender(&from));
        let mut start = (first + index) * PLACE;
        let end = start + len;
        while start < end {
            let next = (start + segment.max(1)).min(end);
            if hears {
                self.open_message(scratch, start..next, &sender, now);
            } else {
                self.refuse(DropReason::WrongPeer, Some(String::new()), &from, now);
            }
            start = next;
        }
    }

    /// Whether datagrams may come from there.
    fn hears(&self, from: &Endpoint) -> bool {
        self.sources.is_empty() || self.sources.contains(from)
    }

    fn sender<'a>(&self, from: &'a Endpoint) -> Sender<'a> {
        Sender { from, is_known: self.endpoint.as_ref() == Some(from) }
    }

    /// One of WireGuard's messages.
    #[inline(always)]
    fn open_message(&mut self, scratch: &mut Scratch, message: Range<usize>, sender: &Sender<'_>, now: Instant) {
        let bytes = &scratch.received[message.clone()];
        match message::classify(bytes) {
            Some(Kind::Transport) => match message::transport_receiver(bytes) {
                Some(session) => {
                    self.open_datagram(scratch, message, None, sender, now, |sessions| sessions.get_mut(session));
                }
                None => self.drop_one(DropReason::Malformed),
            },
            Some(_) => self.hand_over(bytes, sender.from),
            None => self.drop_one(DropReason::Malformed),
        }
    }

    /// A datagram of a session. `is_authentic`: what the session has found, if it was asked before.
    #[inline(always)]
    fn open_datagram(
        &mut self,
        scratch: &mut Scratch,
        datagram: Range<usize>,
        is_authentic: Option<bool>,
        sender: &Sender<'_>,
        now: Instant,
        session: impl FnOnce(&mut Sessions) -> Option<&mut Session>,
    ) {
        let Some(session) = session(&mut self.sessions) else { return self.unknown_session(sender.from, now) };
        if session.is_over(now) {
            return self.drop_one(DropReason::Expired);
        }
        let opened = match session.key.open(&mut scratch.received[datagram.clone()], is_authentic, now) {
            Ok(opened) => opened,
            Err(reason) => {
                let is_due = is_due(&self.told, reason, now);
                let why = if is_due { session.key.why() } else { None };
                if !reason.is_of_content() {
                    self.refused = Some(reason);
                }
                return self.refuse(reason, why, sender.from, now);
            }
        };
        self.counters.receiving.messages.add(1);
        let (index, may_pass) = (session.index, session.is_admitted);
        if !session.is_confirmed {
            session.is_confirmed = self.events.send(Event::Confirmed { channel: self.channel, session: index });
        }
        if !sender.is_known {
            self.moved(index, sender.from);
        }
        let inside = |range: Range<usize>| datagram.start + range.start..datagram.start + range.end;
        match opened {
            Opened::Inner(range) => self.deliver(scratch, inside(range), may_pass),
            Opened::Control(range) => self.tell(index, &scratch.received[inside(range)]),
            Opened::Swallowed(length) => self.counters.receiving.authentic_bytes.add(length as u64),
            Opened::Part => {}
            Opened::Assembled => self.deliver_assembled(scratch, index, may_pass),
            Opened::AssembledControl => self.tell_assembled(index),
        }
    }

    /// The control side decides and sends the endpoint back; until then every message from there asks again only if the
    /// event was lost.
    #[cold]
    fn moved(&mut self, session: u32, from: &Endpoint) {
        if self.endpoint.as_ref() == Some(from) {
            return;
        }
        if self.events.send(Event::Moved { channel: self.channel, session, from: (*from).into() }) {
            self.endpoint = Some(*from);
        }
    }

    /// An authentic control frame.
    fn tell(&self, session: u32, frame: &[u8]) {
        self.counters.receiving.authentic_bytes.add(frame.len() as u64);
        let frame = Event::Frame { channel: self.channel, at: Instant::now(), session, plaintext: frame.into() };
        if !self.events.send(frame) {
            self.drop_one(DropReason::ControlBusy);
        }
    }

    /// An authentic control frame that came in parts: it lies in its session.
    #[cold]
    fn tell_assembled(&mut self, session: u32) {
        let Some(frame) = self.sessions.get_mut(session).map(|session| session.key.assembled().to_vec()) else {
            return;
        };
        self.tell(session, &frame);
    }

    /// An authentic inner packet.
    #[inline(always)]
    fn deliver(&mut self, scratch: &mut Scratch, plaintext: Range<usize>, may_pass: bool) {
        let bytes = &scratch.received[plaintext.clone()];
        match self.admit(bytes, may_pass) {
            Ok(length) => {
                let packet = plaintext.start..plaintext.start + length;
                if let Some(longest) = self.clamp.longest {
                    mss::clamp(&mut scratch.received[packet.clone()], longest, false);
                }
                scratch.coalescer.push(&scratch.received, packet);
                if scratch.coalescer.is_full() {
                    self.write_or_fail(scratch);
                }
            }
            Err(reason) => self.drop_one(reason),
        }
    }

    /// An authentic inner packet that came in parts: it lies in its session, and is written by itself, behind those that
    /// came before it.
    fn deliver_assembled(&mut self, scratch: &mut Scratch, session: u32, may_pass: bool) {
        self.write_or_fail(scratch);
        let Some(session) = self.sessions.get_mut(session) else { return };
        let packet = session.key.assembled();
        let header = VirtioNetHdr::default().encode();
        let receiving = &self.counters.receiving;
        match admit(packet, may_pass, &self.filter, receiving) {
            Ok(length) => {
                let packet = &mut packet[..length];
                if let Some(longest) = self.clamp.longest {
                    mss::clamp(packet, longest, false);
                }
                match self.tun.write(&[IoSlice::new(&header), IoSlice::new(packet)]) {
                    Ok(_) => {
                        receiving.super_packets.add(1);
                        receiving.packets.add(1);
                        receiving.bytes.add(length as u64);
                    }
                    Err(error) if tun::is_down(&error) => receiving.drops.add(DropReason::DeviceDown, 1),
                    Err(_) => receiving.drops.add(DropReason::DeviceError, 1),
                }
            }
            Err(reason) => receiving.drops.add(reason, 1),
        }
    }

    /// Counts an authentic inner packet, and tells its real length, or why it may not pass.
    #[inline(always)]
    fn admit(&self, plaintext: &[u8], may_pass: bool) -> Result<usize, DropReason> {
        admit(plaintext, may_pass, &self.filter, &self.counters.receiving)
    }

    fn write_or_fail(&mut self, scratch: &mut Scratch) {
        if let Err(error) = self.write(scratch) {
            self.fail(error);
        }
    }

    /// Writes what the coalescer holds, in order.
    ///
    /// # Errors
    /// Only if the device is gone; everything else is counted.
    fn write(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        let mut gone = None;
        let mut refused = false;
        while let Some(item) = scratch.coalescer.next_item(&mut scratch.received) {
            let (packets, bytes) = content(&item);
            let receiving = &self.counters.receiving;
            match write_item(&self.tun, &item, &scratch.received) {
                Ok(()) => {
                    receiving.super_packets.add(1);
                    receiving.packets.add(packets);
                    receiving.bytes.add(bytes);
                }
                Err(error) if tun::is_down(&error) => receiving.drops.add(DropReason::DeviceDown, packets),
                Err(error) => {
                    receiving.drops.add(DropReason::DeviceError, packets);
                    if tun::is_gone(&error) {
                        gone = Some(error);
                    } else {
                        refused |= packets > 1 && tun::is_refused(&error);
                    }
                }
            }
        }
        scratch.coalescer.clear();
        if refused && self.joining != NOTHING {
            // Some kernels refuse valid super-packets (6.1.103 to 6.10 without 89add40066f9): one at a time from here.
            self.joining = NOTHING;
            scratch.coalescer.set_joining(NOTHING);
            self.events.send(Event::OffloadLost { channel: self.channel, offload: "tun segmentation" });
        }
        gone.map_or(Ok(()), Err)
    }

    fn hand_over(&mut self, datagram: &[u8], from: &Endpoint) {
        let event = Event::Handshake { channel: self.channel, from: (*from).into(), datagram: datagram.into() };
        if !self.events.send(event) {
            self.drop_one(DropReason::ControlBusy);
        }
    }

    fn unknown_session(&mut self, from: &Endpoint, now: Instant) {
        self.drop_one(DropReason::UnknownSession);
        if is_due(&self.told, DropReason::UnknownSession, now) {
            self.told[DropReason::UnknownSession as usize] = Some(now);
            self.events.send(Event::UnknownSession { channel: self.channel, from: (*from).into() });
        }
    }

    /// Drops a datagram, with a word to the control side if there is one.
    fn refuse(&mut self, reason: DropReason, why: Option<String>, from: &Endpoint, now: Instant) {
        self.drop_one(reason);
        if let Some(why) = why.filter(|_| is_due(&self.told, reason, now)) {
            self.told[reason as usize] = Some(now);
            self.events.send(Event::Refused { channel: self.channel, from: (*from).into(), reason, why });
        }
    }

    fn drop_one(&self, reason: DropReason) {
        self.counters.receiving.drops.add(reason, 1);
    }

    fn fail(&mut self, error: io::Error) {
        if !std::mem::replace(&mut self.has_failed, true) {
            self.events.send(Event::Failed { channel: self.channel, half: Half::Receiving, error });
        }
    }
}

/// Who sent a train.
struct Sender<'a> {
    from: &'a Endpoint,
    /// It is where the channel's packets go, as far as the half knew when the train came.
    is_known: bool,
}

/// One `writev`: the virtio header, then the packet from where its parts lie.
fn write_item(tun: &Tun, item: &Item<'_>, received: &[u8]) -> io::Result<()> {
    let mut slices = [IoSlice::new(&[]); 1 + MAX_SEGMENTS];
    slices[0] = IoSlice::new(&item.header);
    for (slice, range) in slices[1..].iter_mut().zip(item.ranges) {
        *slice = IoSlice::new(&received[range.clone()]);
    }
    tun.write(&slices[..=item.ranges.len()]).map(|_| ())
}

/// How many inner packets a super-packet holds, and their bytes: each had the headers that it now has once.
fn content(item: &Item<'_>) -> (u64, u64) {
    let packets = item.ranges.len() as u64;
    let joined: u64 = item.ranges.iter().map(|range| range.len() as u64).sum();
    let headers = u64::from(VirtioNetHdr::decode(&item.header).hdr_len);
    (packets, joined + packets.saturating_sub(1) * headers)
}

/// Counts an authentic inner packet, and tells its real length, or why it may not pass.
#[inline(always)] // It has a call of its own otherwise: 30 instructions a packet.
fn admit(
    plaintext: &[u8],
    is_admitted: bool,
    filter: &Filter,
    receiving: &ReceiveCounters,
) -> Result<usize, DropReason> {
    receiving.data.add(1);
    receiving.authentic_bytes.add(plaintext.len() as u64);
    if !is_admitted {
        return Err(DropReason::NotAdmitted);
    }
    let (addresses, length) = Addresses::parse_with_length(plaintext).ok_or(DropReason::BadInner)?;
    match filter.judge(&addresses) {
        Verdict::Pass => Ok(length),
        Verdict::PassIfIcmpError if packet::is_icmp_error(&plaintext[..length]) => {
            receiving.icmp_errors.add(1);
            Ok(length)
        }
        Verdict::PassIfIcmpError | Verdict::BadSource => Err(DropReason::BadSource),
        Verdict::BadDestination => Err(DropReason::BadDestination),
    }
}

/// Whether the control side may be told of a reason again.
fn is_due(told: &[Option<Instant>], reason: DropReason, now: Instant) -> bool {
    told[reason as usize].is_none_or(|told| now - told >= TELL_EVERY)
}
