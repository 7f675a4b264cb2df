//! Against snow, which knows Noise and nothing of WireGuard.

use std::sync::Arc;

use meshtun_proto::{
    LocalIdentity, Suite,
    cookie::{CookieChecker, CookieJar, Verified},
    message::{Handshake, Initiation, OVERHEAD, Response, TRANSPORT_HEADER_LEN},
    noise::{NoiseError, Peering, SessionKeys},
    tai64n::Tai64n,
};
use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};
use snow::{Builder, HandshakeState, StatelessTransportState};
use zerocopy::IntoBytes;
use zeroize::Zeroizing;

/// All the secrets of a handshake.
#[derive(Clone, Debug)]
struct Secrets {
    suite: Suite,
    initiator: [u8; 32],
    responder: [u8; 32],
    ephemerals: [[u8; 32]; 2],
    preshared_key: [u8; 32],
    stamp: [u8; 12],
}

fn secrets() -> impl Strategy<Value = Secrets> {
    let suite = prop_oneof![Just(Suite::ChaCha20Poly1305), Just(Suite::Aes256Gcm)];
    (suite, any::<[[u8; 32]; 5]>(), any::<[u8; 12]>()).prop_map(|(suite, keys, stamp)| Secrets {
        suite,
        initiator: keys[0],
        responder: keys[1],
        ephemerals: [keys[2], keys[3]],
        preshared_key: keys[4],
        stamp,
    })
}

impl Secrets {
    fn public_keys(&self) -> [[u8; 32]; 2] {
        [self.initiator, self.responder].map(|secret| LocalIdentity::new(secret).public_key())
    }

    fn peering(&self, own: [u8; 32], peer_key: [u8; 32]) -> Peering {
        let identity = Arc::new(LocalIdentity::new(own));
        Peering::new(self.suite, identity, peer_key, Zeroizing::new(self.preshared_key))
    }

    fn name(&self) -> &'static str {
        match self.suite {
            Suite::ChaCha20Poly1305 => "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s",
            Suite::Aes256Gcm => "Noise_IKpsk2_25519_AESGCM_BLAKE2s",
        }
    }

    fn builder(&self) -> Builder<'_> {
        let prologue: &[u8] = match self.suite {
            Suite::ChaCha20Poly1305 => b"WireGuard v1 zx2c4 Jason@zx2c4.com",
            Suite::Aes256Gcm => b"meshtun v1 aes-256-gcm",
        };
        let builder = Builder::new(self.name().parse().unwrap()).prologue(prologue).unwrap();
        builder.psk(2, &self.preshared_key).unwrap()
    }

    fn snow_initiator(&self) -> HandshakeState {
        let builder = self.builder().local_private_key(&self.initiator).unwrap();
        let [_, responder] = self.public_keys();
        let builder = builder.fixed_ephemeral_key_for_testing_only(&self.ephemerals[0]);
        builder.remote_public_key(&responder).unwrap().build_initiator().unwrap()
    }

    fn snow_responder(&self) -> HandshakeState {
        let builder = self.builder().local_private_key(&self.responder).unwrap();
        let builder = builder.fixed_ephemeral_key_for_testing_only(&self.ephemerals[1]);
        builder.build_responder().unwrap()
    }

    /// Runs the handshake between two of ours; checks each message against snow's, and gives our
    /// keys and snow's of both ends.
    fn shake(&self) -> [(SessionKeys, StatelessTransportState); 2] {
        let [initiator_key, responder_key] = self.public_keys();
        let ours = self.peering(self.initiator, responder_key);
        let theirs = self.peering(self.responder, initiator_key);
        let (mut snow_initiator, mut snow_responder) = (self.snow_initiator(), self.snow_responder());
        let mut buffer = [0; 200];
        let mut payload = [0; 200];

        let stamp = Tai64n(self.stamp);
        let (initiator, initiation) = ours.initiate(1, Zeroizing::new(self.ephemerals[0]), stamp).unwrap();
        let len = snow_initiator.write_message(&self.stamp, &mut buffer).unwrap();
        assert_eq!(initiation.as_bytes()[8..116], buffer[..len]);
        let len = snow_responder.read_message(&buffer[..len], &mut payload).unwrap();
        assert_eq!(payload[..len], self.stamp);

        let mut initiation = initiation;
        let responder = theirs.consume_initiation(verified(&responder_key, &mut initiation)).unwrap();
        assert_eq!(responder.stamp(), stamp);
        let (their_keys, response) = responder.respond(&theirs, 2, Zeroizing::new(self.ephemerals[1])).unwrap();
        let len = snow_responder.write_message(&[], &mut buffer).unwrap();
        assert_eq!(response.as_bytes()[12..60], buffer[..len]);
        snow_initiator.read_message(&buffer[..len], &mut payload).unwrap();

        let mut response = response;
        let our_keys = initiator.consume_response(&ours, verified(&initiator_key, &mut response)).unwrap();
        [
            (our_keys, snow_initiator.into_stateless_transport_mode().unwrap()),
            (their_keys, snow_responder.into_stateless_transport_mode().unwrap()),
        ]
    }
}

/// Puts MACs on a message to `recipient` and lets it verify them.
fn verified<'m, M: Handshake>(recipient: &[u8; 32], message: &'m mut M) -> Verified<'m, M> {
    let now = std::time::Instant::now();
    CookieJar::new(recipient).add_macs(now, message);
    let from = "192.0.2.1:1".parse().unwrap();
    let mut rng = StdRng::seed_from_u64(0);
    CookieChecker::new(recipient).verify(now, from, message, false, &mut rng).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn both_messages_are_snows_byte_for_byte_and_so_are_both_keys(secrets in secrets()) {
        let [(ours, snow_ours), (theirs, snow_theirs)] = secrets.shake();
        for (keys, snow_peer) in [(ours, snow_theirs), (theirs, snow_ours)] {
            let (mut send, mut receive) = keys.into_halves(std::time::Instant::now());
            // Several counters, so that the byte order of the nonce matters.
            for counter in 0..3u64 {
                let mut message = [0; 100];
                let len = send.seal(b"a packet", 8, &mut message).unwrap();
                let mut opened = [0; 100];
                let opened_len =
                    snow_peer.read_message(counter, &message[TRANSPORT_HEADER_LEN..len], &mut opened).unwrap();
                prop_assert_eq!(&opened[..opened_len], b"a packet\0\0\0\0\0\0\0\0");

                let index = receive.local_index().to_le_bytes();
                let mut message = vec![4, 0, 0, 0];
                message.extend(index.iter().chain(&counter.to_le_bytes()));
                message.resize(6 + OVERHEAD, 0);
                snow_peer.write_message(counter, b"answer", &mut message[TRANSPORT_HEADER_LEN..]).unwrap();
                prop_assert_eq!(receive.open(&mut message).unwrap(), b"answer");
            }
        }
    }
}

/// One handshake with keys that anyone can type again.
fn fixed(suite: Suite) -> Secrets {
    Secrets {
        suite,
        initiator: [1; 32],
        responder: [2; 32],
        ephemerals: [[3; 32], [4; 32]],
        preshared_key: [5; 32],
        stamp: [6; 12],
    }
}

#[test]
fn our_initiator_completes_with_snow_as_responder() {
    for suite in [Suite::ChaCha20Poly1305, Suite::Aes256Gcm] {
        let secrets = fixed(suite);
        let [initiator_key, responder_key] = secrets.public_keys();
        let peering = secrets.peering(secrets.initiator, responder_key);
        let (initiator, initiation) = peering.initiate(1, Zeroizing::new([9; 32]), Tai64n([6; 12])).unwrap();
        let mut snow = secrets.snow_responder();
        let (mut payload, mut answer) = ([0; 200], [0; 200]);
        snow.read_message(&initiation.as_bytes()[8..116], &mut payload).unwrap();
        assert_eq!(snow.get_remote_static(), Some(&initiator_key[..]));
        let len = snow.write_message(&[], &mut answer).unwrap();

        let mut datagram = [2, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0].to_vec();
        datagram.extend(&answer[..len]);
        datagram.resize(92, 0);
        let mut response = Response::view(&datagram).unwrap().clone();
        let keys = initiator.consume_response(&peering, verified(&initiator_key, &mut response)).unwrap();
        assert_eq!(keys.peer_index(), 7);
        let (mut send, _) = keys.into_halves(std::time::Instant::now());
        let mut message = [0; 100];
        let len = send.seal(b"hello", 0, &mut message).unwrap();
        let snow = snow.into_stateless_transport_mode().unwrap();
        assert!(snow.read_message(0, &message[TRANSPORT_HEADER_LEN..len], &mut payload).is_ok());
    }
}

#[test]
fn snow_as_an_initiator_with_another_prologue_is_refused() {
    let secrets = fixed(Suite::ChaCha20Poly1305);
    let [initiator_key, responder_key] = secrets.public_keys();
    let peering = secrets.peering(secrets.responder, initiator_key);
    let builder = Builder::new(secrets.name().parse().unwrap()).prologue(b"WireGuard v2").unwrap();
    let builder = builder.psk(2, &secrets.preshared_key).unwrap();
    let builder = builder.local_private_key(&secrets.initiator).unwrap();
    let mut stranger = builder.remote_public_key(&responder_key).unwrap().build_initiator().unwrap();
    let mut noise = [0; 200];
    let len = stranger.write_message(&[6; 12], &mut noise).unwrap();
    let mut datagram = [1, 0, 0, 0, 7, 0, 0, 0].to_vec();
    datagram.extend(&noise[..len]);
    datagram.resize(148, 0);
    let mut initiation = Initiation::view(&datagram).unwrap().clone();
    let refused = peering.consume_initiation(verified(&responder_key, &mut initiation));
    assert_eq!(refused.unwrap_err(), NoiseError::Forged);
}
