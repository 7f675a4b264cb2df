//! Opened packets of a flow into super-packets, as ranges of the receive buffer.

use crate::virtio::{HEADER_LEN, VirtioNetHdr};
use std::ops::Range;

/// Most segments of one super-packet, and so most [`Item::ranges`].
pub const MAX_SEGMENTS: usize = 64;

/// Most super-packets and lone packets between two calls of [`Coalescer::clear`].
pub const MAX_ITEMS: usize = 256;

/// What the tun device takes joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joining {
    /// TCP segments (TSO4 and TSO6).
    pub tcp: bool,
    /// UDP datagrams (USO4 and USO6).
    pub udp: bool,
}

/// One write to the tun device: `header`, then the bytes of the buffer under each range.
#[derive(Debug)]
pub struct Item<'a> {
    /// The encoded virtio header.
    pub header: [u8; HEADER_LEN],
    /// Where the packet lies in the buffer, from its IP header on.
    pub ranges: &'a [Range<usize>],
}

/// Joins packets.
#[derive(Debug)]
pub struct Coalescer {
    packets: Vec<Range<usize>>,
    next: usize,
}

impl Coalescer {
    /// An empty coalescer.
    pub fn new(_joining: Joining) -> Coalescer {
        Coalescer { packets: Vec::with_capacity(MAX_ITEMS), next: 0 }
    }

    /// Takes a packet.
    pub fn push(&mut self, _buffer: &[u8], packet: Range<usize>) {
        self.packets.push(packet);
    }

    /// Whether items are to be written out before the next packet is pushed.
    pub fn is_full(&self) -> bool {
        self.packets.len() == MAX_ITEMS
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.next == self.packets.len()
    }

    /// The next item to write, in the order in which their first packets came.
    pub fn next_item(&mut self, _buffer: &mut [u8]) -> Option<Item<'_>> {
        let ranges = self.packets.get(self.next..self.next + 1)?;
        self.next += 1;
        Some(Item { header: VirtioNetHdr::default().encode(), ranges })
    }

    /// Forgets all packets and keeps the memory.
    pub fn clear(&mut self) {
        self.packets.clear();
        self.next = 0;
    }
}
