use std::time::Duration;

use proptest::prelude::*;
use zerocopy::{FromBytes, IntoBytes};

use super::*;
use crate::{
    crypto::tests::{LOW_ORDER_POINTS, hex},
    fixtures::{End, STAMP, SUITES, ends, handshake, identity, secret},
    message::{Handshake, INITIATION_LEN, RESPONSE_LEN},
};

/// Reads an initiation at `end` after giving it a right MAC1, as anyone can who knows the key.
fn consume(from: &mut End, end: &mut End, message: &Initiation) -> Result<Responder, NoiseError> {
    let message = with_macs(from, message);
    let verified = end.verify(&message).unwrap();
    end.peering.consume_initiation(verified)
}

/// As [`consume`], for a response.
fn conclude(
    from: &mut End,
    end: &mut End,
    initiator: Initiator,
    message: &Response,
) -> Result<SessionKeys, (Initiator, NoiseError)> {
    let message = with_macs(from, message);
    let verified = end.verify(&message).unwrap();
    initiator.consume_response(&end.peering, verified).map_err(|refused| *refused)
}

fn with_macs<M: Handshake + Clone>(from: &mut End, message: &M) -> M {
    let mut message = message.clone();
    from.add_macs(Duration::ZERO, &mut message);
    message
}

/// Both ends up to the response: `a` waits, `b` has answered.
fn answered(a: &mut End, b: &mut End) -> (Initiator, SessionKeys, Response) {
    let (initiator, initiation) = a.initiate(10);
    let responder = consume(a, b, &initiation).unwrap();
    let (keys, response) = responder.respond(&b.peering, 20, secret(32)).unwrap();
    (initiator, keys, response)
}

/// Whether what one seals the other opens, both ways.
fn talk(a: SessionKeys, b: SessionKeys) -> bool {
    let now = Instant::now();
    let ((mut a_send, mut a_receive), (mut b_send, mut b_receive)) = (a.into_halves(now), b.into_halves(now));
    let mut buffer = [0; 64];
    let mut one_way = |send: &mut SendKey, receive: &mut ReceiveKey| {
        let len = send.seal(b"question", 8, &mut buffer).unwrap();
        receive.open(&mut buffer[..len]).is_ok_and(|opened| opened == b"question\0\0\0\0\0\0\0\0")
    };
    one_way(&mut a_send, &mut b_receive) && one_way(&mut b_send, &mut a_receive)
}

#[test]
fn both_ends_agree_on_keys_and_indices_in_either_suite_with_and_without_a_psk() {
    for suite in SUITES {
        for preshared_key in [0, 77] {
            let (mut a, mut b) = ends(suite, preshared_key);
            let (a_keys, b_keys) = handshake(&mut a, &mut b);
            assert_eq!((a_keys.local_index(), a_keys.peer_index()), (10, 20));
            assert_eq!((b_keys.local_index(), b_keys.peer_index()), (20, 10));
            assert!(talk(a_keys, b_keys), "{suite}, {preshared_key}");
        }
    }
}

/// What snow 0.10 says with secrets of ones (initiator), twos (responder), threes and fours
/// (ephemeral), fives (pre-shared) and a stamp of sixes: the encrypted fields of both messages.
#[test]
fn fixed_keys_give_the_known_messages() {
    let ephemeral = "5dfedd3b6bd47f6fa28ee15d969d5bb0ea53774d488bdaf9df1c6e0124b3ef22";
    let answered = "ac01b2209e86354fb853237b5de0f4fab13c7fcbf433a61c019369617fecf10b";
    let known = [
        (
            Suite::ChaCha20Poly1305,
            "0a26599fb2188bb723276fc173af67616c817fc32fd04d686d87ec152fac10eed2bda3bb3b6f1eded6977684082284d8",
            "51fd40b5cace9cefbb2138d09b66eed2df1187f7dd7adab1ac307dde",
            "dd1b5571a47e1511605ba2bfb7b396b9",
        ),
        (
            Suite::Aes256Gcm,
            "42d6587b91d3fff9c5a7f0b6c51af8cedb41661f28fde91f1bc28dbf87a1318a821c8d43c7ae6c099ded8a6879c3621a",
            "4c6127c7ce867aa7aa00802cff580d292c090f4d905511a8c6967c7d",
            "72aaf688f8831801c937c93ec8649c2c",
        ),
    ];
    for (suite, sealed_static, sealed_stamp, sealed_nothing) in known {
        let (mut a, mut b) = ends(suite, 5);
        let (_, initiation) = a.peering.initiate(1, secret(3), Tai64n([6; 12])).unwrap();
        assert_eq!(initiation.ephemeral, hex(ephemeral));
        assert_eq!(initiation.sealed_static, hex(sealed_static));
        assert_eq!(initiation.sealed_stamp, hex(sealed_stamp));

        let responder = consume(&mut a, &mut b, &initiation).unwrap();
        let (_, response) = responder.respond(&b.peering, 2, secret(4)).unwrap();
        assert_eq!(response.ephemeral, hex(answered));
        assert_eq!(response.sealed_nothing, hex(sealed_nothing));
    }
}

#[test]
fn the_responder_learns_the_stamp_and_the_index() {
    let (mut a, mut b) = ends(Suite::ChaCha20Poly1305, 0);
    let (initiator, initiation) = a.initiate(10);
    let responder = consume(&mut a, &mut b, &initiation).unwrap();
    assert_eq!(responder.stamp(), STAMP);
    assert_eq!((responder.peer_index(), initiator.index()), (10, 10));
}

#[test]
fn a_handshake_hides_the_static_key_and_the_stamp() {
    let (mut a, _) = ends(Suite::ChaCha20Poly1305, 0);
    let (_, initiation) = a.initiate(10);
    let key = identity(1).public_key();
    let bytes = initiation.as_bytes();
    assert!(!bytes.windows(32).any(|window| window == key));
    assert!(!bytes.windows(8).any(|window| window == &STAMP.0[..8]));
}

#[test]
fn a_preshared_key_that_differs_is_noticed_by_the_initiator() {
    for suite in SUITES {
        let (mut a, _) = ends(suite, 77);
        let (_, mut b) = ends(suite, 78);
        let (initiator, _, response) = answered(&mut a, &mut b);
        let (_, error) = conclude(&mut b, &mut a, initiator, &response).unwrap_err();
        assert_eq!(error, NoiseError::Forged);
    }
}

#[test]
fn the_suites_do_not_understand_each_other_and_the_responder_can_say_so() {
    for suite in SUITES {
        let (mut a, _) = ends(suite, 0);
        let (_, mut b) = ends(suite.other(), 0);
        let (_, initiation) = a.initiate(10);
        let verified = b.verify(&initiation).unwrap();
        let refused = b.peering.consume_initiation(verified);
        assert_eq!(refused.unwrap_err(), NoiseError::Forged);
        assert!(b.peering.is_of_other_suite(verified));
    }
}

#[test]
fn a_damaged_initiation_is_not_taken_for_one_of_the_other_suite() {
    let (mut a, mut b) = ends(Suite::ChaCha20Poly1305, 0);
    let (_, mut initiation) = a.initiate(10);
    initiation.sealed_stamp[0] ^= 1;
    a.add_macs(Duration::ZERO, &mut initiation);
    let verified = b.verify(&initiation).unwrap();
    assert!(!b.peering.is_of_other_suite(verified));
}

#[test]
fn a_gateway_that_is_not_the_expected_peer_is_refused() {
    for suite in SUITES {
        let (_, mut b) = ends(suite, 0);
        let mut stranger = End::new(suite, 3, identity(2).public_key(), 0);
        let (_, initiation) = stranger.initiate(10);
        let refused = consume(&mut stranger, &mut b, &initiation);
        assert_eq!(refused.unwrap_err(), NoiseError::UnknownPeer);
    }
}

#[test]
fn knowing_the_expected_public_key_is_not_enough_to_initiate() {
    // The stranger claims to be gateway 1 but lacks its secret: the static-static secret differs.
    let (_, mut b) = ends(Suite::ChaCha20Poly1305, 0);
    let mut liar = End::new(Suite::ChaCha20Poly1305, 3, identity(2).public_key(), 0);
    liar.peering.claim(identity(1).public_key());
    let (_, initiation) = liar.initiate(10);
    let refused = consume(&mut liar, &mut b, &initiation);
    assert_eq!(refused.unwrap_err(), NoiseError::Forged);
}

#[test]
fn every_altered_byte_of_an_initiation_is_refused_even_under_a_right_mac1() {
    for suite in SUITES {
        let (mut a, mut b) = ends(suite, 0);
        let (_, initiation) = a.initiate(10);
        // The sender index is vouched for by MAC1 alone; the MACs are made anew.
        for i in 8..116 {
            let mut altered = initiation.clone();
            altered.as_mut_bytes()[i] ^= 1;
            let refused = consume(&mut a, &mut b, &altered);
            assert_eq!(refused.unwrap_err(), NoiseError::Forged, "{suite}, byte {i}");
        }
        // The curve ignores a point's top bit; the transcript does not.
        for bit in 0..8 {
            let mut altered = initiation.clone();
            altered.ephemeral[31] ^= 1 << bit;
            assert!(consume(&mut a, &mut b, &altered).is_err(), "{suite}, bit {bit}");
        }
    }
}

#[test]
fn every_altered_byte_of_a_response_is_refused_and_the_true_one_still_counts() {
    for suite in SUITES {
        let (mut a, mut b) = ends(suite, 77);
        let (mut initiator, b_keys, response) = answered(&mut a, &mut b);
        // The sender index is vouched for by MAC1 alone; the MACs are made anew.
        for i in 8..60 {
            let mut altered = response.clone();
            altered.as_mut_bytes()[i] ^= 1;
            let expected = if i < 12 { NoiseError::UnknownIndex } else { NoiseError::Forged };
            let error;
            (initiator, error) = conclude(&mut b, &mut a, initiator, &altered).unwrap_err();
            assert_eq!(error, expected, "{suite}, byte {i}");
        }
        let a_keys = conclude(&mut b, &mut a, initiator, &response).unwrap();
        assert!(talk(a_keys, b_keys));
    }
}

#[test]
fn every_altered_index_makes_a_session_that_nobody_can_use_at_worst() {
    // The one field that the transcript leaves out: whoever alters it can as well drop messages.
    let (mut a, mut b) = ends(Suite::ChaCha20Poly1305, 0);
    let (initiator, b_keys, mut response) = answered(&mut a, &mut b);
    response.sender = 99.into();
    let a_keys = conclude(&mut b, &mut a, initiator, &response).unwrap();
    assert_eq!(a_keys.peer_index(), 99);
    assert!(!talk(a_keys, b_keys));
}

#[test]
fn an_ephemeral_key_of_low_order_is_refused_by_both_ends() {
    for suite in SUITES {
        let (mut a, mut b) = ends(suite, 0);
        let (_, mut initiation) = a.initiate(10);
        let (mut initiator, _, mut response) = answered(&mut a, &mut b);
        for point in LOW_ORDER_POINTS {
            initiation.ephemeral = hex(point);
            let refused = consume(&mut a, &mut b, &initiation);
            assert_eq!(refused.unwrap_err(), NoiseError::WeakPoint, "{point}");

            response.ephemeral = hex(point);
            let error;
            (initiator, error) = conclude(&mut b, &mut a, initiator, &response).unwrap_err();
            assert_eq!(error, NoiseError::WeakPoint, "{point}");
        }
    }
}

#[test]
fn a_peer_whose_static_key_is_of_low_order_is_never_spoken_to() {
    for point in LOW_ORDER_POINTS {
        let mut a = End::new(Suite::ChaCha20Poly1305, 1, hex(point), 0);
        let initiated = a.peering.initiate(1, secret(31), STAMP);
        assert_eq!(initiated.unwrap_err(), NoiseError::WeakPoint);

        let mut b = End::new(Suite::ChaCha20Poly1305, 2, identity(1).public_key(), 0);
        let (_, initiation) = b.initiate(1);
        let refused = consume(&mut b, &mut a, &initiation);
        assert_eq!(refused.unwrap_err(), NoiseError::WeakPoint);
    }
}

#[test]
fn a_response_to_another_initiation_is_refused() {
    let (mut a, mut b) = ends(Suite::ChaCha20Poly1305, 0);
    let (_, _, response) = answered(&mut a, &mut b);
    let (other, _) = a.initiate(11);
    let (_, error) = conclude(&mut b, &mut a, other, &response).unwrap_err();
    assert_eq!(error, NoiseError::UnknownIndex);
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let (mut a, mut b) = ends(Suite::ChaCha20Poly1305, 0x77);
    let shown = format!("{:?}", a.peering);
    let (initiator, keys, _) = answered(&mut a, &mut b);
    let shown = format!("{shown} {initiator:?} {keys:?} {:?}", identity(1));
    assert_eq!(
        shown,
        "Peering { suite: ChaCha20Poly1305, .. } Initiator { index: 10, .. } \
         SessionKeys { suite: ChaCha20Poly1305, local_index: 20, peer_index: 10, .. } \
         LocalIdentity { .. }",
    );
}

/// A type's first four bytes, then anything.
fn garbage<const LEN: usize>(kind: u8) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), LEN - 4).prop_map(move |tail| {
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend(tail);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn garbage_under_a_right_mac1_is_refused_without_a_panic(
        aes in any::<bool>(),
        first in garbage::<INITIATION_LEN>(1),
        second in garbage::<RESPONSE_LEN>(2),
    ) {
        let (mut a, mut b) = ends(SUITES[usize::from(aes)], 0);
        let initiation = Initiation::read_from_bytes(&first).unwrap();
        prop_assert!(consume(&mut a, &mut b, &initiation).is_err());

        let (initiator, _) = a.initiate(10);
        let mut response = Response::read_from_bytes(&second).unwrap();
        response.receiver = 10.into();
        prop_assert!(conclude(&mut b, &mut a, initiator, &response).is_err());
    }
}
