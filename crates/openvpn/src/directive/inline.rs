//! Text inside a configuration file: `<secret>` … `</secret>` (options_parse.c, `check_inline_file`).

use zeroize::Zeroizing;

use super::file::Lines;

/// The name, when a word is `<name>`.
pub(super) fn tag(word: &str) -> Option<&str> {
    word.strip_prefix('<')?.strip_suffix('>')
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
