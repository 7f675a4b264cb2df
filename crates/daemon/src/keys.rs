//! Keys are made and derived here, where the randomness and the curve are at hand.

use std::io;

use meshtun_config::{PublicKey, SecretKey};
use meshtun_proto::LocalIdentity;
use rand::{TryRng, rngs::SysRng};
use zeroize::Zeroizing;

/// A new private key, from the kernel's randomness, clamped (RFC 7748, section 5) as wg(8) prints them.
///
/// # Errors
/// The kernel's, if it has no randomness to give.
pub fn generate_key() -> io::Result<SecretKey> {
    let mut bytes = Zeroizing::new(random_bytes()?);
    bytes[0] &= 0b1111_1000;
    bytes[31] = bytes[31] & 0b0111_1111 | 0b0100_0000;
    Ok(SecretKey::new(*bytes))
}

/// The public key that belongs to a private key.
pub fn public_key(secret: &SecretKey) -> PublicKey {
    PublicKey(LocalIdentity::new(*secret.as_bytes()).public_key())
}

/// 32 bytes that nobody else knows.
pub(crate) fn random_bytes() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    SysRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_clamped_and_never_the_same() {
        let (one, other) = (generate_key().unwrap(), generate_key().unwrap());
        assert_ne!(one.as_bytes(), other.as_bytes());
        for key in [one, other] {
            assert_eq!(key.as_bytes()[0] & 7, 0);
            assert_eq!(key.as_bytes()[31] >> 6, 1);
        }
    }

    #[test]
    fn the_public_key_is_that_of_the_curve() {
        // RFC 7748, section 6.1: Alice's keys.
        let secret = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=".parse().unwrap();
        assert_eq!(public_key(&secret).to_string(), "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
    }
}
