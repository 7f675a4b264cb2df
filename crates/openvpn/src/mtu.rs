//! How long things are: what a datagram adds to a packet, and what follows for the segments of TCP, for fragments and for what
//! is told to the peer (mtu.c, mss.c; release 2.6).

use crate::{
    compress::packed_len,
    fragment::{self, Splitter},
    options::{Compression, MssfixCounts, Options, Protocol},
    packet_id::PacketId,
    wire::Shape,
};

/// IPv4's header and TCP's, without options, in bytes.
const INNER_HEADERS: usize = 20 + 20;

/// What OpenVPN keeps free before a packet for all that may come there, in bytes.
const HEADROOM: usize = 136;

/// The frame around a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    shape: Shape,
    tag: usize,
    block: usize,
    /// Before each packet: compression's byte.
    compression: usize,
    /// Before each piece: the fragment header.
    fragment: usize,
    /// Before each datagram: its length, in a stream.
    stream: usize,
}

impl Frame {
    /// The frame of these options, over what carries the connection.
    #[must_use]
    pub fn new(options: &Options, protocol: Protocol) -> Self {
        Self {
            shape: Shape::new(options.cipher, options.digest),
            tag: options.digest.len(),
            block: options.cipher.block_len(),
            compression: match options.compression {
                Compression::Lzo | Compression::Swap => 1,
                Compression::None | Compression::V2 => 0,
            },
            fragment: if options.fragment.is_some() { fragment::HEADER_LEN } else { 0 },
            stream: if protocol == Protocol::Udp { 0 } else { 2 },
        }
    }

    /// Bytes of a datagram that are no part of what is encrypted (`frame_calculate_protocol_header_size`).
    fn outside(self) -> usize {
        let packet_id = if self.block == 0 { PacketId::LEN } else { 0 };
        self.stream + packet_id + self.block + self.tag
    }

    /// Bytes that are encrypted with a packet (`frame_calculate_payload_overhead`).
    fn inside(self) -> usize {
        let packet_id = if self.block == 0 { 0 } else { PacketId::LEN };
        self.compression + self.fragment + packet_id
    }

    /// The longest content that makes no datagram longer than `target` (`adjust_payload_max_cbc`).
    fn content(self, target: usize) -> usize {
        match self.block {
            0 => target,
            block => (target / block * block).saturating_sub(1),
        }
    }

    /// `link-mtu` of the options string: an upper bound that no datagram reaches (`calc_options_string_link_mtu`).
    fn told_link_mtu(self, tun_mtu: usize) -> usize {
        tun_mtu + self.inside() + self.outside() + self.block
    }
}

/// `link-mtu` as the options string tells it, in bytes.
pub(crate) fn told_link_mtu(options: &Options, protocol: Protocol) -> usize {
    // With the directive `link-mtu` too, it is the default of the other one that counts.
    let tun_mtu = if options.link_mtu.is_some() { 1500 } else { options.tun_mtu };
    Frame::new(options, protocol).told_link_mtu(tun_mtu.into())
}

/// The device's MTU in bytes: `tun-mtu`, or what follows from `link-mtu` (init.c, `frame_finalize_options`).
#[must_use]
pub fn tun_mtu(options: &Options, protocol: Protocol) -> u16 {
    let Some(link_mtu) = options.link_mtu else { return options.tun_mtu };
    let frame = Frame::new(options, protocol);
    let mtu = usize::from(link_mtu).saturating_sub(frame.outside() + frame.block);
    u16::try_from(mtu).unwrap_or(u16::MAX)
}

/// What an underlay's headers add to a datagram, in bytes (socket_util.h, `datagram_overhead`).
#[must_use]
pub fn underlay_overhead(protocol: Protocol, is_ipv6: bool) -> usize {
    let transport = if protocol == Protocol::Udp { 8 } else { 20 };
    transport + if is_ipv6 { 40 } else { 20 }
}

/// The longest segment that TCP over IPv4 shall have in the tunnel, in bytes; over IPv6 it is 20 less. `None`: any
/// (`frame_calculate_mssfix`).
#[must_use]
pub fn max_segment(options: &Options, protocol: Protocol, is_ipv6: bool) -> Option<u16> {
    let mssfix = options.mssfix?;
    let bytes = usize::from(mssfix.bytes);
    let frame = Frame::new(options, protocol);
    let headers = frame.inside() + INNER_HEADERS;
    let segment = match mssfix.counts {
        MssfixCounts::Inner => bytes.saturating_sub(INNER_HEADERS),
        MssfixCounts::Payload => frame.content(bytes.saturating_sub(frame.outside())).saturating_sub(headers),
        MssfixCounts::Packet => {
            let outside = frame.outside() + underlay_overhead(protocol, is_ipv6);
            frame.content(bytes.saturating_sub(outside)).saturating_sub(headers)
        }
    };
    u16::try_from(segment).ok()
}

/// The longest packet, with compression's byte, that goes in one piece, in bytes (`frame_calculate_fragment`). `None` without
/// `fragment`.
#[must_use]
pub fn max_fragment(options: &Options, protocol: Protocol, is_ipv6: bool) -> Option<usize> {
    let limit = usize::from(options.fragment?);
    let frame = Frame::new(options, protocol);
    let underlay = if options.fragment_counts_packet { underlay_overhead(protocol, is_ipv6) } else { 0 };
    let content = frame.content(limit.saturating_sub(frame.outside() + underlay));
    let packet_id = if frame.block == 0 { 0 } else { PacketId::LEN };
    Some(content.saturating_sub(fragment::HEADER_LEN + packet_id))
}

/// The longest packet that OpenVPN has room for, compression's byte counted, in bytes (init.c, `frame_finalize_options`).
#[must_use]
pub fn longest_packet(options: &Options, protocol: Protocol) -> usize {
    usize::from(tun_mtu(options, protocol)).max(1_600) + 32 + HEADROOM
}

/// How long the datagrams of an IP packet or a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagrams {
    shape: Shape,
    compression: Compression,
    piece: Option<usize>,
}

impl Datagrams {
    /// Those of these options, over what carries the connection.
    #[must_use]
    pub fn new(options: &Options, protocol: Protocol, is_ipv6: bool) -> Self {
        Self {
            shape: Shape::new(options.cipher, options.digest),
            compression: options.compression,
            piece: max_fragment(options, protocol, is_ipv6),
        }
    }

    /// The longest datagram of a packet or message of `length` bytes, in bytes: the only one, unless it goes in pieces.
    #[must_use]
    pub fn longest(&self, length: usize) -> usize {
        let packed = packed_len(self.compression, length);
        let Some(piece) = self.piece else { return self.shape.sealed_len(packed) };
        let pieces = Splitter::new(piece, 0).pieces(packed);
        let first = pieces.map_or(piece, |pieces| pieces.range(0).len());
        self.shape.sealed_len(fragment::HEADER_LEN + first)
    }
}

/// The longest datagram that is sent, as OpenVPN reckons it for its MTU test, in bytes, and what of it is not the packet
/// (occ.c, `check_send_occ_load_test_dowork`, `check_send_occ_msg_dowork`).
pub(crate) fn load_test(options: &Options, protocol: Protocol) -> (usize, usize) {
    let frame = Frame::new(options, protocol);
    let overhead = frame.inside() + frame.outside();
    (usize::from(tun_mtu(options, protocol)) + overhead, overhead)
}

#[cfg(test)]
mod tests;
