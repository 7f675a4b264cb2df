//! Names of links, gateways and devices from names of files, devices and hosts.

use std::{collections::BTreeSet, net::IpAddr};

/// The part of a path behind the last `/`.
pub(super) fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The part of a path up to the last `/`, with it.
pub(super) fn folder(path: &str) -> &str {
    &path[..path.len() - base(path).len()]
}

/// `nq` of `/etc/openvpn/nq1.conf` and of `nq1`.
pub(super) fn stem(path: &str) -> String {
    let name = base(path);
    let name = name.split_once('.').map_or(name, |(name, _)| name);
    name.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | '_')).to_owned()
}

/// Whether a file's name is that of a copy that somebody keeps.
pub(super) fn looks_like_a_copy(path: &str) -> bool {
    let name = base(path).to_ascii_lowercase();
    let marks =
        [".bak", ".old", ".orig", ".save", ".dpkg", ".rpm", ".disabled", ".off", "backup", "copy", "-old", "_old", "~"];
    let dated = name.as_bytes().windows(8).any(|part| part.starts_with(b"20") && part.iter().all(u8::is_ascii_digit));
    dated || marks.iter().any(|mark| name.contains(mark))
}

/// A link's name: a letter first, no digit last, short enough for `channels` devices, and none of whose devices is in
/// `taken`.
pub(super) fn link(wish: &str, channels: usize, taken: &BTreeSet<String>) -> String {
    let digits = channels.saturating_sub(1).max(1).to_string().len();
    let clean: String = wish.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    let clean = clean.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    let clean: String = clean.chars().take(14 - digits).collect();
    let clean = clean.trim_end_matches(|c: char| c.is_ascii_digit());
    let clean = if clean.is_empty() { "link" } else { clean };
    let free = |name: &String| (0..channels).all(|number| !taken.contains(&format!("{name}{number}")));
    // One more letter: `m` for meshtun, and if that is taken too, the next.
    std::iter::once(clean.to_owned())
        .chain(('m'..='z').chain('a'..'m').map(|letter| format!("{clean}{letter}")))
        .find(free)
        .unwrap_or_else(|| clean.to_owned())
}

/// A gateway's name from the host that it is reached at: the first label, or the address with dashes.
pub(super) fn gateway(host: &str) -> String {
    if host.parse::<IpAddr>().is_ok() {
        let dashed: String = host.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        return format!("gw-{}", dashed.trim_matches('-'));
    }
    let label = host.split('.').next().unwrap_or(host);
    let clean: String =
        label.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).take(63).collect();
    let clean = clean.trim_start_matches(['-', '_']);
    if clean.is_empty() { "gateway".to_owned() } else { clean.to_owned() }
}

/// A name that is not taken: with a number behind it where it would be.
pub(super) fn unique(wish: String, taken: &[String]) -> String {
    let numbered = (2_u32..).map(|number| format!("{wish}-{number}"));
    std::iter::once(wish.clone()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or(wish)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_has_neither_folder_nor_number_nor_ending() {
        for (path, expected) in
            [("/etc/openvpn/nq1.conf", "nq"), ("nq-12.conf.bak", "nq"), ("tun0", "tun"), ("1.conf", "")]
        {
            assert_eq!(stem(path), expected, "{path}");
        }
        assert_eq!((folder("/etc/a/b.conf"), folder("b.conf")), ("/etc/a/", ""));
    }

    #[test]
    fn a_link_gets_devices_of_its_own() {
        let taken = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(link("nq", 4, &taken(&[])), "nq");
        assert_eq!(link("nq", 4, &taken(&["nq1", "nq4"])), "nqm");
        assert_eq!(link("nq", 4, &taken(&["nq1", "nqm0"])), "nqn");
        assert_eq!(link("nq", 4, &taken(&["nq4", "nq5"])), "nq", "four channels are 0 to 3");
        assert_eq!(link("amsterdam-newyork", 4, &taken(&[])), "amsterdam-new");
        assert_eq!(link("1_2", 1, &taken(&[])), "link");
    }

    #[test]
    fn a_gateway_is_called_after_its_host() {
        assert_eq!(gateway("nvpn1.example.net"), "nvpn1");
        assert_eq!(gateway("203.0.113.2"), "gw-203-0-113-2");
        assert_eq!(gateway("2001:db8::2"), "gw-2001-db8--2");
        assert_eq!(unique("a".to_owned(), &["a".to_owned(), "a-2".to_owned()]), "a-3");
    }

    #[test]
    fn copies_are_known_by_their_names() {
        let copies =
            ["nq1.conf.bak", "nq1-old.conf", "nq1.conf~", "nq1-20191104.conf", "Copy of nq1.conf", "nq1.conf.dpkg-old"];
        assert!(copies.iter().all(|name| looks_like_a_copy(name)));
        assert!(
            !["nq1.conf", "copenhagen1.conf", "office2.conf", "bold.conf"].iter().any(|name| looks_like_a_copy(name))
        );
    }
}
