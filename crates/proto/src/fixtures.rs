//! Two gateways with fixed keys, for unit tests.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use zeroize::Zeroizing;

use crate::{
    LocalIdentity, Suite,
    cookie::{CookieChecker, CookieJar, Refusal, Verified},
    message::{Handshake, Initiation},
    noise::{Initiator, Peering, SessionKeys},
    session::{ReceiveKey, SendKey},
    tai64n::Tai64n,
};

pub(crate) const SUITES: [Suite; 2] = [Suite::ChaCha20Poly1305, Suite::Aes256Gcm];

pub(crate) const STAMP: Tai64n = Tai64n([0x40, 0, 0, 0, 0x66, 1, 2, 3, 0, 0, 0, 0]);

/// One gateway as it stands towards the other.
pub(crate) struct End {
    pub(crate) peering: Peering,
    pub(crate) checker: CookieChecker,
    pub(crate) jar: CookieJar,
    rng: StdRng,
    now: Instant,
}

impl End {
    pub(crate) fn new(suite: Suite, own: u8, peer_key: [u8; 32], preshared_key: u8) -> Self {
        let identity = identity(own);
        Self {
            checker: CookieChecker::new(&identity.public_key()),
            jar: CookieJar::new(&peer_key),
            peering: Peering::new(suite, identity, peer_key, secret(preshared_key)),
            rng: StdRng::seed_from_u64(own.into()),
            now: Instant::now(),
        }
    }

    /// An initiation with MACs.
    pub(crate) fn initiate(&mut self, index: u32) -> (Initiator, Initiation) {
        let (initiator, mut message) = self.peering.initiate(index, secret(31), STAMP).unwrap();
        self.jar.add_macs(self.now, &mut message);
        (initiator, message)
    }

    pub(crate) fn verify<'m, M: Handshake>(&mut self, message: &'m M) -> Result<Verified<'m, M>, Refusal> {
        self.verify_from("192.0.2.1:1".parse().unwrap(), Duration::ZERO, false, message)
    }

    /// As a message that came `after` the start, from `from`.
    pub(crate) fn verify_from<'m, M: Handshake>(
        &mut self,
        from: SocketAddr,
        after: Duration,
        under_load: bool,
        message: &'m M,
    ) -> Result<Verified<'m, M>, Refusal> {
        self.checker.verify(self.now + after, from, message, under_load, &mut self.rng)
    }

    /// MACs as of `after` the start.
    pub(crate) fn add_macs(&mut self, after: Duration, message: &mut impl Handshake) {
        self.jar.add_macs(self.now + after, message);
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }
}

pub(crate) fn secret(byte: u8) -> Zeroizing<[u8; 32]> {
    Zeroizing::new([byte; 32])
}

pub(crate) fn identity(byte: u8) -> Arc<LocalIdentity> {
    Arc::new(LocalIdentity::new([byte; 32]))
}

/// Two gateways that are configured alike; a `preshared_key` of 0 is none.
pub(crate) fn ends(suite: Suite, preshared_key: u8) -> (End, End) {
    let keys = [identity(1).public_key(), identity(2).public_key()];
    (End::new(suite, 1, keys[1], preshared_key), End::new(suite, 2, keys[0], preshared_key))
}

/// A whole handshake: the initiator's keys with index 10, the responder's with index 20.
pub(crate) fn handshake(a: &mut End, b: &mut End) -> (SessionKeys, SessionKeys) {
    let (initiator, initiation) = a.initiate(10);
    let initiation = b.verify(&initiation).unwrap();
    let responder = b.peering.consume_initiation(initiation).unwrap();
    let (b_keys, mut response) = responder.respond(&b.peering, 20, secret(32)).unwrap();
    b.add_macs(Duration::ZERO, &mut response);
    let response = a.verify(&response).unwrap();
    let a_keys = initiator.consume_response(&a.peering, response).unwrap();
    (a_keys, b_keys)
}

/// The sending half of one end (peer index 7) and the receiving half of the other.
pub(crate) fn session(suite: Suite) -> (SendKey, ReceiveKey) {
    let now = Instant::now();
    let (send, _) = SessionKeys::new(suite, 5, 7, secret(3), secret(4)).into_halves(now);
    let (_, receive) = SessionKeys::new(suite, 7, 5, secret(4), secret(3)).into_halves(now);
    (send, receive)
}
