//! What makes a text a key: 44 characters of standard base64 for 32 bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Why a text is no key. Says nothing of the text itself but its length, for it may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no text.
    #[error("it is empty")]
    Empty,
    /// Not 44 characters.
    #[error("it has {0} characters, a key has 44")]
    Length(usize),
    /// A character that base64 does not have, or padding that does not end 32 bytes.
    #[error("it is not base64 of 32 bytes")]
    NotBase64,
    /// 32 zero bytes, which some programs take for "no key".
    #[error("it is all zero")]
    Zero,
}

impl KeyError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            KeyError::Empty => "write what `meshtun pubkey` prints: 44 characters that end in `=`",
            KeyError::Length(43) => "is a `=` missing at the end?",
            KeyError::Length(64) => {
                "this may be hexadecimal: keys are base64, as `meshtun keygen` and `wg genkey` write them"
            }
            KeyError::Length(_) => {
                "write all of what `meshtun pubkey` or `wg pubkey` prints: 44 characters that end in `=`"
            }
            KeyError::NotBase64 => {
                "a key is 43 letters, digits, `+` and `/`, and a `=`: copy it again from `meshtun pubkey`"
            }
            KeyError::Zero => "make a key with `meshtun keygen`",
        }
    }
}

/// `text` without blanks around it, as 32 bytes.
pub(crate) fn decode(text: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let text = text.trim_ascii();
    match text.chars().count() {
        0 => return Err(KeyError::Empty),
        44 => {}
        other => return Err(KeyError::Length(other)),
    }
    // One byte more than a key: what 44 characters hold when none of them is padding.
    let mut bytes = Zeroizing::new([0; 33]);
    let length = STANDARD.decode_slice(text, bytes.as_mut_slice()).map_err(|_| KeyError::NotBase64)?;
    let key: [u8; 32] = bytes[..length].try_into().map_err(|_| KeyError::NotBase64)?;
    let key = Zeroizing::new(key);
    if key.iter().all(|byte| *byte == 0) { Err(KeyError::Zero) } else { Ok(key) }
}
