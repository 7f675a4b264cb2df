//! A gateway's own long-term key.

use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, Zeroizing};

use crate::crypto::{self, WeakPoint};

/// A gateway's static key pair; the secret is wiped on drop and never shown.
pub struct LocalIdentity {
    secret: StaticSecret,
    public: [u8; 32],
}

impl LocalIdentity {
    /// Takes a secret in WireGuard's key format, clamped or not (RFC 7748, section 5).
    pub fn new(mut secret: [u8; 32]) -> Self {
        let key = StaticSecret::from(secret);
        secret.zeroize();
        Self { public: PublicKey::from(&key).to_bytes(), secret: key }
    }

    /// The public key that the other gateway knows us by.
    pub fn public_key(&self) -> [u8; 32] {
        self.public
    }

    /// An identity that goes by a public key which is not its secret's.
    #[cfg(test)]
    pub(crate) fn claim(&self, public: [u8; 32]) -> Self {
        Self { secret: self.secret.clone(), public }
    }

    /// The Diffie-Hellman secret between us and `peer`.
    pub(crate) fn agree(&self, peer: &[u8; 32]) -> Result<Zeroizing<[u8; 32]>, WeakPoint> {
        crypto::agree(&self.secret, peer)
    }
}

impl std::fmt::Debug for LocalIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalIdentity").finish_non_exhaustive()
    }
}
