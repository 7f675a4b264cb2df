//! Datagrams of the static-key format (crypto.c, `openvpn_encrypt_v1`, `openvpn_decrypt_v1`).
//!
//! ```text
//!   CBC:          HMAC │ IV │ CBC, PKCS #7 ( packet id 4 │ time 4 │ payload )
//!   cipher none:  HMAC │ packet id 4 │ time 4 │ payload
//! ```
//!
//! The HMAC covers all that follows it, and is empty with `auth none`. There is no length, no opcode and no session number.
//! The payload has its framing and its fragment header in front; [`crate::session`] puts all together.
//!
//! Nothing here allocates once it is made.

mod cbc;
mod hash;
mod mac;
mod opener;
mod sealer;

pub use opener::{Authentic, OpenError, Opener};
pub use sealer::{SealError, Sealer};

use crate::{
    options::{Cipher, Digest},
    packet_id::PacketId,
};

/// How long datagrams are, by cipher and digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    tag: usize,
    block: usize,
}

impl Shape {
    /// The shape of a cipher's and a digest's datagrams.
    #[must_use]
    pub fn new(cipher: Cipher, digest: Digest) -> Self {
        Self { tag: digest.len(), block: cipher.block_len() }
    }

    /// The length of the datagram of a payload, both in bytes: with CBC, payloads of several lengths give the same.
    #[must_use]
    pub fn sealed_len(self, payload: usize) -> usize {
        let content = PacketId::LEN + payload;
        match self.block {
            0 => self.tag + content,
            block => self.tag + block + (content + 1).next_multiple_of(block),
        }
    }

    /// Where the packet id stands in an opened datagram.
    fn content(self) -> usize {
        self.tag + self.block
    }
}

#[cfg(test)]
mod tests;
