//! The seam between the halves and a wire format: what a session does to packets.
//!
//! The halves know devices, sockets, trains, queues and counters. What a datagram looks like is for a session to know: a
//! [`Sealing`] that the sending half owns and an [`Opening`] that the receiving half owns, given to them by
//! [`Command::InstallSend`] and [`Command::InstallReceive`]. The test `tests/second_wire` has one of each, with packets in
//! parts, frames, and messages that the format keeps to itself. WireGuard's keys stand beside the traits
//! ([`SendSession`], [`ReceiveSession`]).
//!
//! ```text
//!  sending:    pieces(length) ─► room in the train ─► seal(packet, piece, room), for each piece ─► finish(the whole train)
//!  receiving:  the session by the channel's Format ─► authenticate(many), open(datagram) for each ─► Opened: an inner packet, a frame, nothing …
//! ```
//!
//! A session's calls come from one thread, one after another. None may block, and none should allocate. What goes through
//! the halves' counters, filter, clamping of the segment size and joining is none of a session's business.
//!
//! [`Command::InstallSend`]: crate::Command::InstallSend
//! [`Command::InstallReceive`]: crate::Command::InstallReceive

use std::{fmt::Debug, ops::Range, time::Instant};

use meshtun_proto::{
    control::is_control,
    message::{OVERHEAD, TRANSPORT_HEADER_LEN},
    session::{OpenError, ReceiveKey, SendKey, padding_len},
};

use crate::DropReason;

/// How a channel's datagrams name their session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// WireGuard's: a transport message carries a receiver index, and everything else is a handshake message for the
    /// control side.
    #[default]
    WireGuard,
    /// They don't: every datagram is for the one session that there is, the newest.
    Sole,
}

/// The sending half's side of a session: seals packets. It has one owner, and so does whatever counter it holds.
pub trait Sealing: Debug + Send {
    /// The session's number, by which [`Command`](crate::Command)s call it.
    fn session(&self) -> u32;

    /// The moment from which the half asks it to seal nothing any more; asked once. `None`: there is none.
    fn expires(&self) -> Option<Instant>;

    /// The datagrams that a packet of `length` bytes becomes. A frame of the control side should be one.
    ///
    /// `mtu` is the device's, or `length` for a longer frame: padding that can be chosen should not go beyond it.
    fn pieces(&self, length: usize, mtu: usize) -> Pieces;

    /// Writes one datagram of a packet into `room`, which has exactly the length that [`Self::pieces`] told. A packet's pieces
    /// are asked for one behind the other, from 0 on; the room holds bytes of earlier trains before.
    ///
    /// # Errors
    /// Why the packet is dropped; the room is given to another then.
    fn seal(&mut self, packet: &[u8], piece: usize, room: &mut [u8]) -> Result<(), DropReason>;

    /// The last word on the datagrams of a train before it leaves; they were all sealed by this session since the last
    /// call, and are in the order in which they were. A cipher that can do several at a time does its work here.
    fn finish(&mut self, datagrams: Datagrams<'_>) {
        let _ = datagrams;
    }
}

/// How many datagrams a packet becomes, and their lengths in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// At least 1.
    pub count: usize,
    /// Of each but the last.
    pub each: usize,
    /// Of the last, at most as long as the others: trains go on then.
    pub last: usize,
}

impl Pieces {
    /// A single datagram of `length` bytes.
    pub fn one(length: usize) -> Pieces {
        Pieces { count: 1, each: length, last: length }
    }

    pub(crate) fn length(&self, piece: usize) -> usize {
        if piece + 1 < self.count { self.each } else { self.last }
    }
}

/// The datagrams of a train, where they lie.
#[derive(Debug)]
pub struct Datagrams<'a> {
    pub(crate) bytes: &'a mut [u8],
    pub(crate) segment: usize,
    /// Bytes before each datagram that are not the session's.
    pub(crate) prefix: usize,
}

impl Datagrams<'_> {
    /// Each of them, in order: all of one length but the last, which may be shorter.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.bytes.chunks_mut(self.segment.max(1)).map(|bytes| bytes.get_mut(self.prefix..).unwrap_or_default())
    }

    /// As [`Self::iter_mut`].
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks(self.segment.max(1)).map(|bytes| bytes.get(self.prefix..).unwrap_or_default())
    }
}

/// Datagrams of one peer that came together, at most [`Authentic::MOST`].
#[derive(Debug)]
pub struct Together<'a> {
    pub(crate) received: &'a [u8],
    pub(crate) places: &'a [Range<usize>],
}

impl<'a> Together<'a> {
    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        let received = self.received;
        self.places.iter().map(|place| &received[place.clone()])
    }
}

/// Which datagrams of many are authentic, by their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Authentic(u64);

impl Authentic {
    /// How many datagrams are told of at once.
    pub const MOST: usize = u64::BITS as usize;

    /// What is true of each datagram, in order.
    pub fn of(verdicts: impl IntoIterator<Item = bool>) -> Authentic {
        let bits = verdicts.into_iter().take(Self::MOST).enumerate();
        Authentic(bits.fold(0, |all, (number, verdict)| all | u64::from(verdict) << number))
    }

    pub(crate) fn is(self, number: usize) -> bool {
        number < Self::MOST && self.0 >> number & 1 == 1
    }
}

/// The receiving half's side of a session: opens datagrams.
pub trait Opening: Debug + Send {
    /// The session's number: what [`Command`](crate::Command)s and [`Event`](crate::Event)s call it, and with
    /// [`Format::WireGuard`] its receiver index.
    fn session(&self) -> u32;

    /// The moment from which the half gives it nothing to open any more; asked once. `None`: there is none.
    fn expires(&self) -> Option<Instant>;

    /// Which datagrams that came together are authentic, of a cipher that can tell of several at a time faster than one by one.
    /// Each is given to [`Self::open`] then, with what was said of it. `None`: each is judged when it is opened.
    fn authenticate(&self, datagrams: Together<'_>) -> Option<Authentic> {
        let _ = datagrams;
        None
    }

    /// Opens a datagram, in place; `now` is when the half's turn began. It is authenticated, too, unless
    /// [`Self::authenticate`] has said whether it `is_authentic`.
    ///
    /// # Errors
    /// Why it is dropped.
    fn open(&mut self, datagram: &mut [u8], is_authentic: Option<bool>, now: Instant) -> Result<Opened, DropReason>;

    /// The packet or frame that the last call of [`Self::open`] completed, if it said [`Opened::Assembled`] or [`Opened::AssembledControl`].
    fn assembled(&mut self) -> &mut [u8] {
        &mut []
    }

    /// In words, why the last call of [`Self::open`] failed. With words, the control side hears of it
    /// ([`Event::Refused`](crate::Event::Refused)); asked once a second and reason at most.
    fn why(&self) -> Option<String> {
        None
    }
}

/// What an authentic datagram was. Ranges lie within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// An inner packet, and perhaps padding behind it.
    Inner(Range<usize>),
    /// A frame for the control side.
    Control(Range<usize>),
    /// A sign of life of so many bytes, and nothing else.
    Swallowed(usize),
    /// A part of an inner packet or frame of which other parts are to come.
    Part,
    /// The last missing part of an inner packet: [`Opening::assembled`] has it.
    Assembled,
    /// The last missing part of a frame for the control side: [`Opening::assembled`] has it.
    AssembledControl,
}

/// The sending half's side of a session, of WireGuard or of another format.
///
/// WireGuard's is told apart so that a call costs nothing: by way of a trait object a packet costs 85 instructions more each
/// way, of 5,000 (AES-256-GCM, 1,420 bytes).
#[derive(Debug)]
pub enum SendSession {
    /// WireGuard's.
    WireGuard(SendKey),
    /// Another format's.
    Other(Box<dyn Sealing>),
}

/// The receiving half's side of a session, of WireGuard or of another format.
#[derive(Debug)]
pub enum ReceiveSession {
    /// WireGuard's.
    WireGuard(Box<ReceiveKey>),
    /// Another format's.
    Other(Box<dyn Opening>),
}

impl From<SendKey> for SendSession {
    fn from(key: SendKey) -> SendSession {
        SendSession::WireGuard(key)
    }
}

impl From<Box<dyn Sealing>> for SendSession {
    fn from(session: Box<dyn Sealing>) -> SendSession {
        SendSession::Other(session)
    }
}

impl From<ReceiveKey> for ReceiveSession {
    fn from(key: ReceiveKey) -> ReceiveSession {
        ReceiveSession::WireGuard(Box::new(key))
    }
}

impl From<Box<dyn Opening>> for ReceiveSession {
    fn from(session: Box<dyn Opening>) -> ReceiveSession {
        ReceiveSession::Other(session)
    }
}

impl SendSession {
    pub(crate) fn session(&self) -> u32 {
        match self {
            SendSession::WireGuard(key) => key.local_index(),
            SendSession::Other(session) => session.session(),
        }
    }

    pub(crate) fn expires(&self) -> Option<Instant> {
        match self {
            SendSession::WireGuard(key) => Some(key.expires()),
            SendSession::Other(session) => session.expires(),
        }
    }

    #[inline]
    pub(crate) fn pieces(&self, length: usize, mtu: usize) -> Pieces {
        match self {
            SendSession::WireGuard(_) => Pieces::one(OVERHEAD + length + padding_len(length, mtu)),
            SendSession::Other(session) => session.pieces(length, mtu),
        }
    }

    #[inline]
    pub(crate) fn seal(&mut self, packet: &[u8], piece: usize, room: &mut [u8]) -> Result<(), DropReason> {
        match self {
            SendSession::WireGuard(key) => {
                let padding = room.len().saturating_sub(OVERHEAD + packet.len());
                key.seal(packet, padding, room).map(drop).map_err(|_| DropReason::NoSession)
            }
            SendSession::Other(session) => session.seal(packet, piece, room),
        }
    }

    #[inline]
    pub(crate) fn finish(&mut self, datagrams: Datagrams<'_>) {
        if let SendSession::Other(session) = self {
            session.finish(datagrams);
        }
    }
}

impl ReceiveSession {
    pub(crate) fn session(&self) -> u32 {
        match self {
            ReceiveSession::WireGuard(key) => key.local_index(),
            ReceiveSession::Other(session) => session.session(),
        }
    }

    pub(crate) fn expires(&self) -> Option<Instant> {
        match self {
            ReceiveSession::WireGuard(key) => Some(key.expires()),
            ReceiveSession::Other(session) => session.expires(),
        }
    }

    pub(crate) fn authenticate(&self, datagrams: Together<'_>) -> Option<Authentic> {
        match self {
            ReceiveSession::WireGuard(_) => None,
            ReceiveSession::Other(session) => session.authenticate(datagrams),
        }
    }

    #[inline(always)]
    pub(crate) fn open(
        &mut self,
        datagram: &mut [u8],
        is_authentic: Option<bool>,
        now: Instant,
    ) -> Result<Opened, DropReason> {
        let key = match self {
            ReceiveSession::WireGuard(key) => key,
            ReceiveSession::Other(session) => return session.open(datagram, is_authentic, now),
        };
        let plaintext = key.open(datagram).map_err(reason_of)?;
        let range = TRANSPORT_HEADER_LEN..TRANSPORT_HEADER_LEN + plaintext.len();
        Ok(match plaintext {
            [] => Opened::Swallowed(0),
            frame if is_control(frame) => Opened::Control(range),
            _ => Opened::Inner(range),
        })
    }

    pub(crate) fn assembled(&mut self) -> &mut [u8] {
        match self {
            ReceiveSession::WireGuard(_) => &mut [],
            ReceiveSession::Other(session) => session.assembled(),
        }
    }

    pub(crate) fn why(&self) -> Option<String> {
        match self {
            ReceiveSession::WireGuard(_) => None,
            ReceiveSession::Other(session) => session.why(),
        }
    }
}

fn reason_of(error: OpenError) -> DropReason {
    match error {
        OpenError::Malformed => DropReason::Malformed,
        OpenError::Replayed => DropReason::Replayed,
        OpenError::Forged => DropReason::Forged,
        OpenError::Exhausted => DropReason::Expired,
    }
}
