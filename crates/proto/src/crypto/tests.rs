use x25519_dalek::StaticSecret;

use super::{Forged, Secret, WeakPoint, agree, derive, hash, hmac, mac, open_once, seal_once};
use crate::{
    Suite,
    fixtures::{SUITES, secret},
};

/// All points of small order and their aliases below 2^255 (RFC 7748, section 6.1, and its
/// security considerations).
pub(crate) const LOW_ORDER_POINTS: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

pub(crate) fn hex<const N: usize>(text: &str) -> [u8; N] {
    assert_eq!(text.len(), 2 * N);
    std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
}

#[test]
fn hash_gives_the_answer_of_rfc_7693() {
    assert_eq!(hash(&[b"a", b"bc"]), hex("508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"),);
}

#[test]
fn hash_gives_wireguards_first_chaining_key_and_hash() {
    let suite = Suite::ChaCha20Poly1305;
    let chaining_key = hash(&[suite.construction()]);
    assert_eq!(chaining_key, hex("60e26daef327efc02ec335e2a025d2d016eb4206f87277f52d38d1988b78cd36"),);
    assert_eq!(
        hash(&[&chaining_key, suite.identifier()]),
        hex("2211b361081ac566691243db458ad5322d9c6c662293e8b70ee19c65ba079ef3"),
    );
}

#[test]
fn agree_gives_the_answer_of_rfc_7748() {
    let scalar = hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
    let point = hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
    assert_eq!(
        *agree(&StaticSecret::from(scalar), &point).unwrap(),
        hex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"),
    );
}

#[test]
fn agree_refuses_every_point_of_low_order() {
    let ours = StaticSecret::from([7; 32]);
    for point in LOW_ORDER_POINTS {
        assert_eq!(agree(&ours, &hex(point)), Err(WeakPoint), "{point}");
        let mut high_bit = hex::<32>(point);
        high_bit[31] |= 0x80;
        assert_eq!(agree(&ours, &high_bit), Err(WeakPoint), "{point} with its high bit");
    }
}

#[test]
fn derive_gives_the_same_first_outputs_however_many_are_asked() {
    let [one] = derive(&[1; 32], b"input");
    let [first, second] = derive(&[1; 32], b"input");
    let [a, b, third] = derive(&[1; 32], b"input");
    assert_eq!([&one, &first, &second], [&a, &a, &b]);
    assert_eq!(third, hmac(&hmac(&[1; 32], &[b"input"]), &[b.as_slice(), &[3]]));
}

#[test]
fn mac_depends_on_the_whole_key_and_the_whole_text_but_not_on_its_parts() {
    let whole = mac(&[1; 32], &[b"text"]);
    assert_eq!(whole, mac(&[1; 32], &[b"te", b"xt"]));
    assert_ne!(whole, mac(&[1; 16], &[b"text"]));
    assert_ne!(whole, mac(&[1; 32], &[b"texT"]));
}

#[test]
fn open_once_gives_back_what_seal_once_took_and_refuses_anything_else() {
    for suite in SUITES {
        let key = secret(9);
        let mut sealed = [0; 36];
        seal_once(suite, &key, b"aad", &[5; 20], &mut sealed);
        assert_eq!(open_once(suite, &key, b"aad", &sealed), Ok([5; 20]));

        let refused: [Result<[u8; 20], Forged>; 4] = [
            open_once(suite, &key, b"add", &sealed),
            open_once(suite, &secret(8), b"aad", &sealed),
            open_once(suite.other(), &key, b"aad", &sealed),
            open_once(suite, &key, b"aad", &sealed[..35]),
        ];
        assert_eq!(refused, [Err(Forged); 4], "{suite}");
        for i in 0..sealed.len() {
            let mut altered = sealed;
            altered[i] ^= 1;
            assert_eq!(open_once::<20>(suite, &key, b"aad", &altered), Err(Forged), "byte {i}");
        }
    }
}

#[test]
fn open_once_refuses_what_is_shorter_than_a_tag() {
    for suite in SUITES {
        assert_eq!(open_once::<0>(suite, &Secret::default(), &[], &[0; 15]), Err(Forged));
    }
}
