//! `fragment`: a header before every packet, and long packets in pieces (fragment.c, fragment.h).
//!
//! ```text
//!   bits  0–1   0 whole, 1 not the last piece, 2 the last piece, 3 unused
//!   bits  2–9   the packet's number
//!   bits 10–14  the piece's number
//!   bits 15–28  of the last piece: the length of the others, divided by 4
//! ```

mod reassembly;

use std::ops::Range;

pub use reassembly::{FragmentError, Reassembled, Reassembly};

/// Bytes before every packet and piece.
pub const HEADER_LEN: usize = 4;

/// Pieces of a packet at most.
pub const MOST_PIECES: usize = 32;

const WHOLE: u32 = 0;
const NOT_LAST: u32 = 1;
const LAST: u32 = 2;

/// Lengths of pieces are multiples of this, but that of the last one.
const UNIT: usize = 4;

/// Cuts packets into pieces.
#[derive(Debug)]
pub struct Splitter {
    /// The longest piece, without its header, in bytes.
    longest: usize,
    packet: u8,
}

/// How a packet is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// How many: 1 for a whole packet.
    pub count: usize,
    /// The length of each but the last, in bytes.
    pub each: usize,
    length: usize,
}

impl Pieces {
    /// Where in the packet a piece lies.
    #[must_use]
    pub fn range(self, piece: usize) -> Range<usize> {
        let start = (piece * self.each).min(self.length);
        start..if piece + 1 < self.count { start + self.each } else { self.length }
    }
}

impl Splitter {
    /// Cuts what is longer than `longest` bytes; numbers of packets go on from `packet`, which should be a random one, so that
    /// pieces of two lives are not taken together.
    #[must_use]
    pub fn new(longest: usize, packet: u8) -> Self {
        Self { longest, packet }
    }

    /// How a packet of `length` bytes is cut: into pieces of much the same length, which need no more than the longest
    /// possible ones (`optimal_fragment_size`). `None`: it would be more than [`MOST_PIECES`].
    #[must_use]
    pub fn pieces(&self, length: usize) -> Option<Pieces> {
        if length <= self.longest {
            return Some(Pieces { count: 1, each: length, length });
        }
        let aligned = self.longest / UNIT * UNIT;
        if aligned == 0 {
            return None;
        }
        let (whole, rest) = (length / aligned, length % aligned);
        let even = (self.longest - (self.longest - rest.min(self.longest)) / (whole + 1)).next_multiple_of(UNIT);
        let each = if rest > 0 && rest < aligned * 3 / 4 { even.min(aligned) } else { aligned };
        let count = length.div_ceil(each);
        (count <= MOST_PIECES).then_some(Pieces { count, each, length })
    }

    /// The header of a piece. Those of one packet are asked for in order.
    #[must_use]
    pub fn header(&mut self, pieces: Pieces, piece: usize) -> [u8; HEADER_LEN] {
        if pieces.count == 1 {
            return WHOLE.to_be_bytes();
        }
        if piece == 0 {
            self.packet = self.packet.wrapping_add(1);
        }
        let number = (piece % MOST_PIECES) as u32;
        let which = u32::from(self.packet) << 2 | number << 10;
        let flags = if piece + 1 < pieces.count {
            NOT_LAST | which
        } else {
            LAST | which | ((pieces.each / UNIT) as u32 & 0x3fff) << 15
        };
        flags.to_be_bytes()
    }
}

#[cfg(test)]
mod tests;
