//! Keys in wg(8)'s text form: 32 bytes as 44 characters of standard base64.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

/// A gateway's X25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

/// A gateway's X25519 private key; wiped from memory when dropped.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; 32]>);

/// A link's pre-shared key; wiped from memory when dropped.
#[derive(Clone)]
pub struct PresharedKey(Zeroizing<[u8; 32]>);

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not base64.
    #[error("not base64 of 32 bytes")]
    Malformed,
}

/// Why a key file is refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It does not hold a key.
    #[error("{}: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with the text.
        source: KeyError,
    },
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        source: std::io::Error,
    },
}

fn decode(text: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| KeyError::Malformed)?);
    let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| KeyError::Malformed)?;
    Ok(Zeroizing::new(bytes))
}

fn load(path: &Path) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| KeyFileError::Unreadable { path: path.into(), source })?;
    decode(&text).map_err(|source| KeyFileError::Malformed { path: path.into(), source })
}

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
    ($name:ident) => {
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

            /// Reads a key file: one line of base64, readable by its owner alone.
            ///
            /// # Errors
            /// [`KeyFileError`] names the file and what to do.
            pub fn load(path: &Path) -> Result<Self, KeyFileError> {
                load(path).map(Self)
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

secret!(SecretKey);
secret!(PresharedKey);

impl KeyError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        "write what `meshtun pubkey` prints"
    }
}
