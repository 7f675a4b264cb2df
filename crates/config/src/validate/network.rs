//! Networks: prefixes that can be routed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::findings::{Findings, Located, Span};
use crate::raw::RawGateway;

/// A gateway's networks, and where their list stands; the latter is none if one of them was refused.
pub(super) fn read(raw: &RawGateway, findings: &mut Findings) -> (Vec<Located<IpNet>>, Option<Span>) {
    let Some(list) = &raw.networks else { return (Vec::new(), None) };
    if list.value.is_empty() {
        let message = format!("gateway `{}` has no networks", raw.name.value);
        findings.error(&list.span, message, "list at least its own address: `networks = [\"10.207.0.1/32\"]`");
    }
    let networks: Vec<_> = list.value.iter().filter_map(|text| prefix(text, findings)).collect();
    let complete = networks.len() == list.value.len();
    (networks, complete.then(|| list.span.clone()))
}

/// Without what is listed twice.
pub(super) fn distinct(networks: Vec<Located<IpNet>>) -> Vec<IpNet> {
    let mut seen = Vec::with_capacity(networks.len());
    for network in networks {
        if !seen.contains(&network.value) {
            seen.push(network.value);
        }
    }
    seen
}

fn prefix(text: &Located<String>, findings: &mut Findings) -> Option<Located<IpNet>> {
    match parse(&text.value) {
        Ok(network) => Some(text.with(network)),
        Err((message, hint)) => {
            findings.error(&text.span, message, hint);
            None
        }
    }
}

/// The prefix, or what is wrong and what to do.
fn parse(text: &str) -> Result<IpNet, (String, String)> {
    if let Ok(address) = text.parse::<IpAddr>() {
        let host = IpNet::from(address);
        let message = format!("the network {text:?} has no prefix length");
        return Err((message, format!("for this one address write \"{host}\"")));
    }
    let Ok(network) = text.parse::<IpNet>() else {
        let message = format!("{text:?} is not a network");
        return Err((message, "ADDRESS/LENGTH: \"10.207.0.0/16\" or \"fd00:207::/48\"".to_owned()));
    };
    if network != network.trunc() {
        let message = format!("the network {text:?} has bits set behind its prefix");
        return Err((message, format!("write \"{}\"", network.trunc())));
    }
    refuse_unroutable(network).map(|()| network)
}

fn refuse_unroutable(network: IpNet) -> Result<(), (String, String)> {
    if network.prefix_len() == 0 {
        let message = format!("the default route {network} cannot be a network of a gateway");
        return Err((
            message,
            "the underlay's own packets would go into the link; list the prefixes that are behind the gateway"
                .to_owned(),
        ));
    }
    let within = unroutable().into_iter().find(|(special, _)| special.contains(&network));
    within.map_or(Ok(()), |(_, what)| {
        Err((format!("{network} cannot be routed: {what}"), "list the prefixes that are behind the gateway".to_owned()))
    })
}

/// Ranges that no router passes on (RFC 6890 and RFC 4291).
fn unroutable() -> [(IpNet, &'static str); 7] {
    let v4 = |a, length| IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, 0, 0, 0), length));
    let v6 = |a, length| IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, 0, 0, 0, 0, 0, 0, 0), length));
    let mapped = IpNet::V6(Ipv6Net::new_assert(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), 96));
    [
        (v4(0, 8), "it means this host"),
        (v4(127, 8), "it is the host's loopback"),
        (v4(224, 4), "it is multicast"),
        (mapped, "it is IPv4 in IPv6's clothes"),
        (v6(0, 127), "it is the host's loopback"),
        (v6(0xfe80, 10), "it is link-local"),
        (v6(0xff00, 8), "it is multicast"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_bits_are_answered_with_the_right_prefix() {
        for (text, right) in [("10.207.1.0/16", "10.207.0.0/16"), ("fd00:207::1/48", "fd00:207::/48")] {
            assert_eq!(parse(text).unwrap_err().1, format!("write \"{right}\""));
            assert!(parse(right).is_ok());
        }
    }

    #[test]
    fn what_no_router_passes_on_is_no_network() {
        let refused = ["0.0.0.0/0", "::/0", "0.0.0.0/8", "127.0.0.0/8", "127.1.0.0/16", "224.0.0.0/4", "239.1.2.3/32"]
            .into_iter()
            .chain(["::1/128", "::ffff:10.0.0.0/104", "fe80::/64", "ff02::/16", "10.0.0.0/33", "10.0.0.1", "ten"]);
        for text in refused {
            assert!(parse(text).is_err(), "{text}");
        }
        for text in ["0.0.0.0/1", "10.0.0.0/8", "10.207.0.1/32", "2000::/3", "fd00::/8", "2001:db8::1/128"] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }
}
