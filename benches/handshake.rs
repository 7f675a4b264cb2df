//! A handshake, whole and step by step, for each suite; and what a flood costs to refuse.
//!
//! `cargo bench --bench handshake`

use std::{net::SocketAddr, sync::Arc, time::Instant};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use meshtun_proto::{
    LocalIdentity, Suite, Zeroizing,
    cookie::{CookieChecker, CookieJar, Refusal, Verified},
    message::{Handshake, Initiation, Response},
    noise::{Initiator, Peering, SessionKeys},
    rand::{Rng, SeedableRng, rngs::StdRng},
    tai64n::Tai64n,
};

const SUITES: [Suite; 2] = [Suite::ChaCha20Poly1305, Suite::Aes256Gcm];

/// One gateway as it stands towards the other.
struct End {
    peering: Peering,
    checker: CookieChecker,
    jar: CookieJar,
    rng: StdRng,
    now: Instant,
    from: SocketAddr,
    under_load: bool,
}

impl End {
    fn pair(suite: Suite) -> (Self, Self) {
        let identities = [1, 2].map(|byte| Arc::new(LocalIdentity::new([byte; 32])));
        let [first, second] = identities.each_ref().map(|identity| identity.public_key());
        let [a, b] = identities;
        (Self::new(suite, a, second), Self::new(suite, b, first))
    }

    fn new(suite: Suite, identity: Arc<LocalIdentity>, peer_key: [u8; 32]) -> Self {
        Self {
            checker: CookieChecker::new(&identity.public_key()),
            jar: CookieJar::new(&peer_key),
            peering: Peering::new(suite, identity, peer_key, Zeroizing::new([9; 32])),
            rng: StdRng::seed_from_u64(1),
            now: Instant::now(),
            from: SocketAddr::from(([192, 0, 2, 1], 51820)),
            under_load: false,
        }
    }

    fn initiate(&mut self) -> (Initiator, Initiation) {
        let ephemeral = self.ephemeral();
        let made = self.peering.initiate(1, ephemeral, Tai64n::ZERO);
        let (initiator, mut message) = made.expect("the peer's key is a good one");
        self.jar.add_macs(self.now, &mut message);
        (initiator, message)
    }

    fn respond(&mut self, message: &Initiation) -> (SessionKeys, Response) {
        let verified = self.verify(message).expect("MAC1 is right and there is no load");
        let responder = self.peering.consume_initiation(verified).expect("it is the peer's");
        let ephemeral = self.ephemeral();
        let made = responder.respond(&self.peering, 2, ephemeral);
        let (keys, mut response) = made.expect("the peer's keys are good ones");
        self.jar.add_macs(self.now, &mut response);
        (keys, response)
    }

    fn conclude(&mut self, initiator: Initiator, message: &Response) -> SessionKeys {
        let verified = self.verify(message).expect("MAC1 is right and there is no load");
        initiator.consume_response(&self.peering, verified).expect("it is the answer")
    }

    fn verify<'m, M: Handshake>(&mut self, message: &'m M) -> Result<Verified<'m, M>, Refusal> {
        self.checker.verify(self.now, self.from, message, self.under_load, &mut self.rng)
    }

    fn ephemeral(&mut self) -> Zeroizing<[u8; 32]> {
        let mut secret = Zeroizing::new([0; 32]);
        self.rng.fill_bytes(secret.as_mut_slice());
        secret
    }
}

fn handshake(criterion: &mut Criterion) {
    for suite in SUITES {
        let (mut a, mut b) = End::pair(suite);
        // The batch's set-up borrows `a`; its twin has the same keys.
        let (mut twin, _) = End::pair(suite);
        let mut group = criterion.benchmark_group(format!("handshake/{suite}"));
        group.bench_function("whole", |bencher| {
            bencher.iter(|| {
                let (initiator, initiation) = a.initiate();
                let (keys, response) = b.respond(&initiation);
                let now = a.now;
                (a.conclude(initiator, &response).into_halves(now), keys.into_halves(now))
            });
        });
        group.bench_function("initiate", |bencher| bencher.iter(|| a.initiate()));
        let (_, initiation) = a.initiate();
        group.bench_function("respond", |bencher| bencher.iter(|| b.respond(&initiation)));
        group.bench_function("conclude", |bencher| {
            bencher.iter_batched(
                || {
                    let (initiator, initiation) = a.initiate();
                    (initiator, b.respond(&initiation).1)
                },
                |(initiator, response)| twin.conclude(initiator, &response),
                BatchSize::SmallInput,
            );
        });
    }
}

fn flood(criterion: &mut Criterion) {
    let (mut a, mut b) = End::pair(Suite::ChaCha20Poly1305);
    let (_, initiation) = a.initiate();
    let mut group = criterion.benchmark_group("flood");
    let mut forged = initiation.clone();
    forged.macs.mac1[0] ^= 1;
    group.bench_function("refuse_wrong_mac1", |bencher| bencher.iter(|| b.verify(&forged).is_err()));
    b.under_load = true;
    group.bench_function("answer_with_cookie", |bencher| bencher.iter(|| b.verify(&initiation).is_err()));
}

criterion_group!(benches, handshake, flood);
criterion_main!(benches);
