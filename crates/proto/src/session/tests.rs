use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
use proptest::prelude::*;

use super::*;
use crate::{
    fixtures::{SUITES, secret, session},
    message::TAG_LEN,
    noise::SessionKeys,
};

const SIZES: [usize; 10] = [0, 1, 15, 16, 17, 63, 64, 1420, 1500, 9000];

/// Seals one message and returns it.
fn seal(key: &mut SendKey, plaintext: &[u8], padding: usize) -> Vec<u8> {
    let mut out = vec![0xEE; plaintext.len() + padding + OVERHEAD];
    let len = key.seal(plaintext, padding, &mut out).unwrap();
    assert_eq!(len, out.len());
    out
}

fn counter_of(message: &[u8]) -> u64 {
    u64::from_le_bytes(message[8..16].try_into().unwrap())
}

fn receive_key(index: u32) -> ReceiveKey {
    ReceiveKey::new(Suite::Aes256Gcm, index, &secret(1), Instant::now())
}

#[test]
fn what_is_sealed_is_opened_with_its_padding_at_every_size() {
    for suite in SUITES {
        let (mut send, mut receive) = session(suite);
        for size in SIZES {
            for padding in [0, 1, 15, 16, 17, 100] {
                let plaintext: Vec<u8> = (0..size).map(|i| i as u8).collect();
                let mut message = seal(&mut send, &plaintext, padding);
                let opened = receive.open(&mut message).unwrap();
                assert_eq!(opened[..size], plaintext, "{suite}, {size} + {padding}");
                assert_eq!(opened[size..], vec![0; padding], "{suite}, {size} + {padding}");
            }
        }
    }
}

#[test]
fn the_header_bears_the_peers_index_and_a_counter_that_grows_by_one() {
    for suite in SUITES {
        let (mut send, _) = session(suite);
        for expected in 0..3 {
            assert_eq!(send.sent(), expected);
            let message = seal(&mut send, b"", 0);
            assert_eq!(message[..8], [4, 0, 0, 0, 7, 0, 0, 0]);
            assert_eq!(counter_of(&message), expected);
        }
    }
}

#[test]
fn a_buffer_that_is_too_short_seals_nothing_and_spends_no_counter() {
    for suite in SUITES {
        let (mut send, _) = session(suite);
        for (len, padding) in [(0, 0), (31, 0), (41, 0), (47, 6), (100, usize::MAX)] {
            let mut out = vec![0xEE; len];
            let refused = send.seal(b"0123456789", padding, &mut out);
            assert_eq!(refused, Err(SealError::BufferTooShort));
            assert!(out.iter().all(|byte| *byte == 0xEE));
        }
        assert_eq!(send.sent(), 0);
    }
}

#[test]
fn sealing_touches_no_byte_behind_the_message() {
    for suite in SUITES {
        let (mut send, _) = session(suite);
        for padding in [0, 6, 40] {
            let mut out = [0xEE; 200];
            let len = send.seal(b"0123456789", padding, &mut out).unwrap();
            assert!(out[len..].iter().all(|byte| *byte == 0xEE), "{suite}, {padding}");
        }
    }
}

#[test]
fn a_key_seals_up_to_its_suites_limit_and_never_beyond() {
    for suite in SUITES {
        let (mut send, mut receive) = session(suite);
        let limit = suite.reject_after_messages();
        send.skip_to(limit - 2);
        for counter in [limit - 2, limit - 1] {
            let mut message = seal(&mut send, b"last", 0);
            assert_eq!(counter_of(&message), counter);
            assert_eq!(receive.open(&mut message), Ok(&mut b"last"[..].to_owned()[..]));
        }
        let mut out = [0xEE; 64];
        for _ in 0..3 {
            assert_eq!(send.seal(b"more", 0, &mut out), Err(SealError::Exhausted));
        }
        assert_eq!(send.sent(), limit);
        assert_eq!(out, [0xEE; 64]);
    }
}

#[test]
fn a_counter_at_the_suites_limit_is_not_opened() {
    for suite in SUITES {
        let (_, mut receive) = session(suite);
        for beyond in [suite.reject_after_messages(), suite.reject_after_messages() + 1, u64::MAX] {
            let mut message = TransportHeader::new(7, beyond).as_bytes().to_vec();
            message.extend([0; TAG_LEN]);
            assert_eq!(receive.open(&mut message), Err(OpenError::Exhausted));
        }
    }
}

#[test]
fn a_message_is_opened_once() {
    for suite in SUITES {
        let (mut send, mut receive) = session(suite);
        let message = seal(&mut send, b"once", 0);
        assert!(receive.open(&mut message.clone()).is_ok());
        assert_eq!(receive.open(&mut message.clone()), Err(OpenError::Replayed));
    }
}

#[test]
fn messages_are_opened_in_any_order_within_the_window() {
    let (mut send, mut receive) = session(Suite::Aes256Gcm);
    let mut messages: Vec<_> = (0..100).map(|_| seal(&mut send, b"late", 0)).collect();
    messages.reverse();
    for message in &mut messages {
        assert!(receive.open(message).is_ok());
    }
    let early = seal(&mut send, b"early", 0);
    send.skip_to(send.sent() + crate::replay::WINDOW);
    assert!(receive.open(&mut seal(&mut send, b"ahead", 0)).is_ok());
    assert_eq!(receive.open(&mut early.clone()), Err(OpenError::Replayed));
}

#[test]
fn a_forged_message_marks_no_counter() {
    for suite in SUITES {
        let (mut send, mut receive) = session(suite);
        send.skip_to(1 << 20);
        let message = seal(&mut send, b"true", 0);
        let mut forged = message.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(receive.open(&mut forged), Err(OpenError::Forged));
        assert!(receive.open(&mut message.clone()).is_ok());
    }
}

#[test]
fn every_altered_byte_of_a_message_is_refused() {
    for suite in SUITES {
        let (mut send, mut receive) = session(suite);
        let message = seal(&mut send, b"0123456789", 6);
        for i in 0..message.len() {
            let mut altered = message.clone();
            altered[i] ^= 1;
            let refused = receive.open(&mut altered).unwrap_err();
            let expected = if i < 8 { OpenError::Malformed } else { OpenError::Forged };
            let beyond = refused == OpenError::Exhausted && (8..16).contains(&i);
            assert!(refused == expected || beyond, "{suite}, byte {i}: {refused:?}");
        }
    }
}

#[test]
fn every_cut_message_is_refused() {
    for suite in SUITES {
        let (mut send, mut receive) = session(suite);
        let message = seal(&mut send, b"0123456789", 6);
        for len in 0..message.len() {
            let refused = receive.open(&mut message[..len].to_vec()).unwrap_err();
            let expected = if len < OVERHEAD { OpenError::Malformed } else { OpenError::Forged };
            assert_eq!(refused, expected, "{suite}, {len} bytes");
        }
    }
}

#[test]
fn a_reflected_message_is_refused_even_under_our_own_index() {
    for suite in SUITES {
        let keys = SessionKeys::new(suite, 9, 9, secret(1), secret(2));
        let (mut send, mut receive) = keys.into_halves(Instant::now());
        let mut reflected = seal(&mut send, b"echo", 0);
        assert_eq!(receive.open(&mut reflected), Err(OpenError::Forged));
    }
}

#[test]
fn both_keys_expire_180_seconds_after_the_handshake() {
    let now = Instant::now();
    let keys = SessionKeys::new(Suite::Aes256Gcm, 1, 2, secret(1), secret(2));
    let (send, receive) = keys.into_halves(now);
    assert_eq!(send.expires() - now, Duration::from_secs(180));
    assert_eq!(receive.expires(), send.expires());
    assert_eq!((send.local_index(), send.peer_index(), receive.local_index()), (1, 2, 1));
}

#[test]
fn four_receive_keys_are_kept_and_the_oldest_makes_room() {
    let mut keys = ReceiveKeys::new();
    assert!(keys.is_empty());
    for index in 1..=4 {
        keys.insert(receive_key(index));
    }
    for index in 1..=4 {
        assert_eq!(keys.get_mut(index).unwrap().local_index(), index);
    }
    keys.insert(receive_key(5));
    assert_eq!(keys.len(), 4);
    assert!(keys.get_mut(1).is_none());
    assert!(keys.get_mut(2).is_some() && keys.get_mut(5).is_some());
}

#[test]
fn a_retired_key_leaves_the_order_of_age_as_it_was() {
    let mut keys = ReceiveKeys::new();
    for index in 1..=4 {
        keys.insert(receive_key(index));
    }
    keys.retire(3);
    keys.retire(99);
    assert_eq!(keys.len(), 3);
    for index in 5..=6 {
        keys.insert(receive_key(index));
    }
    let left = [1, 2, 3, 4, 5, 6].map(|index| keys.get_mut(index).is_some());
    assert_eq!(left, [false, true, false, true, true, true]);
}

#[test]
fn a_key_of_the_same_index_is_replaced() {
    let mut keys = ReceiveKeys::new();
    keys.insert(receive_key(1));
    keys.insert(receive_key(1));
    assert_eq!(keys.len(), 1);
}

#[test]
fn expired_keys_are_forgotten_at_their_moment() {
    let mut keys = ReceiveKeys::new();
    let first = receive_key(1);
    let moment = first.expires();
    keys.insert(first);
    let later = moment + Duration::from_secs(1) - REJECT_AFTER;
    keys.insert(ReceiveKey::new(Suite::Aes256Gcm, 2, &secret(1), later));
    keys.expire(moment - Duration::from_nanos(1));
    assert_eq!(keys.len(), 2);
    keys.expire(moment);
    assert!(keys.get_mut(1).is_none() && keys.get_mut(2).is_some());
}

#[test]
fn padding_goes_to_the_next_sixteen_bytes_but_never_beyond_the_mtu() {
    let cases = [
        ((0, 1420), 0),
        ((1, 1420), 15),
        ((16, 1420), 0),
        ((17, 1420), 15),
        ((1408, 1420), 0),
        ((1409, 1420), 11),
        ((1419, 1420), 1),
        ((1420, 1420), 0),
        ((1421, 1420), 0),
        ((9000, 1420), 0),
        ((5, 0), 0),
        ((usize::MAX, usize::MAX), 0),
    ];
    for ((len, mtu), expected) in cases {
        assert_eq!(padding_len(len, mtu), expected, "{len} of {mtu}");
    }
}

/// Opens a message with RustCrypto's cipher, which shares no code with the one that sealed it.
fn open_elsewhere(message: &[u8], key: u8) -> Option<Vec<u8>> {
    let (header, body) = message.split_at(TRANSPORT_HEADER_LEN);
    let (ciphertext, tag) = body.split_last_chunk::<TAG_LEN>()?;
    let mut plaintext = ciphertext.to_vec();
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&header[8..]);
    ChaCha20Poly1305::new(&[key; 32].into())
        .decrypt_inout_detached(&nonce.into(), &[], plaintext.as_mut_slice().into(), tag.into())
        .ok()?;
    Some(plaintext)
}

/// A transport message to index 7 that RustCrypto's cipher sealed.
fn seal_elsewhere(plaintext: &[u8], counter: u64, key: u8) -> Vec<u8> {
    let mut message = TransportHeader::new(7, counter).as_bytes().to_vec();
    let mut body = plaintext.to_vec();
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    let tag = ChaCha20Poly1305::new(&[key; 32].into())
        .encrypt_inout_detached(&nonce.into(), &[], body.as_mut_slice().into())
        .unwrap();
    message.extend(body);
    message.extend(tag);
    message
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn another_implementation_opens_what_is_sealed(
        plaintext in proptest::collection::vec(any::<u8>(), 0..3000),
        padding in 0usize..40,
        counter in 0..Suite::ChaCha20Poly1305.reject_after_messages(),
    ) {
        let (mut send, _) = session(Suite::ChaCha20Poly1305);
        send.skip_to(counter);
        let message = seal(&mut send, &plaintext, padding);
        let opened = open_elsewhere(&message, 3).unwrap();
        prop_assert_eq!(&opened[..plaintext.len()], &plaintext);
        prop_assert_eq!(&opened[plaintext.len()..], vec![0; padding]);
    }

    #[test]
    fn what_another_implementation_seals_is_opened(
        plaintext in proptest::collection::vec(any::<u8>(), 0..3000),
        counter in 0..Suite::ChaCha20Poly1305.reject_after_messages(),
    ) {
        let (_, mut receive) = session(Suite::ChaCha20Poly1305);
        let mut message = seal_elsewhere(&plaintext, counter, 3);
        prop_assert_eq!(receive.open(&mut message).unwrap(), &plaintext);
    }

    #[test]
    fn no_counter_is_used_twice_whatever_fails_in_between(
        aes in any::<bool>(),
        buffers in proptest::collection::vec((0usize..100, 0usize..20), 1..60),
    ) {
        let (mut send, _) = session(SUITES[usize::from(aes)]);
        let mut next = 0;
        for (len, padding) in buffers {
            let mut out = vec![0; len];
            if send.seal(b"packet", padding, &mut out).is_ok() {
                prop_assert_eq!(counter_of(&out), next);
                next += 1;
            }
            prop_assert_eq!(send.sent(), next);
        }
    }

    #[test]
    fn garbage_is_never_opened_and_never_a_panic(
        aes in any::<bool>(),
        head in prop_oneof![Just(vec![]), Just(vec![4, 0, 0, 0, 7, 0, 0, 0])],
        tail in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let (_, mut receive) = session(SUITES[usize::from(aes)]);
        let mut message = head;
        message.extend(tail);
        prop_assert!(receive.open(&mut message).is_err());
    }

    #[test]
    fn padding_never_exceeds_fifteen_bytes_nor_the_mtu(len in 0usize..10_000, mtu in 0usize..10_000) {
        let padding = padding_len(len, mtu);
        prop_assert!(padding < 16);
        prop_assert!(padding == 0 || len + padding <= mtu);
        prop_assert!((len + padding).is_multiple_of(16) || len + padding >= mtu);
    }
}
