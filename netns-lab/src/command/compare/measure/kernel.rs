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
    let read = |file: &str| fs::read_to_string(format!("/proc/thread-self/net/{file}"));
    let (v4, v6) = node.run(|| (read("snmp"), read("snmp6")))?;
    // Without IPv6 in the kernel there is no such file.
    let v6 = v6.unwrap_or_default();
    Ok(named("Udp", &parse_v4(&v4?)).into_iter().chain(named("Udp6", &parse_v6(&v6))).collect())
}

/// What is counted by itself: no room in the buffer, a wrong checksum.
const COUNTED: [&str; 2] = ["RcvbufErrors", "InCsumErrors"];

/// The sum of these and of others that have no name.
const ALL: &str = "InErrors";

/// The counters under their full names; each error once, although [`ALL`] holds it, too.
fn named(family: &str, counters: &BTreeMap<&str, u64>) -> Vec<(String, u64)> {
    let count = |name| counters.get(name).copied().unwrap_or_default();
    let counted = COUNTED.map(|name| (format!("{family}{name}"), count(name)));
    let sum: u64 = counted.iter().map(|(_, count)| count).sum();
    let others = (format!("other {family}{ALL}"), count(ALL).saturating_sub(sum));
    counted.into_iter().chain([others]).collect()
}

/// `Udp: NAME …` and `Udp: VALUE …` of /proc/net/snmp.
fn parse_v4(text: &str) -> BTreeMap<&str, u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return BTreeMap::new() };
    let fields = names.split(' ').zip(values.split(' '));
    fields.filter_map(|(name, value)| Some((name, value.parse().ok()?))).collect()
}

/// `Udp6NAME  VALUE` of /proc/net/snmp6.
fn parse_v6(text: &str) -> BTreeMap<&str, u64> {
    let field = |line| {
        let (name, value) = str::split_once(line, char::is_whitespace)?;
        Some((name.strip_prefix("Udp6")?, value.trim().parse().ok()?))
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
        Udp: 83 2 15 85 12 9 2 0 0\n\
        UdpLite: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors\n\
        UdpLite: 0 0 77 0 77 0 0 0 0\n";

    const SNMP6: &str = "\
        Ip6InReceives                   \t5\n\
        Udp6InDatagrams                 \t4\n\
        Udp6InErrors                    \t3\n\
        Udp6RcvbufErrors                \t3\n\
        UdpLite6InErrors                \t8\n";

    #[test]
    fn receive_errors_are_read_by_name_and_told_once() {
        let told = |counters: Vec<(String, u64)>| counters.into_iter().map(|(name, count)| format!("{count} {name}"));
        let v4: Vec<_> = told(named("Udp", &parse_v4(SNMP))).collect();
        assert_eq!(v4, ["12 UdpRcvbufErrors", "2 UdpInCsumErrors", "1 other UdpInErrors"]);
        let v6: Vec<_> = told(named("Udp6", &parse_v6(SNMP6))).collect();
        assert_eq!(v6, ["3 Udp6RcvbufErrors", "0 Udp6InCsumErrors", "0 other Udp6InErrors"]);
        assert!(parse_v4("Udp: InErrors\n").is_empty());
    }

    #[test]
    fn only_what_was_added_is_complained_of() {
        let errors = |rcvbuf, csum| {
            let of = |name: &str, count| (("g2".to_owned(), name.to_owned()), count);
            ReceiveErrors([of("UdpRcvbufErrors", rcvbuf), of("UdpInCsumErrors", csum)].into())
        };
        assert!(errors(5, 1).since(&errors(5, 1)).is_empty());
        assert_eq!(
            errors(17, 1).since(&errors(5, 1)),
            ["the kernel counted 12 UdpRcvbufErrors in UDP sockets of g2".to_owned()]
        );
    }
}
