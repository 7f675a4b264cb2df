//! Checked views of an inner IP packet.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Protocol number of TCP.
pub const TCP: u8 = 6;
/// Protocol number of UDP.
pub const UDP: u8 = 17;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// The real length of the IP packet at the start of `bytes`, from its own total length: WireGuard pads a plaintext to 16
/// bytes, and what is behind the real length is no part of the packet.
///
/// `None` where `bytes` holds no whole IPv4 or IPv6 packet: the version is another, the header is cut short, or the
/// total length is less than the header or more than `bytes` has. IPv6 jumbograms are not taken.
#[inline]
pub fn trim(bytes: &[u8]) -> Option<usize> {
    match bytes.first()? >> 4 {
        4 => {
            let header: &[u8; 20] = bytes.first_chunk()?;
            let header_len = usize::from(header[0] & 15) * 4;
            let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
            (header_len >= 20 && header_len <= total && total <= bytes.len()).then_some(total)
        }
        6 => {
            let header: &[u8; 40] = bytes.first_chunk()?;
            let total = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
            (total <= bytes.len()).then_some(total)
        }
        _ => None,
    }
}

/// Source and destination of an IP packet, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Of an IPv4 packet.
    V4(Ipv4Addr, Ipv4Addr),
    /// Of an IPv6 packet.
    V6(Ipv6Addr, Ipv6Addr),
}

impl Addresses {
    /// Reads the addresses of the packet at the start of `bytes`; trailing padding is allowed. `None` where [`trim`]
    /// finds no whole packet.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Option<Addresses> {
        Addresses::parse_with_length(bytes).map(|(addresses, _)| addresses)
    }

    /// The addresses, and the packet's real length as [`trim`] tells it.
    #[inline]
    pub fn parse_with_length(bytes: &[u8]) -> Option<(Addresses, usize)> {
        let length = trim(bytes)?;
        let addresses = match *address_bytes(bytes) {
            [a, b, c, d, e, f, g, h] => Addresses::V4([a, b, c, d].into(), [e, f, g, h].into()),
            ref both => {
                let (src, dst) = both.split_first_chunk::<16>()?;
                Addresses::V6((*src).into(), (*dst.first_chunk::<16>()?).into())
            }
        };
        Some((addresses, length))
    }
}

/// Source and destination address of a packet that [`trim`] took: 8 or 32 bytes.
#[inline]
pub(crate) fn address_bytes(packet: &[u8]) -> &[u8] {
    if packet[0] >> 4 == 4 { &packet[12..20] } else { &packet[8..40] }
}

/// A number that all packets of a flow share and few others do: of the addresses, the protocol, and the ports of TCP and
/// UDP. Fragments go by their addresses, and what is no whole packet goes by nothing.
#[inline]
pub fn flow_hash(packet: &[u8]) -> u32 {
    let Some(packet) = trim(packet).map(|length| &packet[..length]) else { return 0 };
    let mut hash = Mix(0);
    address_bytes(packet).as_chunks::<4>().0.iter().for_each(|quad| hash.take(u32::from_ne_bytes(*quad)));
    // Only the first of several fragments tells the ports, and the others must not overtake it.
    if let Some(upper) = Upper::parse(packet).filter(|upper| !upper.fragment) {
        hash.take(upper.protocol.into());
        let ports = packet.get(upper.offset..).and_then(<[u8]>::first_chunk::<4>);
        if matches!(upper.protocol, TCP | UDP) {
            hash.take(ports.map_or(0, |ports| u32::from_ne_bytes(*ports)));
        }
    }
    hash.finish()
}

/// Multiplication and rotation: quick, and good enough to spread flows over queues.
struct Mix(u64);

impl Mix {
    #[inline]
    fn take(&mut self, quad: u32) {
        self.0 = (self.0.rotate_left(5) ^ u64::from(quad)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    /// The upper bits are mixed best.
    #[inline]
    fn finish(self) -> u32 {
        (self.0 >> 40) as u32
    }
}

/// Whether the packet is an ICMP error (IPv4 types 3, 11, 12: RFC 792; IPv6 types 1 to 4: RFC 4443), which a router on
/// the way sends from an address of its own. Anything that [`trim`] refuses, and a fragment but the first, is none.
pub fn is_icmp_error(packet: &[u8]) -> bool {
    let Some(upper) = Upper::parse(packet) else { return false };
    let Some(kind) = packet.get(upper.offset) else { return false };
    match upper.protocol {
        ICMP => packet[0] >> 4 == 4 && matches!(kind, 3 | 11 | 12),
        ICMPV6 => packet[0] >> 4 == 6 && matches!(kind, 1..=4),
        _ => false,
    }
}

/// What lies behind the IP header and the IPv6 extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper {
    /// The protocol number.
    pub protocol: u8,
    /// Offset of its header from the start of the packet: at least 20, at most the packet's length.
    pub offset: usize,
    /// Whether the packet is the first of several fragments.
    pub fragment: bool,
}

impl Upper {
    /// Finds the upper-layer header. `None` where [`trim`] finds no whole packet, the extension headers lead out of it,
    /// there are more than eight of them, or the packet is a fragment but the first.
    pub fn parse(packet: &[u8]) -> Option<Upper> {
        let packet = &packet[..trim(packet)?];
        if packet[0] >> 4 == 4 { Upper::parse_v4(packet) } else { Upper::parse_v6(packet) }
    }

    fn parse_v4(packet: &[u8]) -> Option<Upper> {
        let header: &[u8; 20] = packet.first_chunk()?;
        let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff;
        (fragment & 0x1fff == 0).then_some(Upper {
            protocol: header[9],
            offset: usize::from(header[0] & 15) * 4,
            fragment: fragment != 0,
        })
    }

    /// RFC 8200, section 4.
    fn parse_v6(packet: &[u8]) -> Option<Upper> {
        let (mut protocol, mut offset, mut fragment) = (*packet.get(6)?, 40, false);
        for _ in 0..=8 {
            let units = match protocol {
                // Hop-by-hop options, routing, destination options.
                0 | 43 | 60 => 8 + 8 * usize::from(*packet.get(offset + 1)?),
                44 => {
                    let field: &[u8; 2] = packet.get(offset + 2..)?.first_chunk()?;
                    let field = u16::from_be_bytes(*field);
                    if field >> 3 != 0 {
                        return None;
                    }
                    fragment |= field & 1 != 0;
                    8
                }
                // Authentication header: in units of 4 bytes, less 2.
                51 => 8 + 4 * usize::from(*packet.get(offset + 1)?),
                _ => return (offset <= packet.len()).then_some(Upper { protocol, offset, fragment }),
            };
            protocol = *packet.get(offset)?;
            offset += units;
        }
        None
    }
}

#[cfg(test)]
mod tests;
