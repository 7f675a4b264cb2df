//! Trains, before and after a session's last word: nothing leaves but what it has spoken on.
//!
//! A session may leave clear text in a train until the train is full, to encrypt many datagrams at a time
//! ([`Sealing::finish`]). So what is in a [`Loading`] can't be read. It comes out as [`Sealed`], which nothing else makes,
//! and a [`Wire`] sends nothing else.
//!
//! [`Sealing::finish`]: crate::Sealing::finish
//! [`Wire`]: super::wire::Wire

mod stuck;

use meshtun_offload::train::{Room, Train};

pub(super) use self::stuck::Stuck;
use crate::{Datagrams, DropReason, SendSession};

/// A train in the making, and the session that seals it.
pub(super) struct Loading<'a> {
    session: &'a mut SendSession,
    /// Bytes before each datagram, which hold its length.
    prefix: usize,
    train: Train<&'a mut [u8]>,
}

impl<'a> Loading<'a> {
    /// An empty train over `buffer`.
    pub(super) fn new(session: &'a mut SendSession, prefix: usize, buffer: &'a mut [u8]) -> Loading<'a> {
        Loading { session, prefix, train: Train::new(buffer) }
    }

    pub(super) fn session(&self) -> &SendSession {
        self.session
    }

    /// Whether a datagram of `length` bytes may follow.
    #[inline]
    pub(super) fn fits(&self, length: usize) -> bool {
        self.train.fits(self.prefix + length)
    }

    /// Appends a piece of a packet as a datagram of `length` bytes.
    ///
    /// # Errors
    /// Why the packet is dropped; the train is as it was.
    #[inline(always)] // A packet's way out is compiled once, without calls: a call is 20 instructions.
    pub(super) fn seal(&mut self, packet: &[u8], piece: usize, length: usize) -> Result<Room, DropReason> {
        let whole = self.prefix + length;
        let room = self.train.reserve(whole).ok_or(DropReason::TooBig)?;
        let (before, datagram) = room.split_at_mut(self.prefix);
        if let Some(prefix) = before.first_chunk_mut() {
            *prefix = (datagram.len() as u16).to_be_bytes();
        }
        self.session.seal(packet, piece, datagram)?;
        Ok(self.train.commit(whole))
    }

    /// Ends the train: the session finishes it, `send` has it, and the next one begins. An empty train is none.
    #[inline]
    pub(super) fn leave(&mut self, send: impl FnOnce(Sealed<'_>)) {
        if self.train.is_empty() {
            return;
        }
        let segment = self.train.segment_len();
        self.session.finish(Datagrams { bytes: self.train.bytes_mut(), segment, prefix: self.prefix });
        send(Sealed { bytes: self.train.bytes(), segment });
        self.train.reset();
    }
}

/// Datagrams of which their session has said its last word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sealed<'a> {
    bytes: &'a [u8],
    segment: usize,
}

impl<'a> Sealed<'a> {
    /// All of them, one behind the other.
    pub(super) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The length of each but the last, in bytes; of what is left of a train that went in part, no more than that.
    pub(super) fn segment(self) -> usize {
        self.segment
    }

    /// What is left when the first `gone` bytes have gone.
    pub(super) fn without(self, gone: usize) -> Sealed<'a> {
        Sealed { bytes: self.bytes.get(gone..).unwrap_or_default(), ..self }
    }
}
