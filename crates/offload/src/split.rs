//! A super-packet into its segments, inside the tun buffer itself.
//!
//! The payload never moves. Each segment's headers are written directly in front of its payload, over the tail of the
//! segment before, which the caller has sealed by then:
//!
//! ```text
//! |headers|payload 0    |payload 1    |payload 2 |
//! |<---- segment 0 ---->|             |          |
//!               |headers|payload 1    |          |
//!               |<---- segment 1 ---->|          |
//! ```
//!
//! What a segment's headers hold follows the kernel's own segmentation: `net/ipv4/tcp_offload.c` (`tcp_gso_segment`),
//! `net/ipv4/udp_offload.c` (`__udp_gso_segment`), `net/ipv4/af_inet.c` (`inet_gso_segment`).

use crate::checksum::Sum;
use crate::packet::{self, TCP, UDP, Upper};
use crate::virtio::{GSO_ECN, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, VirtioNetHdr};

/// Why a packet read from the tun device cannot be split. The packet is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Not one whole IP packet and nothing else. (Its first nibble would say another thing than IP to the peer.)
    #[error("not an IP packet of its stated length")]
    Malformed,
    /// The virtio header does not describe this packet: type, checksum offsets or segment size lead elsewhere.
    #[error("the virtio header contradicts the packet")]
    Contradiction,
    /// A kind of super-packet that was never asked for.
    #[error("super-packet of unknown type {0:#04x}")]
    UnknownType(u8),
    /// A segment would be longer than the tun device's MTU.
    #[error("a segment of {length} bytes exceeds the MTU of {mtu}")]
    ExceedsMtu {
        /// Length of the longest segment, with its headers.
        length: usize,
        /// The limit.
        mtu: usize,
    },
}

/// The segments of one packet read from the tun device, one after the other.
///
/// A packet that is no super-packet is its own only segment. Every segment has full checksums, whatever was partial
/// before; its payload is read once for that.
#[derive(Debug)]
pub struct Split<'a> {
    packet: &'a mut [u8],
    /// Where the next segment's headers begin; the packet's length when there is none.
    start: usize,
    gso: Option<Gso>,
}

impl<'a> Split<'a> {
    /// Checks the packet against its header; `mtu` is the most bytes that a segment may have. The TCP header's length is
    /// read from the packet: `hdr_len` is not looked at.
    ///
    /// # Errors
    /// [`SplitError`]; the packet is to be dropped and counted.
    #[inline]
    pub fn new(header: VirtioNetHdr, packet: &'a mut [u8], mtu: usize) -> Result<Split<'a>, SplitError> {
        if packet::trim(packet) != Some(packet.len()) {
            return Err(SplitError::Malformed);
        }
        let gso = if header.is_gso() { Some(Gso::new(header, packet)?) } else { None };
        let length = gso.as_ref().map_or(packet.len(), |gso| packet.len().min(gso.headers + gso.size));
        if length > mtu {
            return Err(SplitError::ExceedsMtu { length, mtu });
        }
        if gso.is_none() && header.needs_csum() {
            complete(header, packet)?;
        }
        Ok(Split { packet, start: 0, gso })
    }

    /// The next segment: a whole IP packet. It is valid until the next call.
    #[inline]
    pub fn next_segment(&mut self) -> Option<&[u8]> {
        let (start, left) = (self.start, self.packet.len() - self.start);
        if left == 0 {
            return None;
        }
        let Some(gso) = &mut self.gso else {
            self.start = self.packet.len();
            return Some(self.packet);
        };
        let length = left.min(gso.headers + gso.size);
        if let Some(previous) = start.checked_sub(gso.size) {
            self.packet.copy_within(previous..previous + gso.headers, start);
        }
        self.start = if length == left { self.packet.len() } else { start + gso.size };
        let segment = &mut self.packet[start..start + length];
        gso.write_headers(segment, start == 0, length == left);
        Some(segment)
    }

    /// How many segments are still to come.
    pub fn remaining(&self) -> usize {
        let left = self.packet.len() - self.start;
        match &self.gso {
            Some(gso) if left > 0 => (left - gso.headers).div_ceil(gso.size).max(1),
            _ => usize::from(left > 0),
        }
    }
}

/// Completes the partial checksum of a packet that is no super-packet, as `skb_checksum_help` does (`net/core/dev.c`).
///
/// No checksum lies in the IP header: a header that says so would spoil the packet.
fn complete(header: VirtioNetHdr, packet: &mut [u8]) -> Result<(), SplitError> {
    let behind_ip = if packet[0] >> 4 == 4 { 20 } else { 40 };
    if header.csum_start < behind_ip {
        return Err(SplitError::Contradiction);
    }
    let covered = packet.get_mut(usize::from(header.csum_start)..).ok_or(SplitError::Contradiction)?;
    let sum = Sum::of(covered).finish_nonzero();
    let field = covered.get_mut(usize::from(header.csum_offset)..).and_then(<[u8]>::first_chunk_mut);
    *field.ok_or(SplitError::Contradiction)? = sum;
    Ok(())
}

/// What the segments of a super-packet have in common, and what counts up from one to the next.
#[derive(Debug)]
struct Gso {
    transport: Transport,
    is_v4: bool,
    /// Offset of the TCP or UDP header.
    upper: usize,
    /// Length of all headers.
    headers: usize,
    /// Payload bytes of each segment but the last, at least 1.
    size: usize,
    /// Of the IPv4 header, without what differs between segments: total length, id and checksum.
    network_sum: Sum,
    /// Of pseudo header and TCP or UDP header, without length, sequence number, flags and checksum.
    transport_sum: Sum,
    /// IPv4 id of the next segment.
    id: u16,
    /// TCP sequence number of the next segment.
    sequence: u32,
    /// TCP flags of the super-packet.
    flags: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

impl Gso {
    fn new(header: VirtioNetHdr, packet: &[u8]) -> Result<Gso, SplitError> {
        let upper = Upper::parse(packet).ok_or(SplitError::Malformed)?;
        let is_v4 = packet[0] >> 4 == 4;
        let transport = transport_of(header.gso_type, is_v4)?;
        check_offsets(header, upper, transport)?;
        let mut gso = Gso {
            transport,
            is_v4,
            upper: upper.offset,
            headers: upper.offset,
            size: usize::from(header.gso_size),
            network_sum: Sum::ZERO,
            transport_sum: base_sum(header, packet, upper),
            id: 0,
            sequence: 0,
            flags: 0,
        };
        let behind = &packet[upper.offset..];
        match transport {
            Transport::Tcp => gso.take_tcp(behind)?,
            Transport::Udp => gso.take_udp(behind)?,
        }
        if is_v4 {
            gso.take_ipv4(&packet[..upper.offset]);
        }
        Ok(gso)
    }

    fn take_tcp(&mut self, segment: &[u8]) -> Result<(), SplitError> {
        let tcp: &[u8; 20] = segment.first_chunk().ok_or(SplitError::Malformed)?;
        let length = usize::from(tcp[12] >> 4) * 4;
        if length < tcp.len() || length > segment.len() {
            return Err(SplitError::Malformed);
        }
        self.headers += length;
        self.sequence = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
        self.flags = tcp[13];
        let constant = Sum::of_few(&[tcp[0], tcp[1], tcp[2], tcp[3], tcp[8], tcp[9], tcp[10], tcp[11], tcp[12], 0])
            .plus(Sum::of_few(&[tcp[14], tcp[15], tcp[18], tcp[19]]))
            .plus(Sum::of(&segment[tcp.len()..length]));
        self.transport_sum = self.transport_sum.plus(constant);
        Ok(())
    }

    fn take_udp(&mut self, datagram: &[u8]) -> Result<(), SplitError> {
        let udp: &[u8; 8] = datagram.first_chunk().ok_or(SplitError::Malformed)?;
        self.headers += udp.len();
        if usize::from(u16::from_be_bytes([udp[4], udp[5]])) != datagram.len() {
            return Err(SplitError::Contradiction);
        }
        self.transport_sum = self.transport_sum.plus(Sum::of(&udp[..4]));
        Ok(())
    }

    fn take_ipv4(&mut self, ip: &[u8]) {
        self.id = u16::from_be_bytes([ip[4], ip[5]]);
        self.network_sum = Sum::of(&ip[..2]).plus(Sum::of(&ip[6..10])).plus(Sum::of(&ip[12..]));
    }

    /// Makes `segment`, which begins with the headers of the segment before, a packet of its own.
    #[inline]
    fn write_headers(&mut self, segment: &mut [u8], is_first: bool, is_last: bool) {
        let (headers, payload) = segment.split_at_mut(self.headers);
        let (network, transport) = headers.split_at_mut(self.upper);
        let behind = transport.len() + payload.len();
        if self.is_v4 {
            self.write_ipv4(network, (self.upper + behind) as u16);
        } else {
            network[4..6].copy_from_slice(&((self.upper - 40 + behind) as u16).to_be_bytes());
        }
        let sum = self.transport_sum.plus(Sum::of(payload));
        match self.transport {
            Transport::Tcp => self.write_tcp(transport, sum.plus_u16(behind as u16), is_first, is_last),
            Transport::Udp => write_udp(transport, sum, behind as u16),
        }
    }

    #[inline]
    fn write_ipv4(&mut self, network: &mut [u8], total: u16) {
        let ip: &mut [u8; 20] = network.first_chunk_mut().expect("checked in `new`");
        [ip[2], ip[3]] = total.to_be_bytes();
        [ip[4], ip[5]] = self.id.to_be_bytes();
        [ip[10], ip[11]] = self.network_sum.plus_u16(total).plus_u16(self.id).finish();
        self.id = self.id.wrapping_add(1);
    }

    /// FIN and PSH belong to the last segment alone, CWR to the first alone.
    #[inline]
    fn write_tcp(&mut self, transport: &mut [u8], sum: Sum, is_first: bool, is_last: bool) {
        let tcp: &mut [u8; 20] = transport.first_chunk_mut().expect("checked in `new`");
        let sequence = self.sequence.to_be_bytes();
        let mut flags = self.flags;
        if !is_last {
            flags &= !(FIN | PSH);
        }
        if !is_first {
            flags &= !CWR;
        }
        [tcp[4], tcp[5], tcp[6], tcp[7]] = sequence;
        tcp[13] = flags;
        [tcp[16], tcp[17]] = sum.plus(Sum::of_few(&sequence)).plus_u16(u16::from(flags)).finish();
        self.sequence = self.sequence.wrapping_add(self.size as u32);
    }
}

/// The length stands in the pseudo header and in the header itself.
#[inline]
fn write_udp(transport: &mut [u8], sum: Sum, length: u16) {
    let udp: &mut [u8; 8] = transport.first_chunk_mut().expect("checked in `new`");
    [udp[4], udp[5]] = length.to_be_bytes();
    [udp[6], udp[7]] = sum.plus_u16(length).plus_u16(length).finish_nonzero();
}

fn transport_of(gso_type: u8, is_v4: bool) -> Result<Transport, SplitError> {
    match gso_type {
        GSO_UDP_L4 => Ok(Transport::Udp),
        kind if kind & !GSO_ECN == GSO_TCPV4 && is_v4 => Ok(Transport::Tcp),
        kind if kind & !GSO_ECN == GSO_TCPV6 && !is_v4 => Ok(Transport::Tcp),
        kind if matches!(kind & !GSO_ECN, GSO_TCPV4 | GSO_TCPV6) => Err(SplitError::Contradiction),
        kind => Err(SplitError::UnknownType(kind)),
    }
}

fn check_offsets(header: VirtioNetHdr, upper: Upper, transport: Transport) -> Result<(), SplitError> {
    let (protocol, csum_offset) = match transport {
        Transport::Tcp => (TCP, 16),
        Transport::Udp => (UDP, 6),
    };
    let offsets_agree = usize::from(header.csum_start) == upper.offset && header.csum_offset == csum_offset;
    let agrees = upper.protocol == protocol && !upper.fragment && header.gso_size > 0;
    if agrees && (offsets_agree || !header.needs_csum()) { Ok(()) } else { Err(SplitError::Contradiction) }
}

/// The sum of the pseudo header without its length. A partial checksum field holds it with the length: it is taken at its
/// word, as the kernel takes it, so that a wrong one stays wrong. Where the stack vouches for the checksum instead, the
/// sum is made from the addresses.
fn base_sum(header: VirtioNetHdr, packet: &[u8], upper: Upper) -> Sum {
    let field = usize::from(header.csum_start) + usize::from(header.csum_offset);
    match packet.get(field..field + 2) {
        Some(partial) if header.needs_csum() => Sum::of(partial).minus_u16((packet.len() - upper.offset) as u16),
        _ => Sum::of(packet::address_bytes(packet)).plus_u16(u16::from(upper.protocol)),
    }
}

#[cfg(test)]
mod tests;
