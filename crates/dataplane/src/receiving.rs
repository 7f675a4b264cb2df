//! The receiving half: UDP → tun.
//!
//! One turn receives trains behind one another into the worker's buffer, opens every message in place, lets the
//! coalescer note which packets follow one another, and at the end writes each run as one super-packet, gathered by
//! `writev` from where the packets lie. Nothing is copied in user space.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use meshtun_offload::{
    coalesce::{Item, Joining, MAX_SEGMENTS},
    packet::{self, Addresses},
    virtio::VirtioNetHdr,
};
use meshtun_proto::{
    control::is_control,
    message::{self, Kind, TAG_LEN, TRANSPORT_HEADER_LEN},
    session::{OpenError, ReceiveKey, ReceiveKeys},
};
use meshtun_sys::{
    epoll::{Epoll, Interest},
    tun::{self, Tun},
    udp::{self, Endpoint, RECEIVE_BATCH, Udp},
};

use crate::{
    ChannelId, Command, Counters, DropReason, Event, Filter, Half, Verdict,
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

/// How often a channel tells of messages for sessions that it does not have.
const UNKNOWN_SESSION_EVERY: Duration = Duration::from_secs(1);

/// Each packet by itself.
const NOTHING: Joining = Joining { tcp: false, udp: false };

/// What a receiving half is made of.
pub(crate) struct ReceivingParts {
    pub(crate) channel: ChannelId,
    pub(crate) tun: Arc<Tun>,
    pub(crate) udp: Arc<Udp>,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) filter: Arc<Filter>,
    pub(crate) joining: Joining,
    pub(crate) counters: Arc<Counters>,
    pub(crate) events: EventSender,
}

/// UDP → tun for one channel.
pub(crate) struct ReceivingHalf {
    channel: ChannelId,
    tun: Arc<Tun>,
    udp: Arc<Udp>,
    endpoint: Option<Endpoint>,
    filter: Arc<Filter>,
    keys: ReceiveKeys,
    /// Sessions whose first message the control side has heard of.
    confirmed: Sessions,
    /// Sessions under which inner packets pass.
    admitted: Sessions,
    /// What the device takes joined.
    joining: Joining,
    told_of_unknown_session: Option<Instant>,
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
        ReceivingHalf {
            channel: parts.channel,
            tun: parts.tun,
            udp: parts.udp,
            endpoint: parts.endpoint.map(Endpoint::from),
            filter: parts.filter,
            keys: ReceiveKeys::default(),
            confirmed: Sessions::default(),
            admitted: Sessions::default(),
            joining: parts.joining,
            told_of_unknown_session: None,
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
        let (mut places, mut bytes, mut turned) = (0, 0, Turn::Idle);
        scratch.coalescer.set_joining(self.joining);
        let messages = self.counters.receiving.messages.get();
        while places < PLACES && bytes < BYTES_PER_TURN {
            let batch = self.batch.min(PLACES - places);
            let room = &mut scratch.received[places * PLACE..];
            match self.udp.receive_each(room, PLACE, &mut scratch.arrivals[..batch]) {
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
        if self.counters.receiving.messages.get() != messages {
            self.counters.hear(now);
        }
        self.write_or_fail(scratch);
        if self.has_failed { Turn::Failed } else { turned }
    }

    pub(crate) fn obey(&mut self, command: Command) {
        match command {
            Command::InstallReceive(key) => self.install(key),
            Command::Admit(session) if self.keys.get_mut(session).is_some() => self.admitted.add(session),
            Command::Admit(_) => {}
            Command::Retire(session) => {
                self.keys.retire(session);
                self.confirmed.remove(session);
                self.admitted.remove(session);
            }
            Command::Filter(filter) => self.filter = filter,
            Command::Endpoint(endpoint) => self.endpoint = Some(endpoint.into()),
            Command::InstallSend(_) | Command::Use(_) | Command::Drain(_) | Command::Seal { .. } | Command::Mtu(_) => {}
        }
    }

    pub(crate) fn watch(&self, epoll: &Epoll) -> io::Result<()> {
        epoll.add(&*self.udp, token(Some(self.channel), Source::Udp), Interest::Read)
    }

    pub(crate) fn unwatch(&self, epoll: &Epoll) {
        let _gone = epoll.delete(&*self.udp);
    }

    fn install(&mut self, key: Box<ReceiveKey>) {
        let session = key.local_index();
        self.confirmed.remove(session);
        self.admitted.remove(session);
        self.keys.insert(*key);
        let keys = &mut self.keys;
        self.confirmed.retain(|session| keys.get_mut(session).is_some());
        self.admitted.retain(|session| keys.get_mut(session).is_some());
    }

    /// What one call received, from a place on; tells how many bytes.
    fn open_trains(&mut self, scratch: &mut Scratch, first: usize, count: usize, now: Instant) -> usize {
        self.counters.receiving.trains.add(count as u64);
        let mut bytes = 0;
        for index in 0..count {
            let train = scratch.arrivals[index];
            if train.truncated {
                self.drop_one(DropReason::Truncated);
            }
            let start = (first + index) * PLACE;
            self.open_train(scratch, start..start + train.len, train.segment, &train.from, now);
            bytes += train.len;
        }
        bytes
    }

    /// The datagrams of one train, `segment` bytes each but the last.
    fn open_train(
        &mut self,
        scratch: &mut Scratch,
        train: Range<usize>,
        segment: usize,
        from: &Endpoint,
        now: Instant,
    ) {
        if train.is_empty() {
            return self.drop_one(DropReason::Malformed);
        }
        let mut start = train.start;
        while start < train.end {
            let end = (start + segment.max(1)).min(train.end);
            self.open_datagram(scratch, start..end, from, now);
            start = end;
        }
    }

    fn open_datagram(&mut self, scratch: &mut Scratch, datagram: Range<usize>, from: &Endpoint, now: Instant) {
        let bytes = &mut scratch.received[datagram.clone()];
        match message::classify(bytes) {
            Some(Kind::Transport) => {}
            Some(_) => return self.hand_over(bytes, from),
            None => return self.drop_one(DropReason::Malformed),
        }
        let Some(session) = message::transport_receiver(bytes) else { return self.drop_one(DropReason::Malformed) };
        let Some(key) = self.keys.get_mut(session) else { return self.unknown_session(from, now) };
        if now >= key.expires() {
            return self.drop_one(DropReason::Expired);
        }
        let plaintext = match key.open(bytes) {
            Ok(plaintext) => plaintext.len(),
            Err(error) => return self.drop_one(reason_of(error)),
        };
        self.counters.receiving.messages.add(1);
        self.authenticated(session, from);
        let start = datagram.start + TRANSPORT_HEADER_LEN;
        debug_assert_eq!(start + plaintext + TAG_LEN, datagram.end, "the message was opened in place");
        self.deliver(scratch, session, start..start + plaintext);
    }

    /// What every authentic message tells: the peer has the session, and where the peer is.
    fn authenticated(&mut self, session: u32, from: &Endpoint) {
        if !self.confirmed.has(session) && self.events.send(Event::Confirmed { channel: self.channel, session }) {
            self.confirmed.add(session);
        }
        if self.endpoint.as_ref() != Some(from) {
            let moved = Event::Moved { channel: self.channel, session, from: (*from).into() };
            // The control side decides and sends the endpoint back; until then every message from there asks again
            // only if the event was lost.
            if self.events.send(moved) {
                self.endpoint = Some(*from);
            }
        }
    }

    /// An opened plaintext: a keepalive, an inner packet or a control frame.
    fn deliver(&mut self, scratch: &mut Scratch, session: u32, plaintext: Range<usize>) {
        let bytes = &scratch.received[plaintext.clone()];
        if bytes.is_empty() {
            return;
        }
        if is_control(bytes) {
            let frame = Event::Frame { channel: self.channel, at: Instant::now(), session, plaintext: bytes.into() };
            if !self.events.send(frame) {
                self.drop_one(DropReason::ControlBusy);
            }
            return;
        }
        self.counters.receiving.data.add(1);
        if !self.admitted.has(session) {
            return self.drop_one(DropReason::NotAdmitted);
        }
        match self.judge(bytes) {
            Ok(length) => {
                let packet = plaintext.start..plaintext.start + length;
                scratch.coalescer.push(&scratch.received, packet);
                if scratch.coalescer.is_full() {
                    self.write_or_fail(scratch);
                }
            }
            Err(reason) => self.drop_one(reason),
        }
    }

    /// The inner packet's real length, or why it may not pass.
    fn judge(&self, plaintext: &[u8]) -> Result<usize, DropReason> {
        let (addresses, length) = Addresses::parse_with_length(plaintext).ok_or(DropReason::BadInner)?;
        match self.filter.judge(&addresses) {
            Verdict::Pass => Ok(length),
            Verdict::PassIfIcmpError if packet::is_icmp_error(&plaintext[..length]) => {
                self.counters.receiving.icmp_errors.add(1);
                Ok(length)
            }
            Verdict::PassIfIcmpError | Verdict::BadSource => Err(DropReason::BadSource),
            Verdict::BadDestination => Err(DropReason::BadDestination),
        }
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
        let due = self.told_of_unknown_session.is_none_or(|told| now - told >= UNKNOWN_SESSION_EVERY);
        if due {
            self.told_of_unknown_session = Some(now);
            self.events.send(Event::UnknownSession { channel: self.channel, from: (*from).into() });
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

fn reason_of(error: OpenError) -> DropReason {
    match error {
        OpenError::Malformed => DropReason::Malformed,
        OpenError::Replayed => DropReason::Replayed,
        OpenError::Forged => DropReason::Forged,
        OpenError::Exhausted => DropReason::Expired,
    }
}

/// A set of sessions out of those whose receive keys are held, so never more than there are keys.
#[derive(Debug, Default)]
struct Sessions([Option<u32>; ReceiveKeys::CAPACITY]);

impl Sessions {
    fn has(&self, session: u32) -> bool {
        self.0.contains(&Some(session))
    }

    fn add(&mut self, session: u32) {
        if !self.has(session) {
            // Sessions without a key were removed when the newest key came, so a slot is free.
            if let Some(free) = self.0.iter_mut().find(|slot| slot.is_none()) {
                *free = Some(session);
            }
        }
    }

    fn remove(&mut self, session: u32) {
        self.retain(|kept| kept != session);
    }

    fn retain(&mut self, mut keep: impl FnMut(u32) -> bool) {
        for slot in &mut self.0 {
            *slot = slot.filter(|session| keep(*session));
        }
    }
}
