//! What is shown of a line in logs and on screens: nothing that may be part of a key.
//!
//! A key file that is taken for a configuration, or pasted into one without its tags, must not end up in a log that more
//! people read than the file.

use std::borrow::Cow;

use super::Directive;

/// As many hexadecimal digits in a row, and more, are not shown, damaged ones among them. A line of a static key has 32.
const HIDDEN_FROM: usize = 16;

/// One in so many may be damaged.
const DAMAGED: usize = 8;

/// Bytes of the longest name that is shown; OpenVPN's longest has 39.
const LONGEST_NAME: usize = 40;

/// Digits in a name that is shown. OpenVPN's own have 3 at most; a hexadecimal line has more.
const MOST_DIGITS: usize = 4;

/// What is shown in the place of a line that is not.
const HIDDEN: &str = "(not shown: it may be part of a key)";

/// Whether a word could be an option's name, known or not, and can be shown.
pub(crate) fn is_name(word: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let begins = word.starts_with(|first: char| first.is_ascii_lowercase());
    begins && word.len() <= LONGEST_NAME && word.bytes().all(fits) && digits <= MOST_DIGITS
}

/// A text without long rows of hexadecimal digits.
pub(crate) fn scrub(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let (mut done, mut at) = (0, 0);
    while at < text.len() {
        let row = text.as_bytes()[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let digits = text.as_bytes()[at..at + row].iter().filter(|byte| byte.is_ascii_hexdigit()).count();
        if row >= HIDDEN_FROM && (row - digits) * DAMAGED <= row {
            shown.push_str(&text[done..at]);
            shown.push_str(&format!("({row} hexadecimal digits, not shown)"));
            done = at + row;
        }
        at += row.max(1);
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    shown.push_str(&text[done..]);
    Cow::Owned(shown)
}

impl Directive {
    /// As a line of a file (see [`Display`](std::fmt::Display)), fit to be shown: what may be part of a key is left out.
    #[must_use]
    pub fn shown(&self) -> String {
        if self.inline.is_none() && !is_name(&self.name) {
            return HIDDEN.to_owned();
        }
        scrub(&self.to_string()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_and_lines_of_keys_are_not() {
        for name in ["dev", "ifconfig-ipv6", "x509-username-field", "allow-deprecated-insecure-static-crypto", "frob_2"]
        {
            assert!(is_name(name), "{name}");
        }
        for line in [
            "",
            "1582dc64f2b4a2f1c3d4e5f60718293a",
            "1582DC64F2B4A2F1C3D4E5F60718293A",
            "0f1e2d",
            "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
            "-----BEGIN",
            "<secret>",
            "übung",
        ] {
            assert!(!is_name(line), "{line}");
        }
    }

    #[test]
    fn long_rows_of_digits_are_left_out_of_a_text_and_short_ones_stay() {
        assert_eq!(scrub("`/etc/0123456789abcde` ü"), "`/etc/0123456789abcde` ü");
        assert_eq!(scrub("ü`0123456789ABCDEF`ü"), "ü`(16 hexadecimal digits, not shown)`ü");
        let damaged = format!("{}xyz{}", "a1".repeat(7), "b2".repeat(8));
        assert_eq!(scrub(&damaged), "(33 hexadecimal digits, not shown)");
        assert_eq!(scrub("accommodatedfaced"), "accommodatedfaced", "a word is none");
    }
}
