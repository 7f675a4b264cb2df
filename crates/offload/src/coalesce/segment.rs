//! One packet, as far as joining is concerned.

use super::Joining;
use crate::checksum::Sum;
use crate::packet::{TCP, UDP, address_bytes};
use crate::virtio::{GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, VirtioNetHdr};

/// What a packet may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// It may be joined to others of its flow.
    Segment(Segment),
    /// It stays alone, and nothing of its flow behind it may be joined to what is before it.
    Alone(Flow),
    /// It stays alone, and belongs to some flow between these addresses ([`Flow::addresses`]).
    Barrier(u32),
    /// It stays alone, and belongs to no flow of which anything is ever joined.
    Free,
}

/// The hash of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    /// Of both addresses.
    pub(super) addresses: u32,
    /// Of addresses and ports, less than [`Flow::SLOTS`].
    pub(super) slot: usize,
}

/// A packet that may be joined to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Segment {
    shape: Shape,
    /// Length of all headers.
    headers: u16,
    /// Bytes behind them, at least 1.
    payload: u16,
    /// IPv4 id; 0 for IPv6.
    id: u16,
    /// TCP sequence number; 0 for UDP.
    sequence: u32,
    /// Whether DF is set, or the packet is IPv6.
    is_atomic: bool,
    /// Whether PSH is set.
    pushes: bool,
}

/// The four kinds of headers, without options but TCP's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Shape {
    #[default]
    Tcp4,
    Tcp6,
    Udp4,
    Udp6,
}

const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const ECE: u8 = 0x40;

/// Says what a packet may do. `packet` may be any bytes.
#[inline(always)] // Once a packet.
pub(super) fn classify(packet: &[u8], joining: Joining) -> Class {
    match packet.first() {
        Some(first) if first >> 4 == 4 => classify_ipv4(packet, joining),
        Some(first) if first >> 4 == 6 => classify_ipv6(packet, joining),
        _ => Class::Free,
    }
}

#[inline(always)] // As `classify`.
fn classify_ipv4(packet: &[u8], joining: Joining) -> Class {
    let Some(ip) = packet.first_chunk::<20>() else { return Class::Free };
    if !joins(ip[9], joining) {
        return Class::Free;
    }
    let whole = usize::from(u16::from_be_bytes([ip[2], ip[3]])) == packet.len();
    let [flags, offset] = [ip[6], ip[7]];
    if ip[0] != 0x45 || !whole || flags & !0x40 != 0 || offset != 0 {
        return Class::Barrier(Flow::addresses_of(packet));
    }
    let shape = if ip[9] == TCP { Shape::Tcp4 } else { Shape::Udp4 };
    let id = u16::from_be_bytes([ip[4], ip[5]]);
    let segment = Segment { shape, headers: 20, id, is_atomic: flags != 0, ..Segment::default() };
    segment.classify_upper(packet)
}

#[inline]
fn classify_ipv6(packet: &[u8], joining: Joining) -> Class {
    let Some(ip) = packet.first_chunk::<40>() else { return Class::Free };
    match ip[6] {
        TCP | UDP if !joins(ip[6], joining) => return Class::Free,
        TCP | UDP if usize::from(u16::from_be_bytes([ip[4], ip[5]])) == packet.len() - 40 => {}
        ICMPV6 | ESP => return Class::Free,
        _ => return Class::Barrier(Flow::addresses_of(packet)),
    }
    let shape = if ip[6] == TCP { Shape::Tcp6 } else { Shape::Udp6 };
    Segment { shape, headers: 40, is_atomic: true, ..Segment::default() }.classify_upper(packet)
}

const ESP: u8 = 50;
const ICMPV6: u8 = 58;

#[inline]
fn joins(protocol: u8, joining: Joining) -> bool {
    (protocol == TCP && joining.tcp) || (protocol == UDP && joining.udp)
}

impl Segment {
    #[inline]
    fn classify_upper(mut self, packet: &[u8]) -> Class {
        let behind = &packet[usize::from(self.headers)..];
        let Some(ports) = behind.first_chunk::<8>() else { return Class::Barrier(Flow::addresses_of(packet)) };
        let joins = match self.shape {
            Shape::Tcp4 | Shape::Tcp6 => self.read_tcp(behind),
            Shape::Udp4 | Shape::Udp6 => self.read_udp(ports, behind.len()),
        };
        if joins { Class::Segment(self) } else { Class::Alone(self.flow(packet)) }
    }

    /// Whether the TCP segment behind an IP header may be joined.
    #[inline]
    fn read_tcp(&mut self, tcp: &[u8]) -> bool {
        let Some(header) = tcp.first_chunk::<20>() else { return false };
        let length = usize::from(header[12] >> 4) * 4;
        let flags = header[13];
        if length < 20 || length >= tcp.len() || flags & !(PSH | ECE) != ACK || header[18..] != [0, 0] {
            return false;
        }
        self.headers += length as u16;
        self.payload = (tcp.len() - length) as u16;
        self.sequence = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        self.pushes = flags & PSH != 0;
        true
    }

    /// Whether the UDP datagram behind an IP header may be joined.
    #[inline]
    fn read_udp(&mut self, header: &[u8; 8], length: usize) -> bool {
        let whole = usize::from(u16::from_be_bytes([header[4], header[5]])) == length;
        self.headers += 8;
        self.payload = (length - 8) as u16;
        whole && length > 8 && header[6..] != [0, 0]
    }

    #[inline]
    pub(super) fn headers(&self) -> usize {
        usize::from(self.headers)
    }

    #[inline]
    pub(super) fn payload(&self) -> usize {
        usize::from(self.payload)
    }

    #[inline]
    pub(super) fn id(&self) -> u16 {
        self.id
    }

    /// Whether the IPv4 id means nothing (RFC 6864).
    #[inline]
    pub(super) fn is_atomic(&self) -> bool {
        self.is_atomic
    }

    #[inline]
    pub(super) fn pushes(&self) -> bool {
        self.pushes
    }

    #[inline]
    pub(super) fn sequence(&self) -> u32 {
        self.sequence
    }

    /// The sequence number that follows; 0 for UDP.
    #[inline]
    pub(super) fn sequence_behind(&self) -> u32 {
        match self.shape {
            Shape::Tcp4 | Shape::Tcp6 => self.sequence.wrapping_add(u32::from(self.payload)),
            Shape::Udp4 | Shape::Udp6 => 0,
        }
    }

    /// The flow of this packet.
    #[inline]
    pub(super) fn flow(&self, packet: &[u8]) -> Flow {
        let addresses = Flow::addresses_of(packet);
        let upper = self.shape.upper();
        let ports = packet.get(upper..).and_then(|upper| upper.first_chunk()).copied().unwrap_or_default();
        let ports = u32::from_ne_bytes(ports) ^ u32::from(self.shape.protocol());
        let both = u64::from(addresses) << 32 | u64::from(ports);
        Flow { addresses, slot: (both.wrapping_mul(Flow::SPREAD) >> (64 - Flow::SLOTS.ilog2())) as usize }
    }

    /// Whether all header fields in which the segments of a super-packet agree are those of `head`, another packet.
    #[inline]
    pub(super) fn resembles(&self, packet: &[u8], head: &[u8]) -> bool {
        match self.shape {
            Shape::Tcp4 => agree(packet, head, &TCP4) && options(packet, 40, self) == options(head, 40, self),
            Shape::Tcp6 => agree(packet, head, &TCP6) && options(packet, 60, self) == options(head, 60, self),
            Shape::Udp4 => agree(packet, head, &UDP4),
            Shape::Udp6 => agree(packet, head, &UDP6),
        }
    }

    /// Whether the packet's checksums, IPv4's own included, are sound.
    #[inline]
    pub(super) fn verifies(&self, packet: &[u8]) -> bool {
        let network_is_sound = match packet.first_chunk::<20>() {
            Some(ip) if self.shape.upper() == 20 => Sum::of_few(ip).verifies(),
            _ => true,
        };
        // The addresses lie directly before the upper-layer header: one sum takes both.
        let addresses = if self.shape.upper() == 20 { 12 } else { 8 };
        let length = self.headers + self.payload - self.shape.upper() as u16;
        let sum = Sum::of(&packet[addresses..]).plus_u16(u16::from(self.shape.protocol())).plus_u16(length);
        network_is_sound && sum.verifies()
    }

    /// Makes `head`, the first packet, the head of a super-packet of `length` bytes; gives its virtio header.
    pub(super) fn lead(&self, head: &mut [u8], length: usize, pushes: bool) -> VirtioNetHdr {
        let upper = self.shape.upper();
        let behind = ((length - upper) as u16).to_be_bytes();
        if upper == 20 {
            head[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            head[10..12].fill(0);
            let sum = Sum::of(&head[..20]).finish();
            head[10..12].copy_from_slice(&sum);
        } else {
            head[4..6].copy_from_slice(&behind);
        }
        let pseudo = Sum::of(address_bytes(head)).plus(Sum::of(&behind)).plus_u16(u16::from(self.shape.protocol()));
        let csum_offset = self.shape.csum_offset();
        head[upper + csum_offset..upper + csum_offset + 2].copy_from_slice(&pseudo.partial());
        match self.shape {
            Shape::Tcp4 | Shape::Tcp6 => head[upper + 13] |= if pushes { PSH } else { 0 },
            Shape::Udp4 | Shape::Udp6 => head[upper + 4..upper + 6].copy_from_slice(&behind),
        }
        VirtioNetHdr {
            flags: NEEDS_CSUM,
            gso_type: self.shape.gso_type(),
            hdr_len: self.headers,
            gso_size: self.payload,
            csum_start: upper as u16,
            csum_offset: csum_offset as u16,
        }
    }
}

impl Shape {
    /// Offset of the TCP or UDP header.
    #[inline]
    fn upper(self) -> usize {
        match self {
            Shape::Tcp4 | Shape::Udp4 => 20,
            Shape::Tcp6 | Shape::Udp6 => 40,
        }
    }

    #[inline]
    fn protocol(self) -> u8 {
        match self {
            Shape::Tcp4 | Shape::Tcp6 => TCP,
            Shape::Udp4 | Shape::Udp6 => UDP,
        }
    }

    /// Offset of the checksum in the TCP or UDP header.
    #[inline]
    fn csum_offset(self) -> usize {
        match self {
            Shape::Tcp4 | Shape::Tcp6 => 16,
            Shape::Udp4 | Shape::Udp6 => 6,
        }
    }

    #[inline]
    fn gso_type(self) -> u8 {
        match self {
            Shape::Tcp4 => GSO_TCPV4,
            Shape::Tcp6 => GSO_TCPV6,
            Shape::Udp4 | Shape::Udp6 => GSO_UDP_L4,
        }
    }
}

impl Flow {
    /// How many flows are told apart.
    pub(super) const SLOTS: usize = 256;

    /// 2^64 divided by the golden ratio (Fibonacci hashing: the upper bits of the product are well spread).
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

    /// The hash of the two addresses of a packet that is long enough to have them.
    #[inline]
    fn addresses_of(packet: &[u8]) -> u32 {
        let (words, _) = address_bytes(packet).as_chunks::<8>();
        let mix =
            |hash: u64, word: &[u8; 8]| (hash.rotate_left(23) ^ u64::from_ne_bytes(*word)).wrapping_mul(Flow::SPREAD);
        (words.iter().fold(0, mix) >> 32) as u32
    }
}

/// TCP options of a packet whose TCP header is as long as the segment's.
#[inline]
fn options<'a>(packet: &'a [u8], start: usize, segment: &Segment) -> Option<&'a [u8]> {
    packet.get(start..segment.headers())
}

/// Whether the first words of two packets agree in the bits of `masks`.
#[inline]
fn agree<const N: usize>(one: &[u8], other: &[u8], masks: &[[u8; 8]; N]) -> bool {
    let (Some(one), Some(other)) =
        (one.as_chunks::<8>().0.first_chunk::<N>(), other.as_chunks::<8>().0.first_chunk::<N>())
    else {
        return false;
    };
    let mut differing = 0;
    for word in 0..N {
        let both = u64::from_ne_bytes(one[word]) ^ u64::from_ne_bytes(other[word]);
        differing |= both & u64::from_ne_bytes(masks[word]);
    }
    differing == 0
}

const ALL: [u8; 8] = [255; 8];

/// Version, header length, TOS, fragment flags, TTL, protocol, addresses, ports, acknowledgement, TCP header length, flags
/// but PSH, window. Not: total length, id, header checksum, sequence number, checksum.
const TCP4: [[u8; 8]; 5] = [
    [255, 255, 0, 0, 0, 0, 255, 255],
    [255, 255, 0, 0, 255, 255, 255, 255],
    ALL,
    [0, 0, 0, 0, 255, 255, 255, 255],
    [255, !PSH, 255, 255, 0, 0, 255, 255],
];

/// As [`TCP4`], with traffic class, flow label, hop limit.
const TCP6: [[u8; 8]; 7] = [
    [255, 255, 255, 255, 0, 0, 255, 255],
    ALL,
    ALL,
    ALL,
    ALL,
    [255, 255, 255, 255, 0, 0, 0, 0],
    [255, 255, 255, 255, 255, !PSH, 255, 255],
];

/// As [`TCP4`], as far as the ports.
const UDP4: [[u8; 8]; 3] = [TCP4[0], TCP4[1], TCP4[2]];

/// As [`TCP6`], as far as the ports.
const UDP6: [[u8; 8]; 6] = [TCP6[0], ALL, ALL, ALL, ALL, TCP6[5]];
