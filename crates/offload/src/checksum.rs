//! The Internet checksum (RFC 1071).

/// A partial one's-complement sum of 16-bit words, not yet folded.
///
/// Words are taken in the machine's own byte order: the sum comes out in that order too (RFC 1071, section 2 (B)), so
/// that nothing is swapped. Sums of at most 65535 bytes each may be added some thousand times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Sum = Sum(0);

    /// The sum of `bytes`; an odd last byte is padded with a zero behind it.
    #[inline]
    pub fn of(bytes: &[u8]) -> Sum {
        let (words, rest) = bytes.as_chunks::<2>();
        let mut sum: u64 = words.iter().map(|word| u64::from(u16::from_ne_bytes(*word))).sum();
        if let [last] = rest {
            sum += u64::from(u16::from_ne_bytes([*last, 0]));
        }
        Sum(sum)
    }

    /// Both sums together. `other` must be of bytes that begin at an even offset.
    #[inline]
    pub const fn plus(self, other: Sum) -> Sum {
        Sum(self.0 + other.0)
    }

    /// This sum and a number.
    #[inline]
    pub const fn plus_u16(self, number: u16) -> Sum {
        Sum(self.0 + number.to_be() as u64)
    }

    /// The sum as it stands in a partial checksum field: folded, not complemented.
    #[inline]
    pub const fn partial(self) -> [u8; 2] {
        fold(self.0).to_ne_bytes()
    }

    /// The finished checksum field: folded and complemented.
    #[inline]
    pub const fn finish(self) -> [u8; 2] {
        (!fold(self.0)).to_ne_bytes()
    }

    /// Whether bytes with this sum, their checksum field among them, are sound.
    #[inline]
    pub const fn verifies(self) -> bool {
        fold(self.0) == 0xffff
    }
}

const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    sum as u16
}
