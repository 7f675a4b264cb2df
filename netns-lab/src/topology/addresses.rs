//! Who has which address outside the sites: prefixes that are set aside for documentation (RFC 5737, RFC 3849).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Family, Shape, net};

/// What the internet node answers at.
pub(super) const INTERNET: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 2, 1), 32)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, 0x300, 0, 0, 0, 0, 1), 128)),
];

/// A gateway's underlay address: 198.51.100.N or 2001:db8:100::N where all share one cable, else the second of its own
/// cable's prefix, 198.51.100.4N/30 or 2001:db8:100:N::/64.
pub(super) fn underlay(shape: Shape, number: u8, family: Family) -> IpAddr {
    match (shape, family) {
        (Shape::TwoGateways, Family::V4) => Ipv4Addr::new(198, 51, 100, number).into(),
        (Shape::TwoGateways, Family::V6) => Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, number.into()).into(),
        (Shape::ThreeSites, _) => cable(number, family, 2),
    }
}

/// The router's address on a gateway's cable: the first.
pub(super) fn router(number: u8, family: Family) -> IpAddr {
    cable(number, family, 1)
}

/// An underlay address with the prefix of its cable.
pub(super) fn on_underlay(shape: Shape, address: IpAddr) -> IpNet {
    match (shape, address) {
        (_, IpAddr::V6(_)) => net(address, 64),
        (Shape::TwoGateways, _) => net(address, 24),
        (Shape::ThreeSites, _) => net(address, 30),
    }
}

/// All cables of an underlay with a router.
pub(super) fn whole_underlay(family: Family) -> IpNet {
    match family {
        Family::V4 => net(Ipv4Addr::new(198, 51, 100, 0), 24),
        Family::V6 => net(Ipv6Addr::new(0x2001, 0xdb8, 0x100, 0, 0, 0, 0, 0), 48),
    }
}

/// The internet's and the gateway's ends of a site's cable to the internet, IPv4 and IPv6.
pub(super) fn wan(number: u8) -> ([IpNet; 2], [IpNet; 2]) {
    let v4 = |last| net(Ipv4Addr::new(203, 0, 113, 4 * number + last), 30);
    let v6 = |last| net(Ipv6Addr::new(0x2001, 0xdb8, 0x200, number.into(), 0, 0, 0, last), 64);
    ([v4(1), v6(1)], [v4(2), v6(2)])
}

/// The default route's prefix in the family of `like`.
pub(super) fn everything(like: IpNet) -> IpNet {
    match like {
        IpNet::V4(_) => net(Ipv4Addr::UNSPECIFIED, 0),
        IpNet::V6(_) => net(Ipv6Addr::UNSPECIFIED, 0),
    }
}

fn cable(number: u8, family: Family, last: u8) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(198, 51, 100, 4 * number + last).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0x100, number.into(), 0, 0, 0, last.into()).into(),
    }
}
