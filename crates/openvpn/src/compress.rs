//! What stands before a packet where compression was agreed on (comp.h, compstub.c, lzo.c, comp-lz4.c).
//!
//! Nothing is ever compressed here; OpenVPN 2.7 does as much. What a peer has compressed is dropped and said so: letting a
//! stranger's bytes into a decompressor, and lengths tell of contents (VORACLE), is not worth it.

use std::ops::Range;

use thiserror::Error;

use crate::options::Compression;

/// Not compressed, LZO's way.
const PLAIN: u8 = 0xfa;
/// Not compressed, and the packet's first byte is its last.
const PLAIN_SWAPPED: u8 = 0xfb;
/// Compressed with LZO.
const LZO: u8 = 0x66;
/// Compressed with LZ4.
const LZ4: u8 = 0x69;
/// The second format has two bytes before packets that are compressed or begin with this.
const V2: u8 = 0x50;
/// Behind [`V2`]: not compressed.
const V2_PLAIN: u8 = 0;

/// Why a packet was not unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnpackError {
    /// The peer compresses: it has to be told not to (`comp-lzo no`, or `compress` and no algorithm).
    #[error("the peer compresses, which meshtun does not undo: set `comp-lzo no` or `compress stub` at the peer")]
    Compressed,
    /// The ends are configured differently, or the packet is damaged.
    #[error("Bad compression stub decompression header byte: {0}")]
    BadHeader(u8),
}

/// A packet with what stands before and behind it, of which any part can be written out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed<'a> {
    head: [u8; 2],
    head_len: usize,
    body: &'a [u8],
    tail: Option<u8>,
}

impl<'a> Packed<'a> {
    pub(crate) fn new(compression: Compression, packet: &'a [u8]) -> Self {
        let (head, head_len, body, tail) = match (compression, packet) {
            (Compression::Lzo, [_, ..]) => ([PLAIN, 0], 1, packet, None),
            (Compression::Swap, [first, rest @ ..]) => ([PLAIN_SWAPPED, 0], 1, rest, Some(*first)),
            (Compression::V2, [V2, ..]) => ([V2, V2_PLAIN], 2, packet, None),
            _ => ([0, 0], 0, packet, None),
        };
        Self { head, head_len, body, tail }
    }

    /// The length of all in bytes.
    pub(crate) fn len(&self) -> usize {
        self.head_len + self.body.len() + usize::from(self.tail.is_some())
    }

    /// Writes as much as `out` is long, from byte `from` on.
    pub(crate) fn write(&self, from: usize, out: &mut [u8]) {
        let tail = self.tail.as_slice();
        let (mut at, mut room) = (0, out);
        for part in [&self.head[..self.head_len], self.body, tail] {
            let wanted = &part[from.saturating_sub(at).min(part.len())..];
            let (here, rest) = room.split_at_mut(wanted.len().min(room.len()));
            here.copy_from_slice(&wanted[..here.len()]);
            (at, room) = (at + part.len(), rest);
        }
    }
}

/// How long an IP packet or a message of OpenVPN's own of so many bytes becomes: neither begins with [`V2`].
pub(crate) fn packed_len(compression: Compression, length: usize) -> usize {
    match compression {
        Compression::Lzo | Compression::Swap if length > 0 => length + 1,
        _ => length,
    }
}

/// Unpacks a packet in place and tells where in `bytes` it is. Nothing packed is nothing unpacked.
///
/// # Errors
/// [`UnpackError`].
pub fn unpack(compression: Compression, bytes: &mut [u8]) -> Result<Range<usize>, UnpackError> {
    let len = bytes.len();
    match (compression, &mut *bytes) {
        (Compression::None, _) | (_, []) => Ok(0..len),
        (Compression::Lzo, [PLAIN, ..]) => Ok(1..len),
        (Compression::Lzo, [LZO | LZ4, ..]) | (Compression::Swap, [LZO | LZ4, ..]) => Err(UnpackError::Compressed),
        (Compression::Swap, [PLAIN_SWAPPED]) => Ok(0..0),
        (Compression::Swap, [first, .., last]) if *first == PLAIN_SWAPPED => {
            *first = *last;
            Ok(0..len - 1)
        }
        (Compression::V2, [V2, V2_PLAIN, ..]) => Ok(2..len),
        (Compression::V2, [V2, 1..=3, ..]) => Err(UnpackError::Compressed),
        (Compression::V2, [V2, second, ..]) => Err(UnpackError::BadHeader(*second)),
        (Compression::V2, [V2]) => Err(UnpackError::BadHeader(V2)),
        (Compression::V2, _) => Ok(0..len),
        (_, [first, ..]) => Err(UnpackError::BadHeader(*first)),
    }
}

#[cfg(test)]
mod tests;
