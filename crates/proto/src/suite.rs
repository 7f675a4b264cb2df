//! The two cipher suites and what differs between them.

/// A cipher suite; both ends of a channel are configured alike, it is never negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suite {
    /// WireGuard's own: `Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s`, unchanged on the wire.
    ChaCha20Poly1305,
    /// `Noise_IKpsk2_25519_AESGCM_BLAKE2s` under meshtun's identifier, with 256-bit keys.
    Aes256Gcm,
}

impl Suite {
    /// The name as it stands in the configuration and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::Aes256Gcm => "aes-256-gcm",
        }
    }

    /// The suite that this one is not: what a failed handshake may have been spoken in.
    pub fn other(self) -> Self {
        match self {
            Self::ChaCha20Poly1305 => Self::Aes256Gcm,
            Self::Aes256Gcm => Self::ChaCha20Poly1305,
        }
    }

    /// Messages sealed under one key after which a new handshake is due.
    ///
    /// ChaCha20-Poly1305: 2^60 (WireGuard paper, section 6.1). AES-256-GCM: 2^28, see
    /// [`Self::reject_after_messages`].
    pub fn rekey_after_messages(self) -> u64 {
        match self {
            Self::ChaCha20Poly1305 => 1 << 60,
            Self::Aes256Gcm => 1 << 28,
        }
    }

    /// Messages sealed under one key after which it seals and opens no more: a counter as large
    /// as this is never used.
    ///
    /// ChaCha20-Poly1305: 2^64 - 2^13 - 1 (WireGuard paper, section 6.1).
    ///
    /// AES-256-GCM: 2^30. AES is a permutation, so its key stream can be told from random bits
    /// with an advantage of at most sigma^2 / 2^129, where sigma is the number of 16-byte blocks
    /// under the key (NIST SP 800-38D; the bound behind RFC 8446, section 5.5, and RFC 9001,
    /// appendix B.1). A message of 1,420 bytes is 90 blocks with the one that masks its tag,
    /// 2^6.5; one of 8,900 bytes is 559, 2^9.1:
    ///
    /// | messages | 1,420 bytes each | advantage | 8,900 bytes each | advantage |
    /// |---|---|---|---|---|
    /// | 2^28, a rekey is due | 2^34.5 blocks, 381 GB | 2^-60 | 2^37.1 blocks, 2.4 TB | 2^-54.7 |
    /// | 2^30, the key is dead | 2^36.5 blocks, 1.5 TB | 2^-56 | 2^39.1 blocks, 9.6 TB | 2^-50.7 |
    ///
    /// RFC 8446 draws its line at the same 2^34.5 blocks. A session is renewed after 120 s anyway,
    /// so the first limit is met only above 2.2 million messages a second on one channel.
    pub fn reject_after_messages(self) -> u64 {
        match self {
            Self::ChaCha20Poly1305 => u64::MAX - (1 << 13),
            Self::Aes256Gcm => 1 << 30,
        }
    }

    /// Noise's protocol name (Noise specification, section 8).
    pub(crate) fn construction(self) -> &'static [u8] {
        match self {
            Self::ChaCha20Poly1305 => b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s",
            Self::Aes256Gcm => b"Noise_IKpsk2_25519_AESGCM_BLAKE2s",
        }
    }

    /// The prologue: what WireGuard calls its identifier (paper, section 5.4).
    pub(crate) fn identifier(self) -> &'static [u8] {
        match self {
            Self::ChaCha20Poly1305 => b"WireGuard v1 zx2c4 Jason@zx2c4.com",
            Self::Aes256Gcm => b"meshtun v1 aes-256-gcm",
        }
    }

    /// The nonce of a counter: four zero bytes, then the counter, little-endian for ChaCha20 and
    /// big-endian for AES-GCM (Noise specification, section 12).
    pub(crate) fn nonce(self, counter: u64) -> [u8; 12] {
        let counter = match self {
            Self::ChaCha20Poly1305 => counter.to_le_bytes(),
            Self::Aes256Gcm => counter.to_be_bytes(),
        };
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&counter);
        nonce
    }
}

impl std::fmt::Display for Suite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Suite::{Aes256Gcm, ChaCha20Poly1305};

    #[test]
    fn a_nonce_is_four_zeroes_and_the_counter_in_the_suites_byte_order() {
        let counter = 0x0102_0304_0506_0708;
        assert_eq!(ChaCha20Poly1305.nonce(counter), [0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(Aes256Gcm.nonce(counter), [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_rekey_is_due_long_before_a_key_is_dead() {
        assert_eq!(ChaCha20Poly1305.reject_after_messages(), u64::MAX - 8192);
        for suite in [ChaCha20Poly1305, Aes256Gcm] {
            assert!(suite.rekey_after_messages() <= suite.reject_after_messages() / 4);
        }
    }

    #[test]
    fn each_suite_is_the_others_other() {
        assert_eq!(ChaCha20Poly1305.other(), Aes256Gcm);
        assert_eq!(Aes256Gcm.other(), ChaCha20Poly1305);
    }
}
