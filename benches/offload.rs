//! What the offload arithmetic costs: a 64 KiB super-packet cut and joined again, and the checksum in both.
//!
//! `cargo bench --bench offload`. The super-packet is TCP over IPv4 with time stamps, cut at 1368 bytes: 1420-byte
//! segments, as in a tunnel over an Ethernet underlay. Headers that an iteration changes are put back within it (52 bytes).

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use meshtun_offload::checksum::Sum;
use meshtun_offload::coalesce::{Coalescer, Joining};
use meshtun_offload::split::Split;
use meshtun_offload::virtio::{GSO_TCPV4, NEEDS_CSUM, VirtioNetHdr};
use std::hint::black_box;
use std::ops::Range;

const MTU: usize = 1420;
const HEADERS: usize = 52;
const MSS: usize = MTU - HEADERS;

/// Bytes before and behind each plaintext in a received train: transport header, padding and tag.
const BEFORE: usize = 16;
const BEHIND: usize = 4 + 16;

fn checksum(criterion: &mut Criterion) {
    let bytes: Vec<u8> = (0..1400).map(|at| (at * 7) as u8).collect();
    let mut group = criterion.benchmark_group("checksum");
    group.throughput(Throughput::Bytes(1400));
    group.bench_function("1400 bytes", |bencher| bencher.iter(|| Sum::of(black_box(&bytes)).finish()));
    group.finish();
}

fn split(criterion: &mut Criterion) {
    let (header, mut packet) = super_packet(65535 - HEADERS);
    let headers: [u8; HEADERS] = *packet.first_chunk().unwrap();
    let mut group = criterion.benchmark_group("split");
    group.throughput(Throughput::Bytes(packet.len() as u64));
    group.bench_function("64 KiB into 48 segments", |bencher| {
        bencher.iter(|| {
            packet[..HEADERS].copy_from_slice(&headers);
            let mut split = Split::new(black_box(header), &mut packet, MTU).unwrap();
            while let Some(segment) = split.next_segment() {
                black_box(segment);
            }
        });
    });
    group.bench_function("of which the checksum pass", |bencher| {
        bencher.iter(|| packet[HEADERS..].chunks(MSS).map(|payload| Sum::of(black_box(payload)).finish()[0]).max());
    });
    let mut small = super_packet(64).1;
    group.throughput(Throughput::Elements(1));
    group.bench_function("a lone packet with a partial checksum", |bencher| {
        let header = VirtioNetHdr { gso_type: 0, ..header };
        bencher.iter(|| {
            let mut split = Split::new(black_box(header), &mut small, MTU).unwrap();
            black_box(split.next_segment().map(<[u8]>::len))
        });
    });
    group.finish();
}

fn coalesce(criterion: &mut Criterion) {
    let (mut buffer, packets) = train(45);
    let first = packets[0].start..packets[0].start + HEADERS;
    let headers = buffer[first.clone()].to_vec();
    let mut coalescer = Coalescer::new(Joining { tcp: true, udp: true });
    let mut group = criterion.benchmark_group("coalesce");
    group.throughput(Throughput::Bytes(packets.iter().map(|packet| packet.len() as u64).sum()));
    group.bench_function("45 segments into one", |bencher| {
        bencher.iter(|| {
            buffer[first.clone()].copy_from_slice(&headers);
            assert_eq!(join(&mut coalescer, &mut buffer, &packets), 1);
        });
    });
    group.bench_function("of which the checksum pass", |bencher| {
        bencher.iter(|| packets.iter().map(|packet| Sum::of(black_box(&buffer[packet.clone()])).finish()[0]).max());
    });

    let (mut buffer, packets) = acknowledgements(64);
    group.throughput(Throughput::Elements(64));
    group.bench_function("64 packets that stay alone", |bencher| {
        bencher.iter(|| assert_eq!(join(&mut coalescer, &mut buffer, &packets), 64));
    });
    group.finish();
}

fn join(coalescer: &mut Coalescer, buffer: &mut [u8], packets: &[Range<usize>]) -> usize {
    for packet in packets {
        coalescer.push(buffer, packet.clone());
    }
    let mut items = 0;
    while let Some(item) = coalescer.next_item(buffer) {
        black_box((item.header, item.ranges));
        items += 1;
    }
    coalescer.clear();
    items
}

/// A super-packet as a tun device gives it.
fn super_packet(payload: usize) -> (VirtioNetHdr, Vec<u8>) {
    let mut packet = vec![0u8; HEADERS + payload];
    let length = (packet.len() as u16).to_be_bytes();
    packet[..20]
        .copy_from_slice(&[0x45, 0, length[0], length[1], 1, 2, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet[20..32].copy_from_slice(&[0x9c, 0x40, 1, 0xbb, 1, 2, 3, 4, 5, 6, 7, 8]);
    packet[32..36].copy_from_slice(&[0x80, 0x10, 1, 0xf6]);
    packet[40..52].copy_from_slice(&[1, 1, 8, 10, 0, 0, 1, 2, 0, 0, 3, 4]);
    packet[HEADERS..].iter_mut().enumerate().for_each(|(at, byte)| *byte = (at * 7 + at / 256) as u8);
    let pseudo = Sum::of(&packet[12..20]).plus_u16(6).plus_u16((packet.len() - 20) as u16);
    packet[36..38].copy_from_slice(&pseudo.partial());
    let header = VirtioNetHdr {
        flags: NEEDS_CSUM,
        gso_type: GSO_TCPV4,
        hdr_len: HEADERS as u16,
        gso_size: MSS as u16,
        csum_start: 20,
        csum_offset: 16,
    };
    (header, packet)
}

/// The segments of a super-packet in a receive buffer, opened, and where they lie.
fn train(segments: usize) -> (Vec<u8>, Vec<Range<usize>>) {
    let (header, mut packet) = super_packet(segments * MSS);
    let mut split = Split::new(header, &mut packet, MTU).unwrap();
    let (mut buffer, mut ranges) = (Vec::new(), Vec::new());
    while let Some(segment) = split.next_segment() {
        append(&mut buffer, &mut ranges, segment);
    }
    (buffer, ranges)
}

/// Segments without payload.
fn acknowledgements(count: usize) -> (Vec<u8>, Vec<Range<usize>>) {
    let (header, mut packet) = super_packet(0);
    let mut split = Split::new(header, &mut packet, MTU).unwrap();
    let segment = split.next_segment().unwrap();
    let (mut buffer, mut ranges) = (Vec::new(), Vec::new());
    (0..count).for_each(|_| append(&mut buffer, &mut ranges, segment));
    (buffer, ranges)
}

fn append(buffer: &mut Vec<u8>, ranges: &mut Vec<Range<usize>>, packet: &[u8]) {
    buffer.extend([0; BEFORE]);
    ranges.push(buffer.len()..buffer.len() + packet.len());
    buffer.extend(packet);
    buffer.extend([0; BEHIND]);
}

criterion_group!(benches, checksum, split, coalesce);
criterion_main!(benches);
