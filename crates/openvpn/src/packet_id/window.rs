//! Which packets were seen: refuses what comes twice, too late or out of order (packet_id.c, `packet_id_test`, `packet_id_add`,
//! `packet_id_reap`).

use std::{collections::VecDeque, fmt};

use super::PacketId;
use crate::options::ReplayWindow;

/// How often what is too old is looked for, in seconds (`SEQ_REAP_INTERVAL`).
const REAP_EVERY: u64 = 5;

/// Why an id is refused: OpenVPN's "bad packet ID (may be a replay)".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// Zero, which nobody sends.
    Zero,
    /// It was seen.
    Seen {
        /// How far behind the newest.
        behind: u32,
    },
    /// It is too far behind the newest, in packets or in time, to know.
    Late {
        /// How far behind the newest.
        behind: u32,
    },
    /// The sender's time is before that of others: one of an earlier life, or its clock went back over a restart.
    TimeBacktrack,
    /// It is not the next one, where all must come in order.
    OutOfOrder,
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => f.write_str("zero"),
            Self::Seen { behind } => write!(f, "seen before, {behind} behind the newest"),
            Self::Late { behind } => write!(f, "too late to know, {behind} behind the newest"),
            Self::TimeBacktrack => f.write_str("a time before that of packets seen"),
            Self::OutOfOrder => f.write_str("not the next one"),
        }
    }
}

/// What was seen of one peer's ids.
///
/// Beyond OpenVPN's rules, ids up to the one that was kept over a restart stay refused when newer ones have come; OpenVPN
/// would take those within the window again.
#[derive(Debug)]
pub struct Window {
    /// How far behind the newest a packet may come; zero: strictly one after the other.
    packets: u32,
    /// How long after a newer one a packet may come, in seconds; zero: any time.
    seconds: u64,
    newest: PacketId,
    /// Ids up to this one are refused.
    floor: u32,
    /// A ring of bits for the ids seen: `id` is bit `id % 64` of word `id / 64 % words`.
    ring: Box<[u64]>,
    /// The newest id at the end of each second in which there was one, as far back as they matter.
    history: VecDeque<(u64, u32)>,
    reaped: u64,
    backtrack: u32,
}

impl Window {
    /// A window that has seen nothing. `rule` is `replay-window`; a stream of TCP has zero packets.
    #[must_use]
    pub fn new(rule: ReplayWindow) -> Self {
        let words = if rule.packets == 0 { 0 } else { (rule.packets as usize / 64 + 2).next_power_of_two() };
        let seconds = rule.time.as_secs();
        Self {
            packets: rule.packets,
            seconds,
            newest: PacketId::default(),
            floor: 0,
            ring: vec![0; words].into(),
            history: VecDeque::with_capacity(seconds as usize + 16),
            reaped: 0,
            backtrack: 0,
        }
    }

    /// Goes on where a predecessor was: what it may have seen is refused.
    pub fn resume(&mut self, newest: PacketId) {
        self.forget();
        (self.newest, self.floor) = (newest, newest.id);
    }

    /// The newest id seen: what a successor must be told. Its time is zero when nothing was seen.
    #[must_use]
    pub fn newest(&self) -> PacketId {
        self.newest
    }

    /// How far behind the newest a packet ever came ("replay-window backtrack occurred").
    #[must_use]
    pub fn backtrack(&self) -> u32 {
        self.backtrack
    }

    /// Judges the id of a packet that has proved authentic, and remembers it if it passes. `now` counts seconds since any
    /// fixed moment.
    ///
    /// # Errors
    /// Why the packet is refused; nothing but [`Self::backtrack`] has changed then.
    #[inline]
    pub fn accept(&mut self, packet: PacketId, now: u64) -> Result<(), Replay> {
        self.reap(now);
        if packet.id == 0 {
            return Err(Replay::Zero);
        }
        if packet.time < self.newest.time {
            return Err(Replay::TimeBacktrack);
        }
        if self.packets == 0 {
            return self.accept_in_order(packet);
        }
        if packet.time > self.newest.time {
            self.forget();
            self.newest = PacketId { time: packet.time, id: 0 };
        }
        if packet.id > self.newest.id {
            self.advance(packet.id, now);
        } else {
            self.judge_late(packet.id)?;
        }
        let (word, bit) = self.place(packet.id);
        self.ring[word] |= bit;
        Ok(())
    }

    fn accept_in_order(&mut self, packet: PacketId) -> Result<(), Replay> {
        let expected = if packet.time > self.newest.time { Some(1) } else { self.newest.id.checked_add(1) };
        // Before the first packet of time zero any number is the next.
        if Some(packet.id) != expected && (packet.time > self.newest.time || self.newest.id != 0) {
            return Err(Replay::OutOfOrder);
        }
        self.newest = packet;
        Ok(())
    }

    fn judge_late(&mut self, id: u32) -> Result<(), Replay> {
        let behind = self.newest.id - id;
        self.backtrack = self.backtrack.max(behind);
        let (word, bit) = self.place(id);
        if behind >= self.packets {
            Err(Replay::Late { behind })
        } else if self.ring[word] & bit != 0 {
            Err(Replay::Seen { behind })
        } else if id <= self.floor {
            Err(Replay::Late { behind })
        } else {
            Ok(())
        }
    }

    /// Makes `id` the newest, forgetting the words of the ring that are entered on the way.
    fn advance(&mut self, id: u32, now: u64) {
        let entered = (id / 64 - self.newest.id / 64) as usize;
        for step in 0..entered.min(self.ring.len()) {
            let (word, _) = self.place(id - step as u32 * 64);
            self.ring[word] = 0;
        }
        self.newest.id = id;
        if self.seconds == 0 {
            return;
        }
        match self.history.back_mut() {
            Some((second, newest)) if *second >= now => *newest = id,
            _ => {
                if self.history.len() == self.history.capacity() {
                    self.history.pop_front();
                }
                self.history.push_back((now, id));
            }
        }
    }

    /// Every 5 s: what is older than an id that was seen too long ago is not waited for any more.
    #[inline]
    fn reap(&mut self, now: u64) {
        if self.reaped + REAP_EVERY > now {
            return;
        }
        self.reaped = now;
        while let Some((_, newest)) = self.history.front().filter(|(second, _)| second + self.seconds < now) {
            self.floor = self.floor.max(*newest);
            self.history.pop_front();
        }
    }

    /// Another time has begun.
    fn forget(&mut self) {
        self.ring.fill(0);
        self.history.clear();
        self.floor = 0;
    }

    fn place(&self, id: u32) -> (usize, u64) {
        ((id / 64) as usize & (self.ring.len() - 1), 1 << (id % 64))
    }
}
