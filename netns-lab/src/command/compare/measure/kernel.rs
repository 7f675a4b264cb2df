//! What the kernel counts of the subject's sockets and devices.

use std::{collections::BTreeMap, fs};

use netns_lab::{Node, topology::Topology};

/// Datagrams that came to UDP sockets of the gateways and were not received: no room in the buffer, a wrong checksum.
///
/// Counted by gateway and name, as the kernel calls it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct ReceiveErrors(BTreeMap<(String, String), u64>);

impl ReceiveErrors {
    /// Reads them at every gateway.
    pub(super) fn read(topology: &Topology) -> anyhow::Result<ReceiveErrors> {
        let mut errors = BTreeMap::new();
        for site in &topology.sites {
            for (name, count) in of_node(&site.gateway)? {
                errors.insert((site.name().to_owned(), name), count);
            }
        }
        Ok(ReceiveErrors(errors))
    }

    /// What has been added since, a sentence for each.
    pub(super) fn since(&self, before: &ReceiveErrors) -> Vec<String> {
        let told = |((gateway, name), count): (&(String, String), &u64)| {
            let key = (gateway.clone(), name.clone());
            let grown = count.saturating_sub(before.0.get(&key).copied().unwrap_or_default());
            (grown > 0).then(|| format!("the kernel counted {grown} {name} in UDP sockets of {gateway}"))
        };
        self.0.iter().filter_map(told).collect()
    }
}

fn of_node(node: &Node) -> anyhow::Result<Vec<(String, u64)>> {
    let (v4, v6) = node
        .run(|| ["snmp", "snmp6"].map(|file| fs::read_to_string(format!("/proc/thread-self/net/{file}"))))
        .map(|[v4, v6]| -> anyhow::Result<_> {
            // No IPv6 in the kernel: no such file.
            Ok((v4?, v6.unwrap_or_default()))
        })??;
    Ok(parse_v4(&v4).into_iter().chain(parse_v6(&v6)).collect())
}

/// The names that are counted; `InErrors` holds the first two and more, but not what no socket was for.
const NAMES: [&str; 3] = ["RcvbufErrors", "InCsumErrors", "InErrors"];

/// `Udp: NAME …` and `Udp: VALUE …` of /proc/net/snmp.
fn parse_v4(text: &str) -> Vec<(String, u64)> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return Vec::new() };
    let fields = names.split(' ').zip(values.split(' '));
    let ours = fields.filter(|(name, _)| NAMES.contains(name));
    ours.filter_map(|(name, value)| Some((format!("Udp{name}"), value.parse().ok()?))).collect()
}

/// `Udp6NAME  VALUE` of /proc/net/snmp6.
fn parse_v6(text: &str) -> Vec<(String, u64)> {
    let field = |line: &str| {
        let (name, value) = line.split_once(char::is_whitespace)?;
        let ours = NAMES.contains(&name.strip_prefix("Udp6")?);
        Some((name.to_owned(), value.trim().parse().ok()?)).filter(|_| ours)
    };
    text.lines().filter_map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNMP: &str = "\
        Tcp: RtoAlgorithm RtoMin RetransSegs\n\
        Tcp: 1 200 7\n\
        Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors\n\
        Udp: 83 2 14 85 12 9 2 0 0\n\
        UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors\n\
        UdpLite: 0 0 77 0 77 0 0 0 0\n";

    const SNMP6: &str = "\
        Ip6InReceives                   \t5\n\
        Udp6InDatagrams                 \t4\n\
        Udp6InErrors                    \t3\n\
        Udp6RcvbufErrors                \t3\n\
        UdpLite6InErrors                \t8\n";

    fn named(fields: &[(&str, u64)]) -> Vec<(String, u64)> {
        fields.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn receive_errors_are_read_by_name_and_not_by_place() {
        assert_eq!(parse_v4(SNMP), named(&[("UdpInErrors", 14), ("UdpRcvbufErrors", 12), ("UdpInCsumErrors", 2)]));
        assert_eq!(parse_v6(SNMP6), named(&[("Udp6InErrors", 3), ("Udp6RcvbufErrors", 3)]));
        assert_eq!(parse_v4("Udp: InErrors\n"), []);
    }

    #[test]
    fn only_what_was_added_is_complained_of() {
        let errors = |rcvbuf, csum| {
            let of = |name: &str, count| (("g2".to_owned(), name.to_owned()), count);
            ReceiveErrors([of("UdpRcvbufErrors", rcvbuf), of("UdpInCsumErrors", csum)].into())
        };
        assert_eq!(errors(5, 1).since(&errors(5, 1)), [String::new(); 0]);
        assert_eq!(
            errors(17, 1).since(&errors(5, 1)),
            ["the kernel counted 12 UdpRcvbufErrors in UDP sockets of g2".to_owned()]
        );
    }
}
