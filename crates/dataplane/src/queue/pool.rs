//! The worker's memory for packets that wait, in slots of two sizes, linked by number.

use std::{num::NonZeroU16, ops::Range, time::Instant};

/// A virtio header and the longest super-packet, with slack so that the kernel never truncates.
const SUPER_PACKET: usize = 10 + 65_535 + 7;

/// Bytes of a small slot: a virtio header and a packet of any usual MTU.
const SMALL: usize = 2048;

/// One packet's place in the pool. (Never zero, so that an `Option` of it takes two bytes.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(NonZeroU16);

/// Slots for the packets of all sending halves of a worker.
///
/// One large slot is always free, the *spare*: the next packet is read into it. Memory that was never needed is never
/// touched, and what was freed last is used first.
#[derive(Debug)]
pub(crate) struct Pool {
    bytes: Box<[u8]>,
    small: usize,
    entries: Box<[Entry]>,
    free_small: Vec<Slot>,
    free_large: Vec<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    length: u32,
    next: Option<Slot>,
    since: Instant,
}

impl Pool {
    /// Room for so many packets of up to 2 kB, and so many larger ones besides the spare.
    pub(crate) fn new(small: usize, large: usize) -> Pool {
        let count = small + large + 1;
        let slots = || (1..=count).map(|number| Slot(NonZeroU16::new(number as u16).expect("counts from one")));
        assert!(count < usize::from(u16::MAX), "slots have numbers of 16 bits");
        Pool {
            bytes: vec![0; small * SMALL + (large + 1) * SUPER_PACKET].into(),
            small,
            entries: vec![Entry { length: 0, next: None, since: Instant::now() }; count].into(),
            free_small: slots().take(small).collect(),
            free_large: slots().skip(small).collect(),
        }
    }

    /// The slot into which the next packet is read.
    #[inline]
    pub(crate) fn spare_mut(&mut self) -> &mut [u8] {
        let range = self.range(self.spare_slot());
        &mut self.bytes[range]
    }

    /// The first `length` bytes of what was read.
    pub(super) fn spare(&self, length: usize) -> &[u8] {
        &self.bytes[self.range(self.spare_slot())][..length]
    }

    /// Keeps what was read: a small packet is copied to a small slot, a large one stays where it is and another slot
    /// becomes the spare. `None` if the queue that asks has as many slots of that size as are free: so one queue gets half
    /// of them, two get a third each once both want them (Choudhury and Hahne, Dynamic Queue Length Thresholds for
    /// Shared-Memory Packet Switches, 1998).
    #[inline]
    pub(super) fn keep_spare(&mut self, length: usize, now: Instant, usage: Usage) -> Option<Slot> {
        let size = Size::of(length);
        let (free, used) = match size {
            Size::Small => (self.free_small.len(), usage.small),
            // The spare itself must be followed by another.
            Size::Large => (self.free_large.len() - 1, usage.large),
        };
        let slot = match size {
            _ if used >= free => None,
            Size::Small => self.copy_spare(length),
            Size::Large => self.free_large.pop(),
        }?;
        self.entries[index(slot)] = Entry { length: length as u32, next: None, since: now };
        Some(slot)
    }

    #[inline]
    pub(crate) fn bytes(&self, slot: Slot) -> &[u8] {
        &self.bytes[self.range(slot)][..self.entries[index(slot)].length as usize]
    }

    #[inline]
    pub(crate) fn bytes_mut(&mut self, slot: Slot) -> &mut [u8] {
        let range = self.range(slot);
        &mut self.bytes[range][..self.entries[index(slot)].length as usize]
    }

    /// Frees a slot; the spare stays the spare, with what was read into it.
    pub(crate) fn free(&mut self, slot: Slot) {
        if index(slot) < self.small {
            return self.free_small.push(slot);
        }
        let spare = self.free_large.len() - 1;
        self.free_large.push(slot);
        self.free_large.swap(spare, spare + 1);
    }

    /// When the packet was read.
    pub(super) fn since(&self, slot: Slot) -> Instant {
        self.entries[index(slot)].since
    }

    pub(super) fn link(&mut self, slot: Slot, next: Slot) {
        self.entries[index(slot)].next = Some(next);
    }

    pub(super) fn behind(&self, slot: Slot) -> Option<Slot> {
        self.entries[index(slot)].next
    }

    fn copy_spare(&mut self, length: usize) -> Option<Slot> {
        let slot = self.free_small.pop()?;
        let from = self.range(self.spare_slot()).start;
        let to = self.range(slot).start;
        self.bytes.copy_within(from..from + length, to);
        Some(slot)
    }

    fn spare_slot(&self) -> Slot {
        *self.free_large.last().expect("one large slot is always free")
    }

    #[inline]
    fn range(&self, slot: Slot) -> Range<usize> {
        let index = index(slot);
        match index.checked_sub(self.small) {
            None => index * SMALL..(index + 1) * SMALL,
            Some(large) => {
                let start = self.small * SMALL + large * SUPER_PACKET;
                start..start + SUPER_PACKET
            }
        }
    }
}

/// The sizes of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Small,
    Large,
}

impl Size {
    /// The slot that a packet of so many bytes needs.
    pub(super) fn of(length: usize) -> Size {
        if length <= SMALL { Size::Small } else { Size::Large }
    }
}

/// How many slots of each size a queue or a flow has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    small: usize,
    large: usize,
}

impl Usage {
    pub(super) const NONE: Usage = Usage { small: 0, large: 0 };

    pub(super) fn of(&self, size: Size) -> usize {
        match size {
            Size::Small => self.small,
            Size::Large => self.large,
        }
    }

    pub(super) fn add(&mut self, pool: &Pool, slot: Slot) {
        *self.count(pool, slot) += 1;
    }

    pub(super) fn remove(&mut self, pool: &Pool, slot: Slot) {
        *self.count(pool, slot) -= 1;
    }

    fn count(&mut self, pool: &Pool, slot: Slot) -> &mut usize {
        if index(slot) < pool.small { &mut self.small } else { &mut self.large }
    }
}

#[inline]
fn index(slot: Slot) -> usize {
    usize::from(slot.0.get()) - 1
}
