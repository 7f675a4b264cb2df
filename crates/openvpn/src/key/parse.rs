//! The text of a static key.

use std::fmt::{self, Write};

use zeroize::Zeroizing;

use super::{HALF, KeyError, StaticKey, WHOLE};

const HEADER: &[u8] = b"-----BEGIN OpenVPN Static key V1-----";
const FOOTER: &[u8] = b"-----END OpenVPN Static key V1-----";

/// Bytes on one line of a file.
const LINE: usize = 16;

impl StaticKey {
    /// Reads a key file, or inline text. What stands before the header and behind the footer counts for nothing, nor do
    /// digits behind the 256th byte.
    ///
    /// # Errors
    /// As [`KeyError`] tells; OpenVPN refuses the same files.
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let mut lines = (1..).zip(text.split(|&b| b == b'\n'));
        if !lines.any(|(_, line)| line.starts_with(HEADER)) {
            return Err(KeyError::NoHeader);
        }
        let mut digits = Digits::default();
        let mut last = 1;
        let mut ended = false;
        for (number, line) in lines {
            if line.starts_with(FOOTER) {
                return digits.key(last);
            }
            // Any line with a dash ends the digits; the footer may come later.
            ended |= line.first() == Some(&b'-');
            if !ended && !line.is_empty() {
                digits.take(number, line)?;
            }
            last = number;
        }
        digits.key(last)?;
        Err(KeyError::NoFooter { line: last, found: digits.found })
    }

    /// The text of a key file, in OpenVPN's form.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let bits = self.halves * HALF * 8;
        // As long as it will be, so that no part of it is left behind where it would have grown.
        let mut text = Zeroizing::new(String::with_capacity(1024));
        let mut put = |part: fmt::Arguments<'_>| text.write_fmt(part).expect("a string takes all");
        put(format_args!("#\n# {bits} bit OpenVPN static key\n#\n{}\n", String::from_utf8_lossy(HEADER)));
        for line in self.bytes[..self.halves * HALF].chunks(LINE) {
            line.iter().for_each(|byte| put(format_args!("{byte:02x}")));
            put(format_args!("\n"));
        }
        put(format_args!("{}\n", String::from_utf8_lossy(FOOTER)));
        text
    }

    /// A key of 256 bytes as they stand in the file.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; WHOLE]) -> Self {
        Self { bytes: *bytes, halves: 2 }
    }
}

/// Hexadecimal digits on their way to bytes.
struct Digits {
    bytes: Zeroizing<[u8; WHOLE]>,
    found: usize,
    high: Option<u8>,
}

impl Default for Digits {
    fn default() -> Self {
        Self { bytes: Zeroizing::new([0; WHOLE]), found: 0, high: None }
    }
}

impl Digits {
    fn take(&mut self, number: u32, line: &[u8]) -> Result<(), KeyError> {
        for &byte in line {
            if self.found == WHOLE {
                return Ok(());
            }
            let digit = char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            match (digit, self.high) {
                (Some(digit), None) => self.high = Some(digit),
                (Some(digit), Some(high)) => {
                    self.bytes[self.found] = high << 4 | digit;
                    self.found += 1;
                    self.high = None;
                }
                (None, _) if byte.is_ascii_whitespace() || byte == 0x0b => {}
                (None, _) => {
                    let shown = if byte.is_ascii_graphic() {
                        format!("`{}`", char::from(byte))
                    } else {
                        format!("the byte 0x{byte:02x}")
                    };
                    return Err(KeyError::BadDigit { line: number, shown, found: self.found });
                }
            }
        }
        Ok(())
    }

    /// The key, when there are enough digits up to this line.
    fn key(&self, line: u32) -> Result<StaticKey, KeyError> {
        match self.found / HALF {
            0 => Err(KeyError::TooShort { line, found: self.found }),
            halves => Ok(StaticKey { bytes: *self.bytes, halves }),
        }
    }
}
