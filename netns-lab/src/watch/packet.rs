//! Reading a captured packet, from its network header on, as far as a watch must.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// An IP packet without options, extension headers or fragments; what has them is `None` to [`Packet::parse`].
#[derive(Clone, Copy)]
pub(super) struct Packet<'a> {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Packet<'a>> {
        match bytes.first()? {
            0x45 => Packet::parse_v4(bytes),
            version if version >> 4 == 6 => Packet::parse_v6(bytes),
            _ => None,
        }
    }

    /// A UDP datagram's payload.
    pub(super) fn datagram(&self) -> Option<&'a [u8]> {
        if self.protocol == UDP { self.payload.get(8..) } else { None }
    }

    /// A UDP datagram's ports.
    pub(super) fn udp_ports(&self) -> Option<[u16; 2]> {
        self.ports().filter(|_| self.protocol == UDP)
    }

    /// An ICMP error or redirect (RFC 792, RFC 4443) about a UDP datagram from or to one of these ports.
    pub(super) fn is_error_about(&self, ports: &[RangeInclusive<u16>]) -> bool {
        let Some((header, quoted)) = self.payload.split_first_chunk::<8>() else { return false };
        let is_error = match self.protocol {
            // Unreachable, source quench, redirect, time exceeded, parameter problem.
            ICMP => matches!(header[0], 3 | 4 | 5 | 11 | 12),
            ICMPV6 => header[0] < 128,
            _ => false,
        };
        let about = |about: Packet<'_>| about.ports().is_some_and(|ends| ends.iter().any(|port| within(*port, ports)));
        is_error && Packet::parse(quoted).filter(|quoted| quoted.protocol == UDP).is_some_and(about)
    }

    fn parse_v4(bytes: &'a [u8]) -> Option<Packet<'a>> {
        let (header, payload) = bytes.split_first_chunk::<20>()?;
        let is_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
        let address = |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]).into();
        let packet = Packet { source: address(12), destination: address(16), protocol: header[9], payload };
        (!is_fragment).then_some(packet)
    }

    fn parse_v6(bytes: &'a [u8]) -> Option<Packet<'a>> {
        let (header, payload) = bytes.split_first_chunk::<40>()?;
        let address = |at: usize| -> Option<IpAddr> {
            let octets: [u8; 16] = header[at..at + 16].try_into().ok()?;
            Some(Ipv6Addr::from(octets).into())
        };
        Some(Packet { source: address(8)?, destination: address(24)?, protocol: header[6], payload })
    }

    fn ports(&self) -> Option<[u16; 2]> {
        let [s0, s1, d0, d1, ..] = *self.payload else { return None };
        matches!(self.protocol, TCP | UDP).then(|| [u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])])
    }
}

impl fmt::Display for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.protocol {
            ICMP => "ICMP",
            TCP => "TCP",
            UDP => "UDP",
            ICMPV6 => "ICMPv6",
            other => return write!(f, "{} > {} protocol {other}", self.source, self.destination),
        };
        match self.ports() {
            Some([from, to]) => write!(f, "{name} {}:{from} > {}:{to}", self.source, self.destination),
            None => write!(f, "{name} {} > {}", self.source, self.destination),
        }
    }
}

/// Whether a datagram may be one of WireGuard's four messages: type, zero reserved bytes, length. Of a train only the
/// first datagram's end is not known, so a length that is fixed is the least that there may be.
pub(super) fn is_wireguard(datagram: &[u8]) -> bool {
    match datagram {
        [1, 0, 0, 0, ..] => datagram.len() == 148,
        [2, 0, 0, 0, ..] => datagram.len() == 92,
        [3, 0, 0, 0, ..] => datagram.len() == 64,
        [4, 0, 0, 0, ..] => datagram.len() >= 32,
        _ => false,
    }
}

fn within(port: u16, ranges: &[RangeInclusive<u16>]) -> bool {
    ranges.iter().any(|range| range.contains(&port))
}
