//! From datagrams to packets.

use std::ops::Range;

use thiserror::Error;

use crate::{
    compress::{self, UnpackError},
    fragment::{FragmentError, Reassembled, Reassembly},
    mtu, occ,
    options::{Compression, Options, Protocol},
    packet_id::{PacketId, Window},
    ping,
    wire::{Authentic, OpenError, Opener},
};

/// Why a datagram was dropped; the words are those of OpenVPN's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Drop {
    /// It did not open.
    #[error("Authenticate/Decrypt packet error: {0}")]
    Open(#[from] OpenError),
    /// It is no piece of a packet.
    #[error("FRAG_IN error: {0}")]
    Fragment(#[from] FragmentError),
    /// Its packet does not unpack.
    #[error("{0}")]
    Unpack(#[from] UnpackError),
}

/// What an authentic datagram was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What it was, or completed.
    pub kind: Kind,
    /// Where it lies: in the datagram, or, if it `is_assembled`, in [`Incoming::assembled`].
    pub range: Range<usize>,
    /// Whether it came in pieces.
    pub is_assembled: bool,
}

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An inner packet.
    Packet,
    /// A ping: a sign of life and nothing else.
    Ping,
    /// A message of [`occ`].
    Message,
    /// A piece of something of which others are to come.
    Part,
    /// Nothing. It does not even count as a sign of life.
    Empty,
}

/// Makes packets, pings and messages of datagrams.
#[derive(Debug)]
pub struct Incoming {
    opener: Opener,
    compression: Compression,
    reassembly: Option<Reassembly>,
}

impl Incoming {
    pub(super) fn new(options: &Options, protocol: Protocol, opener: Opener) -> Self {
        let longest = mtu::longest_packet(options, protocol);
        Self {
            opener,
            compression: options.compression,
            reassembly: options.fragment.map(|_| Reassembly::new(longest)),
        }
    }

    /// The newest packet id that was received: what a successor must be told.
    #[must_use]
    pub fn newest(&self) -> PacketId {
        self.opener.window().newest()
    }

    /// The window of packet ids.
    #[must_use]
    pub fn window(&self) -> &Window {
        self.opener.window()
    }

    /// Authenticates a number of datagrams side by side; each is opened with [`Self::open_authentic`] then.
    #[must_use]
    pub fn authenticate<'a>(&self, datagrams: impl IntoIterator<Item = &'a [u8]>) -> Authentic {
        self.opener.authenticate(datagrams)
    }

    /// Authenticates and opens a datagram in place. `now` counts seconds since any fixed moment.
    ///
    /// # Errors
    /// [`Drop`]; the datagram's bytes may have changed.
    #[inline]
    pub fn open(&mut self, datagram: &mut [u8], now: u64) -> Result<Opened, Drop> {
        let payload = self.opener.open(datagram, now)?;
        self.unwrap(datagram, payload, now)
    }

    /// Opens a datagram about which [`Self::authenticate`] has said whether it is `authentic`, as [`Self::open`] does.
    ///
    /// # Errors
    /// [`Drop`]; the datagram's bytes may have changed.
    #[inline]
    pub fn open_authentic(&mut self, datagram: &mut [u8], authentic: bool, now: u64) -> Result<Opened, Drop> {
        let payload = self.opener.open_authentic(datagram, authentic, now)?;
        self.unwrap(datagram, payload, now)
    }

    /// What the last datagram completed, if it said so; [`Opened::range`] tells which part of it.
    pub fn assembled(&mut self) -> &mut [u8] {
        self.reassembly.as_mut().map_or(&mut [], Reassembly::packet)
    }

    fn unwrap(&mut self, datagram: &mut [u8], payload: Range<usize>, now: u64) -> Result<Opened, Drop> {
        let start = payload.start;
        let payload = &mut datagram[payload];
        let empty = Opened { kind: Kind::Empty, range: 0..0, is_assembled: false };
        if payload.is_empty() {
            return Ok(empty);
        }
        let Some(reassembly) = &mut self.reassembly else {
            return Ok(unpacked(self.compression, payload)?.moved_by(start));
        };
        match reassembly.take(payload, now)? {
            Reassembled::Whole(range) => {
                let moved = start + range.start;
                Ok(unpacked(self.compression, &mut payload[range])?.moved_by(moved))
            }
            Reassembled::Part => Ok(Opened { kind: Kind::Part, ..empty }),
            Reassembled::Complete => {
                Ok(Opened { is_assembled: true, ..unpacked(self.compression, reassembly.packet())? })
            }
        }
    }
}

impl Opened {
    fn moved_by(self, distance: usize) -> Self {
        let range = self.range.start + distance..self.range.end + distance;
        Self { range, ..self }
    }
}

fn unpacked(compression: Compression, packed: &mut [u8]) -> Result<Opened, UnpackError> {
    let range = compress::unpack(compression, packed)?;
    let kind = match &packed[range.clone()] {
        [] => Kind::Empty,
        payload if ping::is_ping(payload) => Kind::Ping,
        payload if occ::is_message(payload) => Kind::Message,
        _ => Kind::Packet,
    };
    Ok(Opened { kind, range, is_assembled: false })
}
