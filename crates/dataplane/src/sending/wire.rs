//! The way out of a sending half: one socket, one peer, and the trains that the socket had no room for.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use meshtun_sys::udp::{self, Endpoint};

use super::{
    SendingParts,
    class::Class,
    packets_in,
    shaper::Pace,
    train::{Sealed, Stuck},
};
use crate::{ChannelId, Counters, DropReason, Event, Half, Transport, events::EventSender};

/// How often a channel tells that its datagrams are too long for the underlay, or do not go at all.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The way out: the socket, the peer's address, and a train that the socket would not take yet.
pub(super) struct Wire {
    channel: ChannelId,
    transport: Transport,
    /// Bytes before each datagram of a train, which hold its length.
    pub(super) prefix: usize,
    /// Trains of datagrams as long as this are not tried again: the kernel cuts such datagrams, but only one by one.
    too_long_for_trains: usize,
    /// A stream that takes nothing any more.
    is_broken: bool,
    /// The same socket under another descriptor, since one epoll instance watches a descriptor once.
    pub(super) writable: OwnedFd,
    endpoint: Option<Endpoint>,
    stuck: Stuck,
    pub(super) pace: Pace,
    pub(super) class: Class,
    told_too_big: Option<Instant>,
    told_unsent: Option<Instant>,
    pub(super) counters: Arc<Counters>,
    pub(super) events: EventSender,
}

/// The inner packets in a train.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    /// The datagrams of which the packets are made.
    pub(super) messages: u64,
    /// Their class, if the datagrams get it.
    pub(super) class: Option<u8>,
}

impl Wire {
    pub(super) fn new(parts: SendingParts) -> io::Result<Wire> {
        Ok(Wire {
            channel: parts.channel,
            writable: parts.transport.as_fd().try_clone_to_owned()?,
            prefix: parts.transport.prefix(),
            transport: parts.transport,
            too_long_for_trains: usize::MAX,
            is_broken: false,
            endpoint: parts.endpoint.map(Endpoint::from),
            stuck: Stuck::new(),
            pace: Pace::default(),
            class: Class::default(),
            told_too_big: None,
            told_unsent: None,
            counters: parts.counters,
            events: parts.events,
        })
    }

    /// The way there may take longer datagrams.
    pub(super) fn set_endpoint(&mut self, endpoint: Endpoint) {
        self.endpoint = Some(endpoint);
        self.too_long_for_trains = usize::MAX;
    }

    /// What was read is given up for want of memory.
    pub(super) fn lose(&self, read: &[u8]) {
        self.counters.sending.drops.add(DropReason::QueueFull, packets_in(read));
    }

    #[inline]
    pub(super) fn is_stuck(&self) -> bool {
        !self.stuck.is_empty() || self.pace.rests()
    }

    /// As [`Self::is_stuck`], for want of room in the socket.
    pub(super) fn waits_for_room(&self) -> bool {
        !self.stuck.is_empty() && !self.pace.rests()
    }

    /// Sends a train, or keeps it if the socket has no room, or counts why it is lost.
    pub(super) fn send(&mut self, train: Sealed<'_>, load: Load) {
        let load = Load { class: self.class.wanted(), ..load };
        let gone = if self.is_stuck() { 0 } else { self.send_now(train, load) };
        if gone < train.bytes().len() {
            self.stuck.keep(train.without(gone), load);
        }
    }

    /// Tells how many bytes need not be sent again: all, unless the socket has no room or the wire rests.
    fn send_now(&mut self, train: Sealed<'_>, load: Load) -> usize {
        if self.pace.rests() {
            return 0;
        }
        if let Some(class) = load.class {
            self.class.set(&self.transport, class);
        }
        let gone = self.send_at_once(train, load);
        self.pace.charge(gone, train.segment());
        gone
    }

    fn send_at_once(&mut self, train: Sealed<'_>, load: Load) -> usize {
        let (train, segment) = (train.bytes(), train.segment());
        let udp = match &self.transport {
            Transport::Udp(udp) => udp,
            Transport::Tcp(stream) => {
                let written = stream.write(train);
                return self.account_stream(written, train, load);
            }
        };
        let Some(endpoint) = self.endpoint else {
            self.counters.sending.drops.add(DropReason::NoEndpoint, load.packets);
            return train.len();
        };
        let sent = if udp.offloads().gso && segment < self.too_long_for_trains {
            udp.send_train(&endpoint, train, segment).map(|()| train.len())
        } else {
            udp.send_each(&endpoint, train, segment)
        };
        let sent = match sent {
            Err(error) if train.len() > segment => self.send_without_gso(error, &endpoint, train, segment),
            sent => sent,
        };
        self.account(sent, train, segment, load)
    }

    /// The kernel refused the train. If it takes the datagrams one by one, it was the train that it refused, and it gets
    /// no other; if not, the datagrams were at fault. Where it is their length, longer ones than these are tried no more:
    /// on a socket whose packets may be cut the kernel cuts lone datagrams, and no trains.
    fn send_without_gso(&mut self, error: io::Error, to: &Endpoint, train: &[u8], segment: usize) -> io::Result<usize> {
        let Transport::Udp(udp) = &self.transport else { return Err(error) };
        if udp.cuts() && (udp::is_message_too_long(&error) || udp::is_gso_unsupported(&error)) {
            let sent = udp.send_each(to, train, segment)?;
            self.too_long_for_trains = self.too_long_for_trains.min(segment);
            return Ok(sent);
        }
        if !udp::is_gso_unsupported(&error) {
            return Err(error);
        }
        let sent = udp.send_each(to, train, segment)?;
        udp.disable_gso();
        self.events.send(Event::OffloadLost { channel: self.channel, offload: "UDP_SEGMENT" });
        Ok(sent)
    }

    /// As [`Self::account`], for a stream: what it took in part is kept to the last byte. One that ends says so once.
    fn account_stream(&mut self, written: io::Result<usize>, train: &[u8], load: Load) -> usize {
        match written {
            Err(error) if !udp::is_would_block(&error) => {
                self.counters.sending.drops.add(DropReason::Unreachable, load.packets);
                if !std::mem::replace(&mut self.is_broken, true) {
                    self.events.send(Event::Failed { channel: self.channel, half: Half::Sending, error });
                }
                train.len()
            }
            written => self.account(written, train, train.len(), load),
        }
    }

    fn account(&mut self, sent: io::Result<usize>, train: &[u8], segment: usize, load: Load) -> usize {
        let sending = &self.counters.sending;
        match sent {
            Ok(length) if length < train.len() => {
                sending.wire_bytes.add(length as u64);
                return length;
            }
            Ok(_) => {
                sending.packets.add(load.packets);
                sending.bytes.add(load.bytes);
                sending.messages.add(load.messages);
                sending.wire_bytes.add(train.len() as u64);
                // A lone frame is no train.
                sending.trains.add(u64::from(load.packets > 0));
            }
            Err(error) if udp::is_would_block(&error) => return 0,
            Err(error) if udp::is_message_too_long(&error) => {
                sending.drops.add(DropReason::TooBigForUnderlay, load.packets);
                self.tell_too_big(segment);
            }
            Err(error) => {
                let is_unreachable = udp::is_unreachable(&error);
                let reason = if is_unreachable { DropReason::Unreachable } else { DropReason::SendError };
                sending.drops.add(reason, load.packets);
                self.tell_unsent(error);
            }
        }
        train.len()
    }

    /// Every train may be too big: one word a second is enough, and leaves room for others.
    fn tell_too_big(&mut self, datagram: usize) {
        let now = Instant::now();
        if self.told_too_big.is_none_or(|told| now - told >= TELL_EVERY) {
            self.told_too_big = Some(now);
            self.events.send(Event::TooBigForUnderlay { channel: self.channel, datagram });
        }
    }

    /// As [`Self::tell_too_big`], of any other error.
    fn tell_unsent(&mut self, error: io::Error) {
        let now = Instant::now();
        if self.told_unsent.is_none_or(|told| now - told >= TELL_EVERY) {
            self.told_unsent = Some(now);
            self.events.send(Event::Unsent { channel: self.channel, error });
        }
    }

    /// The socket has room, or a rest is over.
    pub(super) fn resume(&mut self, now: Instant) {
        self.pace.resume(now);
        let mut stuck = std::mem::take(&mut self.stuck);
        stuck.resume(|train, load| self.send_now(train, load));
        self.stuck = stuck;
    }

    /// Whether a frame of so many bytes may be sealed: for a stream only if it can be kept, since a session whose messages
    /// come in order misses one that is lost.
    pub(super) fn takes_frame(&self, length: usize) -> bool {
        matches!(self.transport, Transport::Udp(_)) || self.stuck.has_room(length)
    }

    /// A frame that finds no room goes first when there is, before the trains that wait. Where none wait, it is lost, as
    /// on any network: whoever sent it asks again. In a stream it waits for its turn.
    pub(super) fn send_frame(&mut self, frame: Sealed<'_>, now: Instant) {
        let Transport::Udp(udp) = &self.transport else {
            self.send(frame, Load { messages: 1, ..Load::default() });
            return self.counters.say(now);
        };
        let Some(endpoint) = &self.endpoint else { return };
        match udp.send_to(frame.bytes(), endpoint) {
            Ok(()) => {
                self.counters.sending.messages.add(1);
                self.counters.sending.wire_bytes.add(frame.bytes().len() as u64);
                self.counters.say(now);
                self.pace.charge_frame(frame.bytes().len(), now);
            }
            Err(error) if udp::is_would_block(&error) && self.is_stuck() => self.stuck.keep_first(frame),
            Err(error) if udp::is_would_block(&error) || udp::is_message_too_long(&error) => {}
            Err(error) => self.tell_unsent(error),
        }
    }
}
