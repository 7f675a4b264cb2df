//! Which inner packets may come out of a channel: WireGuard's rule, in both directions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use meshtun_offload::packet::Addresses;

/// The prefixes between which a channel's received packets must travel.
///
/// Source: one of the peer's networks, its link-local address on this channel, or, for ICMP errors alone, any
/// router on the way. Destination: one of our networks, our link-local address, or the link itself (multicast of link
/// scope: MLD, OSPF and the like, which no router passes on). With `transit` everything passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    transit: bool,
    sources: Ranges,
    destinations: Ranges,
}

/// What the filter says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Pass,
    /// It passes if it is an ICMP error, because a router on the way may have sent it.
    PassIfIcmpError,
    /// Its source is not of the peer's networks.
    BadSource,
    /// Its destination is not of our networks.
    BadDestination,
}

impl Filter {
    /// A filter between the peer's prefixes and ours. `link_locals` are the channel's own: (the peer's, ours).
    pub fn new(peer: &[IpNet], ours: &[IpNet], link_locals: (Ipv6Addr, Ipv6Addr), transit: bool) -> Filter {
        let host = |address: Ipv6Addr| IpNet::from(IpAddr::V6(address));
        let sources = peer.iter().copied().chain([host(link_locals.0)]);
        let destinations = ours.iter().copied().chain([host(link_locals.1)]).chain(LINK_SCOPE);
        Filter { transit, sources: Ranges::new(sources), destinations: Ranges::new(destinations) }
    }

    /// A filter that everything passes, for formats that know none.
    pub fn all() -> Filter {
        Filter { transit: true, sources: Ranges::default(), destinations: Ranges::default() }
    }

    /// Judges one packet by its addresses.
    pub fn judge(&self, addresses: &Addresses) -> Verdict {
        if self.transit {
            return Verdict::Pass;
        }
        let (source, destination) = match *addresses {
            Addresses::V4(source, destination) => {
                (self.sources.has_v4(source.into()), self.destinations.has_v4(destination.into()))
            }
            Addresses::V6(source, destination) => {
                (self.sources.has_v6(source.into()), self.destinations.has_v6(destination.into()))
            }
        };
        match (source, destination) {
            (_, false) => Verdict::BadDestination,
            (true, true) => Verdict::Pass,
            (false, true) if routable(addresses) => Verdict::PassIfIcmpError,
            (false, true) => Verdict::BadSource,
        }
    }
}

/// Multicast that stays on the link: RFC 5771 section 4, RFC 4291 section 2.7.
const LINK_SCOPE: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 24)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0), 16)),
];

/// Whether a router may have this source address: neither unspecified, loopback nor multicast.
fn routable(addresses: &Addresses) -> bool {
    let source: IpAddr = match *addresses {
        Addresses::V4(source, _) => source.into(),
        Addresses::V6(source, _) => source.into(),
    };
    !(source.is_unspecified() || source.is_loopback() || source.is_multicast())
}

/// Sorted, disjoint, inclusive address ranges of both families.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ranges {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Ranges {
    fn new(prefixes: impl Iterator<Item = IpNet>) -> Ranges {
        let mut ranges = Ranges::default();
        for prefix in prefixes {
            match prefix {
                IpNet::V4(p) => ranges.v4.push((p.network().into(), p.broadcast().into())),
                IpNet::V6(p) => ranges.v6.push((p.network().into(), p.broadcast().into())),
            }
        }
        merge(&mut ranges.v4);
        merge(&mut ranges.v6);
        ranges
    }

    fn has_v4(&self, address: u32) -> bool {
        has(&self.v4, address)
    }

    fn has_v6(&self, address: u128) -> bool {
        has(&self.v6, address)
    }
}

fn has<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after > 0 && address <= ranges[after - 1].1
}

/// Prefixes nest or are apart, so after sorting a range lies within the one before it or starts a new one.
fn merge<T: Ord + Copy>(ranges: &mut Vec<(T, T)>) {
    ranges.sort_unstable_by_key(|&(first, last)| (first, std::cmp::Reverse(last)));
    ranges.dedup_by(|next, kept| next.1 <= kept.1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(transit: bool) -> Filter {
        let nets = |list: &[&str]| list.iter().map(|s| s.parse().unwrap()).collect::<Vec<IpNet>>();
        let peer = nets(&["10.202.0.0/16", "10.202.7.0/24", "fd00:202::/48"]);
        let ours = nets(&["10.207.0.0/16", "192.0.2.9/32", "fd00:207::/48"]);
        Filter::new(&peer, &ours, ("fe80::2:0".parse().unwrap(), "fe80::1:0".parse().unwrap()), transit)
    }

    fn addresses(source: &str, destination: &str) -> Addresses {
        match (source.parse().unwrap(), destination.parse().unwrap()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Addresses::V4(source, destination),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Addresses::V6(source, destination),
            _ => unreachable!("one family"),
        }
    }

    #[test]
    fn a_packet_passes_only_between_the_two_sides_networks() {
        let filter = filter(false);
        for (source, destination, verdict) in [
            ("10.202.0.1", "10.207.255.255", Verdict::Pass),
            ("10.202.7.9", "192.0.2.9", Verdict::Pass),
            ("10.202.255.255", "10.207.0.0", Verdict::Pass),
            ("10.203.0.0", "10.207.0.1", Verdict::PassIfIcmpError),
            ("10.201.255.255", "10.207.0.1", Verdict::PassIfIcmpError),
            ("10.207.0.9", "10.207.0.1", Verdict::PassIfIcmpError),
            ("127.0.0.1", "10.207.0.1", Verdict::BadSource),
            ("0.0.0.0", "10.207.0.1", Verdict::BadSource),
            ("224.0.0.1", "10.207.0.1", Verdict::BadSource),
            ("10.202.0.1", "192.0.2.10", Verdict::BadDestination),
            ("10.202.0.1", "255.255.255.255", Verdict::BadDestination),
            ("fd00:202::1", "fd00:207::1", Verdict::Pass),
            ("fe80::2:0", "fe80::1:0", Verdict::Pass),
            ("fe80::2:1", "fe80::1:0", Verdict::PassIfIcmpError),
            ("fe80::2:0", "ff02::16", Verdict::Pass),
            ("fe80::9:0", "ff02::16", Verdict::PassIfIcmpError),
            ("fe80::2:0", "ff05::2", Verdict::BadDestination),
            ("10.202.0.1", "224.0.0.5", Verdict::Pass),
            ("10.202.0.1", "224.0.1.1", Verdict::BadDestination),
        ] {
            assert_eq!(filter.judge(&addresses(source, destination)), verdict, "{source} to {destination}");
        }
    }

    #[test]
    fn transit_lets_everything_pass() {
        assert_eq!(filter(true).judge(&addresses("1.2.3.4", "5.6.7.8")), Verdict::Pass);
    }

    #[test]
    fn ranges_agree_with_the_prefixes_they_came_from() {
        let prefixes: Vec<IpNet> = ["0.0.0.0/0", "10.0.0.0/8", "255.255.255.255/32", "::/0", "ffff::/16"]
            .iter()
            .map(|s| s.parse().unwrap())
            .collect();
        for chosen in 0..1 << prefixes.len() {
            let kept: Vec<IpNet> =
                prefixes.iter().enumerate().filter(|(i, _)| chosen >> i & 1 == 1).map(|(_, p)| *p).collect();
            let ranges = Ranges::new(kept.iter().copied());
            for probe in ["0.0.0.0", "9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0", "255.255.255.255"] {
                let address: Ipv4Addr = probe.parse().unwrap();
                let expected = kept.iter().any(|p| p.contains(&IpAddr::V4(address)));
                assert_eq!(ranges.has_v4(address.into()), expected, "{probe} in {kept:?}");
            }
            for probe in ["::", "fffe:ffff::", "ffff::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
                let address: Ipv6Addr = probe.parse().unwrap();
                let expected = kept.iter().any(|p| p.contains(&IpAddr::V6(address)));
                assert_eq!(ranges.has_v6(address.into()), expected, "{probe} in {kept:?}");
            }
        }
    }
}
