//! The packets of one flow, linked through the pool.

use std::time::{Duration, Instant};

use super::{
    NONE,
    codel::Codel,
    pool::{Pool, Size, Slot, Usage},
};

/// A loss slows TCP once a round trip, and one takes so long under load. With 10 ms TCP lost 5 % of its speed and round trips
/// were no shorter.
pub(super) const HEARD_AFTER: Duration = Duration::from_millis(30);

#[derive(Debug)]
pub(super) struct Flow {
    first: Option<Slot>,
    last: Option<Slot>,
    bytes: usize,
    /// The slots that its packets have.
    pub(super) usage: Usage,
    /// What is left of its quantum.
    pub(super) deficit: i32,
    pub(super) codel: Codel,
    /// When it last lost a segment because too much waited.
    hurried: Option<Instant>,
    /// The flow behind it in its list.
    pub(super) next: u8,
    listed: bool,
}

impl Flow {
    pub(super) const EMPTY: Flow = Flow {
        first: None,
        last: None,
        bytes: 0,
        usage: Usage::NONE,
        deficit: 0,
        codel: Codel::NEW,
        hurried: None,
        next: NONE,
        listed: false,
    };

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn is_listed(&self) -> bool {
        self.listed
    }

    pub(super) fn start(&mut self, quantum: i32) {
        (self.listed, self.deficit) = (true, quantum);
    }

    pub(super) fn unlist(&mut self) {
        self.listed = false;
    }

    /// How much it would give if it lost a packet for the sake of one of this size: nothing if it holds no such slot.
    pub(super) fn excess(&self, size: Size) -> (usize, usize) {
        (self.usage.of(size), self.bytes)
    }

    pub(super) fn append(&mut self, pool: &mut Pool, slot: Slot, length: usize) {
        match self.last {
            None => self.first = Some(slot),
            Some(last) => pool.link(last, slot),
        }
        self.last = Some(slot);
        self.bytes += length;
        self.usage.add(pool, slot);
    }

    /// Whether the flow is to lose a segment because too much waits: one that has another super-packet waiting is, and not
    /// again before it can have heard of it.
    pub(super) fn hurry(&mut self, now: Instant) -> bool {
        let is_building = self.usage.of(Size::Large) > 0;
        if !is_building || self.hurried.is_some_and(|at| now.saturating_duration_since(at) < HEARD_AFTER) {
            return false;
        }
        self.hurried = Some(now);
        true
    }

    pub(super) fn remove_first(&mut self, pool: &mut Pool) -> Option<Slot> {
        let slot = self.first?;
        self.first = pool.behind(slot);
        if self.first.is_none() {
            self.last = None;
        }
        self.bytes -= pool.bytes(slot).len();
        self.usage.remove(pool, slot);
        Some(slot)
    }
}
