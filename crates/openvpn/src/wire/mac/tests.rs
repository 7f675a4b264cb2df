use hmac::{Hmac as Oracle, KeyInit};
use proptest::prelude::*;

use super::*;

fn oracle<M: hmac::Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

fn expected(digest: Digest, key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = &key[..digest.len()];
    match digest {
        Digest::None => Vec::new(),
        Digest::Md5 => oracle::<Oracle<md5::Md5>>(key, message),
        Digest::Sha1 => oracle::<Oracle<sha1::Sha1>>(key, message),
        Digest::Sha224 => oracle::<Oracle<sha2::Sha224>>(key, message),
        Digest::Sha256 => oracle::<Oracle<sha2::Sha256>>(key, message),
        Digest::Sha384 => oracle::<Oracle<sha2::Sha384>>(key, message),
        Digest::Sha512 => oracle::<Oracle<sha2::Sha512>>(key, message),
    }
}

fn digest() -> impl Strategy<Value = Digest> {
    prop::sample::select(&Digest::ALL)
}

proptest! {
    /// The `hmac` crate is the second opinion, for one message and for several of different lengths at once.
    #[test]
    fn tags_are_those_of_another_implementation(
        digest in digest(),
        key in prop::array::uniform32(any::<u8>()),
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..=LANES),
    ) {
        let key = [key, key].concat();
        let mac = Mac::new(digest, &key).unwrap();
        let mut datagrams: Vec<Vec<u8>> =
            messages.iter().map(|message| [&vec![0; digest.len()][..], message].concat()).collect();
        mac.sign(&mut datagrams.iter_mut().map(|datagram| &mut datagram[..]).collect::<Vec<_>>());
        for (datagram, message) in datagrams.iter().zip(&messages) {
            prop_assert_eq!(&datagram[..digest.len()], &expected(digest, &key, message)[..]);
        }
        let all: Vec<&[u8]> = datagrams.iter().map(|datagram| &datagram[..]).collect();
        prop_assert_eq!(&mac.verify(&all)[..all.len()], &vec![true; all.len()][..]);
    }

    #[test]
    fn one_wrong_datagram_among_several_is_the_one_that_is_refused(
        digest in digest().prop_filter("none has no tag", |digest| !digest.is_empty()),
        wrong in 0..LANES,
        at in any::<prop::sample::Index>(),
        bit in 0..8_u32,
    ) {
        let mac = Mac::new(digest, &[7; 64]).unwrap();
        let mut datagrams: Vec<Vec<u8>> = (0..LANES).map(|lane| vec![lane as u8; 150]).collect();
        mac.sign(&mut datagrams.iter_mut().map(|datagram| &mut datagram[..]).collect::<Vec<_>>());
        let at = at.index(150);
        datagrams[wrong][at] ^= 1 << bit;
        let all: Vec<&[u8]> = datagrams.iter().map(|datagram| &datagram[..]).collect();
        let verdicts = mac.verify(&all);
        prop_assert_eq!(verdicts.iter().position(|right| !right), Some(wrong));
        prop_assert_eq!(verdicts.iter().filter(|right| !**right).count(), 1);
    }
}

#[test]
fn a_datagram_shorter_than_a_tag_is_refused() {
    let mac = Mac::new(Digest::Sha256, &[7; 64]).unwrap();
    assert!(!mac.verify(&[&[0; 31]])[0]);
    assert!(!mac.verify(&[&[]])[0]);
    assert!(!mac.verify(&[])[0], "nothing is not authentic");
    mac.sign(&mut [&mut [0; 31]]);
}
