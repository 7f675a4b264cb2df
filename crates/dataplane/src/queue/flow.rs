//! The packets of one flow, linked through the pool.

use super::{
    NONE,
    codel::Codel,
    pool::{Pool, Size, Slot, Usage},
};

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
