//! What is different between the peer's options and those that ours ask for (options_string.c, `options_cmp_equal_safe`,
//! `options_warning_safe`).

/// Differences that are told by nobody: they mean nothing any more, or follow from others.
const UNTOLD: [&str; 6] = ["key-method ", "keydir ", "proto ", "tls-auth", "tun-ipv6", "cipher "];

/// The warnings of OpenVPN's log, without the word WARNING, about `theirs`, the string that the peer sent, where ours want
/// `expected`. None: the two go together.
#[must_use]
pub fn differences(expected: &str, theirs: &[u8]) -> Vec<String> {
    let theirs: String = String::from_utf8_lossy(theirs).chars().map(printable).collect();
    if theirs == expected {
        return Vec::new();
    }
    // The version counts as an option of its own.
    let (ours, theirs) = (format!("version {expected}"), format!("version {theirs}"));
    let mut told = one_way(&ours, &theirs, ("local", "remote"), true);
    told.extend(one_way(&theirs, &ours, ("remote", "local"), false));
    told
}

fn one_way(here: &str, there: &str, (here_name, there_name): (&str, &str), inconsistent: bool) -> Vec<String> {
    let mut told = Vec::new();
    for option in here.split(',').filter(|option| !option.is_empty()) {
        if UNTOLD.iter().any(|untold| option.starts_with(untold)) {
            continue;
        }
        let name = name(option);
        match there.split(',').find(|other| *other == option || self::name(other) == name) {
            Some(other) if other == option => {}
            Some(other) if inconsistent => {
                told.push(format!("'{name}' is used inconsistently, {here_name}='{option}', {there_name}='{other}'"))
            }
            Some(_) => {}
            None => told.push(format!(
                "'{name}' is present in {here_name} config but missing in {there_name} config, {here_name}='{option}'"
            )),
        }
    }
    told
}

fn name(option: &str) -> &str {
    option.split(' ').next().unwrap_or(option)
}

/// A peer with the key may still write what it likes into our log.
fn printable(letter: char) -> char {
    if letter.is_ascii_graphic() || letter == ' ' { letter } else { '.' }
}
