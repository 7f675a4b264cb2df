//! Our end of a conversation, from public parts only.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use meshtun_proto::{
    LocalIdentity, Suite,
    cookie::{CookieChecker, CookieJar, Refusal, Verified},
    message::{Handshake, Initiation, Response},
    noise::{Initiator, NoiseError, Peering, SessionKeys},
    tai64n::{Stamps, Tai64n},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use zerocopy::IntoBytes;
use zeroize::Zeroizing;

pub(crate) const OUR_SECRET: [u8; 32] = [1; 32];
pub(crate) const THEIR_SECRET: [u8; 32] = [2; 32];
pub(crate) const FROM: &str = "192.0.2.1:51820";

pub(crate) fn public_key(secret: [u8; 32]) -> [u8; 32] {
    LocalIdentity::new(secret).public_key()
}

/// A gateway that knows one peer.
pub(crate) struct End {
    pub(crate) peering: Peering,
    pub(crate) under_load: bool,
    checker: CookieChecker,
    jar: CookieJar,
    stamps: Stamps,
    rng: StdRng,
    now: Instant,
}

impl End {
    pub(crate) fn new(suite: Suite, preshared_key: [u8; 32]) -> Self {
        let peer_key = public_key(THEIR_SECRET);
        let identity = Arc::new(LocalIdentity::new(OUR_SECRET));
        Self {
            checker: CookieChecker::new(&identity.public_key()),
            jar: CookieJar::new(&peer_key),
            peering: Peering::new(suite, identity, peer_key, Zeroizing::new(preshared_key)),
            under_load: false,
            stamps: Stamps::new(Tai64n::ZERO),
            rng: StdRng::seed_from_u64(1),
            now: Instant::now(),
        }
    }

    pub(crate) fn initiate(&mut self, index: u32) -> (Initiator, Vec<u8>) {
        let stamp = self.stamps.next(UNIX_EPOCH + Duration::from_secs(1));
        let ephemeral = self.ephemeral();
        let (initiator, message) = self.peering.initiate(index, ephemeral, stamp).unwrap();
        (initiator, self.with_macs(message))
    }

    pub(crate) fn respond(&mut self, datagram: &[u8], index: u32) -> Result<(SessionKeys, Vec<u8>), Vec<u8>> {
        let message = Initiation::view(datagram).unwrap();
        let verified = self.verify(message)?;
        let responder = self.peering.consume_initiation(verified).unwrap();
        let now = SystemTime::now();
        // Some add today's 27 leap seconds to the ten of 1970.
        let plausible = now - Duration::from_secs(60)..now + Duration::from_secs(60);
        assert!((plausible.start.into()..plausible.end.into()).contains(&responder.stamp()));
        let ephemeral = self.ephemeral();
        let (keys, response) = responder.respond(&self.peering, index, ephemeral).unwrap();
        Ok((keys, self.with_macs(response)))
    }

    pub(crate) fn conclude(&mut self, initiator: Initiator, datagram: &[u8]) -> Result<SessionKeys, NoiseError> {
        let message = Response::view(datagram).unwrap();
        let verified = self.verify(message).unwrap();
        initiator.consume_response(&self.peering, verified).map_err(|refused| refused.1)
    }

    pub(crate) fn accept_cookie(&mut self, datagram: &[u8]) {
        let reply = meshtun_proto::message::CookieReply::view(datagram).unwrap();
        self.jar.accept(self.now, reply).unwrap();
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// The error is the cookie reply to send.
    fn verify<'m, M: Handshake>(&mut self, message: &'m M) -> Result<Verified<'m, M>, Vec<u8>> {
        let from: SocketAddr = FROM.parse().unwrap();
        let verified = self.checker.verify(self.now, from, message, self.under_load, &mut self.rng);
        verified.map_err(|refusal| match refusal {
            Refusal::CookieNeeded(reply) => reply.as_bytes().to_vec(),
            Refusal::WrongMac1 => panic!("{refusal}"),
        })
    }

    fn with_macs(&mut self, mut message: impl Handshake) -> Vec<u8> {
        self.jar.add_macs(self.now, &mut message);
        message.as_bytes().to_vec()
    }

    fn ephemeral(&mut self) -> Zeroizing<[u8; 32]> {
        let mut secret = Zeroizing::new([0; 32]);
        self.rng.fill_bytes(secret.as_mut_slice());
        secret
    }
}
