//! Pieces into packets (fragment.c, `fragment_incoming`).

use std::ops::Range;

use thiserror::Error;

use super::{HEADER_LEN, LAST, MOST_PIECES, NOT_LAST, UNIT, WHOLE};

/// Packets that are put together at the same time (`N_FRAG_BUF`).
const PLACES: usize = 25;

/// How long a packet is waited for after its last piece, in seconds (`FRAG_TTL_SEC`).
const WAIT: u64 = 10;

/// All pieces are there.
const ALL: u32 = u32::MAX;

/// Why a piece was dropped; the words are OpenVPN's, after "FRAG_IN error flags=…: ".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FragmentError {
    /// There is no header.
    #[error("flags not found in packet")]
    NoHeader,
    /// A whole packet with a number.
    #[error("spurious FRAG_WHOLE flags")]
    SpuriousWhole,
    /// Pieces have lengths that are multiples of 4.
    #[error("bad fragment size")]
    BadSize,
    /// More than there is room for.
    #[error("fragment buffer overflow")]
    Overflow,
    /// A kind of piece that nobody sends.
    #[error("FRAG_TEST not implemented")]
    Test,
}

/// What became of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reassembled {
    /// It was a whole packet, which lies here in what was given.
    Whole(Range<usize>),
    /// More pieces are to come.
    Part,
    /// It was the last one missing: [`Reassembly::packet`] has all.
    Complete,
}

/// Packets of which pieces have come.
#[derive(Debug)]
pub struct Reassembly {
    places: Box<[Place]>,
    /// The place of the packet with the greatest number, and that number; `None` before the first piece.
    newest: Option<(usize, u8)>,
    /// Where the packet that was completed last lies.
    complete: (usize, usize),
}

#[derive(Clone, Debug)]
struct Place {
    /// `None`: nothing is put together here.
    pieces: Option<Arrived>,
    bytes: Box<[u8]>,
}

#[derive(Clone, Copy, Debug)]
struct Arrived {
    /// One bit a piece, and all from the last one on once that has come.
    map: u32,
    /// The length of each piece but the last.
    each: usize,
    /// The packet's length as far as it has come.
    length: usize,
    at: u64,
}

impl Reassembly {
    /// Room for packets of `longest` bytes: 25 times as much memory.
    #[must_use]
    pub fn new(longest: usize) -> Self {
        let place = Place { pieces: None, bytes: vec![0; longest].into() };
        Self { places: vec![place; PLACES].into(), newest: None, complete: (0, 0) }
    }

    /// Takes a whole packet or a piece, with its header. `now` counts seconds since any fixed moment.
    ///
    /// # Errors
    /// [`FragmentError`]: it is dropped.
    pub fn take(&mut self, bytes: &[u8], now: u64) -> Result<Reassembled, FragmentError> {
        let (header, content) = bytes.split_first_chunk().ok_or(FragmentError::NoHeader)?;
        let flags = u32::from_be_bytes(*header);
        match flags & 3 {
            WHOLE if flags & 0xff == 0 => Ok(Reassembled::Whole(HEADER_LEN..bytes.len())),
            WHOLE => Err(FragmentError::SpuriousWhole),
            NOT_LAST => self.take_piece(flags, content.len(), content, now),
            LAST => self.take_piece(flags, (flags >> 15 & 0x3fff) as usize * UNIT, content, now),
            _ => Err(FragmentError::Test),
        }
    }

    /// The packet that [`Reassembled::Complete`] told of last.
    pub fn packet(&mut self) -> &mut [u8] {
        let (place, length) = self.complete;
        &mut self.places[place].bytes[..length]
    }

    fn take_piece(&mut self, flags: u32, each: usize, content: &[u8], now: u64) -> Result<Reassembled, FragmentError> {
        let piece = (flags >> 10) as usize % MOST_PIECES;
        let at = self.place_of((flags >> 2 & 0xff) as u8);
        if !each.is_multiple_of(UNIT) {
            return Err(FragmentError::BadSize);
        }
        let place = &mut self.places[at];
        let fresh = Arrived { map: 0, each, length: 0, at: now };
        let known = place.pieces.filter(|known| known.each == each && known.at + WAIT > now);
        let mut arrived = known.unwrap_or(fresh);
        let start = piece * each;
        let end = start + content.len();
        place.pieces = Some(arrived);
        place.bytes.get_mut(start..end).ok_or(FragmentError::Overflow)?.copy_from_slice(content);

        arrived.map |= if flags & 3 == LAST { ALL << piece } else { 1 << piece };
        (arrived.length, arrived.at) = (arrived.length.max(end), now);
        if arrived.map == ALL {
            place.pieces = None;
            self.complete = (at, arrived.length);
            return Ok(Reassembled::Complete);
        }
        place.pieces = Some(arrived);
        Ok(Reassembled::Part)
    }

    /// The place of a packet by its number: a window that moves on with the greatest (`fragment_list_get_buf`).
    fn place_of(&mut self, number: u8) -> usize {
        let (place, newest) = self.newest.unwrap_or((0, number));
        // The shorter way around the circle of numbers.
        let ahead = isize::from(number.wrapping_sub(newest) as i8);
        if ahead.unsigned_abs() >= PLACES {
            self.places.iter_mut().for_each(|place| place.pieces = None);
            self.newest = Some((0, number));
            return 0;
        }
        let wrapped = |place: isize| place.rem_euclid(PLACES as isize) as usize;
        let at = wrapped(place as isize + ahead);
        if ahead < 0 {
            return at;
        }
        for step in 1..=ahead {
            self.places[wrapped(place as isize + step)].pieces = None;
        }
        self.newest = Some((at, number));
        at
    }
}
