//! The way in: from a datagram to its payload.

use std::ops::Range;

use thiserror::Error;

use super::{
    Shape,
    cbc::Decryption,
    mac::{self, Mac},
};
use crate::{
    key::OneWay,
    options::{Cipher, Digest},
    packet_id::{PacketId, Replay, Window},
};

/// Why a datagram was not opened; the words are OpenVPN's, after "Authenticate/Decrypt packet error: ".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// It is shorter than a tag.
    #[error("missing authentication info")]
    NoTag,
    /// Its tag is wrong: another key, another digest, or somebody's tampering.
    #[error("packet HMAC authentication failed")]
    BadTag,
    /// It has no initialisation vector.
    #[error("missing IV info")]
    NoIv,
    /// It has nothing behind the initialisation vector.
    #[error("missing payload")]
    NoPayload,
    /// It is authentic, but no ciphertext of this cipher.
    #[error("cipher final failed")]
    BadPadding,
    /// It is authentic, but too short for a packet id.
    #[error("error reading {}packet-id", if *.cbc { "CBC " } else { "" })]
    NoPacketId {
        /// Whether it was encrypted.
        cbc: bool,
    },
    /// It is authentic, but its packet id is refused.
    #[error("bad packet ID (may be a replay)")]
    Replay {
        /// The packet's id.
        id: PacketId,
        /// Why it is refused.
        why: Replay,
    },
}

/// What [`Opener::authenticate`] found of a number of datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Authentic(u64);

impl Authentic {
    /// How many datagrams one call looks at.
    pub const MOST: usize = 64;

    /// Whether the datagram of this number has the right tag.
    #[must_use]
    pub fn is(self, datagram: usize) -> bool {
        datagram < Self::MOST && self.0 >> datagram & 1 == 1
    }
}

/// Opens one direction's datagrams in place.
pub struct Opener {
    cipher: Decryption,
    mac: Mac,
    shape: Shape,
    window: Window,
}

impl Opener {
    /// An opener with the peer's direction's keys.
    ///
    /// Returns `None` if the keys are shorter than cipher and digest need.
    #[must_use]
    pub fn new(cipher: Cipher, digest: Digest, keys: &OneWay, window: Window) -> Option<Self> {
        Some(Self {
            cipher: Decryption::new(cipher, &keys.cipher)?,
            mac: Mac::new(digest, &keys.hmac)?,
            shape: Shape::new(cipher, digest),
            window,
        })
    }

    /// How long datagrams are.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// What was seen: what a successor must be told is [`Window::newest`].
    #[must_use]
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// Authenticates a number of datagrams side by side, the first [`Authentic::MOST`], before each is opened with
    /// [`Self::open_authentic`]: SHA-1 takes half of the time then that they take one by one.
    #[must_use]
    pub fn authenticate<'a>(&self, datagrams: impl IntoIterator<Item = &'a [u8]>) -> Authentic {
        let mut found = 0;
        let (mut few, mut count, mut first) = ([&[][..]; mac::LANES], 0, 0);
        let mut judge = |few: &[&[u8]], first: usize| {
            for (at, verdict) in self.mac.verify(few).iter().take(few.len()).enumerate() {
                found |= u64::from(*verdict) << (first + at);
            }
        };
        for datagram in datagrams.into_iter().take(Authentic::MOST) {
            few[count] = datagram;
            count += 1;
            if count == few.len() {
                judge(&few, first);
                (first, count) = (first + count, 0);
            }
        }
        if count > 0 {
            judge(&few[..count], first);
        }
        Authentic(found)
    }

    /// Opens a datagram in place and tells where in it the payload is, which may be empty. `now` counts seconds since any
    /// fixed moment.
    ///
    /// The packet id is looked at only once the datagram has proved authentic.
    ///
    /// # Errors
    /// [`OpenError`]; the datagram's bytes may have changed.
    pub fn open(&mut self, datagram: &mut [u8], now: u64) -> Result<Range<usize>, OpenError> {
        if datagram.len() < self.shape.tag {
            return Err(OpenError::NoTag);
        }
        let authentic = self.mac.verify(&[datagram])[0];
        self.open_authentic(datagram, authentic, now)
    }

    /// Opens a datagram about which [`Self::authenticate`] has said whether it is `authentic`, as [`Self::open`] does.
    ///
    /// # Errors
    /// [`OpenError`]; the datagram's bytes may have changed.
    pub fn open_authentic(
        &mut self,
        datagram: &mut [u8],
        authentic: bool,
        now: u64,
    ) -> Result<Range<usize>, OpenError> {
        let Shape { tag, block } = self.shape;
        let chain = datagram.get_mut(tag..).ok_or(OpenError::NoTag)?;
        if !authentic {
            return Err(OpenError::BadTag);
        }
        let mut padding = 0;
        if block > 0 {
            match chain.len() {
                short if short < block => return Err(OpenError::NoIv),
                only if only == block => return Err(OpenError::NoPayload),
                _ => padding = self.cipher.decrypt(chain).ok_or(OpenError::BadPadding)?,
            }
        }
        let end = datagram.len() - padding;
        let content = &datagram[self.shape.content()..end];
        let id = content.first_chunk().ok_or(OpenError::NoPacketId { cbc: block > 0 })?;
        let id = PacketId::from_bytes(*id);
        self.window.accept(id, now).map_err(|why| OpenError::Replay { id, why })?;
        Ok(self.shape.content() + PacketId::LEN..end)
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener")
            .field("shape", &self.shape)
            .field("newest", &self.window.newest())
            .finish_non_exhaustive()
    }
}
