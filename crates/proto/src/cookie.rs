//! MAC1, MAC2 and cookies: what keeps a flood of handshake messages cheap (WireGuard paper,
//! sections 5.3 and 5.4.4 to 5.4.7).

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use rand::CryptoRng;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    crypto::{self, Secret},
    message::{CookieReply, Handshake, Macs, TAG_LEN},
};

/// How long a secret makes cookies, and a cookie makes MAC2s (COOKIE_REFRESH_TIME).
pub const COOKIE_LIFETIME: Duration = Duration::from_secs(120);

/// A cookie is given up this long before its end: its message must still travel (the kernel's
/// COOKIE_SECRET_LATENCY).
const COOKIE_LATENCY: Duration = Duration::from_secs(5);

const LABEL_MAC1: &[u8] = b"mac1----";
const LABEL_COOKIE: &[u8] = b"cookie--";

/// A handshake message whose MAC1 was verified: the sender knew our public key.
///
/// Only [`CookieChecker::verify`] makes one, so that no Diffie-Hellman is spent before it.
#[derive(Debug)]
pub struct Verified<'m, M>(&'m M);

// Derived, these would want `M` to be `Copy` too.
impl<M> Clone for Verified<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Verified<'_, M> {}

impl<'m, M> Verified<'m, M> {
    /// The message as it came.
    pub fn message(self) -> &'m M {
        self.0
    }
}

/// Why a handshake message goes no further.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Whoever sent it does not know our public key, or it was damaged.
    #[error("MAC1 is wrong: the sender does not know this gateway's public key")]
    WrongMac1,
    /// We are under load and the sender has not proved its address: this is to be sent back.
    #[error("under load, and the sender has not proved its address: it gets a cookie")]
    CookieNeeded(Box<CookieReply>),
}

/// The receiving side: verifies MACs and gives out cookies.
pub struct CookieChecker {
    mac1_key: Secret,
    cookie_key: Secret,
    secret: Option<(Secret, Instant)>,
}

impl CookieChecker {
    /// A checker for messages to `public_key`, which is our own.
    pub fn new(public_key: &[u8; 32]) -> Self {
        Self { mac1_key: mac1_key(public_key), cookie_key: cookie_key(public_key), secret: None }
    }

    /// Verifies MAC1 and, under load, MAC2 of a message that came from `from`.
    ///
    /// # Errors
    /// [`Refusal::WrongMac1`]; under load [`Refusal::CookieNeeded`] with the reply to send if the
    /// message bears no MAC2 of the cookie that `from` has now.
    pub fn verify<'m, M: Handshake>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        message: &'m M,
        under_load: bool,
        rng: &mut impl CryptoRng,
    ) -> Result<Verified<'m, M>, Refusal> {
        if !same(&mac1(&self.mac1_key, message), &message.macs().mac1) {
            return Err(Refusal::WrongMac1);
        }
        if under_load {
            let cookie = self.cookie(now, from, rng);
            if !same(&mac2(&cookie, message), &message.macs().mac2) {
                return Err(Refusal::CookieNeeded(Box::new(self.reply(message, &cookie, rng))));
            }
        }
        Ok(Verified(message))
    }

    /// The cookie of an address: its MAC under a secret that is renewed every
    /// [`COOKIE_LIFETIME`].
    fn cookie(&mut self, now: Instant, from: SocketAddr, rng: &mut impl CryptoRng) -> Cookie {
        let secret = match self.secret.take() {
            Some((secret, born)) if now.saturating_duration_since(born) < COOKIE_LIFETIME => (secret, born),
            _ => {
                let mut secret = Secret::default();
                rng.fill_bytes(secret.as_mut_slice());
                (secret, now)
            }
        };
        let port = from.port().to_be_bytes();
        let secret = &self.secret.insert(secret).0;
        Zeroizing::new(match from.ip().to_canonical() {
            IpAddr::V4(address) => crypto::mac(secret.as_slice(), &[&address.octets(), &port]),
            IpAddr::V6(address) => crypto::mac(secret.as_slice(), &[&address.octets(), &port]),
        })
    }

    fn reply<M: Handshake>(&self, message: &M, cookie: &Cookie, rng: &mut impl CryptoRng) -> CookieReply {
        let mut nonce = [0; 24];
        rng.fill_bytes(&mut nonce);
        let mut sealed = [0; 16 + TAG_LEN];
        let (ciphertext, tag_out) = sealed.split_at_mut(16);
        ciphertext.copy_from_slice(cookie.as_slice());
        let tag = XChaCha20Poly1305::new((&*self.cookie_key).into())
            .encrypt_inout_detached(&nonce.into(), &message.macs().mac1, ciphertext.into())
            .expect("a cookie has 16 bytes, far below the cipher's limit");
        tag_out.copy_from_slice(&tag);
        CookieReply::new(message.sender(), nonce, sealed)
    }
}

/// Why a cookie reply was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CookieError {
    /// It answers no message that we sent last, or we sent none.
    #[error("a cookie reply that answers nothing we sent")]
    Unasked,
    /// It was not sealed for our last message by who has the peer's public key.
    #[error("a cookie reply that does not belong to our last handshake message")]
    Forged,
}

/// The sending side: puts MACs on handshake messages and keeps the peer's cookie.
pub struct CookieJar {
    mac1_key: Secret,
    cookie_key: Secret,
    /// Sender index and MAC1 of the last message, until a cookie came for it.
    asked: Option<(u32, [u8; 16])>,
    cookie: Option<(Cookie, Instant)>,
}

impl CookieJar {
    /// A jar for messages to `public_key`, which is the peer's.
    pub fn new(public_key: &[u8; 32]) -> Self {
        Self { mac1_key: mac1_key(public_key), cookie_key: cookie_key(public_key), asked: None, cookie: None }
    }

    /// Puts MAC1 on a message, and MAC2 while there is a fresh cookie.
    pub fn add_macs<M: Handshake>(&mut self, now: Instant, message: &mut M) {
        let mac1 = mac1(&self.mac1_key, message);
        message.macs_mut().mac1 = mac1;
        self.asked = Some((message.sender(), mac1));
        message.macs_mut().mac2 = match &self.cookie {
            Some((cookie, born)) if is_fresh(now, *born) => mac2(cookie, message),
            _ => [0; 16],
        };
    }

    /// Takes the cookie out of a reply to the last message that [`Self::add_macs`] saw.
    ///
    /// # Errors
    /// [`CookieError`]; the jar is as before, so a forged reply spoils nothing.
    pub fn accept(&mut self, now: Instant, reply: &CookieReply) -> Result<(), CookieError> {
        let (_, mac1) = self.asked.filter(|(sender, _)| *sender == reply.receiver.get()).ok_or(CookieError::Unasked)?;
        let (ciphertext, tag) = reply.sealed_cookie.split_at(16);
        let mut cookie = Cookie::default();
        cookie.copy_from_slice(ciphertext);
        let tag: [u8; TAG_LEN] = tag.try_into().map_err(|_| CookieError::Forged)?;
        XChaCha20Poly1305::new((&*self.cookie_key).into())
            .decrypt_inout_detached(&reply.nonce.into(), &mac1, cookie.as_mut_slice().into(), &tag.into())
            .map_err(|_| CookieError::Forged)?;
        self.asked = None;
        self.cookie = Some((cookie, now));
        Ok(())
    }
}

type Cookie = Zeroizing<[u8; 16]>;

fn is_fresh(now: Instant, born: Instant) -> bool {
    now.saturating_duration_since(born) < COOKIE_LIFETIME - COOKIE_LATENCY
}

fn mac1_key(public_key: &[u8; 32]) -> Secret {
    Zeroizing::new(crypto::hash(&[LABEL_MAC1, public_key]))
}

fn cookie_key(public_key: &[u8; 32]) -> Secret {
    Zeroizing::new(crypto::hash(&[LABEL_COOKIE, public_key]))
}

/// MAC1 covers all that stands before it.
fn mac1<M: Handshake>(key: &Secret, message: &M) -> [u8; 16] {
    let bytes = message.as_bytes();
    crypto::mac(key.as_slice(), &[&bytes[..bytes.len() - size_of::<Macs>()]])
}

/// MAC2 covers MAC1 too.
fn mac2<M: Handshake>(cookie: &Cookie, message: &M) -> [u8; 16] {
    let bytes = message.as_bytes();
    crypto::mac(cookie.as_slice(), &[&bytes[..bytes.len() - size_of::<Macs>() / 2]])
}

fn same(a: &[u8; 16], b: &[u8; 16]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests;
