//! The process that writes packets for the channels into a tun device, which the kernel forwards to theirs.

use std::{
    error::Error,
    io::{self, BufRead, IoSlice, Write as _},
    net::Ipv4Addr,
};

use meshtun_offload::virtio::{GSO_TCPV4, NEEDS_CSUM, VirtioNetHdr};
use meshtun_sys::tun::Tun;
use meshtun_testkit::packet::{self, Packet, Tcp, flags};

use crate::rig::{INJECTOR, SOURCE, destination};

/// What is carried. A round writes one burst to each channel, of a size that its socket's receive buffer takes whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// 128 UDP packets of 64 bytes.
    Small,
    /// 64 UDP packets of 1,400 bytes.
    Large,
    /// 4 TCP super-packets of 45 segments of 1,420 bytes: each fills a train.
    Tcp,
}

/// Segments of a TCP super-packet.
const SEGMENTS: usize = 45;

/// Payload bytes of a segment.
const SEGMENT: usize = 1380;

/// IPv4 and TCP headers.
const HEADERS: usize = 40;

impl Pattern {
    pub(crate) fn named(name: &str) -> Option<Pattern> {
        Some(match name {
            "small" => Pattern::Small,
            "large" => Pattern::Large,
            "tcp" => Pattern::Tcp,
            _ => return None,
        })
    }

    /// Writes of one burst, and the packets on the wire that each becomes.
    fn burst(self) -> (usize, usize) {
        match self {
            Pattern::Small => (128, 1),
            Pattern::Large => (64, 1),
            Pattern::Tcp => (4, SEGMENTS),
        }
    }

    fn write(self, to: Ipv4Addr, number: usize) -> ([u8; 10], Vec<u8>) {
        let udp = |length: usize| packet::udp4(SOURCE, to, 1, 2, &vec![0xA5; length - 28]);
        match self {
            Pattern::Small => (VirtioNetHdr::default().encode(), udp(64)),
            Pattern::Large => (VirtioNetHdr::default().encode(), udp(1400)),
            Pattern::Tcp => tcp(to, number),
        }
    }
}

/// Writes a burst to each channel for every line that comes in, and answers with the number of packets.
pub(crate) fn run(channels: u8, pattern: Pattern) -> Result<(), Box<dyn Error>> {
    let device = Tun::attach(INJECTOR)?;
    device.carrier()?.set(true)?;
    let (writes, packets) = pattern.burst();
    let bursts: Vec<Vec<_>> = (0..channels)
        .map(|channel| (0..writes).map(|number| pattern.write(destination(channel), number)).collect())
        .collect();
    for line in io::stdin().lock().lines() {
        line?;
        for (header, packet) in bursts.iter().flatten() {
            device.write(&[IoSlice::new(header), IoSlice::new(packet)])?;
        }
        writeln!(io::stdout(), "{}", writes * packets * usize::from(channels))?;
    }
    Ok(())
}

/// The `number`th super-packet of a connection, as the kernel would hand it over: one TCP header with the pseudo
/// header's sum for a checksum.
fn tcp(to: Ipv4Addr, number: usize) -> ([u8; 10], Vec<u8>) {
    let payload = vec![0xA5; SEGMENTS * SEGMENT];
    let header = Tcp {
        source: 1,
        destination: 2,
        sequence: (number * payload.len()) as u32,
        flags: flags::ACK,
        window: 1000,
        ..Tcp::default()
    };
    let mut bytes = Packet::new(SOURCE.into(), to.into()).tcp(&header, &payload);
    let length = (bytes.len() - 20) as u32;
    let words = [SOURCE, to]
        .map(u32::from)
        .iter()
        .fold(length + u32::from(packet::TCP), |sum, address| sum + (address >> 16) + (address & 0xFFFF));
    let sum = ((words & 0xFFFF) + (words >> 16)) as u16;
    bytes[36..38].copy_from_slice(&sum.to_be_bytes());
    let header = VirtioNetHdr {
        flags: NEEDS_CSUM,
        gso_type: GSO_TCPV4,
        hdr_len: HEADERS as u16,
        gso_size: SEGMENT as u16,
        csum_start: 20,
        csum_offset: 16,
    };
    (header.encode(), bytes)
}
