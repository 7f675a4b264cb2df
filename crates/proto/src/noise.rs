//! The handshake: Noise IKpsk2 in two messages (WireGuard paper, section 5.4; Noise
//! specification, sections 5 and 9), for both suites, as steps that a state machine composes.
//!
//! ```text
//! initiator                                   responder
//! Peering::initiate  ──── Initiation ───────> Peering::consume_initiation
//!                                               (the caller judges the stamp)
//! Initiator::consume_response <── Response ── Responder::respond
//! SessionKeys                                 SessionKeys
//! ```
//! Messages leave here without MACs: [`crate::cookie::CookieJar::add_macs`] adds them, and only
//! what [`crate::cookie::CookieChecker::verify`] passed can be consumed.

use std::{fmt, sync::Arc, time::Instant};

use subtle::ConstantTimeEq;
use thiserror::Error;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::{
    LocalIdentity, Suite,
    cookie::Verified,
    crypto::{self, Forged, Secret, WeakPoint},
    message::{Initiation, Response},
    session::{ReceiveKey, SendKey},
    tai64n::Tai64n,
};

/// Why a handshake step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoiseError {
    /// A public key or an ephemeral key has a small order, so the secret would be no secret.
    #[error("a public key of low order: no secret can be agreed with it")]
    WeakPoint,
    /// A tag did not verify: the message was altered, or made with another key or suite.
    #[error(
        "the handshake message does not authenticate: keys, pre-shared key or cipher differ; compare the two ends' files, and \
             the link's pre-shared key files"
    )]
    Forged,
    /// The initiator proved another static key than the one expected.
    #[error("the handshake comes from another gateway's key than the configured one")]
    UnknownPeer,
    /// The response answers no initiation of this handshake.
    #[error("a response to another initiation")]
    UnknownIndex,
}

/// The two parties of a channel and what is precomputed from their keys.
pub struct Peering {
    suite: Suite,
    identity: Arc<LocalIdentity>,
    peer_key: [u8; 32],
    preshared_key: Secret,
    /// The static-static secret; none if the peer's key is of low order.
    static_static: Option<Secret>,
}

impl Peering {
    /// Binds an identity to the one peer it talks to; an all-zero `preshared_key` means none.
    ///
    /// One Diffie-Hellman is computed here, once. A `peer_key` of low order is noticed, and every
    /// step then fails with [`NoiseError::WeakPoint`] before anything is sent.
    pub fn new(
        suite: Suite,
        identity: Arc<LocalIdentity>,
        peer_key: [u8; 32],
        preshared_key: Zeroizing<[u8; 32]>,
    ) -> Self {
        let static_static = identity.agree(&peer_key).ok();
        Self { suite, identity, peer_key, preshared_key, static_static }
    }

    /// The suite that both ends are configured for.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Makes an initiation, without MACs, and what is needed to understand its answer.
    ///
    /// `index` is how we will know the session; `ephemeral` must be fresh from a CSPRNG.
    ///
    /// # Errors
    /// [`NoiseError::WeakPoint`] if the peer's public key is of low order.
    pub fn initiate(
        &self,
        index: u32,
        ephemeral: Zeroizing<[u8; 32]>,
        stamp: Tai64n,
    ) -> Result<(Initiator, Initiation), NoiseError> {
        let static_static = self.static_static()?;
        let mut state = Symmetric::new(self.suite, &self.peer_key);
        let ephemeral = StaticSecret::from(*ephemeral);
        let mut message = Initiation::blank(index);

        message.ephemeral = PublicKey::from(&ephemeral).to_bytes();
        state.mix_ephemeral(&message.ephemeral);
        let key = state.mix_key(&crypto::agree(&ephemeral, &self.peer_key)?);
        state.seal(&key, &self.identity.public_key(), &mut message.sealed_static);
        let key = state.mix_key(static_static);
        state.seal(&key, &stamp.0, &mut message.sealed_stamp);

        let initiator = Initiator { state, index, ephemeral };
        Ok((initiator, message))
    }

    /// Reads an initiation: one Diffie-Hellman, then the static key is compared with the one
    /// expected peer's, then the stamp is opened.
    ///
    /// The caller must refuse a stamp that is not greater than the last one of this peer.
    ///
    /// # Errors
    /// Any [`NoiseError`] but `UnknownIndex`. Nothing changes on an error.
    pub fn consume_initiation(&self, message: Verified<'_, Initiation>) -> Result<Responder, NoiseError> {
        let message = message.message();
        let static_static = self.static_static()?;
        let mut state = Symmetric::new(self.suite, &self.identity.public_key());

        state.mix_ephemeral(&message.ephemeral);
        let key = state.mix_key(&self.identity.agree(&message.ephemeral)?);
        let peer_key: [u8; 32] = state.open(&key, &message.sealed_static)?;
        if !bool::from(peer_key.ct_eq(&self.peer_key)) {
            return Err(NoiseError::UnknownPeer);
        }
        let key = state.mix_key(static_static);
        let stamp = Tai64n(state.open(&key, &message.sealed_stamp)?);

        Ok(Responder { state, peer_index: message.sender.get(), peer_ephemeral: message.ephemeral, stamp })
    }

    /// Whether an initiation that failed as [`NoiseError::Forged`] makes sense in the other suite:
    /// only to say so, never to go on. Costs as much as reading it did.
    pub fn is_of_other_suite(&self, message: Verified<'_, Initiation>) -> bool {
        let other = Self {
            suite: self.suite.other(),
            identity: Arc::clone(&self.identity),
            peer_key: self.peer_key,
            preshared_key: self.preshared_key.clone(),
            static_static: self.static_static.clone(),
        };
        other.consume_initiation(message).is_ok()
    }

    /// Goes by another's public key, without its secret.
    #[cfg(test)]
    fn claim(&mut self, public_key: [u8; 32]) {
        self.identity = Arc::new(self.identity.claim(public_key));
    }

    fn static_static(&self) -> Result<&Secret, NoiseError> {
        self.static_static.as_ref().ok_or(NoiseError::WeakPoint)
    }
}

/// An initiator that waits for its response; its secrets are wiped on drop.
pub struct Initiator {
    state: Symmetric,
    index: u32,
    ephemeral: StaticSecret,
}

impl Initiator {
    /// How we will know the session: what the response's receiver index must be.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Reads the response and ends the handshake.
    ///
    /// # Errors
    /// Any [`NoiseError`] but `UnknownPeer`, with the initiator as it was: a forged response must
    /// not keep the true one out. On success the initiator is gone, so that the keys cannot be
    /// made twice.
    pub fn consume_response(
        self,
        peering: &Peering,
        message: Verified<'_, Response>,
    ) -> Result<SessionKeys, Box<(Self, NoiseError)>> {
        match self.read_response(peering, message.message()) {
            Ok(keys) => Ok(keys),
            Err(error) => Err(Box::new((self, error))),
        }
    }

    fn read_response(&self, peering: &Peering, message: &Response) -> Result<SessionKeys, NoiseError> {
        if message.receiver.get() != self.index {
            return Err(NoiseError::UnknownIndex);
        }
        let mut state = self.state.clone();
        state.mix_ephemeral(&message.ephemeral);
        state.mix_key(&crypto::agree(&self.ephemeral, &message.ephemeral)?);
        state.mix_key(&peering.identity.agree(&message.ephemeral)?);
        let key = state.mix_preshared_key(&peering.preshared_key);
        let [] = state.open(&key, &message.sealed_nothing)?;

        let [send, receive] = state.split();
        Ok(SessionKeys {
            suite: peering.suite,
            local_index: self.index,
            peer_index: message.sender.get(),
            send,
            receive,
        })
    }
}

/// A responder that has read an initiation and may answer it; its secrets are wiped on drop.
pub struct Responder {
    state: Symmetric,
    peer_index: u32,
    peer_ephemeral: [u8; 32],
    stamp: Tai64n,
}

impl Responder {
    /// The initiation's stamp: refuse it unless it is greater than the last one of this peer.
    pub fn stamp(&self) -> Tai64n {
        self.stamp
    }

    /// How the initiator will know the session.
    pub fn peer_index(&self) -> u32 {
        self.peer_index
    }

    /// Makes the response, without MACs, and ends the handshake.
    ///
    /// `index` is how we will know the session; `ephemeral` must be fresh from a CSPRNG. Nothing
    /// may be sent under the keys before a message arrived under them (paper, section 5.4.5).
    ///
    /// # Errors
    /// [`NoiseError::WeakPoint`] if the initiator's keys are of low order.
    pub fn respond(
        self,
        peering: &Peering,
        index: u32,
        ephemeral: Zeroizing<[u8; 32]>,
    ) -> Result<(SessionKeys, Response), NoiseError> {
        let mut state = self.state;
        let ephemeral = StaticSecret::from(*ephemeral);
        let mut message = Response::blank(index, self.peer_index);

        message.ephemeral = PublicKey::from(&ephemeral).to_bytes();
        state.mix_ephemeral(&message.ephemeral);
        state.mix_key(&crypto::agree(&ephemeral, &self.peer_ephemeral)?);
        state.mix_key(&crypto::agree(&ephemeral, &peering.peer_key)?);
        let key = state.mix_preshared_key(&peering.preshared_key);
        state.seal(&key, &[], &mut message.sealed_nothing);

        let [receive, send] = state.split();
        let keys = SessionKeys { suite: peering.suite, local_index: index, peer_index: self.peer_index, send, receive };
        Ok((keys, message))
    }
}

/// The outcome of a handshake: a session's two keys, wiped on drop.
pub struct SessionKeys {
    suite: Suite,
    local_index: u32,
    peer_index: u32,
    send: Secret,
    receive: Secret,
}

impl SessionKeys {
    /// Keys that were agreed in another way than by a handshake: for tests and benchmarks.
    ///
    /// Using the same `send` twice with one suite breaks all secrecy: its counter starts at zero.
    pub fn new(
        suite: Suite,
        local_index: u32,
        peer_index: u32,
        send: Zeroizing<[u8; 32]>,
        receive: Zeroizing<[u8; 32]>,
    ) -> Self {
        Self { suite, local_index, peer_index, send, receive }
    }

    /// How we know the session.
    pub fn local_index(&self) -> u32 {
        self.local_index
    }

    /// How the peer knows the session.
    pub fn peer_index(&self) -> u32 {
        self.peer_index
    }

    /// The keys for the two halves of the data plane; the session was born `now`.
    pub fn into_halves(self, now: Instant) -> (SendKey, ReceiveKey) {
        let indices = (self.local_index, self.peer_index);
        (SendKey::new(self.suite, indices, &self.send, now), ReceiveKey::new(self.suite, indices.0, &self.receive, now))
    }
}

/// Noise's symmetric state: a chaining key and a transcript hash.
#[derive(Clone)]
struct Symmetric {
    suite: Suite,
    chaining_key: Secret,
    hash: [u8; 32],
}

impl Symmetric {
    /// The state after the prologue and the pre-message: the responder's static key.
    fn new(suite: Suite, responder: &[u8; 32]) -> Self {
        let chaining_key = crypto::hash(&[suite.construction()]);
        let hash = crypto::hash(&[&chaining_key, suite.identifier()]);
        let mut state = Self { suite, chaining_key: Zeroizing::new(chaining_key), hash };
        state.mix_hash(responder);
        state
    }

    fn mix_hash(&mut self, bytes: &[u8]) {
        self.hash = crypto::hash(&[&self.hash, bytes]);
    }

    /// `e`: with a pre-shared key in the pattern an ephemeral goes into the key as well.
    fn mix_ephemeral(&mut self, ephemeral: &[u8; 32]) {
        self.mix_hash(ephemeral);
        [self.chaining_key] = crypto::derive(&self.chaining_key, ephemeral);
    }

    /// `es`, `ss`, `ee`, `se`: the result is the key of the next field, if there is one.
    fn mix_key(&mut self, shared: &Secret) -> Secret {
        let [chaining_key, key] = crypto::derive(&self.chaining_key, shared.as_slice());
        self.chaining_key = chaining_key;
        key
    }

    /// `psk`.
    fn mix_preshared_key(&mut self, preshared_key: &Secret) -> Secret {
        let [chaining_key, mixed, key] = crypto::derive(&self.chaining_key, preshared_key.as_slice());
        self.chaining_key = chaining_key;
        self.mix_hash(mixed.as_slice());
        key
    }

    fn seal(&mut self, key: &Secret, plaintext: &[u8], out: &mut [u8]) {
        crypto::seal_once(self.suite, key, &self.hash, plaintext, out);
        self.mix_hash(out);
    }

    fn open<const N: usize>(&mut self, key: &Secret, sealed: &[u8]) -> Result<[u8; N], Forged> {
        let plaintext = crypto::open_once(self.suite, key, &self.hash, sealed)?;
        self.mix_hash(sealed);
        Ok(plaintext)
    }

    /// The two transport keys: the initiator's for sending, then the responder's.
    fn split(&self) -> [Secret; 2] {
        crypto::derive(&self.chaining_key, &[])
    }
}

impl fmt::Debug for Peering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Peering");
        out.field("suite", &self.suite).finish_non_exhaustive()
    }
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Initiator");
        out.field("index", &self.index).finish_non_exhaustive()
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Responder");
        out.field("peer_index", &self.peer_index).field("stamp", &self.stamp).finish_non_exhaustive()
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("SessionKeys");
        out.field("suite", &self.suite)
            .field("local_index", &self.local_index)
            .field("peer_index", &self.peer_index)
            .finish_non_exhaustive()
    }
}

impl From<WeakPoint> for NoiseError {
    fn from(WeakPoint: WeakPoint) -> Self {
        Self::WeakPoint
    }
}

impl From<Forged> for NoiseError {
    fn from(Forged: Forged) -> Self {
        Self::Forged
    }
}

#[cfg(test)]
mod tests;
