//! The static key file, and which part of it seals and opens (crypto.c, `read_key_file`, `crypto_read_openvpn_key`).
//!
//! A file holds 2,048 bits in hexadecimal digits between a header and a footer: twice 64 bytes for a cipher and 64 for
//! a HMAC. Of each the first bytes are used, as many as cipher and HMAC have. A file with 1,024 bits is enough where
//! no direction is given.

mod pair;
mod parse;

#[cfg(test)]
mod tests;

use std::fmt;

use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

pub use pair::{KeyPair, OneWay};

/// Bytes of one cipher key and of one HMAC key in the file.
const PART: usize = 64;

/// Bytes of one half: what one direction needs.
const HALF: usize = 2 * PART;

/// Bytes of a whole key.
const WHOLE: usize = 2 * HALF;

/// A static key: one or two halves. Zeroed when dropped, never printed, compared in constant time.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct StaticKey {
    bytes: [u8; WHOLE],
    #[zeroize(skip)]
    halves: usize,
}

impl PartialEq for StaticKey {
    fn eq(&self, other: &Self) -> bool {
        self.halves == other.halves && bool::from(self.bytes.ct_eq(&other.bytes))
    }
}

impl Eq for StaticKey {}

impl fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticKey({} bits)", self.halves * HALF * 8)
    }
}

/// What is wrong with a key. Lines count from 1 within the text that was parsed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// There is no line that begins a key.
    #[error("no line `-----BEGIN OpenVPN Static key V1-----`: this is not a static key file")]
    NoHeader,
    /// Something else than hexadecimal digits.
    #[error(
        "line {line} has {shown}, which is no hexadecimal digit, behind {found} of {WHOLE} bytes: the file is damaged"
    )]
    BadDigit {
        /// The line.
        line: u32,
        /// The character, fit to be printed.
        shown: String,
        /// Bytes before it.
        found: usize,
    },
    /// Less than one half.
    #[error("only {found} of {WHOLE} bytes, up to line {line}: the file is cut short")]
    TooShort {
        /// The line on which the digits end.
        line: u32,
        /// Bytes up to there.
        found: usize,
    },
    /// The digits are there, but not the line that ends a key.
    #[error(
        "no line `-----END OpenVPN Static key V1-----` behind line {line}, after {found} of {WHOLE} bytes: the file is damaged"
    )]
    NoFooter {
        /// The last line.
        line: u32,
        /// Bytes of the key that were found.
        found: usize,
    },
    /// One half, where a direction needs both.
    #[error(
        "the key has one half, and a direction (0 or 1) needs two: make a new key, or leave the direction out at both ends"
    )]
    OneHalf,
    /// A cipher key of nothing but zeros.
    #[error("half {0} of the key is all zeros: make a new key")]
    Zero(usize),
}

impl KeyError {
    /// The line at fault, within the text that was parsed.
    #[must_use]
    pub fn line(&self) -> Option<u32> {
        match self {
            Self::BadDigit { line, .. } | Self::TooShort { line, .. } | Self::NoFooter { line, .. } => Some(*line),
            Self::NoHeader | Self::OneHalf | Self::Zero(_) => None,
        }
    }
}
