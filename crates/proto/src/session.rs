//! A session's two keys: one seals and owns the send counter, one opens and owns the replay
//! window (WireGuard paper, section 5.4.6). Nothing here allocates once a key is made.

use std::{
    fmt,
    time::{Duration, Instant},
};

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use thiserror::Error;
use zerocopy::IntoBytes;

use crate::{
    Suite,
    crypto::Secret,
    message::{OVERHEAD, TRANSPORT_HEADER_LEN, TransportHeader},
    replay::Window,
};

/// How long a session's keys may be used (REJECT_AFTER_TIME).
pub const REJECT_AFTER: Duration = Duration::from_secs(180);

/// What plaintexts are padded to a multiple of.
pub const PADDING_UNIT: usize = 16;

/// How many zero bytes to seal after a plaintext of `len` bytes: up to a multiple of 16, but never
/// beyond the tun's `mtu` (WireGuard paper, section 5.4.6; the kernel's `send.c`).
pub fn padding_len(len: usize, mtu: usize) -> usize {
    len.checked_next_multiple_of(PADDING_UNIT).map_or(0, |padded| padded.min(mtu).saturating_sub(len))
}

/// Why a plaintext was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// The key has sealed as many messages as its suite allows; a new handshake is overdue.
    #[error("the session's key has sealed all the messages it may")]
    Exhausted,
    /// The message does not fit the buffer; nothing was sealed and no counter spent.
    #[error("the buffer is shorter than the sealed message")]
    BufferTooShort,
}

/// Why a transport message was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// It is no transport message, or one for another session.
    #[error("not a transport message of this session")]
    Malformed,
    /// Its counter was seen, or is too far behind.
    #[error("a replayed or very late message")]
    Replayed,
    /// Its tag does not verify.
    #[error("the message does not authenticate")]
    Forged,
    /// Its counter is beyond what the suite allows a key.
    #[error("the message's counter is beyond the key's limit")]
    Exhausted,
}

/// The sending half's key of a session.
///
/// It is no `Clone` and keeps its counter to itself, so no counter can be used twice. The key is
/// wiped on drop (AWS-LC clears what it frees).
pub struct SendKey {
    aead: LessSafeKey,
    suite: Suite,
    local_index: u32,
    peer_index: u32,
    next: u64,
    expires: Instant,
}

impl SendKey {
    pub(crate) fn new(suite: Suite, (local_index, peer_index): (u32, u32), key: &Secret, now: Instant) -> Self {
        Self { aead: aead(suite, key), suite, local_index, peer_index, next: 0, expires: now + REJECT_AFTER }
    }

    /// How we know the session.
    pub fn local_index(&self) -> u32 {
        self.local_index
    }

    /// How the peer knows the session: what stands in the messages.
    pub fn peer_index(&self) -> u32 {
        self.peer_index
    }

    /// Messages sealed so far; a new handshake is due at
    /// [`Suite::rekey_after_messages`].
    pub fn sent(&self) -> u64 {
        self.next
    }

    /// The moment after which nothing more may be sealed; the caller watches the clock.
    pub fn expires(&self) -> Instant {
        self.expires
    }

    /// Seals `plaintext` and `padding` zero bytes after it into the front of `out` as one
    /// transport message, and returns that message's length: [`OVERHEAD`] more than both.
    ///
    /// Without padding the plaintext goes through the cipher straight into `out`; with padding it
    /// is copied there first.
    ///
    /// # Errors
    /// [`SealError`]; a counter is never used twice, whatever happens.
    pub fn seal(&mut self, plaintext: &[u8], padding: usize, out: &mut [u8]) -> Result<usize, SealError> {
        let len = sealed_len(plaintext.len(), padding).ok_or(SealError::BufferTooShort)?;
        let out = out.get_mut(..len).ok_or(SealError::BufferTooShort)?;
        let counter = self.next;
        if counter >= self.suite.reject_after_messages() {
            return Err(SealError::Exhausted);
        }
        self.next += 1;

        let (header, body) = out.split_at_mut(TRANSPORT_HEADER_LEN);
        header.copy_from_slice(TransportHeader::new(self.peer_index, counter).as_bytes());
        let nonce = Nonce::assume_unique_for_key(self.suite.nonce(counter));
        seal_body(&self.aead, nonce, plaintext, padding, body).map(|()| len)
    }

    /// A key that behaves as if it had sealed `sent` messages: for tests of its limits.
    #[cfg(test)]
    pub(crate) fn skip_to(&mut self, sent: u64) {
        self.next = sent;
    }
}

impl fmt::Debug for SendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendKey")
            .field("local_index", &self.local_index)
            .field("sent", &self.next)
            .finish_non_exhaustive()
    }
}

/// The receiving half's key of a session, with its replay window; wiped on drop.
pub struct ReceiveKey {
    aead: LessSafeKey,
    suite: Suite,
    local_index: u32,
    expires: Instant,
    window: Window,
}

impl ReceiveKey {
    pub(crate) fn new(suite: Suite, local_index: u32, key: &Secret, now: Instant) -> Self {
        Self { aead: aead(suite, key), suite, local_index, expires: now + REJECT_AFTER, window: Window::new() }
    }

    /// How we know the session: what stands in the messages.
    pub fn local_index(&self) -> u32 {
        self.local_index
    }

    /// The moment after which nothing more may be opened; the caller watches the clock.
    pub fn expires(&self) -> Instant {
        self.expires
    }

    /// Opens a whole transport message in place and returns its plaintext with the padding;
    /// empty for a keepalive.
    ///
    /// The replay window is marked only once the message has proved authentic.
    ///
    /// # Errors
    /// [`OpenError`]; after [`OpenError::Forged`] the message's bytes are undefined.
    pub fn open<'a>(&mut self, message: &'a mut [u8]) -> Result<&'a mut [u8], OpenError> {
        let counter = self.check(message)?;
        let nonce = Nonce::assume_unique_for_key(self.suite.nonce(counter));
        let plaintext = self
            .aead
            .open_in_place(nonce, Aad::empty(), &mut message[TRANSPORT_HEADER_LEN..])
            .map_err(|_| OpenError::Forged)?;
        self.window.mark(counter);
        Ok(plaintext)
    }

    /// All that can be refused before the cipher runs; returns the counter.
    fn check(&self, message: &[u8]) -> Result<u64, OpenError> {
        let header = TransportHeader::view(message)
            .filter(|header| header.receiver == self.local_index)
            .ok_or(OpenError::Malformed)?;
        let counter = header.counter.get();
        if counter >= self.suite.reject_after_messages() {
            return Err(OpenError::Exhausted);
        }
        if !self.window.is_fresh(counter) {
            return Err(OpenError::Replayed);
        }
        Ok(counter)
    }
}

impl fmt::Debug for ReceiveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveKey").field("local_index", &self.local_index).finish_non_exhaustive()
    }
}

/// The receive keys of a channel: previous, current, next, and one of a crossed handshake.
#[derive(Debug, Default)]
pub struct ReceiveKeys {
    /// Newest first.
    keys: [Option<Box<ReceiveKey>>; Self::CAPACITY],
}

impl ReceiveKeys {
    /// How many sessions can be open at once.
    pub const CAPACITY: usize = 4;

    /// No keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key; the oldest of four makes room, and one of the same index is replaced.
    pub fn insert(&mut self, key: ReceiveKey) {
        self.retire(key.local_index);
        self.keys.rotate_right(1);
        self.keys[0] = Some(Box::new(key));
    }

    /// Forgets the key of a session; an unknown index does nothing.
    pub fn retire(&mut self, index: u32) {
        if let Some(at) = self.position(|key| key.local_index == index) {
            self.remove(at);
        }
    }

    /// The key of a receiver index.
    #[inline]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut ReceiveKey> {
        self.keys.iter_mut().flatten().map(Box::as_mut).find(|key| key.local_index == index)
    }

    /// Forgets every key that expired before `now`.
    pub fn expire(&mut self, now: Instant) {
        while let Some(at) = self.position(|key| key.expires <= now) {
            self.remove(at);
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.keys.iter().flatten().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn position(&self, wanted: impl Fn(&ReceiveKey) -> bool) -> Option<usize> {
        self.keys.iter().position(|key| key.as_deref().is_some_and(&wanted))
    }

    /// Closes the gap, so that the order of age stays.
    fn remove(&mut self, at: usize) {
        self.keys[at] = None;
        self.keys[at..].rotate_left(1);
    }
}

fn sealed_len(plaintext: usize, padding: usize) -> Option<usize> {
    plaintext.checked_add(padding)?.checked_add(OVERHEAD)
}

/// Seals into `body`, which holds the plaintext, the padding and a tag.
fn seal_body(
    aead: &LessSafeKey,
    nonce: Nonce,
    plaintext: &[u8],
    padding: usize,
    body: &mut [u8],
) -> Result<(), SealError> {
    let (text, tag) = body.split_at_mut(plaintext.len() + padding);
    let sealed = if padding == 0 {
        aead.seal_out_of_place_scatter(nonce, Aad::empty(), plaintext, text, &[], tag)
    } else {
        // The cipher also takes the padding as a second input, but spends a block of key stream on
        // it apart: 100 ns of ChaCha20's 300 for a bare ACK, where a copy of 1.4 kB takes 20.
        text[..plaintext.len()].copy_from_slice(plaintext);
        text[plaintext.len()..].fill(0);
        aead.seal_in_place_scatter(nonce, Aad::empty(), text, &[], tag)
    };
    // The cipher refuses only what is longer than 64 GiB.
    sealed.map_err(|_| SealError::BufferTooShort)
}

fn aead(suite: Suite, key: &Secret) -> LessSafeKey {
    let algorithm = match suite {
        Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        Suite::Aes256Gcm => &AES_256_GCM,
    };
    LessSafeKey::new(UnboundKey::new(algorithm, key.as_slice()).expect("both ciphers take keys of 32 bytes"))
}

#[cfg(test)]
mod tests;
