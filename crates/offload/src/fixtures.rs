//! Packets for tests, built and judged by etherparse: a second opinion on every header and checksum.

use crate::virtio::{GSO_ECN, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM, VirtioNetHdr};
use etherparse::{
    IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6Header, NetSlice, PacketBuilder, SlicedPacket,
    TcpHeader, TransportSlice,
};
use proptest::prelude::*;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const URG: u8 = 0x20;
pub(crate) const ECE: u8 = 0x40;
pub(crate) const CWR: u8 = 0x80;

/// A TCP or UDP packet.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) v6: bool,
    pub(crate) udp: bool,
    /// Last byte of both addresses.
    pub(crate) hosts: (u8, u8),
    pub(crate) ports: (u16, u16),
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    pub(crate) flow_label: u32,
    pub(crate) df: bool,
    pub(crate) id: u16,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) window: u16,
    pub(crate) flags: u8,
    pub(crate) urgent: u16,
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Spec {
    /// A segment with `length` bytes of payload, and time stamps as Linux sends them.
    pub(crate) fn tcp4(length: usize) -> Spec {
        Spec {
            v6: false,
            udp: false,
            hosts: (1, 2),
            ports: (40000, 443),
            ttl: 64,
            tos: 0,
            flow_label: 0,
            df: true,
            id: 0xfff0,
            sequence: 0xffff_f000,
            acknowledgement: 77,
            window: 502,
            flags: ACK,
            urgent: 0,
            options: vec![1, 1, 8, 10, 0, 0, 1, 2, 0, 0, 3, 4],
            payload: (0..length).map(|at| (at * 7 + at / 256) as u8).collect(),
        }
    }

    pub(crate) fn tcp6(length: usize) -> Spec {
        Spec { v6: true, ..Spec::tcp4(length) }
    }

    pub(crate) fn udp4(length: usize) -> Spec {
        Spec { udp: true, ..Spec::tcp4(length) }
    }

    pub(crate) fn udp6(length: usize) -> Spec {
        Spec { v6: true, ..Spec::udp4(length) }
    }

    pub(crate) fn all_four(length: usize) -> [Spec; 4] {
        [Spec::tcp4(length), Spec::tcp6(length), Spec::udp4(length), Spec::udp6(length)]
    }

    /// Offset of the TCP or UDP header.
    pub(crate) fn upper(&self) -> usize {
        if self.v6 { 40 } else { 20 }
    }

    pub(crate) fn headers(&self) -> usize {
        self.upper() + if self.udp { 8 } else { 20 + self.options.len() }
    }

    /// The packet with full checksums.
    pub(crate) fn build(&self) -> Vec<u8> {
        let builder = PacketBuilder::ip(if self.v6 { self.ipv6() } else { self.ipv4() });
        let mut packet = Vec::new();
        if self.udp {
            builder.udp(self.ports.0, self.ports.1).write(&mut packet, &self.payload).unwrap();
        } else {
            builder.tcp_header(self.tcp()).write(&mut packet, &self.payload).unwrap();
        }
        packet
    }

    /// The packet as a super-packet, as a tun device gives it: with a partial checksum.
    pub(crate) fn build_super(&self, gso_size: u16) -> (VirtioNetHdr, Vec<u8>) {
        let mut packet = self.build();
        let header = VirtioNetHdr {
            flags: NEEDS_CSUM,
            gso_type: self.gso_type(),
            hdr_len: self.headers() as u16,
            gso_size,
            csum_start: self.upper() as u16,
            csum_offset: if self.udp { 6 } else { 16 },
        };
        make_partial(&mut packet, header);
        (header, packet)
    }

    /// `count` segments that follow each other, each with this one's payload.
    pub(crate) fn run(&self, count: usize) -> Vec<Vec<u8>> {
        let mut next = self.clone();
        let mut packets = Vec::new();
        for _ in 0..count {
            packets.push(next.build());
            next.advance();
        }
        packets
    }

    /// Becomes the segment that follows.
    pub(crate) fn advance(&mut self) {
        self.id = self.id.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(self.payload.len() as u32);
    }

    /// The same with its first two bytes of payload chosen so that the checksum comes to zero.
    pub(crate) fn with_zero_checksum(mut self) -> Spec {
        self.payload[..2].fill(0);
        let field = self.upper() + if self.udp { 6 } else { 16 };
        let packet = self.build();
        self.payload[..2].copy_from_slice(&packet[field..field + 2]);
        self
    }

    fn gso_type(&self) -> u8 {
        let ecn = if self.flags & CWR != 0 { GSO_ECN } else { 0 };
        match (self.udp, self.v6) {
            (true, _) => GSO_UDP_L4,
            (false, false) => GSO_TCPV4 | ecn,
            (false, true) => GSO_TCPV6 | ecn,
        }
    }

    fn ipv4(&self) -> IpHeaders {
        let [source, destination] = [self.hosts.0, self.hosts.1].map(|host| [10, 9, 8, host]);
        let mut header = Ipv4Header::new(0, self.ttl, IpNumber::TCP, source, destination).unwrap();
        header.dscp = (self.tos >> 2).try_into().unwrap();
        header.ecn = (self.tos & 3).try_into().unwrap();
        header.identification = self.id;
        header.dont_fragment = self.df;
        IpHeaders::Ipv4(header, Ipv4Extensions::default())
    }

    fn ipv6(&self) -> IpHeaders {
        let [source, destination] = [self.hosts.0, self.hosts.1].map(|host| {
            let mut address = [0xfd; 16];
            address[15] = host;
            address
        });
        let header = Ipv6Header {
            traffic_class: self.tos,
            flow_label: self.flow_label.try_into().unwrap(),
            hop_limit: self.ttl,
            source,
            destination,
            ..Ipv6Header::default()
        };
        IpHeaders::Ipv6(header, Ipv6Extensions::default())
    }

    fn tcp(&self) -> TcpHeader {
        let mut header = TcpHeader::new(self.ports.0, self.ports.1, self.sequence, self.window);
        header.acknowledgment_number = self.acknowledgement;
        header.fin = self.flags & FIN != 0;
        header.syn = self.flags & SYN != 0;
        header.rst = self.flags & RST != 0;
        header.psh = self.flags & PSH != 0;
        header.ack = self.flags & ACK != 0;
        header.urg = self.flags & URG != 0;
        header.ece = self.flags & ECE != 0;
        header.cwr = self.flags & CWR != 0;
        header.urgent_pointer = self.urgent;
        header.set_options_raw(&self.options).unwrap();
        header
    }
}

/// Any packet with up to `longest` bytes of payload, and flags that a super-packet may have.
pub(crate) fn any_spec(longest: usize) -> impl Strategy<Value = Spec> {
    let network = (any::<bool>(), any::<bool>(), 1u8.., any::<u8>(), 0u32..1 << 20, any::<bool>(), any::<u16>());
    let flags = prop::sample::select(vec![ACK, ACK | PSH, ACK | FIN, ACK | ECE, ACK | CWR, ACK | FIN | PSH | CWR]);
    let transport = (any::<(u16, u16)>(), any::<u32>(), any::<u32>(), any::<u16>(), flags, 0usize..=10, any::<u8>());
    (network, transport, prop::collection::vec(any::<u8>(), 1..=longest)).prop_map(|(network, transport, payload)| {
        let (v6, udp, ttl, tos, flow_label, df, id) = network;
        let (ports, sequence, acknowledgement, window, flags, words, hosts) = transport;
        Spec {
            v6,
            udp,
            hosts: (hosts, hosts.wrapping_add(1)),
            ports,
            ttl,
            tos,
            flow_label,
            df,
            id,
            sequence,
            acknowledgement,
            window,
            flags,
            urgent: 0,
            options: vec![1; words * 4],
            payload,
        }
    })
}

/// Puts the sum of the pseudo header where the checksum was, word by word.
pub(crate) fn make_partial(packet: &mut [u8], header: VirtioNetHdr) {
    let upper = usize::from(header.csum_start);
    let addresses = if packet[0] >> 4 == 4 { 12..20 } else { 8..40 };
    let protocol = if header.csum_offset == 6 { 17 } else { 6 };
    let mut sum: u32 = (packet.len() - upper) as u32 + protocol;
    for pair in packet[addresses].chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair[1]);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let field = upper + usize::from(header.csum_offset);
    packet[field..field + 2].copy_from_slice(&(sum as u16).to_be_bytes());
}

/// Makes the IPv4 header's checksum sound again.
pub(crate) fn mend_ipv4(packet: &mut [u8]) {
    let header = Ipv4Header::from_slice(packet).unwrap().0;
    packet[10..12].copy_from_slice(&header.calc_header_checksum().to_be_bytes());
}

/// Fails unless the packet is whole, consistent, and sound in all its checksums.
pub(crate) fn assert_sound(packet: &[u8]) {
    let sliced = SlicedPacket::from_ip(packet).unwrap();
    let net = sliced.net.as_ref().unwrap();
    if let NetSlice::Ipv4(ip) = net {
        assert_eq!(usize::from(ip.header().total_len()), packet.len());
        assert_eq!(ip.header().to_header().calc_header_checksum(), ip.header().header_checksum());
    }
    match sliced.transport.unwrap() {
        TransportSlice::Tcp(tcp) => {
            let expected = match net {
                NetSlice::Ipv4(ip) => tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination()),
                NetSlice::Ipv6(ip) => tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination()),
                NetSlice::Arp(_) => unreachable!(),
            };
            assert_eq!(expected.unwrap(), tcp.checksum());
        }
        TransportSlice::Udp(udp) => {
            assert_eq!(usize::from(udp.length()), udp.slice().len());
            let (header, payload) = (udp.to_header(), udp.payload());
            let expected = match net {
                NetSlice::Ipv4(ip) => header.calc_checksum_ipv4(&ip.header().to_header(), payload),
                NetSlice::Ipv6(ip) => header.calc_checksum_ipv6(&ip.header().to_header(), payload),
                NetSlice::Arp(_) => unreachable!(),
            };
            assert_eq!(expected.unwrap(), udp.checksum());
        }
        other => panic!("neither TCP nor UDP: {other:?}"),
    }
}
