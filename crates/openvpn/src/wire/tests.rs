use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    key::OneWay,
    options::ReplayWindow,
    packet_id::{Replay, SendIds, Window},
};

fn keys() -> OneWay {
    OneWay { cipher: vec![0x5a; 32].into(), hmac: vec![0x5a; 64].into() }
}

fn sealer(cipher: Cipher, digest: Digest) -> Sealer {
    Sealer::new(cipher, digest, &keys(), SendIds::new(1_000, None), [9; 32]).unwrap()
}

fn opener(cipher: Cipher, digest: Digest) -> Opener {
    Opener::new(cipher, digest, &keys(), Window::new(ReplayWindow::DEFAULT)).unwrap()
}

fn seal(sealer: &mut Sealer, payload: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0xee; sealer.shape().sealed_len(payload.len())];
    sealer.seal(payload, &mut datagram).unwrap();
    datagram
}

fn suites() -> impl Strategy<Value = (Cipher, Digest)> {
    (prop::sample::select(&Cipher::ALL), prop::sample::select(&Digest::ALL))
}

fn signed_suites() -> impl Strategy<Value = (Cipher, Digest)> {
    suites().prop_filter("not authenticated", |(_, digest)| !digest.is_empty())
}

proptest! {
    #[test]
    fn what_was_sealed_opens((cipher, digest) in suites(), payload in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let mut datagram = seal(&mut sealer(cipher, digest), &payload);
        let range = opener(cipher, digest).open(&mut datagram, 0).unwrap();
        prop_assert_eq!(&datagram[range], &payload[..]);
    }

    #[test]
    fn datagrams_finished_together_are_those_finished_one_by_one(
        (cipher, digest) in suites(),
        lengths in prop::collection::vec(0..200_usize, 0..40),
    ) {
        let (mut one, mut many) = (sealer(cipher, digest), sealer(cipher, digest));
        let alone: Vec<Vec<u8>> = lengths.iter().map(|length| seal(&mut one, &vec![3; *length])).collect();
        let mut together: Vec<Vec<u8>> = alone.iter().map(|datagram| vec![0; datagram.len()]).collect();
        for (datagram, length) in together.iter_mut().zip(&lengths) {
            many.stage(*length, datagram, |payload| payload.fill(3)).unwrap();
        }
        many.finish(together.iter_mut().map(|datagram| &mut datagram[..]));
        prop_assert_eq!(&together, &alone);

        let mut opener = opener(cipher, digest);
        let authentic = opener.authenticate(together.iter().map(|datagram| &datagram[..]));
        for (at, datagram) in together.iter_mut().enumerate() {
            let range = opener.open_authentic(datagram, authentic.is(at), 0).unwrap();
            prop_assert_eq!(range.len(), lengths[at]);
        }
    }

    #[test]
    fn every_bit_counts((cipher, digest) in signed_suites(), payload in prop::collection::vec(any::<u8>(), 0..40)) {
        let datagram = seal(&mut sealer(cipher, digest), &payload);
        let mut opener = opener(cipher, digest);
        for bit in 0..datagram.len() * 8 {
            let mut changed = datagram.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(opener.open(&mut changed, 0), Err(OpenError::BadTag), "bit {}", bit);
        }
        prop_assert!(opener.open(&mut datagram.clone(), 0).is_ok(), "and nothing of that was remembered");
    }

    #[test]
    fn what_is_cut_short_or_lengthened_is_refused((cipher, digest) in signed_suites(), more in 1..40_usize) {
        let datagram = seal(&mut sealer(cipher, digest), &[1; 50]);
        let mut opener = opener(cipher, digest);
        for len in 0..datagram.len() {
            let expected = if len < digest.len() { OpenError::NoTag } else { OpenError::BadTag };
            prop_assert_eq!(opener.open(&mut datagram[..len].to_vec(), 0), Err(expected));
        }
        let longer = [&datagram[..], &vec![0; more]].concat();
        prop_assert_eq!(opener.open(&mut longer.clone(), 0), Err(OpenError::BadTag));
    }

    /// With `auth none`, whatever comes reaches the cipher: it must end in an error or a payload, never in a panic.
    #[test]
    fn without_authentication_no_datagram_does_harm(
        cipher in prop::sample::select(&Cipher::ALL),
        datagram in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut opener = opener(cipher, Digest::None);
        if let Ok(range) = opener.open(&mut datagram.clone(), 0) {
            prop_assert!(range.end <= datagram.len());
        }
    }
}

#[test]
fn nothing_passes_twice() {
    let (mut sealer, mut opener) =
        (sealer(Cipher::Aes256Cbc, Digest::Sha256), opener(Cipher::Aes256Cbc, Digest::Sha256));
    let datagram = seal(&mut sealer, b"once");
    opener.open(&mut datagram.clone(), 0).unwrap();
    let id = PacketId { time: 1_000, id: 1 };
    let again = OpenError::Replay { id, why: Replay::Seen { behind: 0 } };
    assert_eq!(opener.open(&mut datagram.clone(), 0), Err(again));
}

/// Overheads, as the reference page has them for AES-256-CBC and SHA-1: 20 + 16 + 8 and padding of 1 to 16.
#[test]
fn datagrams_have_openvpns_lengths() {
    let shape = Shape::new(Cipher::Aes256Cbc, Digest::Sha1);
    assert_eq!(shape.sealed_len(0), 20 + 16 + 16);
    assert_eq!(shape.sealed_len(7), 20 + 16 + 16);
    assert_eq!(shape.sealed_len(8), 20 + 16 + 32, "a whole block of padding");
    assert_eq!(Shape::new(Cipher::None, Digest::Sha1).sealed_len(100), 20 + 8 + 100);
    assert_eq!(Shape::new(Cipher::BfCbc, Digest::None).sealed_len(100), 8 + 112);
    assert_eq!(Shape::new(Cipher::None, Digest::None).sealed_len(1), 9);
}

#[test]
fn initialisation_vectors_differ_and_ids_count() {
    let mut sealer = sealer(Cipher::Aes128Cbc, Digest::Sha1);
    let datagrams: Vec<Vec<u8>> = (0..100).map(|_| seal(&mut sealer, b"the same")).collect();
    let vectors: std::collections::BTreeSet<&[u8]> = datagrams.iter().map(|datagram| &datagram[20..36]).collect();
    assert_eq!(vectors.len(), 100);
}

#[test]
fn a_room_of_another_length_is_refused_and_costs_no_id() {
    let mut sealer = sealer(Cipher::Aes256Cbc, Digest::Sha1);
    let len = sealer.shape().sealed_len(10);
    for wrong in [0, len - 1, len + 1] {
        assert_eq!(sealer.seal(&[0; 10], &mut vec![0; wrong]), Err(SealError::Room));
    }
    let mut datagram = seal(&mut sealer, &[0; 10]);
    let mut opener = opener(Cipher::Aes256Cbc, Digest::Sha1);
    opener.open(&mut datagram, 0).unwrap();
    assert_eq!(opener.window().newest(), PacketId { time: 1_000, id: 1 });
}

#[test]
fn the_last_id_is_followed_by_the_first_of_the_next_second() {
    let rule = ReplayWindow { packets: 64, time: Duration::ZERO };
    let ids = SendIds::after(PacketId { time: 1_000, id: u32::MAX - 1 });
    let mut sealer = Sealer::new(Cipher::None, Digest::Sha1, &keys(), ids, [0; 32]).unwrap();
    let mut opener = Opener::new(Cipher::None, Digest::Sha1, &keys(), Window::new(rule)).unwrap();
    for expected in [(1_000, u32::MAX), (1_001, 1), (1_001, 2)] {
        let mut datagram = seal(&mut sealer, b"x");
        opener.open(&mut datagram, 0).unwrap();
        assert_eq!(opener.window().newest(), PacketId { time: expected.0, id: expected.1 });
    }
    assert_eq!(sealer.time(), 1_001);

    let ids = SendIds::after(PacketId { time: u32::MAX, id: u32::MAX });
    let mut sealer = Sealer::new(Cipher::None, Digest::Sha1, &keys(), ids, [0; 32]).unwrap();
    assert_eq!(sealer.seal(b"x", &mut [0; 29]), Err(SealError::Exhausted));
}

#[test]
fn authentic_rubbish_is_named_as_openvpn_names_it() {
    let sign = |datagram: &mut [u8]| mac::Mac::new(Digest::Sha1, &[0x5a; 20]).unwrap().sign(&mut [datagram]);
    let verdict = |cipher: Cipher, len: usize| {
        let mut datagram = vec![0; 20 + len];
        sign(&mut datagram);
        opener(cipher, Digest::Sha1).open(&mut datagram, 0).unwrap_err().to_string()
    };
    assert_eq!(verdict(Cipher::Aes256Cbc, 15), "missing IV info");
    assert_eq!(verdict(Cipher::Aes256Cbc, 16), "missing payload");
    assert_eq!(verdict(Cipher::Aes256Cbc, 17), "cipher final failed");
    assert_eq!(verdict(Cipher::Aes256Cbc, 48), "cipher final failed", "zeros are no padding");
    assert_eq!(verdict(Cipher::None, 7), "error reading packet-id");
    assert_eq!(verdict(Cipher::None, 8), "bad packet ID (may be a replay)", "id zero");
    assert_eq!(OpenError::NoPacketId { cbc: true }.to_string(), "error reading CBC packet-id");
    assert_eq!(OpenError::NoTag.to_string(), "missing authentication info");
    assert_eq!(OpenError::BadTag.to_string(), "packet HMAC authentication failed");
}
