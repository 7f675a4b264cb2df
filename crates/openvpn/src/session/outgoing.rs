//! From packets to datagrams.

use super::Start;
use crate::{
    compress::{Packed, packed_len},
    fragment::{self, HEADER_LEN, Splitter},
    mtu,
    options::{Compression, Options},
    wire::{SealError, Sealer},
};

/// The datagrams that a packet becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// How many, at least 1.
    pub count: usize,
    /// The length of each but the last, in bytes.
    pub each: usize,
    /// The length of the last, in bytes: no longer than the others.
    pub last: usize,
}

/// Makes datagrams of packets, pings and messages. It has one owner, and so no packet id is used twice.
#[derive(Debug)]
pub struct Outgoing {
    sealer: Sealer,
    compression: Compression,
    splitter: Option<Splitter>,
}

impl Outgoing {
    pub(super) fn new(options: &Options, start: &Start, sealer: Sealer) -> Self {
        let longest = mtu::max_fragment(options, start.protocol, start.is_ipv6);
        Self {
            sealer,
            compression: options.compression,
            splitter: longest.map(|longest| Splitter::new(longest, start.seed[0])),
        }
    }

    /// The time that packets carry now, in seconds since 1970: what a successor must be told.
    #[must_use]
    pub fn time(&self) -> u32 {
        self.sealer.time()
    }

    /// The datagrams that an IP packet or a message of `length` bytes becomes. `None`: more than `fragment` allows.
    #[inline]
    #[must_use]
    pub fn pieces(&self, length: usize) -> Option<Pieces> {
        let packed = packed_len(self.compression, length);
        let shape = self.sealer.shape();
        let Some(splitter) = &self.splitter else {
            let only = shape.sealed_len(packed);
            return Some(Pieces { count: 1, each: only, last: only });
        };
        let pieces = splitter.pieces(packed)?;
        let sealed = |piece: usize| shape.sealed_len(HEADER_LEN + pieces.range(piece).len());
        Some(Pieces { count: pieces.count, each: sealed(0), last: sealed(pieces.count - 1) })
    }

    /// Puts one datagram of a packet together in `room`, which has the length that [`Self::pieces`] told. Those of a packet are
    /// asked for in order. **It is clear text until [`Self::finish`].**
    ///
    /// # Errors
    /// [`SealError`]: the packet is dropped. [`SealError::Room`] is for what is no IP packet, too.
    #[inline]
    pub fn stage(&mut self, packet: &[u8], piece: usize, room: &mut [u8]) -> Result<(), SealError> {
        let packed = Packed::new(self.compression, packet);
        let Some(splitter) = &mut self.splitter else {
            return self.sealer.stage(packed.len(), room, |content| packed.write(0, content));
        };
        let pieces = splitter.pieces(packed.len()).ok_or(SealError::Room)?;
        let range = pieces.range(piece);
        let header: [u8; fragment::HEADER_LEN] = splitter.header(pieces, piece);
        self.sealer.stage(HEADER_LEN + range.len(), room, |content| {
            let (front, body) = content.split_at_mut(HEADER_LEN);
            front.copy_from_slice(&header);
            packed.write(range.start, body);
        })
    }

    /// Encrypts and signs staged datagrams side by side, in any number and of any lengths.
    #[inline]
    pub fn finish<'a>(&mut self, datagrams: impl IntoIterator<Item = &'a mut [u8]>) {
        self.sealer.finish(datagrams);
    }

    /// All datagrams of one packet, ping or message; it allocates.
    ///
    /// # Errors
    /// [`SealError`]: nothing of it is to be sent.
    pub fn seal(&mut self, packet: &[u8]) -> Result<Vec<Vec<u8>>, SealError> {
        let pieces = self.pieces(packet.len()).ok_or(SealError::Room)?;
        let mut datagrams = vec![vec![0; pieces.each]; pieces.count];
        if let Some(last) = datagrams.last_mut() {
            last.truncate(pieces.last);
        }
        for (piece, room) in datagrams.iter_mut().enumerate() {
            self.stage(packet, piece, room)?;
        }
        self.finish(datagrams.iter_mut().map(|datagram| &mut datagram[..]));
        Ok(datagrams)
    }
}
