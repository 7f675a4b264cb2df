//! `secret`, `key-direction`, `cipher`, `auth`, `replay-window`.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::directive::Place;

/// `secret`: where the static key comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Secret {
    /// File or text.
    pub source: SecretSource,
    /// The directive's place, for messages.
    pub place: Place,
}

/// Where the text of a static key is.
#[derive(Clone, PartialEq)]
pub enum SecretSource {
    /// A file, as it was written.
    File(String),
    /// The text between `<secret>` and `</secret>`; its first line is the one after the directive's place.
    Inline(Zeroizing<String>),
}

impl std::fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Inline(_) => f.write_str("Inline(…)"),
        }
    }
}

/// `key-direction`: which half of a static key is for which way (crypto.c, `key_direction_state_init`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyDirection {
    /// None given: the first half for both ways, the same at both ends.
    #[default]
    Both,
    /// `0`: the first half for sending, the second for receiving.
    Zero,
    /// `1`: the other way about.
    One,
}

/// `cipher`, of those that a static key can be used with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cipher {
    /// `none`: authenticated, not encrypted.
    None,
    /// Blowfish with 128-bit keys: OpenVPN's default for a static key.
    BfCbc,
    /// Triple DES with 192-bit keys.
    DesEde3Cbc,
    /// AES with 128-bit keys.
    Aes128Cbc,
    /// AES with 192-bit keys.
    Aes192Cbc,
    /// AES with 256-bit keys.
    Aes256Cbc,
}

impl Cipher {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::None, Self::BfCbc, Self::DesEde3Cbc, Self::Aes128Cbc, Self::Aes192Cbc, Self::Aes256Cbc];

    /// OpenVPN's name, as its logs and the options string have it (`[null-cipher]` for none).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "[null-cipher]",
            Self::BfCbc => "BF-CBC",
            Self::DesEde3Cbc => "DES-EDE3-CBC",
            Self::Aes128Cbc => "AES-128-CBC",
            Self::Aes192Cbc => "AES-192-CBC",
            Self::Aes256Cbc => "AES-256-CBC",
        }
    }

    /// The key's length in bytes: so many of the key file's 64 for a cipher are used.
    #[must_use]
    pub fn key_len(self) -> usize {
        match self {
            Self::None => 0,
            Self::BfCbc | Self::Aes128Cbc => 16,
            Self::DesEde3Cbc | Self::Aes192Cbc => 24,
            Self::Aes256Cbc => 32,
        }
    }

    /// The block's length in bytes, which is the length of the IV.
    #[must_use]
    pub fn block_len(self) -> usize {
        match self {
            Self::None => 0,
            Self::BfCbc | Self::DesEde3Cbc => 8,
            Self::Aes128Cbc | Self::Aes192Cbc | Self::Aes256Cbc => 16,
        }
    }
}

/// `auth`: the hash of the HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Digest {
    /// `none`: no authentication at all.
    None,
    /// MD5.
    Md5,
    /// OpenVPN's default.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Digest {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::None, Self::Md5, Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];

    /// OpenVPN's name, as its logs and the options string have it (`[null-digest]` for none).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "[null-digest]",
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA1",
            Self::Sha224 => "SHA224",
            Self::Sha256 => "SHA256",
            Self::Sha384 => "SHA384",
            Self::Sha512 => "SHA512",
        }
    }

    /// The length of the HMAC and of its key, in bytes: so many of the key file's 64 for a HMAC are used.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Self::None => 0,
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Whether there is no HMAC.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::None
    }
}

/// `replay-window`: how far behind the newest a packet may come (packet_id.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayWindow {
    /// In packets, 0 to 65,536; 0 means strictly in order.
    pub packets: u32,
    /// In time, 0 to 600 s; 0 means any.
    pub time: Duration,
}

impl ReplayWindow {
    /// 64 packets, 15 seconds.
    pub const DEFAULT: Self = Self { packets: 64, time: Duration::from_secs(15) };
}
