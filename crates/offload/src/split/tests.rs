use super::*;
use crate::fixtures::{self, Spec, any_spec, assert_sound};
use crate::virtio::{GSO_NONE, NEEDS_CSUM};
use proptest::prelude::*;

const MTU: usize = 1420;

fn split(header: VirtioNetHdr, packet: &mut [u8], mtu: usize) -> Result<Vec<Vec<u8>>, SplitError> {
    let mut split = Split::new(header, packet, mtu)?;
    let mut segments = Vec::new();
    let mut remaining = split.remaining();
    while let Some(segment) = split.next_segment() {
        segments.push(segment.to_vec());
        remaining -= 1;
        assert_eq!(split.remaining(), remaining);
    }
    assert_eq!(remaining, 0);
    Ok(segments)
}

/// What tun-rs makes of the same super-packet.
fn oracle(header: VirtioNetHdr, packet: &mut [u8]) -> Vec<Vec<u8>> {
    let theirs = tun_rs::VirtioNetHdr {
        flags: header.flags,
        gso_type: header.gso_type,
        hdr_len: header.hdr_len,
        gso_size: header.gso_size,
        csum_start: header.csum_start,
        csum_offset: header.csum_offset,
    };
    let count = packet.len() / usize::from(header.gso_size) + 1;
    let mut segments = vec![vec![0; packet.len()]; count];
    let mut sizes = vec![0; count];
    let is_v6 = packet[0] >> 4 == 6;
    let count = tun_rs::gso_split(packet, theirs, &mut segments, &mut sizes, 0, is_v6).unwrap();
    segments.truncate(count);
    segments.iter_mut().zip(sizes).for_each(|(segment, size)| segment.truncate(size));
    segments
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn segments_are_those_that_another_implementation_cuts(spec in any_spec(6000), size in 1u16..2000) {
        let (header, mut packet) = spec.build_super(size);
        let theirs = oracle(header, &mut packet.clone());
        let ours = split(header, &mut packet, usize::MAX).unwrap();
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn every_segment_is_sound_and_all_payload_arrives_in_order(spec in any_spec(6000), size in 1u16..2000) {
        let (header, mut packet) = spec.build_super(size);
        let segments = split(header, &mut packet, usize::MAX).unwrap();
        segments.iter().for_each(|segment| assert_sound(segment));
        let payload: Vec<u8> = segments.iter().flat_map(|segment| &segment[spec.headers()..]).copied().collect();
        prop_assert_eq!(payload, spec.payload);
    }

    #[test]
    fn garbage_never_panics(
        mut packet in prop::collection::vec(any::<u8>(), 0..300),
        start in prop::sample::select(vec![0x45u8, 0x4f, 0x60, 0x00, 0x46]),
        header in any::<[u8; 10]>(),
        kind in prop::sample::select(vec![0u8, 1, 3, 4, 5, 0x81, 0x84]),
        fit: bool,
    ) {
        fake_lengths(&mut packet, start, fit);
        let header = VirtioNetHdr { gso_type: kind, ..VirtioNetHdr::decode(&header) };
        if let Ok(mut split) = Split::new(header, &mut packet, 250) {
            while let Some(segment) = split.next_segment() {
                prop_assert!(segment.len() <= 250);
            }
        }
    }

    #[test]
    fn mutated_super_packets_never_panic_nor_exceed_the_mtu(
        spec in any_spec(3000),
        size in 1u16..1500,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        header_flips in prop::collection::vec((0usize..10, any::<u8>()), 0..2),
    ) {
        let (header, mut packet) = spec.build_super(size);
        for (at, value) in flips {
            packet[at.index(spec.headers())] = value;
        }
        let mut header = header.encode();
        header_flips.into_iter().for_each(|(at, value)| header[at] = value);
        if let Ok(segments) = split(VirtioNetHdr::decode(&header), &mut packet, MTU) {
            prop_assert!(segments.iter().all(|segment| segment.len() <= MTU));
        }
    }
}

/// Makes random bytes look like a packet of their own length.
fn fake_lengths(packet: &mut [u8], first: u8, fit: bool) {
    let length = packet.len() as u16;
    if packet.len() >= 40 && fit {
        packet[0] = first;
        let field = if first >> 4 == 4 { 2 } else { 4 };
        let value = if first >> 4 == 4 { length } else { length - 40 };
        packet[field..field + 2].copy_from_slice(&value.to_be_bytes());
        packet[6] = if first >> 4 == 4 { 0 } else { [6, 17, 0, 43, 44, 51, 60][usize::from(packet[7] % 7)] };
        packet[9] = if packet[8] & 1 == 0 { 6 } else { 17 };
    }
}

#[test]
fn the_payload_stays_where_it_is() {
    let spec = Spec::tcp4(4000);
    let (header, mut packet) = spec.build_super(1368);
    let base = packet.as_ptr() as usize;
    let mut split = Split::new(header, &mut packet, MTU).unwrap();
    for start in [0, 1368, 2736] {
        assert_eq!(split.next_segment().unwrap().as_ptr() as usize, base + start);
    }
    assert!(split.next_segment().is_none());
    assert!(split.next_segment().is_none());
}

#[test]
fn segments_shorter_than_their_headers_come_out_whole() {
    for spec in Spec::all_four(300) {
        let (header, mut packet) = spec.build_super(7);
        let theirs = oracle(header, &mut packet.clone());
        assert_eq!(split(header, &mut packet, MTU).unwrap(), theirs);
    }
}

#[test]
fn a_packet_that_is_no_super_packet_is_its_own_only_segment() {
    let whole = Spec::tcp4(100).build();
    assert_eq!(split(VirtioNetHdr::default(), &mut whole.clone(), MTU).unwrap(), [whole]);
}

#[test]
fn a_partial_checksum_is_completed() {
    for spec in Spec::all_four(101) {
        let (header, mut packet) = spec.build_super(0);
        let header = VirtioNetHdr { gso_type: GSO_NONE, hdr_len: 0, ..header };
        assert_eq!(split(header, &mut packet, MTU).unwrap(), [spec.build()]);
    }
}

#[test]
fn a_udp_checksum_of_zero_is_sent_as_all_ones() {
    for spec in [Spec::udp4(100).with_zero_checksum(), Spec::udp6(100).with_zero_checksum()] {
        let field = spec.upper() + 6;
        let (header, packet) = spec.build_super(100);
        for gso_type in [header.gso_type, GSO_NONE] {
            let segments = split(VirtioNetHdr { gso_type, ..header }, &mut packet.clone(), MTU).unwrap();
            assert_eq!(segments[0][field..field + 2], [0xff, 0xff]);
            assert_eq!(segments, [spec.build()]);
        }
    }
}

#[test]
fn a_checksum_that_the_stack_vouches_for_is_made_from_the_addresses() {
    for spec in Spec::all_four(3000) {
        let (header, mut packet) = spec.build_super(1000);
        let expected = split(header, &mut packet.clone(), MTU).unwrap();
        let vouched = VirtioNetHdr { flags: 0, csum_start: 0, csum_offset: 0, ..header };
        assert_eq!(split(vouched, &mut packet, MTU).unwrap(), expected);
    }
}

#[test]
fn a_wrong_partial_checksum_is_not_repaired() {
    let (header, mut packet) = Spec::tcp4(3000).build_super(1000);
    let sound = split(header, &mut packet.clone(), MTU).unwrap();
    packet[20 + 16] ^= 0x40;
    for (wrong, sound) in split(header, &mut packet, MTU).unwrap().iter().zip(sound) {
        assert_ne!(wrong[36..38], sound[36..38]);
    }
}

#[test]
fn the_header_length_of_the_virtio_header_is_not_believed() {
    for hdr_len in [0, 20, 66, 1000, u16::MAX] {
        let (header, mut packet) = Spec::tcp4(3000).build_super(1000);
        let expected = split(header, &mut packet.clone(), MTU).unwrap();
        assert_eq!(split(VirtioNetHdr { hdr_len, ..header }, &mut packet, MTU).unwrap(), expected);
    }
}

#[test]
fn fin_and_psh_are_left_to_the_last_segment_and_cwr_to_the_first() {
    let flags = fixtures::ACK | fixtures::ECE | FIN | PSH | CWR;
    let (header, mut packet) = Spec { flags, ..Spec::tcp4(3000) }.build_super(1000);
    let flags = split(header, &mut packet, MTU).unwrap().iter().map(|segment| segment[33]).collect::<Vec<_>>();
    let base = fixtures::ACK | fixtures::ECE;
    assert_eq!(flags, [base | CWR, base, base | FIN | PSH]);
}

#[test]
fn ids_and_sequence_numbers_count_up_and_wrap() {
    let spec = Spec { id: 0xffff, sequence: 0xffff_ffff, ..Spec::tcp4(3000) };
    let (header, mut packet) = spec.build_super(1000);
    let segments = split(header, &mut packet, MTU).unwrap();
    let ids = segments.iter().map(|segment| [segment[4], segment[5]]).collect::<Vec<_>>();
    assert_eq!(ids, [[0xff, 0xff], [0, 0], [0, 1]]);
    let sequences = segments.iter().map(|segment| [segment[24], segment[25], segment[26], segment[27]]);
    assert_eq!(sequences.map(u32::from_be_bytes).collect::<Vec<_>>(), [0xffff_ffff, 999, 1999]);
}

#[test]
fn a_super_packet_of_65535_bytes_is_cut() {
    let spec = Spec::tcp4(65535 - 52);
    let (header, mut packet) = spec.build_super(1368);
    let segments = split(header, &mut packet, MTU).unwrap();
    assert_eq!(segments.len(), 48);
    segments.iter().for_each(|segment| assert_sound(segment));
}

#[test]
fn ipv4_options_and_ipv6_extension_headers_are_in_every_segment() {
    let (header, plain) = Spec::tcp4(3000).build_super(1000);
    let mut packet = [&plain[..20], &[1; 8], &plain[20..]].concat();
    packet[0] = 0x47;
    let header = restate(header, &mut packet, 28);
    let segments = split(header, &mut packet, MTU).unwrap();
    assert_eq!(segments.len(), 3);
    segments.iter().for_each(|segment| assert_sound(segment));

    let (header, plain) = Spec::tcp6(3000).build_super(1000);
    let mut packet = [&plain[..40], &[6, 0, 1, 4, 0, 0, 0, 0], &plain[40..]].concat();
    packet[6] = 60;
    let header = restate(header, &mut packet, 48);
    let segments = split(header, &mut packet, MTU).unwrap();
    assert_eq!(segments.len(), 3);
    segments.iter().for_each(|segment| assert_sound(segment));
}

/// Mends lengths and partial checksum after bytes were put in before the TCP header.
fn restate(header: VirtioNetHdr, packet: &mut [u8], upper: u16) -> VirtioNetHdr {
    let length = packet.len() as u16;
    match packet[0] >> 4 {
        4 => packet[2..4].copy_from_slice(&length.to_be_bytes()),
        _ => packet[4..6].copy_from_slice(&(length - 40).to_be_bytes()),
    }
    let header = VirtioNetHdr { csum_start: upper, ..header };
    fixtures::make_partial(packet, header);
    header
}

#[test]
fn a_segment_longer_than_the_mtu_is_refused() {
    let (header, mut packet) = Spec::tcp4(3000).build_super(1369);
    assert_eq!(split(header, &mut packet, MTU), Err(SplitError::ExceedsMtu { length: 1421, mtu: MTU }));
    let mut packet = Spec::tcp4(1369).build();
    assert_eq!(
        split(VirtioNetHdr::default(), &mut packet, MTU),
        Err(SplitError::ExceedsMtu { length: 1421, mtu: MTU })
    );
    // It is what the segments have that counts.
    let (header, mut packet) = Spec::tcp4(1368).build_super(1400);
    assert_eq!(split(header, &mut packet, MTU).unwrap().len(), 1);
}

#[test]
fn a_header_that_contradicts_its_packet_is_refused() {
    let (tcp4, packet) = Spec::tcp4(3000).build_super(1000);
    let (_, udp) = Spec::udp4(3000).build_super(1000);
    let beyond = VirtioNetHdr { gso_type: GSO_NONE, csum_start: 3050, ..tcp4 };
    let refused = [
        ("no segment size", VirtioNetHdr { gso_size: 0, ..tcp4 }, &packet, SplitError::Contradiction),
        ("checksum of UDP", VirtioNetHdr { csum_offset: 6, ..tcp4 }, &packet, SplitError::Contradiction),
        ("checksum elsewhere", VirtioNetHdr { csum_start: 24, ..tcp4 }, &packet, SplitError::Contradiction),
        ("other IP version", VirtioNetHdr { gso_type: GSO_TCPV6, ..tcp4 }, &packet, SplitError::Contradiction),
        ("other protocol", VirtioNetHdr { gso_type: GSO_UDP_L4, ..tcp4 }, &packet, SplitError::Contradiction),
        ("TCP type on UDP", tcp4, &udp, SplitError::Contradiction),
        ("checksum behind the end", beyond, &packet, SplitError::Contradiction),
        ("UFO", VirtioNetHdr { gso_type: 3, ..tcp4 }, &packet, SplitError::UnknownType(3)),
        ("ECN on UDP", VirtioNetHdr { gso_type: 0x85, ..tcp4 }, &packet, SplitError::UnknownType(0x85)),
    ];
    for (what, header, packet, error) in refused {
        assert_eq!(split(header, &mut packet.clone(), 4000), Err(error), "{what}");
    }
}

#[test]
fn a_packet_that_contradicts_itself_is_refused() {
    let (tcp4, packet) = Spec::tcp4(3000).build_super(1000);
    let (udp4, udp) = Spec::udp4(3000).build_super(1000);
    let with = |packet: &Vec<u8>, at: usize, value: u8| {
        let mut packet = packet.clone();
        packet[at] = value;
        packet
    };
    let refused = [
        ("nothing", tcp4, vec![], SplitError::Malformed),
        ("another version", tcp4, with(&packet, 0, 0xc0), SplitError::Malformed),
        ("shorter than stated", tcp4, packet[..3000].to_vec(), SplitError::Malformed),
        ("longer than stated", tcp4, [&packet[..], &[0]].concat(), SplitError::Malformed),
        ("TCP header of 16 bytes", tcp4, with(&packet, 32, 0x40), SplitError::Malformed),
        ("fragments", tcp4, with(&packet, 6, 0x20), SplitError::Contradiction),
        ("later fragment", tcp4, with(&packet, 7, 1), SplitError::Malformed),
        ("UDP length of another", udp4, with(&udp, 25, 0), SplitError::Contradiction),
    ];
    for (what, header, mut packet, error) in refused {
        assert_eq!(split(header, &mut packet, MTU), Err(error), "{what}");
        let alone = VirtioNetHdr { flags: NEEDS_CSUM, ..VirtioNetHdr::default() };
        let _ = split(alone, &mut packet, MTU);
    }
}

#[test]
fn a_tcp_header_that_leads_out_of_the_packet_is_refused() {
    let (header, mut packet) = Spec { options: vec![], ..Spec::tcp4(8) }.build_super(1000);
    packet[32] = 0xf0;
    assert_eq!(split(header, &mut packet, MTU), Err(SplitError::Malformed));
}
