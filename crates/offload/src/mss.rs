//! Clamping of TCP's maximum segment size: the one thing that makes TCP fit a tunnel between hosts that hear no ICMP.
//!
//! Each side of a connection tells in its SYN how long the segments may be that it takes (RFC 9293, section 3.7.1). A router
//! that lowers this number keeps both from sending packets which the tunnel would have to refuse. What is done here is what
//! netfilter's `TCPMSS` does to an option that is there (net/netfilter/xt_TCPMSS.c); one that is not there is not added.

use crate::packet::{TCP, Upper, trim};

/// Lowers the maximum segment size in a TCP SYN so that the packets of the connection are `longest` bytes at most: 40 less over
/// IPv4, 60 less over IPv6, for the headers without options. Tells whether it changed anything.
///
/// It is never raised. The checksum is changed along with it, unless it `is_partial`
/// ([`VirtioNetHdr::needs_csum`](crate::virtio::VirtioNetHdr::needs_csum)): then the option is not in it yet. Every other
/// packet, and whatever is no whole packet, stays as it is. IPv6 extension headers are walked, as by the kernel; a packet in
/// fragments is left alone unless it is the first of them.
#[inline]
pub fn clamp(packet: &mut [u8], longest: u16, is_partial: bool) -> bool {
    is_likely(packet) && clamp_syn(packet, longest, is_partial)
}

const SYN: u8 = 0x02;

/// TCP option kinds (RFC 9293, section 3.1).
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;

/// Whether a closer look is worth it: sorts nearly all packets out by what lies in their first bytes.
#[inline]
fn is_likely(packet: &[u8]) -> bool {
    match packet.first() {
        Some(first) if first >> 4 == 4 => {
            let flags = usize::from(first & 15) * 4 + 13;
            packet.get(9) == Some(&TCP) && packet.get(flags).is_some_and(|flags| flags & SYN != 0)
        }
        Some(first) if first >> 4 == 6 => match packet.get(6) {
            Some(&TCP) => packet.get(40 + 13).is_some_and(|flags| flags & SYN != 0),
            // Hop-by-hop options, routing, fragment, authentication, destination options.
            Some(0 | 43 | 44 | 51 | 60) => true,
            _ => false,
        },
        _ => false,
    }
}

#[cold]
fn clamp_syn(packet: &mut [u8], longest: u16, is_partial: bool) -> bool {
    let Some(upper) = Upper::parse(packet).filter(|upper| upper.protocol == TCP) else { return false };
    let headers = if packet[0] >> 4 == 4 { 40 } else { 60 };
    let most = longest.saturating_sub(headers);
    let total = trim(packet).unwrap_or_default();
    let Some(segment) = packet.get_mut(upper.offset..total) else { return false };
    let Some((header, options)) = split_options(segment) else { return false };
    if header[13] & SYN == 0 {
        return false;
    }
    let Some(at) = find(options) else { return false };
    let field = [options[at], options[at + 1]];
    if u16::from_be_bytes(field) <= most {
        return false;
    }
    let lowered = most.to_be_bytes();
    options[at..at + 2].copy_from_slice(&lowered);
    if !is_partial {
        // The options begin at an even offset of what is summed up; the field may not.
        let place = |[high, low]: [u8; 2]| u16::from_be_bytes(if at % 2 == 0 { [high, low] } else { [low, high] });
        let sum = u16::from_be_bytes([header[16], header[17]]);
        header[16..18].copy_from_slice(&updated(sum, place(field), place(lowered)).to_be_bytes());
    }
    true
}

/// The fixed part of a TCP header and the options behind it, if both are there.
fn split_options(segment: &mut [u8]) -> Option<(&mut [u8; 20], &mut [u8])> {
    let length = usize::from(segment.get(12)? >> 4) * 4;
    let (header, rest) = segment.split_first_chunk_mut::<20>()?;
    Some((header, rest.get_mut(..length.checked_sub(20)?)?))
}

/// Where among the options the maximum segment size stands.
fn find(options: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *options.get(at)? {
            END => return None,
            NO_OPERATION => at += 1,
            kind => {
                let length = usize::from(*options.get(at + 1)?);
                if length < 2 || at + length > options.len() {
                    return None;
                }
                if kind == MAXIMUM_SEGMENT_SIZE && length == 4 {
                    return Some(at + 2);
                }
                at += length;
            }
        }
    }
}

/// A checksum over a word that has become another (RFC 1624, equation 3).
fn updated(checksum: u16, from: u16, to: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!from) + u32::from(to);
    let sum = (sum >> 16) + (sum & 0xffff);
    !((sum >> 16) + (sum & 0xffff)) as u16
}

#[cfg(test)]
mod tests;
