//! Text inside a configuration file: `<secret>` … `</secret>` (options_parse.c, `check_inline_file`).

use zeroize::Zeroizing;

use super::{file::Lines, is_name};

/// The name, when a word is `<name>`.
pub(super) fn tag(word: &str) -> Option<&str> {
    word.strip_prefix('<')?.strip_suffix('>').filter(|name| is_name(name))
}

/// What is wrong, when a key or certificate begins with this line where options should be; its lines are passed over.
pub(super) fn stray_key(line: &[u8], lines: &mut Lines<'_>) -> Option<String> {
    let title = line.trim_ascii_start().strip_prefix(b"-----BEGIN ")?;
    let _end = lines.find(|line| line.trim_ascii_start().starts_with(b"-----END "));
    if !title.starts_with(b"OpenVPN Static key") {
        return Some("a key or certificate begins here, where options should be".to_owned());
    }
    let text = "a static key begins here, where options should be: is this the key file? A configuration names that with `secret FILE`, or has its text between lines with <secret> and </secret>";
    Some(text.to_owned())
}

/// Passes over lines up to the one that closes `<name>`, if there is one.
pub(super) fn pass(lines: &mut Lines<'_>, name: &str) {
    let mut ahead = lines.clone();
    if take(&mut ahead, name).is_some() {
        *lines = ahead;
    }
}

/// Takes lines up to the one that begins with `</name>`, white space aside. `None` when there is none.
pub(super) fn take(lines: &mut Lines<'_>, name: &str) -> Option<Zeroizing<Vec<u8>>> {
    let close = format!("</{name}>");
    let mut text = Zeroizing::new(Vec::new());
    for line in lines {
        if line.trim_ascii_start().starts_with(close.as_bytes()) {
            return Some(text);
        }
        text.extend_from_slice(line);
    }
    None
}
