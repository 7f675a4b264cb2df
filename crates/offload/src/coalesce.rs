//! Opened packets of a flow into super-packets, as ranges of the receive buffer.
//!
//! The rules are those of the kernel's own GRO (`net/ipv4/tcp_offload.c`, `net/ipv4/udp_offload.c`, `inet_gro_flush` in
//! `include/net/gro.h`), so that what leaves a tunnel looks as if a network card had joined it:
//!
//! - TCP: the same addresses, ports, acknowledgement, window, options, TTL, TOS, flow label and flags; the sequence
//!   numbers follow each other; each segment carries as much as the first, but the last may carry less. Flags other
//!   than ACK, PSH and ECE keep a segment alone. PSH ends a super-packet.
//! - UDP: the same addresses, ports, TTL, TOS and flow label; equal sizes but the last; at most 64 datagrams. A datagram
//!   without a checksum stays alone.
//! - IPv4 ids count up by one; where DF is set they may stay the same instead. Fragments, IPv4 options and IPv6 extension
//!   headers stay alone.
//! - Every checksum, IPv4's own and TCP's or UDP's, is verified before its packet is joined to another: the super-packet
//!   goes out with a partial checksum, which would make a corrupt packet look sound. One that does not verify goes out
//!   alone and untouched.
//!
//! Packets of a flow never overtake each other. Super-packets come out in the order of their first packets, so that a
//! packet may only be joined to the newest item of its flow; whatever stays alone closes the open item of its flow, or,
//! where the flow cannot be told (fragments), all open items between its two addresses.

mod segment;

use crate::virtio::{HEADER_LEN, VirtioNetHdr};
use segment::{Class, Flow, Segment};
use std::ops::Range;

/// Most segments of one super-packet, and so most [`Item::ranges`]. The kernel refuses larger UDP ones.
pub const MAX_SEGMENTS: usize = 64;

/// Most items (super-packets and lone packets) between two calls of [`Coalescer::clear`].
pub const MAX_ITEMS: usize = 256;

/// Most packets between two calls of [`Coalescer::clear`]: 16 whole super-packets.
pub const MAX_PACKETS: usize = 16 * MAX_SEGMENTS;

/// Most bytes of a super-packet, its headers included: the IPv4 total length's limit.
const MAX_BYTES: usize = 65535;

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
    /// Where the packet lies in the buffer: the first packet with its headers, then the payloads of the others. At least
    /// one range, at most [`MAX_SEGMENTS`], and as many as packets were joined.
    pub ranges: &'a [Range<usize>],
}

impl Item<'_> {
    /// Bytes of the packet, without the virtio header.
    pub fn len(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }

    /// Whether the packet has no bytes; only what was pushed empty has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Joins packets of one receive buffer.
///
/// Order of calls: any number of [`push`](Coalescer::push) while not [`is_full`](Coalescer::is_full), then
/// [`next_item`](Coalescer::next_item) until it gives `None`, then [`clear`](Coalescer::clear). The bytes of a pushed
/// packet must stay as they are until its item is written; other parts of the buffer may be received into meanwhile.
/// Memory is taken once, in [`new`](Coalescer::new).
#[derive(Debug)]
pub struct Coalescer {
    joining: Joining,
    entries: Vec<Entry>,
    pieces: Vec<Piece>,
    /// The newest entry of each flow, by the flow's hash. A flow that takes another's slot puts that one's entry out of
    /// reach: it is joined less, never out of order.
    slots: [u32; Flow::SLOTS],
    /// The entry that was last opened or joined to.
    newest: u32,
    /// The entry that goes out next.
    next: usize,
    /// Where the item that went out last lies.
    ranges: Vec<Range<usize>>,
}

/// No entry.
const NONE: u32 = u32::MAX;

/// A super-packet in the making, or a lone packet.
#[derive(Debug)]
struct Entry {
    /// The first and the last of its pieces.
    first: u32,
    last: u32,
    /// Packets joined.
    count: u16,
    /// Bytes of the headers and of all payloads.
    length: u32,
    /// What the first packet is.
    head: Segment,
    /// Sequence number of the next TCP segment; 0 for UDP.
    sequence: u32,
    /// By [`Flow::addresses`].
    addresses: u32,
    /// Whether another packet may follow.
    open: bool,
    /// Whether the last packet has PSH set.
    pushes: bool,
    /// Whether the first packet's checksums are known to be sound. (Those of the others always are.)
    verified: bool,
    /// Whether the IPv4 ids stay the same.
    fixed_id: bool,
}

/// What a packet gives to its item: all of it, or its payload; and the next packet of the same item.
#[derive(Clone, Copy, Debug)]
struct Piece {
    start: u32,
    end: u32,
    next: u32,
}

impl Coalescer {
    /// An empty coalescer.
    pub fn new(joining: Joining) -> Coalescer {
        Coalescer {
            joining,
            entries: Vec::with_capacity(MAX_ITEMS),
            pieces: Vec::with_capacity(MAX_PACKETS),
            slots: [NONE; Flow::SLOTS],
            newest: NONE,
            next: 0,
            ranges: Vec::with_capacity(MAX_SEGMENTS),
        }
    }

    /// Says what the device takes that the packets pushed from here on go to. Packets held must have gone out first
    /// ([`clear`](Coalescer::clear)).
    #[inline]
    pub fn set_joining(&mut self, joining: Joining) {
        self.joining = joining;
    }

    /// Takes the packet under a range of the buffer: an IP packet without padding behind it
    /// ([`packet::trim`](crate::packet::trim)). Anything else goes out alone.
    ///
    /// A push when the coalescer [is full](Coalescer::is_full) may take more memory.
    ///
    /// # Panics
    /// Where the range lies outside the buffer, or beyond 4 GiB.
    #[inline(always)] // A call is 20 instructions, and is made for each packet.
    pub fn push(&mut self, buffer: &[u8], packet: Range<usize>) {
        let bytes = &buffer[packet.clone()];
        match segment::classify(bytes, self.joining) {
            Class::Segment(segment) => return self.join_or_open(buffer, packet, segment),
            Class::Alone(flow) => self.close(self.slots[flow.slot]),
            Class::Barrier(addresses) => self.close_between(addresses),
            Class::Free => {}
        }
        self.append_alone(packet);
    }

    /// Whether items are to be written out, and [`clear`](Coalescer::clear) called, before the next packet is pushed.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= MAX_ITEMS || self.pieces.len() >= MAX_PACKETS
    }

    /// Whether there is nothing to write out.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.next == self.entries.len()
    }

    /// The next item to write, in the order in which their first packets came; `None` when all are out. Its headers are
    /// made those of the super-packet, in the buffer.
    ///
    /// # Panics
    /// Where the buffer is shorter than it was when the packets were pushed.
    #[inline]
    pub fn next_item(&mut self, buffer: &mut [u8]) -> Option<Item<'_>> {
        let entry = self.entries.get_mut(self.next)?;
        self.next += 1;
        entry.open = false;
        self.ranges.clear();
        let mut at = entry.first;
        while let Some(piece) = self.pieces.get(at as usize) {
            self.ranges.push(piece.start as usize..piece.end as usize);
            at = piece.next;
        }
        let header = match entry.count {
            1 => VirtioNetHdr::default(),
            _ => entry.head.lead(&mut buffer[self.ranges[0].clone()], entry.length as usize, entry.pushes),
        };
        Some(Item { header: header.encode(), ranges: &self.ranges })
    }

    /// Forgets all packets; what was not written out is lost.
    #[inline]
    pub fn clear(&mut self) {
        self.entries.clear();
        self.pieces.clear();
        self.slots.fill(NONE);
        self.newest = NONE;
        self.next = 0;
    }

    /// The entry joined to last is the likeliest by far: trains arrive whole.
    #[inline(always)] // As `push`.
    fn join_or_open(&mut self, buffer: &[u8], packet: Range<usize>, segment: Segment) {
        let bytes = &buffer[packet.clone()];
        if self.awaits(self.newest, buffer, bytes, &segment) {
            return self.join(self.newest, packet, bytes, &segment);
        }
        let flow = segment.flow(bytes);
        let entry = self.slots[flow.slot];
        if entry != self.newest && self.awaits(entry, buffer, bytes, &segment) {
            self.newest = entry;
            return self.join(entry, packet, bytes, &segment);
        }
        self.open(packet, segment, flow);
    }

    /// Whether the packet is the one that may follow in this entry. An entry whose own first packet is corrupt awaits
    /// none.
    #[inline]
    fn awaits(&mut self, entry: u32, buffer: &[u8], packet: &[u8], segment: &Segment) -> bool {
        let Some(entry) = self.entries.get_mut(entry as usize) else { return false };
        if !entry.open || !entry.takes(segment) {
            return false;
        }
        let head = &buffer[self.pieces[entry.first as usize].range()];
        if !segment.resembles(packet, head) {
            return false;
        }
        if !entry.verified {
            entry.verified = entry.head.verifies(head);
            entry.open = entry.verified;
        }
        entry.open
    }

    #[inline]
    fn join(&mut self, entry: u32, packet: Range<usize>, bytes: &[u8], segment: &Segment) {
        if !segment.verifies(bytes) {
            self.close(entry);
            return self.append_alone(packet);
        }
        let piece = self.append_piece(packet.start + segment.headers()..packet.end);
        let entry = &mut self.entries[entry as usize];
        self.pieces[entry.last as usize].next = piece;
        entry.append(piece, segment);
    }

    fn open(&mut self, packet: Range<usize>, segment: Segment, flow: Flow) {
        self.newest = self.entries.len() as u32;
        self.slots[flow.slot] = self.newest;
        let piece = self.append_piece(packet);
        self.entries.push(Entry::new(piece, segment, flow.addresses));
    }

    fn append_alone(&mut self, packet: Range<usize>) {
        let piece = self.append_piece(packet);
        self.entries.push(Entry { open: false, ..Entry::new(piece, Segment::default(), 0) });
    }

    #[inline]
    fn append_piece(&mut self, range: Range<usize>) -> u32 {
        let end = u32::try_from(range.end).expect("a receive buffer is shorter than 4 GiB");
        self.pieces.push(Piece { start: range.start as u32, end, next: NONE });
        self.pieces.len() as u32 - 1
    }

    #[inline]
    fn close(&mut self, entry: u32) {
        if let Some(entry) = self.entries.get_mut(entry as usize) {
            entry.open = false;
        }
    }

    #[cold]
    fn close_between(&mut self, addresses: u32) {
        for entry in self.entries.iter_mut().filter(|entry| entry.addresses == addresses) {
            entry.open = false;
        }
    }
}

impl Entry {
    #[inline]
    fn new(piece: u32, head: Segment, addresses: u32) -> Entry {
        Entry {
            first: piece,
            last: piece,
            count: 1,
            length: (head.headers() + head.payload()) as u32,
            head,
            sequence: head.sequence_behind(),
            addresses,
            open: !head.pushes(),
            pushes: false,
            verified: false,
            fixed_id: false,
        }
    }

    /// Whether the segment follows by its numbers: size, sequence number, id.
    #[inline]
    fn takes(&mut self, segment: &Segment) -> bool {
        let length = self.length as usize + segment.payload();
        let fits =
            segment.payload() <= self.head.payload() && length <= MAX_BYTES && usize::from(self.count) < MAX_SEGMENTS;
        fits && segment.sequence() == self.sequence && self.takes_id(segment.id())
    }

    /// The second packet settles whether the ids of a flow with DF stay the same (`inet_gro_flush`).
    #[inline]
    fn takes_id(&mut self, id: u16) -> bool {
        let step = id.wrapping_sub(self.head.id());
        if self.count == 1 {
            self.fixed_id = step == 0 && self.head.is_atomic();
        }
        step == if self.fixed_id { 0 } else { self.count }
    }

    #[inline]
    fn append(&mut self, piece: u32, segment: &Segment) {
        self.last = piece;
        self.count += 1;
        self.length += segment.payload() as u32;
        self.sequence = segment.sequence_behind();
        self.pushes = segment.pushes();
        self.open = !segment.pushes() && segment.payload() == self.head.payload();
    }
}

impl Piece {
    #[inline]
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

#[cfg(test)]
mod tests;
