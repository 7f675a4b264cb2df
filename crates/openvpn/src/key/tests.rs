use proptest::prelude::*;

use super::*;
use crate::options::{Cipher, Digest, KeyDirection};

const HEADER: &str = "-----BEGIN OpenVPN Static key V1-----\n";
const FOOTER: &str = "-----END OpenVPN Static key V1-----\n";

/// Lines of 16 bytes, as OpenVPN writes them.
fn digits(bytes: &[u8]) -> String {
    bytes.chunks(16).map(|line| line.iter().map(|b| format!("{b:02x}")).collect::<String>() + "\n").collect()
}

fn counted() -> [u8; 256] {
    std::array::from_fn(|n| u8::try_from(n).expect("there are 256"))
}

fn file(bytes: &[u8]) -> String {
    format!("#\n# 2048 bit OpenVPN static key\n#\n{HEADER}{}{FOOTER}", digits(bytes))
}

fn parse(text: &str) -> Result<StaticKey, KeyError> {
    StaticKey::parse(text.as_bytes())
}

#[test]
fn a_direction_says_which_half_is_for_which_way() {
    let key = parse(&file(&counted())).expect("the file is sound");
    let pair = |direction| key.pair(direction, Cipher::Aes256Cbc, Digest::Sha1).expect("the key is sound");
    let half = |n: u8| (n * 128..n * 128 + 32).collect::<Vec<u8>>();
    let both = pair(KeyDirection::Both);
    assert_eq!((&*both.outgoing.cipher, &*both.incoming.cipher), (&half(0), &half(0)));
    assert_eq!(*both.outgoing.hmac, (64..84).collect::<Vec<u8>>());
    let zero = pair(KeyDirection::Zero);
    assert_eq!((&*zero.outgoing.cipher, &*zero.incoming.cipher), (&half(0), &half(1)));
    assert_eq!(*zero.incoming.hmac, (192..212).collect::<Vec<u8>>());
    let one = pair(KeyDirection::One);
    assert_eq!((&one.outgoing, &one.incoming), (&zero.incoming, &zero.outgoing));
}

#[test]
fn keys_are_as_long_as_cipher_and_hmac_need() {
    let key = StaticKey::from_bytes(&counted());
    for cipher in Cipher::ALL {
        for digest in Digest::ALL {
            let pair = key.pair(KeyDirection::Zero, cipher, digest).expect("the key is sound");
            assert_eq!((pair.incoming.cipher.len(), pair.incoming.hmac.len()), (cipher.key_len(), digest.len()));
        }
    }
}

#[test]
fn what_openvpn_reads_is_read() {
    let sound = parse(&file(&counted())).expect("the file is sound");
    let body = digits(&counted());
    for (why, text) in [
        ("Windows line ends", file(&counted()).replace('\n', "\r\n")),
        ("capitals and spaces", format!("{HEADER}{}{FOOTER}", body.to_uppercase().replace("0A", " 0A\t"))),
        ("text before and behind", format!("junk\n\n{HEADER}{body}{FOOTER}junk\n")),
        ("empty lines", format!("{HEADER}\n{}\n{FOOTER}", body.replace('\n', "\n\n"))),
        ("text behind the header", format!("{} by me\n{body}{FOOTER}", HEADER.trim())),
        ("no last line end", format!("{HEADER}{body}{}", FOOTER.trim())),
        ("more digits than needed", format!("{HEADER}{body}0011 and what not\n{FOOTER}")),
        ("a bad line that ends the digits", format!("{HEADER}{body}-----\n{FOOTER}")),
        (
            "one digit in each line",
            format!("{HEADER}{}{FOOTER}", body.replace('\n', "").chars().map(|c| format!("{c}\n")).collect::<String>()),
        ),
    ] {
        assert_eq!(parse(&text).as_ref(), Ok(&sound), "{why}");
    }
}

#[test]
fn a_key_is_written_as_openvpn_writes_it() {
    let key = StaticKey::from_bytes(&counted());
    assert_eq!(key.text().as_str(), file(&counted()));
    assert!(parse(&key.text()) == Ok(key));
}

#[test]
fn a_damaged_file_is_refused_with_its_line() {
    let body = digits(&counted());
    let short = |bytes| format!("{HEADER}{}{FOOTER}", digits(&counted()[..bytes]));
    for (text, line, message) in [
        (String::new(), None, "no line `-----BEGIN"),
        (file(&counted()).replace("BEGIN", "BEGUN"), None, "no line `-----BEGIN"),
        (format!(" {HEADER}{body}{FOOTER}"), None, "no line `-----BEGIN"),
        (
            file(&counted()).replacen("2f", "2g", 1),
            Some(7),
            "line 7 has `g`, which is no hexadecimal digit, behind 47 of 256",
        ),
        (file(&counted()).replacen("1011", "1\u{1}11", 1), Some(6), "line 6 has the byte 0x01"),
        (short(112), Some(8), "only 112 of 256 bytes, up to line 8"),
        (format!("{HEADER}{FOOTER}"), Some(1), "only 0 of 256"),
        (format!("{HEADER}{body}"), Some(18), "no line `-----END"),
        (format!("{HEADER}{body}{}", FOOTER.replace("END", "ENDE")), Some(19), "no line `-----END"),
    ] {
        let error = parse(&text).expect_err("the file is damaged");
        assert!(error.to_string().starts_with(message), "{error}");
        assert_eq!(error.line(), line, "{error}");
    }
}

#[test]
fn half_a_key_serves_without_a_direction_alone() {
    let key = parse(&file(&counted()[..128])).expect("half a key is a key");
    assert!(key.pair(KeyDirection::Both, Cipher::Aes128Cbc, Digest::Sha256).is_ok());
    for direction in [KeyDirection::Zero, KeyDirection::One] {
        assert_eq!(key.pair(direction, Cipher::Aes128Cbc, Digest::Sha256), Err(KeyError::OneHalf));
    }
    assert_eq!(format!("{key:?}"), "StaticKey(1024 bits)");
}

#[test]
fn a_cipher_key_of_zeros_is_refused_in_either_half() {
    let mut bytes = counted();
    bytes[128..144].fill(0);
    let key = StaticKey::from_bytes(&bytes);
    let pair = |cipher| key.pair(KeyDirection::Both, cipher, Digest::Sha1);
    assert_eq!(pair(Cipher::Aes128Cbc), Err(KeyError::Zero(2)));
    assert!(pair(Cipher::Aes256Cbc).is_ok(), "the seventeenth byte is used");
    assert!(pair(Cipher::None).is_ok());
}

#[test]
fn nothing_prints_a_key() {
    let key = StaticKey::from_bytes(&[0xab; 256]);
    let pair = key.pair(KeyDirection::Zero, Cipher::Aes256Cbc, Digest::Sha1).expect("the key is sound");
    assert_eq!(format!("{pair:?}"), "KeyPair { outgoing: OneWay(32 + 20 bytes), incoming: OneWay(32 + 20 bytes) }");
}

proptest! {
    #[test]
    fn any_key_that_is_written_reads_back(bytes in prop::collection::vec(any::<u8>(), 256)) {
        let whole: [u8; 256] = bytes.clone().try_into().expect("there are 256");
        prop_assert_eq!(parse(&file(&bytes)), Ok(StaticKey::from_bytes(&whole)));
    }

    #[test]
    fn a_file_cut_anywhere_is_half_a_key_at_most(cut in 0_usize..600) {
        let whole = file(&counted());
        let text = &whole[..cut.min(whole.len() - FOOTER.len())];
        prop_assert!(parse(text).is_err());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(content in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut text = HEADER.as_bytes().to_vec();
        text.extend(content);
        let _refused = StaticKey::parse(&text);
    }
}
