//! The HMAC of a datagram (RFC 2104), of several datagrams side by side where there are several.
//!
//! A hash waits for its own last result in every step. Steps of messages that have nothing to do with each other fill that
//! time: measured with 1,472 bytes on a Zen 5 core, one by one and four at a time, SHA-1 takes 750 and 330 ns, SHA-256 770
//! and 560 ns. SHA-512, without instructions of its own, gains nothing.

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::hash::{Hash, LONGEST_BLOCK, Md5, Sha1, Sha224, Sha256, Sha384, Sha512};
use crate::options::Digest;

/// How many messages are hashed side by side.
pub(super) const LANES: usize = 4;

/// The longest tag in bytes.
pub(super) const LONGEST_TAG: usize = 64;

/// One direction's authentication.
pub(super) enum Mac {
    None,
    Md5(Hmac<Md5>),
    Sha1(Hmac<Sha1>),
    Sha224(Hmac<Sha224>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

macro_rules! with {
    ($mac:expr, $hmac:ident => $do:expr, none => $none:expr) => {
        match $mac {
            Mac::None => $none,
            Mac::Md5($hmac) => $do,
            Mac::Sha1($hmac) => $do,
            Mac::Sha224($hmac) => $do,
            Mac::Sha256($hmac) => $do,
            Mac::Sha384($hmac) => $do,
            Mac::Sha512($hmac) => $do,
        }
    };
}

impl Mac {
    /// `None` if the key is shorter than the digest.
    pub(super) fn new(digest: Digest, key: &[u8]) -> Option<Self> {
        let key = key.get(..digest.len())?;
        Some(match digest {
            Digest::None => Self::None,
            Digest::Md5 => Self::Md5(Hmac::new(key)),
            Digest::Sha1 => Self::Sha1(Hmac::new(key)),
            Digest::Sha224 => Self::Sha224(Hmac::new(key)),
            Digest::Sha256 => Self::Sha256(Hmac::new(key)),
            Digest::Sha384 => Self::Sha384(Hmac::new(key)),
            Digest::Sha512 => Self::Sha512(Hmac::new(key)),
        })
    }

    /// Writes the tag of each datagram, at most [`LANES`], in front of what it covers. One that is shorter than its tag is left
    /// alone.
    pub(super) fn sign(&self, datagrams: &mut [&mut [u8]]) {
        with!(self, hmac => hmac.sign(datagrams), none => {});
    }

    /// Which datagrams, of at most [`LANES`], have the right tag in front; the comparison takes the same time for all tags.
    pub(super) fn verify(&self, datagrams: &[&[u8]]) -> [bool; LANES] {
        with!(self, hmac => hmac.verify(datagrams), none => [true; LANES])
    }
}

/// An HMAC whose key has been taken in.
pub(super) struct Hmac<H: Hash> {
    inner: H::State,
    outer: H::State,
}

impl<H: Hash> Hmac<H> {
    fn new(key: &[u8]) -> Self {
        let state_of = |pad: u8| {
            let mut block = [pad; LONGEST_BLOCK];
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            let mut state = H::START;
            H::compress(&mut state, &block[..H::BLOCK]);
            block.zeroize();
            state
        };
        Self { inner: state_of(0x36), outer: state_of(0x5c) }
    }

    fn sign(&self, datagrams: &mut [&mut [u8]]) {
        let mut messages = [&[][..]; LANES];
        for (message, datagram) in messages.iter_mut().zip(datagrams.iter()) {
            *message = datagram.get(H::OUTPUT..).unwrap_or_default();
        }
        let states = self.digests(&messages[..datagrams.len().min(LANES)]);
        for (state, datagram) in states.iter().zip(datagrams) {
            if let Some(tag) = datagram.get_mut(..H::OUTPUT) {
                H::write_output(state, tag);
            }
        }
    }

    fn verify(&self, datagrams: &[&[u8]]) -> [bool; LANES] {
        let mut messages = [&[][..]; LANES];
        for (message, datagram) in messages.iter_mut().zip(datagrams) {
            *message = datagram.get(H::OUTPUT..).unwrap_or_default();
        }
        let states = self.digests(&messages[..datagrams.len().min(LANES)]);
        let mut verdicts = [false; LANES];
        for ((verdict, state), datagram) in verdicts.iter_mut().zip(&states).zip(datagrams) {
            let mut tag = [0; LONGEST_TAG];
            H::write_output(state, &mut tag);
            *verdict = datagram.get(..H::OUTPUT).is_some_and(|claimed| equal(claimed, &tag[..H::OUTPUT]));
        }
        verdicts
    }

    /// The outer states after at most [`LANES`] messages.
    fn digests(&self, messages: &[&[u8]]) -> [H::State; LANES] {
        let mut states = [self.inner; LANES];
        let mut done = 0;
        if messages.len() > 1 {
            done = messages.iter().map(|message| message.len() / H::BLOCK * H::BLOCK).min().unwrap_or(0);
            for start in (0..done).step_by(H::BLOCK) {
                for (state, message) in states.iter_mut().zip(messages) {
                    H::compress(state, &message[start..start + H::BLOCK]);
                }
            }
        }
        let mut ends = [End::<H>::new(); LANES];
        for ((state, end), message) in states.iter_mut().zip(&mut ends).zip(messages) {
            let rest = &message[done..];
            let (blocks, tail) = rest.split_at(rest.len() / H::BLOCK * H::BLOCK);
            if !blocks.is_empty() {
                H::compress(state, blocks);
            }
            // The key's block came before the message.
            end.fill(tail, (H::BLOCK + message.len()) as u64);
        }
        for (state, end) in states.iter_mut().zip(&ends[..messages.len()]) {
            H::compress(state, end.blocks());
        }
        let mut outers = [self.outer; LANES];
        for (end, inner) in ends.iter_mut().zip(&states[..messages.len()]) {
            let mut digest = [0; LONGEST_TAG];
            H::write_output(inner, &mut digest);
            *end = End::new();
            end.fill(&digest[..H::OUTPUT], (H::BLOCK + H::OUTPUT) as u64);
        }
        for (outer, end) in outers.iter_mut().zip(&ends[..messages.len()]) {
            H::compress(outer, end.blocks());
        }
        outers
    }
}

impl<H: Hash> Drop for Hmac<H> {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// Whether two tags of one length are equal; how long it takes depends on the length alone, for all differences are put
/// together before anything is asked of them. `subtle`'s own comparison of slices guards every byte against the compiler, which
/// with the padding's took a tenth of all that receiving takes.
fn equal(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |all, (one, other)| all | (one ^ other));
    std::hint::black_box(differing).ct_eq(&0).into()
}

/// The last one or two blocks of a message: its tail, a 1 bit, zeros, its length.
struct End<H> {
    bytes: [u8; 2 * LONGEST_BLOCK],
    len: usize,
    hash: std::marker::PhantomData<H>,
}

impl<H> Clone for End<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for End<H> {}

impl<H: Hash> End<H> {
    fn new() -> Self {
        Self { bytes: [0; 2 * LONGEST_BLOCK], len: 0, hash: std::marker::PhantomData }
    }

    /// `tail` is shorter than a block; `hashed` bytes were and will be hashed in all.
    fn fill(&mut self, tail: &[u8], hashed: u64) {
        self.bytes[..tail.len()].copy_from_slice(tail);
        self.bytes[tail.len()] = 0x80;
        self.len = if tail.len() + 1 + H::LENGTH <= H::BLOCK { H::BLOCK } else { 2 * H::BLOCK };
        H::write_length(hashed * 8, &mut self.bytes[..self.len]);
    }

    fn blocks(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests;
