//! Which part of a static key seals and which opens.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{HALF, KeyError, PART, StaticKey};
use crate::options::{Cipher, Digest, KeyDirection};

/// The keys of both ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// Seals what we send.
    pub outgoing: OneWay,
    /// Opens what we receive.
    pub incoming: OneWay,
}

/// The keys of one way, as long as cipher and HMAC need them. Zeroed when dropped, never printed.
#[derive(Clone)]
pub struct OneWay {
    /// The cipher's key; empty for [`Cipher::None`].
    pub cipher: Zeroizing<Vec<u8>>,
    /// The HMAC's key; empty for [`Digest::None`].
    pub hmac: Zeroizing<Vec<u8>>,
}

impl PartialEq for OneWay {
    fn eq(&self, other: &Self) -> bool {
        bool::from(self.cipher.ct_eq(&other.cipher) & self.hmac.ct_eq(&other.hmac))
    }
}

impl Eq for OneWay {}

impl fmt::Debug for OneWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OneWay({} + {} bytes)", self.cipher.len(), self.hmac.len())
    }
}

impl StaticKey {
    /// The keys for a direction: without one the first half both ways; with 0 the first half for sending, the second
    /// for receiving; with 1 the other way about.
    ///
    /// # Errors
    /// [`KeyError::OneHalf`] when a direction needs more than there is, [`KeyError::Zero`] when a cipher key is all
    /// zeros, whether it would be used or not.
    pub fn pair(&self, direction: KeyDirection, cipher: Cipher, digest: Digest) -> Result<KeyPair, KeyError> {
        let (outgoing, incoming) = match direction {
            KeyDirection::Both => (0, 0),
            KeyDirection::Zero => (0, 1),
            KeyDirection::One => (1, 0),
        };
        if outgoing.max(incoming) >= self.halves {
            return Err(KeyError::OneHalf);
        }
        let zero =
            |half: &usize| bool::from(self.half(*half)[..cipher.key_len()].ct_eq(&[0; PART][..cipher.key_len()]));
        if let Some(half) = (0..self.halves).find(|half| cipher != Cipher::None && zero(half)) {
            return Err(KeyError::Zero(half + 1));
        }
        Ok(KeyPair {
            outgoing: self.one_way(outgoing, cipher, digest),
            incoming: self.one_way(incoming, cipher, digest),
        })
    }

    fn one_way(&self, half: usize, cipher: Cipher, digest: Digest) -> OneWay {
        let (for_cipher, for_hmac) = self.half(half).split_at(PART);
        OneWay {
            cipher: Zeroizing::new(for_cipher[..cipher.key_len()].to_vec()),
            hmac: Zeroizing::new(for_hmac[..digest.len()].to_vec()),
        }
    }

    fn half(&self, half: usize) -> &[u8] {
        &self.bytes[half * HALF..][..HALF]
    }
}
