//! Checks of single values: numbers, addresses, names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::findings::{Findings, Located};
use crate::model::{Cipher, Host, Software};
use crate::suggest::nearest;

/// IFNAMSIZ less the zero byte (include/uapi/linux/if.h).
pub(super) const DEVICE_NAME_BYTES: usize = 15;

/// The number if it is in the range; `why` says what the range stands on.
pub(super) fn ranged<T: TryFrom<i64>>(
    number: &Located<i64>,
    key: &str,
    range: RangeInclusive<i64>,
    why: &str,
    findings: &mut Findings,
) -> Option<Located<T>> {
    if !range.contains(&number.value) {
        let (least, most, found) = (range.start(), range.end(), number.value);
        findings.error(&number.span, format!("`{key}` must be {least} to {most}, not {found}"), why);
        return None;
    }
    T::try_from(number.value).ok().map(|value| number.with(value))
}

/// A duration in the range: a whole number and its unit.
pub(super) fn duration(
    text: &Located<String>,
    key: &str,
    [least, most]: &[Duration; 2],
    why: &str,
    findings: &mut Findings,
) -> Option<Duration> {
    let Some(duration) = parse_duration(&text.value) else {
        let message = format!("`{key}` must be a duration, not {:?}", text.value);
        findings.error(&text.span, message, "a whole number and its unit: \"250ms\", \"3s\" or \"5min\"");
        return None;
    };
    if !(*least..=*most).contains(&duration) {
        let message = format!("`{key}` must be {} to {}, not {}", shown(*least), shown(*most), text.value);
        findings.error(&text.span, message, why);
        return None;
    }
    Some(duration)
}

/// As it is written in a file.
fn shown(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..unit].parse().ok()?;
    match text[unit..].trim_start() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "min" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

/// An address that can be bound to or sent to.
pub(super) fn ip_address(text: &Located<String>, key: &str, findings: &mut Findings) -> Option<Located<IpAddr>> {
    let Ok(address) = text.value.parse::<IpAddr>() else {
        let message = format!("`{key}` must be an IP address, not {:?}", text.value);
        findings.error(&text.span, message, not_an_address(&text.value));
        return None;
    };
    let fault = unusable(address);
    if let Some((what, hint)) = fault {
        findings.error(&text.span, format!("`{key}` is {what}: {address}"), hint);
    }
    fault.is_none().then(|| text.with(address))
}

/// An address to which a name or "any" is no alternative: it must be one host's.
pub(super) fn host_address(text: &Located<String>, key: &str, findings: &mut Findings) -> Option<Located<IpAddr>> {
    let address = ip_address(text, key, findings)?;
    if address.value.is_unspecified() {
        let message = format!("`{key}` must be one host's address, not {}", address.value);
        let hint = match key {
            "address" | "address6" => "write the gateway's own address, one of its `networks`",
            _ => "to bind to any address, write that as `listen`; to be learned from its packets, leave it out",
        };
        findings.error(&text.span, message, hint);
        return None;
    }
    Some(address)
}

/// An address or a DNS name, without a port.
pub(super) fn host(text: &Located<String>, key: &str, findings: &mut Findings) -> Option<Located<Host>> {
    if text.value.parse::<IpAddr>().is_ok() {
        return host_address(text, key, findings).map(|address| text.with(Host::Address(address.value)));
    }
    if !is_dns_name(&text.value) {
        let message = format!("`{key}` must be an IP address or a DNS name, not {:?}", text.value);
        findings.error(&text.span, message, not_an_address(&text.value));
        return None;
    }
    Some(text.with(Host::Name(text.value.clone())))
}

/// The name of a network device (net/core/dev.c, `dev_valid_name`).
pub(super) fn device(text: &Located<String>, findings: &mut Findings) -> Option<Located<String>> {
    let name = text.value.as_str();
    let is_valid = (1..=DEVICE_NAME_BYTES).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':'));
    if !is_valid {
        let message = format!("{name:?} cannot be a network device's name");
        let hint = format!("a device as `ip link` lists it, at most {DEVICE_NAME_BYTES} bytes: \"eth0\"");
        findings.error(&text.span, message, hint);
    }
    is_valid.then(|| text.clone())
}

/// A source address of the one family.
pub(super) fn ipv4(text: &Located<String>, findings: &mut Findings) -> Option<Located<Ipv4Addr>> {
    match host_address(text, "address", findings)?.value {
        IpAddr::V4(address) => Some(text.with(address)),
        IpAddr::V6(address) => {
            let hint = format!("write `address6 = \"{address}\"`");
            findings.error(&text.span, "`address` must be an IPv4 address", hint);
            None
        }
    }
}

/// A source address of the other family.
pub(super) fn ipv6(text: &Located<String>, findings: &mut Findings) -> Option<Located<Ipv6Addr>> {
    match host_address(text, "address6", findings)?.value {
        IpAddr::V6(address) => Some(text.with(address)),
        IpAddr::V4(address) => {
            let hint = format!("write `address = \"{address}\"`");
            findings.error(&text.span, "`address6` must be an IPv6 address", hint);
            None
        }
    }
}

/// A gateway's or site's name: it stands in logs, metrics and messages, so it has no blanks and no quotes.
pub(super) fn check_name(name: &Located<String>, what: &str, findings: &mut Findings) {
    let text = name.value.as_bytes();
    let first = text.first().is_some_and(u8::is_ascii_alphanumeric);
    let rest = text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte));
    if !first || !rest || text.len() > 63 {
        let message = format!("{:?} cannot be the name of a {what}", name.value);
        let hint = "a letter or digit, then letters, digits, `-`, `_` and `.`, at most 63 altogether";
        findings.error(&name.span, message, hint);
    }
}

pub(super) fn cipher(text: &Located<String>, findings: &mut Findings) -> Option<Cipher> {
    const CIPHERS: [Cipher; 2] = [Cipher::ChaCha20Poly1305, Cipher::Aes256Gcm];
    let found = CIPHERS.into_iter().find(|cipher| cipher.to_string() == text.value);
    if found.is_none() {
        let (message, hint) = unknown_cipher(&text.value, &CIPHERS.map(|cipher| cipher.to_string()));
        findings.error(&text.span, message, hint);
    }
    found
}

pub(super) fn software(text: &Located<String>, findings: &mut Findings) -> Option<Software> {
    match text.value.as_str() {
        "meshtun" => Some(Software::Meshtun),
        "wireguard" => Some(Software::WireGuard),
        other => {
            let message = format!("`peer` must be \"meshtun\" or \"wireguard\", not {other:?}");
            let hint = "\"wireguard\" where plain WireGuard interfaces stand at the other end; else leave it out";
            findings.error(&text.span, message, hint);
            None
        }
    }
}

fn unknown_cipher(text: &str, known: &[String; 2]) -> (String, String) {
    if text == "auto" {
        let message = "`cipher = \"auto\"` is refused: the cipher is configured, never negotiated".to_owned();
        let hint = "what is negotiated can be downgraded on the way; write the same cipher for both ends: \"aes-256-gcm\" where both CPUs have AES instructions, else \"chacha20-poly1305\"";
        return (message, hint.to_owned());
    }
    let message = format!("`cipher` must be \"{}\" or \"{}\", not {text:?}", known[0], known[1]);
    let hint = match nearest(text, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => {
            "\"chacha20-poly1305\" is WireGuard's own; \"aes-256-gcm\" is faster where both CPUs have AES instructions"
                .to_owned()
        }
    };
    (message, hint)
}

/// What makes an address useless as a host's on any network, and what to write.
fn unusable(address: IpAddr) -> Option<(&'static str, &'static str)> {
    if address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return Some(("no single host's address", "write the address of one host"));
    }
    let IpAddr::V6(address) = address else { return None };
    if address.to_ipv4_mapped().is_some() {
        return Some(("an IPv4 address in IPv6's clothes", "write the IPv4 address itself"));
    }
    if address.is_unicast_link_local() {
        return Some(("link-local, which means nothing without a device", "write a global or a unique local address"));
    }
    None
}

/// Guesses what was meant by a text that is neither address nor name.
fn not_an_address(text: &str) -> &'static str {
    let host = text.rsplit_once(':').map(|(host, _)| host.trim_matches(['[', ']']));
    if host.is_some_and(|host| host.parse::<IpAddr>().is_ok() || is_dns_name(host)) {
        "leave the port out: ports belong to a link (`ports`), or derive from `base_port`"
    } else if text.contains('/') {
        "leave the prefix length out: this is one host's address"
    } else if is_dns_name(text) {
        "a DNS name can only be an `endpoint`"
    } else {
        "IPv4 as 198.51.100.7, IPv6 as 2001:db8::7"
    }
}

/// RFC 1123, section 2.1; a last label of digits alone is a mistyped address.
fn is_dns_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && name.split('.').all(is_label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_and_a_unit() {
        let units = [("250ms", 250), ("0s", 0), ("3 s", 3000), ("2min", 120_000)];
        for (text, millis) in units {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "ms", "5", "-5s", "1.5s", "5h", "5 sec", "99999999999999999999s", "400000000000000000min", "٣s"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_those_of_rfc_1123() {
        for name in ["gw", "gw1.example.net", "gw1.example.net.", "1.2.3.4.example", "3com.com", "a-b.c"] {
            assert!(is_dns_name(name), "{name}");
        }
        let long = format!("{}.net", "a".repeat(64));
        for name in ["", ".", "a..b", "-a.net", "a-.net", "300.1.2.3", "a b", "a_b.net", "ä.net", long.as_str()] {
            assert!(!is_dns_name(name), "{name}");
        }
    }
}
