//! What a sending half has read and not yet sealed: short, fair between flows, and kind to the sparse ones.
//!
//! A tun device has no back-pressure: when the tunnel is slower than what the kernel forwards, packets pile up, and in
//! the device they do so in one line of up to 500 super-packets, which is 32 MB or tens of milliseconds, in front of
//! everybody's ping. So the device is read until it is empty, always, and what cannot be sealed at once waits here, by
//! FQ-CoDel (RFC 8290): a queue for each flow, served in turn by deficit round robin; a flow that had nothing waiting
//! goes first; and a flow whose packets have waited longer than [`codel::TARGET`] for [`codel::INTERVAL`] loses some
//! (RFC 8289): of a super-packet only the first segment, since that is what the RFC means by a packet. While as many wait as
//! are [`ENOUGH`], flows lose one without that patience. When the half has its share of the worker's memory, which is as
//! much as is left over, its longest queue loses its oldest packet.
//!
//! A flow's packets never overtake each other. Differences from the RFC: the quantum is a whole super-packet, and
//! packets are dropped where it would mark them.

mod codel;
mod flow;
mod pool;

use std::time::Instant;

use self::{
    codel::Verdict,
    flow::Flow,
    pool::{Size, Usage},
};
pub(crate) use pool::{Pool, Slot};

/// Flows that are told apart; two of them share a queue by chance, or because a host behind the gateway means to (the hash
/// has no secret).
const FLOWS: usize = 128;

/// Bytes that a flow may send before it is the next one's turn: one super-packet.
const QUANTUM: i32 = 65_536;

/// Super-packets that may wait in one half (1.5 MiB, 2 ms at 6 Gb/s) before its flows are told to slow down at once,
/// without [`codel::INTERVAL`]'s patience. What comes in a burst still finds room.
const ENOUGH: usize = 24;

/// The queue of one sending half. Its packets lie in the [`Pool`] of the worker.
#[derive(Debug)]
pub(crate) struct Queue {
    flows: Box<[Flow; FLOWS]>,
    /// Flows that became busy and have not used up their first quantum.
    new: List,
    /// Flows that have been served.
    old: List,
    usage: Usage,
}

/// The packet whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    /// Where it lies; to be freed by the caller.
    pub(crate) slot: Slot,
    /// Its flow has waited too long for too long: its first segment, which may be all of it, is not to be sent.
    pub(crate) is_late: bool,
}

impl Queue {
    pub(crate) fn new() -> Queue {
        Queue { flows: Box::new([Flow::EMPTY; FLOWS]), new: List::EMPTY, old: List::EMPTY, usage: Usage::NONE }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.usage == Usage::NONE
    }

    /// Appends the packet (with its virtio header) that was read into the pool's spare slot. `lost` hears of each
    /// packet, this one or an older one, that gives way.
    pub(crate) fn push(&mut self, pool: &mut Pool, length: usize, now: Instant, mut lost: impl FnMut(&[u8])) {
        let bucket = bucket_of(pool.spare(length));
        let slot = loop {
            match pool.keep_spare(length, now, self.usage) {
                Some(slot) => break slot,
                None if self.drop_of_longest(pool, Size::of(length), &mut lost) => {}
                None => return lost(pool.spare(length)),
            }
        };
        let flow = &mut self.flows[bucket];
        flow.append(pool, slot, length);
        if !flow.is_listed() {
            flow.start(QUANTUM);
            self.new.append(&mut self.flows[..], bucket);
        }
        self.usage.add(pool, slot);
    }

    /// Takes out the packet whose turn it is.
    pub(crate) fn pop(&mut self, pool: &mut Pool, now: Instant) -> Option<Next> {
        loop {
            let is_new = !self.new.is_empty();
            let list = if is_new { &mut self.new } else { &mut self.old };
            let bucket = list.first()?;
            if self.flows[bucket].deficit <= 0 {
                self.flows[bucket].deficit += QUANTUM;
                list.remove_first(&mut self.flows[..]);
                self.old.append(&mut self.flows[..], bucket);
                continue;
            }
            if let Some(next) = self.take(pool, bucket, now) {
                return Some(next);
            }
            let list = if is_new { &mut self.new } else { &mut self.old };
            list.remove_first(&mut self.flows[..]);
            // A new flow that ran empty waits one round before it is new again, or it could starve the old ones.
            if is_new && !self.old.is_empty() {
                self.old.append(&mut self.flows[..], bucket);
            } else {
                self.flows[bucket].unlist();
            }
        }
    }

    /// Frees everything. `each` hears of every packet.
    pub(crate) fn clear(&mut self, pool: &mut Pool, mut each: impl FnMut(&[u8])) {
        if self.is_empty() {
            return;
        }
        for flow in &mut self.flows[..] {
            while let Some(slot) = flow.remove_first(pool) {
                each(pool.bytes(slot));
                pool.free(slot);
            }
            *flow = Flow::EMPTY;
        }
        (self.new, self.old, self.usage) = (List::EMPTY, List::EMPTY, Usage::NONE);
    }

    /// The flow's next packet.
    fn take(&mut self, pool: &mut Pool, bucket: usize, now: Instant) -> Option<Next> {
        let flow = &mut self.flows[bucket];
        let Some(slot) = flow.remove_first(pool) else {
            flow.codel.rest(now);
            return None;
        };
        self.usage.remove(pool, slot);
        flow.deficit -= pool.bytes(slot).len() as i32;
        let waited = now.saturating_duration_since(pool.since(slot));
        let is_late = flow.codel.judge(waited, flow.is_empty(), now) == Verdict::Drop;
        let is_much = self.usage.of(Size::Large) >= ENOUGH && flow.hurry(now);
        Some(Next { slot, is_late: is_late || is_much })
    }

    /// Makes room for a packet of this size: takes the oldest packet out of the flow that holds most slots of it. `false` if
    /// none holds any.
    fn drop_of_longest(&mut self, pool: &mut Pool, size: Size, lost: &mut impl FnMut(&[u8])) -> bool {
        let longest = self.flows.iter_mut().max_by_key(|flow| flow.excess(size));
        let Some(flow) = longest.filter(|flow| flow.usage.of(size) > 0) else { return false };
        let Some(slot) = flow.remove_first(pool) else { return false };
        self.usage.remove(pool, slot);
        lost(pool.bytes(slot));
        pool.free(slot);
        true
    }
}

/// The queue of a packet: a hash of addresses, protocol and ports.
fn bucket_of(read: &[u8]) -> usize {
    let hash = meshtun_offload::packet::flow_hash(read.get(meshtun_offload::virtio::HEADER_LEN..).unwrap_or_default());
    hash as usize % FLOWS
}

/// A list of flows, linked by their numbers.
#[derive(Debug)]
struct List {
    first: u8,
    last: u8,
}

/// No flow.
const NONE: u8 = u8::MAX;
const _: () = assert!(FLOWS <= NONE as usize, "a number must be left for none");

impl List {
    const EMPTY: List = List { first: NONE, last: NONE };

    fn is_empty(&self) -> bool {
        self.first == NONE
    }

    fn first(&self) -> Option<usize> {
        (self.first != NONE).then_some(self.first.into())
    }

    fn append(&mut self, flows: &mut [Flow], bucket: usize) {
        let number = bucket as u8;
        match self.last {
            NONE => self.first = number,
            last => flows[usize::from(last)].next = number,
        }
        self.last = number;
        flows[bucket].next = NONE;
    }

    fn remove_first(&mut self, flows: &mut [Flow]) {
        if let Some(first) = self.first() {
            self.first = flows[first].next;
            if self.first == NONE {
                self.last = NONE;
            }
        }
    }
}

#[cfg(test)]
mod tests;
