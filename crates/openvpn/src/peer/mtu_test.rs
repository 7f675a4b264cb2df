//! `mtu-test`: longer and longer datagrams both ways, and which of them arrive (occ.c). Answers are given to whoever asks.

use std::time::{Duration, Instant};

use super::{Note, Timer};
use crate::{
    mtu,
    occ::{MAGIC, Message},
    options::{Options, Protocol},
};

/// Between two steps (`OCC_MTU_LOAD_INTERVAL_SECONDS`).
const STEP_EVERY: Duration = Duration::from_secs(3);

/// How much shorter than the longest datagrams are, in order.
const SHORTER: [u16; 10] = [1000, 750, 500, 400, 300, 200, 150, 100, 50, 0];

/// How often each length is tried, each time both ways.
const TRIES: usize = 3;

/// How often the result is asked for at the end.
const QUESTIONS: usize = 10;

/// With less than this no datagram is too long.
const LEAST_MTU: u16 = 100;

#[derive(Debug)]
pub(super) struct MtuTest {
    timer: Timer,
    step: usize,
    is_fragmenting: bool,
    /// The longest datagram by the options, and what of a datagram is not its payload.
    longest: usize,
    overhead: usize,
    datagrams: mtu::Datagrams,
    most: usize,
    received: u16,
    sent: u16,
}

impl MtuTest {
    pub(super) fn new(options: &Options, protocol: Protocol, now: Instant) -> Self {
        let (longest, overhead) = mtu::load_test(options, protocol);
        Self {
            timer: if options.mtu_test { Timer::every(STEP_EVERY, now) } else { Timer::never() },
            step: 0,
            is_fragmenting: options.fragment.is_some(),
            longest,
            overhead,
            datagrams: mtu::Datagrams::new(options, protocol, false),
            most: mtu::longest_packet(options, protocol),
            received: 0,
            sent: 0,
        }
    }

    pub(super) fn note_lengths(&mut self, received: u16, sent: u16) {
        (self.received, self.sent) = (self.received.max(received), self.sent.max(sent));
    }

    pub(super) fn due(&self, is_established: bool) -> Option<Instant> {
        self.timer.due().filter(|_| is_established)
    }

    /// The next step, if it is due.
    pub(super) fn turn(&mut self, now: Instant, is_established: bool) -> (Option<Message>, Vec<Note>) {
        if !is_established || !self.timer.fire(now) {
            return (None, Vec::new());
        }
        let notes = if self.step == 0 { vec![Note::MtuTestBegins] } else { Vec::new() };
        let step = self.step;
        self.step += 1;
        let loads = SHORTER.len() * TRIES * 2;
        if step >= loads + QUESTIONS {
            self.timer = Timer::never();
            return (None, vec![Note::MtuTestFailed]);
        }
        if step >= loads {
            return (Some(Message::MtuRequest), notes);
        }
        let length = self.longest.saturating_sub(SHORTER[step / (TRIES * 2)].into());
        let message = if step.is_multiple_of(2) {
            Message::MtuLoadRequest(u16::try_from(length).unwrap_or(u16::MAX))
        } else {
            self.load_of(length)
        };
        (Some(message), notes)
    }

    /// What makes a datagram of about so many bytes.
    pub(super) fn load_of(&mut self, datagram: usize) -> Message {
        let length = datagram.min(self.most).saturating_sub(MAGIC.len() + 1 + self.overhead);
        let sent = self.datagrams.longest(MAGIC.len() + 1 + length);
        self.note_lengths(0, u16::try_from(sent).unwrap_or(u16::MAX));
        Message::MtuLoad(length)
    }

    pub(super) fn reply(&self) -> Message {
        Message::MtuReply { received: self.received, sent: self.sent }
    }

    /// The peer has told its longest.
    pub(super) fn finish(&mut self, received: u16, sent: u16, protocol: Protocol) -> Vec<Note> {
        if self.timer.due().is_none() || received == 0 || sent == 0 {
            return Vec::new();
        }
        self.timer = Timer::never();
        let mut notes =
            vec![Note::MtuTested { local_to_remote: (self.sent, received), remote_to_local: (sent, self.received) }];
        let gets_lost = received < self.sent || self.received < sent;
        if gets_lost && self.sent > LEAST_MTU && protocol == Protocol::Udp && !self.is_fragmenting {
            notes.push(Note::MtuTooLong(self.sent));
        }
        notes
    }
}
