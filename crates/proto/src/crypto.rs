//! The primitives of the handshake, in WireGuard's words (paper, section 5.4): HASH, MAC, KDF,
//! DH and the one-message AEAD.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use blake2::{
    Blake2s256, Blake2sMac, Digest,
    digest::{FixedOutput, KeyInit, Mac, consts::U16},
};
use chacha20poly1305::{AeadInOut, ChaCha20Poly1305};
use hmac::SimpleHmac;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::{Suite, message::TAG_LEN};

/// 32 secret bytes that are wiped on drop.
pub(crate) type Secret = Zeroizing<[u8; 32]>;

/// The other side's point has a small order: the shared secret would be all zero.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WeakPoint;

/// A tag did not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forged;

/// X25519, refusing an all-zero result (RFC 7748, section 6.1).
pub(crate) fn agree(secret: &StaticSecret, public: &[u8; 32]) -> Result<Secret, WeakPoint> {
    let shared = secret.diffie_hellman(&PublicKey::from(*public));
    if shared.was_contributory() { Ok(Zeroizing::new(shared.to_bytes())) } else { Err(WeakPoint) }
}

/// HASH: BLAKE2s-256 over the concatenation of `parts`.
pub(crate) fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Blake2s256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// MAC: keyed BLAKE2s-128; a key has at most 32 bytes, all of ours 16 or 32.
pub(crate) fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = <Blake2sMac<U16> as KeyInit>::new_from_slice(key)
        .expect("BLAKE2s takes keys of up to 32 bytes, and ours have 16 or 32");
    for part in parts {
        Mac::update(&mut mac, part);
    }
    mac.finalize_fixed().into()
}

/// KDF_N: HKDF with HMAC-BLAKE2s, N outputs (paper, section 5.4; RFC 5869 without info).
pub(crate) fn derive<const N: usize>(chaining_key: &[u8; 32], input: &[u8]) -> [Secret; N] {
    let extracted = hmac(chaining_key, &[input]);
    let mut outputs: [Secret; N] = std::array::from_fn(|_| Secret::default());
    for i in 0..N {
        // The first round has no previous output; a count beyond 255 is beyond any caller.
        let previous: &[u8] = if i == 0 { &[] } else { &*outputs[i - 1] };
        let output = hmac(&extracted, &[previous, &[i as u8 + 1]]);
        outputs[i] = output;
    }
    outputs
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> Secret {
    let mut hmac = <SimpleHmac<Blake2s256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        Mac::update(&mut hmac, part);
    }
    Zeroizing::new(hmac.finalize_fixed().into())
}

/// Seals `plaintext` into `out`, which is a tag longer, under a key that is used only once.
pub(crate) fn seal_once(suite: Suite, key: &Secret, aad: &[u8], plaintext: &[u8], out: &mut [u8]) {
    let (ciphertext, tag_out) = out.split_at_mut(plaintext.len());
    ciphertext.copy_from_slice(plaintext);
    match suite {
        Suite::ChaCha20Poly1305 => {
            let tag = chacha(key)
                .encrypt_inout_detached(&suite.nonce(0).into(), aad, ciphertext.into())
                .expect("ChaCha20-Poly1305 seals up to 256 GiB, and handshake fields are short");
            tag_out.copy_from_slice(&tag);
        }
        Suite::Aes256Gcm => {
            let tag = aes(key)
                .seal_in_place_separate_tag(nonce(suite), Aad::from(aad), ciphertext)
                .expect("AES-GCM seals up to 64 GiB, and handshake fields are short");
            tag_out.copy_from_slice(tag.as_ref());
        }
    }
}

/// Opens what [`seal_once`] made; `N` is the length of the plaintext.
pub(crate) fn open_once<const N: usize>(
    suite: Suite,
    key: &Secret,
    aad: &[u8],
    sealed: &[u8],
) -> Result<[u8; N], Forged> {
    let (ciphertext, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(Forged)?;
    let mut plaintext: [u8; N] = ciphertext.try_into().map_err(|_| Forged)?;
    match suite {
        Suite::ChaCha20Poly1305 => chacha(key)
            .decrypt_inout_detached(&suite.nonce(0).into(), aad, plaintext.as_mut_slice().into(), tag.into())
            .map_err(|_| Forged)?,
        Suite::Aes256Gcm => {
            aes(key)
                .open_in_place_separate_tag(nonce(suite), Aad::from(aad), tag, &mut plaintext)
                .map_err(|_| Forged)?;
        }
    }
    Ok(plaintext)
}

fn chacha(key: &Secret) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new((&**key).into())
}

fn aes(key: &Secret) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_slice()).expect("an AES-256 key has 32 bytes"))
}

/// Every handshake key seals one message, so its nonce is that of counter zero.
fn nonce(suite: Suite) -> Nonce {
    Nonce::assume_unique_for_key(suite.nonce(0))
}

#[cfg(test)]
pub(crate) mod tests;
