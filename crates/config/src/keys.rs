//! Keys in wg(8)'s text form: 32 bytes as 44 characters of standard base64.
//!
//! Making keys, and a public key of a private one, belongs to the protocol; here they are only read and written.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::key_file::{self, KeyFileError};
use crate::key_text::{KeyError, decode};

/// A gateway's X25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

/// A gateway's X25519 private key; wiped from memory when dropped, and never printed by `Debug`.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; 32]>);

/// A link's pre-shared key; wiped from memory when dropped, and never printed by `Debug`.
#[derive(Clone)]
pub struct PresharedKey(Zeroizing<[u8; 32]>);

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        decode(text).map(|bytes| PublicKey(*bytes))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

macro_rules! secret {
    ($name:ident, $purpose:literal) => {
        impl $name {
            /// The key of these bytes.
            pub fn new(bytes: [u8; 32]) -> Self {
                Self(Zeroizing::new(bytes))
            }

            /// The raw bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The key as text, without a newline.
            pub fn to_base64(&self) -> Zeroizing<String> {
                Zeroizing::new(STANDARD.encode(self.0.as_slice()))
            }

            #[doc = concat!("Reads the file of a ", $purpose, ": one line of base64, for its owner alone to read.")]
            ///
            /// # Errors
            /// [`KeyFileError`] names the file and says what to do.
            pub fn load(path: &Path) -> Result<Self, KeyFileError> {
                key_file::load(path, $purpose).map(Self)
            }
        }

        impl FromStr for $name {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                decode(text).map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(secret)"))
            }
        }
    };
}

secret!(SecretKey, "private key");
secret!(PresharedKey, "pre-shared key");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_survives_the_way_to_text_and_back(bytes in any::<[u8; 32]>()) {
            prop_assume!(bytes != [0; 32]);
            let public = PublicKey(bytes);
            prop_assert_eq!(public.to_string().len(), 44);
            prop_assert_eq!(public.to_string().parse(), Ok(public));
            let secret = SecretKey::new(bytes);
            prop_assert_eq!(*secret.to_base64().parse::<SecretKey>().unwrap().as_bytes(), bytes);
            let preshared = PresharedKey::new(bytes);
            prop_assert_eq!(*preshared.to_base64().parse::<PresharedKey>().unwrap().as_bytes(), bytes);
        }

        #[test]
        fn no_text_makes_the_decoder_panic(text in ".{0,60}") {
            let _ = decode(&text);
        }
    }

    /// From the protocol's published test vectors (RFC 7748, section 6.1): Alice's private key, by `base64`.
    #[test]
    fn a_known_key_decodes_to_its_bytes() {
        let key: SecretKey = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=".parse().unwrap();
        assert_eq!(key.as_bytes()[..4], [0x77, 0x07, 0x6d, 0x0a]);
        assert_eq!(key.as_bytes()[28..], [0x1d, 0xb9, 0x2c, 0x2a]);
    }

    #[test]
    fn each_kind_of_wrong_text_has_its_own_error() {
        let right = PublicKey([7; 32]).to_string();
        for (text, error) in [
            (String::new(), KeyError::Empty),
            (" \n".to_owned(), KeyError::Empty),
            (right[..43].to_owned(), KeyError::Length(43)),
            ("07".repeat(32), KeyError::Length(64)),
            (right.replace('=', "A"), KeyError::NotBase64),
            (right.replace("c=", "d="), KeyError::NotBase64),
            (right.replacen('B', "!", 1), KeyError::NotBase64),
            (format!("{}==", &right[..42]), KeyError::NotBase64),
            (STANDARD.encode([0; 32]), KeyError::Zero),
        ] {
            assert_eq!(text.parse::<PublicKey>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_secret_is_not_in_its_debug_text() {
        let text = format!("{:?} {:?}", SecretKey::new([7; 32]), PresharedKey::new([7; 32]));
        assert_eq!(text, "SecretKey(secret) PresharedKey(secret)");
    }
}
