//! The packets of one flow, linked through the pool.

use super::{
    NONE,
    codel::Codel,
    pool::{Pool, Slot},
};

#[derive(Debug)]
pub(super) struct Flow {
    first: Option<Slot>,
    last: Option<Slot>,
    pub(super) bytes: usize,
    /// What is left of its quantum.
    pub(super) deficit: i32,
    pub(super) codel: Codel,
    /// The flow behind it in its list.
    pub(super) next: u8,
    listed: bool,
}

impl Flow {
    pub(super) const EMPTY: Flow =
        Flow { first: None, last: None, bytes: 0, deficit: 0, codel: Codel::NEW, next: NONE, listed: false };

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

    pub(super) fn append(&mut self, pool: &mut Pool, slot: Slot, length: usize) {
        match self.last {
            None => self.first = Some(slot),
            Some(last) => pool.link(last, slot),
        }
        self.last = Some(slot);
        self.bytes += length;
    }

    pub(super) fn remove_first(&mut self, pool: &mut Pool) -> Option<Slot> {
        let slot = self.first?;
        self.first = pool.behind(slot);
        if self.first.is_none() {
            self.last = None;
        }
        self.bytes -= pool.bytes(slot).len();
        Some(slot)
    }
}
