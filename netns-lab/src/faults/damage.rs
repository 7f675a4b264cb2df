//! Flipping a bit so that it is noticed by whom it should be.
//!
//! A network's own checks (Ethernet's, UDP's) drop a damaged packet: that is a loss. The damage that matters is what gets
//! past them. So a bit of a datagram's payload is flipped and UDP's checksum put right (RFC 1624): only the receiver of
//! the payload can tell. Of other frames any bit behind the Ethernet header is flipped, and their own checks see it.

use super::classify::{ETHERNET, udp_at};

/// Length of a UDP header.
const UDP: usize = 8;

/// Flips a bit, chosen by any number.
pub(super) fn flip(frame: &mut [u8], bit: usize) {
    match udp_at(frame) {
        Some(at) if frame.len() > at + UDP => flip_payload(frame, at, bit),
        _ if frame.len() > ETHERNET => {
            let bit = bit % ((frame.len() - ETHERNET) * 8);
            frame[ETHERNET + bit / 8] ^= 1 << (bit % 8);
        }
        _ => {}
    }
}

/// `at`: where the UDP header begins.
fn flip_payload(frame: &mut [u8], at: usize, bit: usize) {
    let bit = bit % ((frame.len() - at - UDP) * 8);
    let byte = at + UDP + bit / 8;
    let before = word(frame, at, byte);
    frame[byte] ^= 1 << (bit % 8);
    let after = word(frame, at, byte);
    let sum = u16::from_be_bytes([frame[at + 6], frame[at + 7]]);
    if sum == 0 {
        // The sender made none (RFC 768).
        return;
    }
    // RFC 1624, equation 3.
    let mut new = u32::from(!sum) + u32::from(!before) + u32::from(after);
    new = (new & 0xffff) + (new >> 16);
    new = (new & 0xffff) + (new >> 16);
    let new = !(new as u16);
    let new = if new == 0 { 0xffff } else { new };
    frame[at + 6..at + 8].copy_from_slice(&new.to_be_bytes());
}

/// The 16 bits of the sum in which a byte stands; the last byte of an odd datagram is followed by a zero.
fn word(frame: &[u8], at: usize, byte: usize) -> u16 {
    let first = byte - (byte - at) % 2;
    u16::from_be_bytes([frame[first], frame.get(first + 1).copied().unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 datagram with so many bytes of payload; the sum covers the UDP part alone, which is all that changes.
    fn frame(len: usize) -> Vec<u8> {
        let mut frame = vec![0; ETHERNET + 20 + UDP + len];
        frame[12] = 0x08;
        frame[ETHERNET] = 0x45;
        frame[ETHERNET + 9] = 17;
        for (number, byte) in frame[ETHERNET + 28..].iter_mut().enumerate() {
            *byte = (number * 37 + 11) as u8;
        }
        let sum = !folded(&frame[ETHERNET + 20..]);
        frame[ETHERNET + 26..ETHERNET + 28].copy_from_slice(&sum.to_be_bytes());
        frame
    }

    fn folded(bytes: &[u8]) -> u16 {
        let words = bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        let mut sum: u32 = words.map(u32::from).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    #[test]
    fn one_bit_of_the_payload_is_flipped_and_the_checksum_holds() {
        for len in [1, 2, 31, 32] {
            for bit in 0..len * 8 {
                let (before, mut after) = (frame(len), frame(len));
                flip(&mut after, bit + 1000 * len * 8);
                assert_eq!(folded(&after[ETHERNET + 20..]), 0xffff, "{len} {bit}");
                let differs = |range: std::ops::Range<usize>| {
                    before[range.clone()].iter().zip(&after[range]).map(|(b, a)| (b ^ a).count_ones()).sum::<u32>()
                };
                assert_eq!(differs(ETHERNET + 28..before.len()), 1);
                assert_eq!(differs(0..ETHERNET + 26), 0);
            }
        }
    }

    #[test]
    fn of_other_frames_any_bit_behind_the_ethernet_header_is_flipped() {
        let mut frame = vec![0; 60];
        flip(&mut frame, 3);
        assert_eq!(frame[ETHERNET], 8);
        flip(&mut [0; 10], 3);
    }
}
