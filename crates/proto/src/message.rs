//! The layouts of the four wire messages (WireGuard paper, section 5.4), little-endian.
//!
//! Every layout has an alignment of one byte and no padding, so a datagram is viewed where it
//! lies. [`classify`] is the gate: what it lets through has its type's exact length.

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{U32, U64},
};

/// Bytes of an [`Initiation`].
pub const INITIATION_LEN: usize = 148;
/// Bytes of a [`Response`].
pub const RESPONSE_LEN: usize = 92;
/// Bytes of a [`CookieReply`].
pub const COOKIE_REPLY_LEN: usize = 64;
/// Bytes of a transport message before its ciphertext.
pub const TRANSPORT_HEADER_LEN: usize = 16;
/// Bytes of an AEAD tag.
pub const TAG_LEN: usize = 16;
/// Bytes that a transport message is longer than its (padded) plaintext.
pub const OVERHEAD: usize = TRANSPORT_HEADER_LEN + TAG_LEN;

const INITIATION: u32 = 1;
const RESPONSE: u32 = 2;
const COOKIE_REPLY: u32 = 3;
const TRANSPORT: u32 = 4;

/// What a datagram claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The first handshake message, 148 bytes.
    Initiation,
    /// The second handshake message, 92 bytes.
    Response,
    /// A cookie from a responder under load, 64 bytes.
    CookieReply,
    /// A transport message, 32 bytes or more; a keepalive is one of exactly 32.
    Transport,
}

/// Tells what a datagram claims to be, by its type, its three zero bytes and its length.
///
/// `None` is for all that no WireGuard peer sends. Nothing is authenticated here.
pub fn classify(datagram: &[u8]) -> Option<Kind> {
    let kind = u32::from_le_bytes(*datagram.first_chunk()?);
    match (kind, datagram.len()) {
        (INITIATION, INITIATION_LEN) => Some(Kind::Initiation),
        (RESPONSE, RESPONSE_LEN) => Some(Kind::Response),
        (COOKIE_REPLY, COOKIE_REPLY_LEN) => Some(Kind::CookieReply),
        (TRANSPORT, OVERHEAD..) => Some(Kind::Transport),
        _ => None,
    }
}

/// The receiver index of a transport message: whose session it is for.
///
/// `None` if the datagram is no transport message.
pub fn transport_receiver(datagram: &[u8]) -> Option<u32> {
    TransportHeader::view(datagram).map(|header| header.receiver.get())
}

/// The two MACs that end an initiation and a response (paper, section 5.4.4).
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Macs {
    /// Keyed by the recipient's public key, over all before it.
    pub mac1: [u8; 16],
    /// Keyed by the recipient's cookie, over all before it; zero without a cookie.
    pub mac2: [u8; 16],
}

/// The first handshake message (paper, section 5.4.2).
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Initiation {
    kind: U32,
    /// The index by which the initiator will know the session.
    pub sender: U32,
    /// The initiator's ephemeral public key.
    pub ephemeral: [u8; 32],
    /// The initiator's static public key and a tag.
    pub sealed_static: [u8; 32 + TAG_LEN],
    /// A TAI64N stamp and a tag.
    pub sealed_stamp: [u8; 12 + TAG_LEN],
    /// Filled in by [`crate::cookie::CookieJar::add_macs`].
    pub macs: Macs,
}

/// The second handshake message (paper, section 5.4.3).
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Response {
    kind: U32,
    /// The index by which the responder will know the session.
    pub sender: U32,
    /// The index from the initiation.
    pub receiver: U32,
    /// The responder's ephemeral public key.
    pub ephemeral: [u8; 32],
    /// A tag over nothing.
    pub sealed_nothing: [u8; TAG_LEN],
    /// Filled in by [`crate::cookie::CookieJar::add_macs`].
    pub macs: Macs,
}

/// A responder's cookie (paper, section 5.4.7).
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct CookieReply {
    kind: U32,
    /// The sender index of the message that is answered.
    pub receiver: U32,
    /// A random nonce for XChaCha20-Poly1305.
    pub nonce: [u8; 24],
    /// The cookie and a tag.
    pub sealed_cookie: [u8; 16 + TAG_LEN],
}

/// What precedes the ciphertext in a transport message (paper, section 5.4.6).
#[derive(Clone, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct TransportHeader {
    kind: U32,
    pub(crate) receiver: U32,
    pub(crate) counter: U64,
}

impl Initiation {
    /// Views a datagram as an initiation; `None` if [`classify`] says otherwise.
    pub fn view(datagram: &[u8]) -> Option<&Self> {
        (classify(datagram)? == Kind::Initiation).then(|| Self::ref_from_bytes(datagram).ok())?
    }

    /// An initiation of which only the sender index is known.
    pub(crate) fn blank(sender: u32) -> Self {
        Self {
            kind: U32::new(INITIATION),
            sender: U32::new(sender),
            ephemeral: [0; 32],
            sealed_static: [0; 32 + TAG_LEN],
            sealed_stamp: [0; 12 + TAG_LEN],
            macs: Macs::NONE,
        }
    }
}

impl Response {
    /// Views a datagram as a response; `None` if [`classify`] says otherwise.
    pub fn view(datagram: &[u8]) -> Option<&Self> {
        (classify(datagram)? == Kind::Response).then(|| Self::ref_from_bytes(datagram).ok())?
    }

    /// A response of which only the two indices are known.
    pub(crate) fn blank(sender: u32, receiver: u32) -> Self {
        Self {
            kind: U32::new(RESPONSE),
            sender: U32::new(sender),
            receiver: U32::new(receiver),
            ephemeral: [0; 32],
            sealed_nothing: [0; TAG_LEN],
            macs: Macs::NONE,
        }
    }
}

impl CookieReply {
    /// Views a datagram as a cookie reply; `None` if [`classify`] says otherwise.
    pub fn view(datagram: &[u8]) -> Option<&Self> {
        (classify(datagram)? == Kind::CookieReply).then(|| Self::ref_from_bytes(datagram).ok())?
    }

    pub(crate) fn new(receiver: u32, nonce: [u8; 24], sealed_cookie: [u8; 16 + TAG_LEN]) -> Self {
        Self { kind: U32::new(COOKIE_REPLY), receiver: U32::new(receiver), nonce, sealed_cookie }
    }
}

impl TransportHeader {
    pub(crate) fn new(receiver: u32, counter: u64) -> Self {
        Self { kind: U32::new(TRANSPORT), receiver: U32::new(receiver), counter: U64::new(counter) }
    }

    /// Views the header of a transport message; `None` if [`classify`] says otherwise.
    pub(crate) fn view(datagram: &[u8]) -> Option<&Self> {
        (classify(datagram)? == Kind::Transport)
            .then(|| Self::ref_from_prefix(datagram).ok().map(|(header, _)| header))?
    }
}

impl Macs {
    /// MACs that are still to be filled in.
    const NONE: Self = Self { mac1: [0; 16], mac2: [0; 16] };
}

/// A message that ends in [`Macs`]: an [`Initiation`] or a [`Response`].
pub trait Handshake: IntoBytes + Immutable + private::Sealed {
    /// The index by which the sender will know the session.
    fn sender(&self) -> u32;
    /// The MACs as they stand.
    fn macs(&self) -> &Macs;
    /// The MACs, to be filled in.
    fn macs_mut(&mut self) -> &mut Macs;
}

impl Handshake for Initiation {
    fn sender(&self) -> u32 {
        self.sender.get()
    }
    fn macs(&self) -> &Macs {
        &self.macs
    }
    fn macs_mut(&mut self) -> &mut Macs {
        &mut self.macs
    }
}

impl Handshake for Response {
    fn sender(&self) -> u32 {
        self.sender.get()
    }
    fn macs(&self) -> &Macs {
        &self.macs
    }
    fn macs_mut(&mut self) -> &mut Macs {
        &mut self.macs
    }
}

mod private {
    pub trait Sealed {}
    impl Sealed for super::Initiation {}
    impl Sealed for super::Response {}
}

const _: () = {
    assert!(size_of::<Initiation>() == INITIATION_LEN);
    assert!(size_of::<Response>() == RESPONSE_LEN);
    assert!(size_of::<CookieReply>() == COOKIE_REPLY_LEN);
    assert!(size_of::<TransportHeader>() == TRANSPORT_HEADER_LEN);
};

#[cfg(test)]
mod tests;
