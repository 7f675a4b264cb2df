//! Inner packets: IPv4 and IPv6 with UDP, TCP and ICMP, and correct checksums.
//!
//! Written plainly and slowly on purpose: it is the second opinion on arithmetic that is fast.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The protocol number of TCP.
pub const TCP: u8 = 6;
/// The protocol number of UDP.
pub const UDP: u8 = 17;
/// The protocol number of ICMP for IPv4.
pub const ICMP: u8 = 1;
/// The protocol number of ICMP for IPv6.
pub const ICMPV6: u8 = 58;

/// TCP flags (RFC 9293, section 3.1).
pub mod flags {
    /// No more from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronize sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement is significant.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer is significant.
    pub const URG: u8 = 0x20;
    /// ECN echo (RFC 3168).
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced (RFC 3168).
    pub const CWR: u8 = 0x80;
}

/// The network header of a packet to be built; each of its last methods builds one.
#[derive(Debug, Clone)]
pub struct Packet {
    source: IpAddr,
    destination: IpAddr,
    hop_limit: u8,
    traffic_class: u8,
    identification: u16,
    dont_fragment: bool,
}

/// A TCP header to be built.
#[derive(Debug, Clone, Default)]
pub struct Tcp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
    /// See [`flags`].
    pub flags: u8,
    /// Window, unscaled.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options; padded with zeroes to a multiple of 4 bytes, at most 40 in all.
    pub options: Vec<u8>,
}

impl Packet {
    /// From `source` to `destination`, with a hop limit of 64 and DF set.
    ///
    /// # Panics
    /// If one is IPv4 and the other IPv6.
    pub fn new(source: IpAddr, destination: IpAddr) -> Self {
        assert_eq!(source.is_ipv4(), destination.is_ipv4(), "both addresses must be of one family");
        Packet { source, destination, hop_limit: 64, traffic_class: 0, identification: 0, dont_fragment: true }
    }

    /// As [`Packet::new`], from text.
    ///
    /// # Panics
    /// If one is no address, or they are of two families.
    pub fn between(source: &str, destination: &str) -> Self {
        let parse = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text} is no IP address"));
        Self::new(parse(source), parse(destination))
    }

    /// Sets the TTL or hop limit.
    pub fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    /// Sets the TOS or traffic class.
    pub fn traffic_class(mut self, traffic_class: u8) -> Self {
        self.traffic_class = traffic_class;
        self
    }

    /// Sets IPv4's identification; IPv6 has none.
    pub fn identification(mut self, identification: u16) -> Self {
        self.identification = identification;
        self
    }

    /// Clears IPv4's DF.
    pub fn may_fragment(mut self) -> Self {
        self.dont_fragment = false;
        self
    }

    /// Builds a UDP packet. Its checksum is never zero on the wire (RFC 768).
    pub fn udp(&self, source_port: u16, destination_port: u16, payload: &[u8]) -> Vec<u8> {
        let mut datagram = Vec::with_capacity(8 + payload.len());
        datagram.extend(source_port.to_be_bytes());
        datagram.extend(destination_port.to_be_bytes());
        datagram.extend(length(8 + payload.len()).to_be_bytes());
        datagram.extend([0; 2]);
        datagram.extend(payload);
        let checksum = match self.transport_checksum(UDP, &datagram) {
            0 => 0xFFFF,
            checksum => checksum,
        };
        datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
        self.raw(UDP, &datagram)
    }

    /// Builds a TCP segment.
    ///
    /// # Panics
    /// If the options are longer than 40 bytes.
    pub fn tcp(&self, header: &Tcp, payload: &[u8]) -> Vec<u8> {
        let options = header.options.len().next_multiple_of(4);
        assert!(options <= 40, "TCP options have at most 40 bytes");
        let mut segment = vec![0; 20 + options];
        segment[0..2].copy_from_slice(&header.source.to_be_bytes());
        segment[2..4].copy_from_slice(&header.destination.to_be_bytes());
        segment[4..8].copy_from_slice(&header.sequence.to_be_bytes());
        segment[8..12].copy_from_slice(&header.acknowledgement.to_be_bytes());
        segment[12] = (((20 + options) / 4) << 4) as u8;
        segment[13] = header.flags;
        segment[14..16].copy_from_slice(&header.window.to_be_bytes());
        segment[18..20].copy_from_slice(&header.urgent.to_be_bytes());
        segment[20..20 + header.options.len()].copy_from_slice(&header.options);
        segment.extend(payload);
        let checksum = self.transport_checksum(TCP, &segment);
        segment[16..18].copy_from_slice(&checksum.to_be_bytes());
        self.raw(TCP, &segment)
    }

    /// Builds an echo request, ICMP or ICMPv6.
    pub fn ping(&self, identifier: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
        let kind = if self.source.is_ipv4() { 8 } else { 128 };
        let [identifier, sequence] = [identifier.to_be_bytes(), sequence.to_be_bytes()];
        self.icmp(kind, 0, &[&identifier, &sequence, payload].concat())
    }

    /// Builds an ICMP or ICMPv6 message; `body` is what follows the checksum.
    pub fn icmp(&self, kind: u8, code: u8, body: &[u8]) -> Vec<u8> {
        let mut message = vec![kind, code, 0, 0];
        message.extend(body);
        let (protocol, checksum) = match self.source {
            IpAddr::V4(_) => (ICMP, !sum(&[&message])),
            IpAddr::V6(_) => (ICMPV6, self.transport_checksum(ICMPV6, &message)),
        };
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
        self.raw(protocol, &message)
    }

    /// Builds a packet of any protocol, with the payload as it stands.
    ///
    /// # Panics
    /// If the packet would be longer than 65535 bytes.
    pub fn raw(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = match self.source {
            IpAddr::V4(_) => self.ipv4_header(protocol, payload.len()),
            IpAddr::V6(_) => self.ipv6_header(protocol, payload.len()),
        };
        packet.extend(payload);
        packet
    }

    fn ipv4_header(&self, protocol: u8, payload: usize) -> Vec<u8> {
        let mut header = vec![0x45, self.traffic_class];
        header.extend(length(20 + payload).to_be_bytes());
        header.extend(self.identification.to_be_bytes());
        header.extend([if self.dont_fragment { 0x40 } else { 0 }, 0, self.hop_limit, protocol, 0, 0]);
        header.extend(octets(self.source));
        header.extend(octets(self.destination));
        let checksum = !sum(&[&header]);
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        header
    }

    fn ipv6_header(&self, protocol: u8, payload: usize) -> Vec<u8> {
        let mut header = vec![0x60 | self.traffic_class >> 4, self.traffic_class << 4, 0, 0];
        header.extend(length(payload).to_be_bytes());
        header.extend([protocol, self.hop_limit]);
        header.extend(octets(self.source));
        header.extend(octets(self.destination));
        header
    }

    fn transport_checksum(&self, protocol: u8, message: &[u8]) -> u16 {
        !sum(&[&pseudo_header(self.source, self.destination, protocol, message.len()), message])
    }
}

/// A UDP packet over IPv4, in one call.
pub fn udp4(source: Ipv4Addr, destination: Ipv4Addr, from_port: u16, to_port: u16, payload: &[u8]) -> Vec<u8> {
    Packet::new(source.into(), destination.into()).udp(from_port, to_port, payload)
}

/// A UDP packet over IPv6, in one call.
pub fn udp6(source: Ipv6Addr, destination: Ipv6Addr, from_port: u16, to_port: u16, payload: &[u8]) -> Vec<u8> {
    Packet::new(source.into(), destination.into()).udp(from_port, to_port, payload)
}

/// An ICMP message, in one call; `body` is what follows the checksum.
pub fn icmp4(source: Ipv4Addr, destination: Ipv4Addr, kind: u8, code: u8, body: &[u8]) -> Vec<u8> {
    Packet::new(source.into(), destination.into()).icmp(kind, code, body)
}

/// Why a packet does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Shorter than its headers, or not of the length that they say.
    Length,
    /// IPv4's header checksum is wrong.
    HeaderChecksum,
    /// The checksum of TCP, UDP or ICMP is wrong.
    TransportChecksum,
}

/// Verifies a whole packet: its lengths and all its checksums. IPv6 extension headers and
/// protocols other than TCP, UDP and ICMP are not looked into. A UDP checksum of zero passes
/// for IPv4, where it means none.
///
/// # Errors
/// The first [`Fault`] found.
pub fn verify(packet: &[u8]) -> Result<(), Fault> {
    let (source, destination, protocol, message) = match packet.first().map(|byte| byte >> 4) {
        Some(4) => split_ipv4(packet)?,
        Some(6) => split_ipv6(packet)?,
        _ => return Err(Fault::Length),
    };
    let pseudo = pseudo_header(source, destination, protocol, message.len());
    let (least, covered) = match (protocol, source.is_ipv4()) {
        (TCP, _) => (20, sum(&[&pseudo, message])),
        (UDP, true) if message.get(6..8) == Some(&[0, 0]) => (8, 0xFFFF),
        (UDP, _) => (8, sum(&[&pseudo, message])),
        (ICMP, true) => (4, sum(&[message])),
        (ICMPV6, false) => (4, sum(&[&pseudo, message])),
        _ => return Ok(()),
    };
    if message.len() < least || (protocol == UDP && usize::from(field(message, 4)) != message.len()) {
        return Err(Fault::Length);
    }
    if covered == 0xFFFF { Ok(()) } else { Err(Fault::TransportChecksum) }
}

type Split<'p> = (IpAddr, IpAddr, u8, &'p [u8]);

fn split_ipv4(packet: &[u8]) -> Result<Split<'_>, Fault> {
    let header = usize::from(packet[0] & 0x0F) * 4;
    if header < 20 || packet.len() < header || usize::from(field(packet, 2)) != packet.len() {
        return Err(Fault::Length);
    }
    if sum(&[&packet[..header]]) != 0xFFFF {
        return Err(Fault::HeaderChecksum);
    }
    let address = |at: usize| IpAddr::from(*packet[at..].first_chunk::<4>().expect("20 bytes and more are there"));
    Ok((address(12), address(16), packet[9], &packet[header..]))
}

fn split_ipv6(packet: &[u8]) -> Result<Split<'_>, Fault> {
    if packet.len() < 40 || usize::from(field(packet, 4)) != packet.len() - 40 {
        return Err(Fault::Length);
    }
    let address = |at: usize| IpAddr::from(*packet[at..].first_chunk::<16>().expect("40 bytes and more are there"));
    Ok((address(8), address(24), packet[6], &packet[40..]))
}

fn field(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |field| u16::from_be_bytes([field[0], field[1]]))
}

fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, len: usize) -> Vec<u8> {
    let mut header = [octets(source), octets(destination)].concat();
    header.extend((len as u32).to_be_bytes());
    header.extend([0, 0, 0, protocol]);
    header
}

/// The ones' complement sum of 16-bit words (RFC 1071), each part padded to whole words.
fn sum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let total = words.map(|word| u32::from(word[0]) << 8 | word.get(1).copied().map_or(0, u32::from)).sum::<u32>();
    let folded = (total & 0xFFFF) + (total >> 16);
    ((folded & 0xFFFF) + (folded >> 16)) as u16
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn length(len: usize) -> u16 {
    u16::try_from(len).expect("a packet has at most 65535 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(packet: &Packet, payload: &[u8]) -> [Vec<u8>; 3] {
        let header = Tcp { source: 1, destination: 2, options: vec![1, 3, 3, 7, 0], ..Tcp::default() };
        [packet.udp(1, 2, payload), packet.tcp(&header, payload), packet.ping(1, 2, payload)]
    }

    #[test]
    fn what_is_built_verifies() {
        for packet in [Packet::between("10.0.0.1", "10.0.0.2"), Packet::between("fd00::1", "fd00::2")] {
            for len in [0, 1, 2, 3, 1399, 1400, 60_000] {
                for built in all(&packet.clone().traffic_class(0xB8), &vec![0xA5; len]) {
                    assert_eq!(verify(&built), Ok(()), "{len} bytes in {built:02x?}");
                }
            }
        }
    }

    #[test]
    fn no_flipped_bit_goes_unseen() {
        for packet in [Packet::between("10.0.0.1", "10.0.0.2"), Packet::between("fd00::1", "fd00::2")] {
            for built in all(&packet, b"payload") {
                // IPv6 covers neither its first word nor its hop limit.
                let uncovered = |at: usize| built[0] >> 4 == 6 && (at < 4 || at == 6 || at == 7);
                for at in (0..built.len()).filter(|at| !uncovered(*at)) {
                    let mut flipped = built.clone();
                    flipped[at] ^= 0x10;
                    assert!(verify(&flipped).is_err(), "byte {at} of {built:02x?}");
                }
            }
        }
    }

    /// The example of RFC 1071, section 3: the sum of 0001 f203 f4f5 f6f7 is ddf2.
    #[test]
    fn the_sum_is_that_of_rfc_1071() {
        assert_eq!(sum(&[&[0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7]]), 0xDDF2);
    }

    #[test]
    fn another_implementation_reads_the_same() {
        let built = Packet::between("10.0.0.1", "10.0.0.2").identification(7).udp(53, 1024, b"hello");
        let read = etherparse::PacketHeaders::from_ip_slice(&built).unwrap();
        let Some(etherparse::NetHeaders::Ipv4(ip, _)) = read.net else { panic!("{read:?}") };
        assert_eq!((ip.identification, ip.dont_fragment, ip.header_checksum), (7, true, ip.calc_header_checksum()));
        let Some(etherparse::TransportHeader::Udp(udp)) = read.transport else { panic!("{:?}", read.transport) };
        assert_eq!(udp.checksum, udp.calc_checksum_ipv4(&ip, b"hello").unwrap());

        let built = Packet::between("fd00::1", "fd00::2")
            .tcp(&Tcp { source: 80, destination: 1024, sequence: 9, flags: flags::ACK, ..Tcp::default() }, b"hello");
        let read = etherparse::PacketHeaders::from_ip_slice(&built).unwrap();
        let Some(etherparse::NetHeaders::Ipv6(ip, _)) = read.net else { panic!("{read:?}") };
        let Some(etherparse::TransportHeader::Tcp(tcp)) = read.transport else { panic!("{:?}", read.transport) };
        assert_eq!((tcp.sequence_number, tcp.ack), (9, true));
        assert_eq!(tcp.checksum, tcp.calc_checksum_ipv6(&ip, b"hello").unwrap());
    }
}
