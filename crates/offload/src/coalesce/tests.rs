use super::*;
use crate::fixtures::{self, ACK, PSH, Spec};
use crate::packet;
use crate::split::Split;

mod mixed;

const BOTH: Joining = Joining { tcp: true, udp: true };

/// A receive buffer with room before and behind each packet, as transport messages leave it.
fn lay_out(packets: &[Vec<u8>]) -> (Vec<u8>, Vec<Range<usize>>) {
    let mut buffer = Vec::new();
    let mut ranges = Vec::new();
    for packet in packets {
        buffer.extend([0xee; 16]);
        ranges.push(buffer.len()..buffer.len() + packet.len());
        buffer.extend(packet);
        buffer.extend([0xdd; 19]);
    }
    (buffer, ranges)
}

/// An item as the tun device gets it, and the ranges that it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    header: VirtioNetHdr,
    packet: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

fn write_out(coalescer: &mut Coalescer, buffer: &mut [u8]) -> Vec<Written> {
    let mut written = Vec::new();
    while let Some(item) = coalescer.next_item(buffer) {
        let (header, ranges, length) = (VirtioNetHdr::decode(&item.header), item.ranges.to_vec(), item.len());
        let packet = ranges.iter().flat_map(|range| &buffer[range.clone()]).copied().collect::<Vec<u8>>();
        assert_eq!(packet.len(), length);
        written.push(Written { header, packet, ranges });
    }
    written
}

fn join_with(joining: Joining, packets: &[Vec<u8>]) -> Vec<Written> {
    let (mut buffer, ranges) = lay_out(packets);
    let mut coalescer = Coalescer::new(joining);
    ranges.into_iter().for_each(|range| coalescer.push(&buffer, range));
    write_out(&mut coalescer, &mut buffer)
}

fn join(packets: &[Vec<u8>]) -> Vec<Written> {
    join_with(BOTH, packets)
}

fn counts(written: &[Written]) -> Vec<usize> {
    written.iter().map(|item| item.ranges.len()).collect()
}

/// What a receiver of the items sees in the end.
fn split_again(written: &[Written]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for item in written {
        let mut packet = item.packet.clone();
        if packet::trim(&packet) != Some(packet.len()) {
            assert!(!item.header.is_gso());
            packets.push(packet);
            continue;
        }
        let mut split = Split::new(item.header, &mut packet, usize::MAX).unwrap();
        while let Some(segment) = split.next_segment() {
            packets.push(segment.to_vec());
        }
    }
    packets
}

#[test]
fn what_was_split_is_joined_to_the_same_bytes() {
    for spec in Spec::all_four(20_000) {
        let (header, original) = spec.build_super(1000);
        let segments = split_again(&[Written { header, packet: original.clone(), ranges: vec![] }]);
        let [joined] = join(&segments).try_into().unwrap();
        assert_eq!((joined.header, joined.packet), (header, original));
    }
}

#[test]
fn a_lone_packet_goes_out_untouched() {
    for spec in Spec::all_four(100) {
        let packet = spec.build();
        let [alone] = join(std::slice::from_ref(&packet)).try_into().unwrap();
        assert_eq!((alone.header, alone.packet), (VirtioNetHdr::default(), packet));
    }
}

#[test]
fn items_come_out_in_the_order_of_their_first_packets() {
    let flows = Spec::all_four(500).map(|spec| spec.run(3));
    let interleaved = (0..3).flat_map(|at| flows.iter().map(move |flow| flow[at].clone())).collect::<Vec<_>>();
    let written = join(&interleaved);
    assert_eq!(counts(&written), [3; 4]);
    for (item, flow) in written.iter().zip(flows) {
        assert_eq!(split_again(std::slice::from_ref(item)), flow);
    }
}

#[test]
fn nothing_is_joined_that_the_device_does_not_take() {
    let packets = Spec::all_four(500).map(|spec| spec.run(2)).concat();
    assert_eq!(counts(&join_with(Joining { tcp: true, udp: false }, &packets)), [2, 2, 1, 1, 1, 1]);
    assert_eq!(counts(&join_with(Joining { tcp: false, udp: true }, &packets)), [1, 1, 1, 1, 2, 2]);
}

type Alter = fn(&mut Spec);

/// The second packet of a flow, changed in one thing; whether it may be joined (as the kernel's GRO has it).
#[test]
fn tcp_segments_are_joined_by_the_kernels_rules() {
    let cases: &[(&str, bool, Alter)] = &[
        ("nothing", true, |_| ()),
        ("less payload", true, |next| next.payload.truncate(1)),
        ("more payload", false, |next| next.payload.push(0)),
        ("no payload", false, |next| next.payload.clear()),
        ("PSH", true, |next| next.flags |= PSH),
        ("FIN", false, |next| next.flags |= fixtures::FIN),
        ("SYN", false, |next| next.flags |= fixtures::SYN),
        ("RST", false, |next| next.flags |= fixtures::RST),
        ("an urgent pointer without URG", false, |next| next.urgent = 5),
        ("URG", false, |next| next.flags |= fixtures::URG),
        ("ECE", false, |next| next.flags |= fixtures::ECE),
        ("CWR", false, |next| next.flags |= fixtures::CWR),
        ("no ACK", false, |next| next.flags = 0),
        ("a later acknowledgement", false, |next| next.acknowledgement += 1),
        ("another window", false, |next| next.window += 1),
        ("another time stamp", false, |next| next.options[7] += 1),
        ("no options", false, |next| next.options.clear()),
        ("more options", false, |next| next.options.extend([1; 4])),
        ("another source port", false, |next| next.ports.0 += 1),
        ("another destination port", false, |next| next.ports.1 += 1),
        ("another source", false, |next| next.hosts.0 += 8),
        ("another destination", false, |next| next.hosts.1 += 8),
        ("another TTL", false, |next| next.ttl -= 1),
        ("another DSCP", false, |next| next.tos ^= 0x80),
        ("congestion experienced", false, |next| next.tos ^= 3),
        ("a gap", false, |next| next.sequence += 1),
        ("a repetition", false, |next| next.sequence -= 500),
    ];
    for first in [Spec::tcp4(500), Spec::tcp6(500)] {
        for (what, joins, change) in cases {
            let mut next = first.clone();
            next.advance();
            change(&mut next);
            let written = join(&[first.build(), next.build()]);
            assert_eq!(written.len() == 1, *joins, "{what}, IPv6: {}", first.v6);
            assert_eq!(split_again(&written), [first.build(), next.build()], "{what}, IPv6: {}", first.v6);
        }
    }
}

#[test]
fn udp_datagrams_are_joined_by_the_kernels_rules() {
    let cases: &[(&str, bool, Alter)] = &[
        ("nothing", true, |_| ()),
        ("less payload", true, |next| next.payload.truncate(1)),
        ("more payload", false, |next| next.payload.push(0)),
        ("no payload", false, |next| next.payload.clear()),
        ("another source port", false, |next| next.ports.0 += 1),
        ("another destination port", false, |next| next.ports.1 += 1),
        ("another source", false, |next| next.hosts.0 += 8),
        ("another destination", false, |next| next.hosts.1 += 8),
        ("another TTL", false, |next| next.ttl -= 1),
        ("another TOS", false, |next| next.tos ^= 0x80),
    ];
    for first in [Spec::udp4(500), Spec::udp6(500)] {
        for (what, joins, change) in cases {
            let mut next = first.clone();
            next.advance();
            change(&mut next);
            let written = join(&[first.build(), next.build()]);
            assert_eq!(written.len() == 1, *joins, "{what}, IPv6: {}", first.v6);
            assert_eq!(split_again(&written), [first.build(), next.build()], "{what}, IPv6: {}", first.v6);
        }
    }
}

#[test]
fn another_flow_label_keeps_ipv6_packets_apart() {
    for first in [Spec::tcp6(500), Spec::udp6(500)] {
        let mut next = Spec { flow_label: 1, ..first.clone() };
        next.advance();
        assert_eq!(counts(&join(&[first.build(), next.build()])), [1, 1]);
    }
}

#[test]
fn ipv4_ids_count_up_or_stay_the_same_where_df_is_set() {
    let cases: &[(bool, &[u16], &[usize])] = &[
        (true, &[7, 8, 9], &[3]),
        (true, &[0xffff, 0, 1], &[3]),
        (true, &[7, 7, 7], &[3]),
        (true, &[7, 7, 8], &[2, 1]),
        (true, &[7, 8, 8], &[2, 1]),
        (true, &[7, 9], &[1, 1]),
        (false, &[7, 8, 9], &[3]),
        (false, &[7, 7], &[1, 1]),
        (false, &[7, 6], &[1, 1]),
    ];
    for spec in [Spec::tcp4(100), Spec::udp4(100)] {
        for (df, ids, expected) in cases {
            let mut next = Spec { df: *df, ..spec.clone() };
            let packets = ids.iter().map(|id| {
                next.advance();
                Spec { id: *id, ..next.clone() }.build()
            });
            assert_eq!(counts(&join(&packets.collect::<Vec<_>>())), *expected, "DF {df}, ids {ids:?}");
        }
    }
    let with_and_without =
        [Spec::tcp4(100).run(1), Spec { df: false, ..Spec::tcp4(100) }.run(2)[1..].to_vec()].concat();
    assert_eq!(counts(&join(&with_and_without)), [1, 1]);
}

#[test]
fn psh_ends_a_super_packet_and_is_kept() {
    let mut packets = Vec::new();
    let mut next = Spec::tcp4(100);
    for flags in [ACK, ACK | PSH, ACK, ACK | PSH, ACK | PSH] {
        next.flags = flags;
        packets.push(next.build());
        next.advance();
    }
    let written = join(&packets);
    assert_eq!(counts(&written), [2, 2, 1]);
    assert!(written.iter().all(|item| item.packet[33] == ACK | PSH));
    assert_eq!(split_again(&written), packets);
}

#[test]
fn a_short_segment_ends_a_super_packet() {
    for spec in Spec::all_four(100) {
        let mut packets = Vec::new();
        let mut next = spec;
        for length in [100, 100, 60, 60, 100] {
            next.payload.resize(length, 3);
            packets.push(next.build());
            next.advance();
        }
        let written = join(&packets);
        assert_eq!(counts(&written), [3, 1, 1]);
        assert_eq!(split_again(&written), packets);
    }
}

#[test]
fn a_super_packet_has_at_most_64_segments() {
    for spec in Spec::all_four(100) {
        let packets = spec.run(130);
        let written = join(&packets);
        assert_eq!(counts(&written), [64, 64, 2]);
        assert_eq!(split_again(&written), packets);
    }
}

#[test]
fn a_super_packet_has_at_most_65535_bytes() {
    for spec in Spec::all_four(1368) {
        let written = join(&spec.run(50));
        let fit = (65535 - spec.headers()) / 1368;
        assert_eq!(counts(&written), [fit, 50 - fit]);
    }
    // Two segments of this size leave one byte.
    let half = (65535 - 52) / 2;
    for (third, expected) in [(1, vec![3]), (2, vec![2, 1])] {
        let mut last = Spec::tcp4(half);
        let mut packets = last.run(2);
        (0..2).for_each(|_| last.advance());
        last.payload.truncate(third);
        packets.push(last.build());
        let written = join(&packets);
        assert_eq!((counts(&written), split_again(&written)), (expected, packets));
    }
}

#[test]
fn a_corrupt_packet_goes_out_alone_and_unmodified() {
    for spec in Spec::all_four(500) {
        let field = spec.upper() + if spec.udp { 6 } else { 16 };
        for victim in 0..4 {
            for at in [field, field + 1, 80, 499] {
                let mut packets = spec.run(4);
                packets[victim][at] ^= 0x20;
                let written = join(&packets);
                assert_eq!(split_again(&written), packets, "order or bytes changed");
                let alone = written.iter().find(|item| item.packet == packets[victim]).expect("it went out");
                assert_eq!((alone.header, alone.ranges.len()), (VirtioNetHdr::default(), 1));
            }
        }
    }
}

#[test]
fn a_corrupt_ipv4_header_is_not_repaired() {
    for spec in [Spec::tcp4(500), Spec::udp4(500)] {
        for victim in 0..3 {
            let mut packets = spec.run(3);
            packets[victim][10] ^= 1;
            let written = join(&packets);
            assert_eq!(split_again(&written), packets);
            assert!(written.iter().any(|item| item.packet == packets[victim]));
        }
    }
}

#[test]
fn a_datagram_without_a_checksum_stays_alone() {
    let mut packets = Spec::udp4(100).run(3);
    packets.iter_mut().for_each(|packet| packet[26..28].fill(0));
    assert_eq!(counts(&join(&packets)), [1, 1, 1]);

    // Nor where zero is what the checksum would have come to.
    let mut packets = Spec::udp4(100).with_zero_checksum().run(3);
    assert_eq!(counts(&join(&packets)), [3]);
    packets.iter_mut().for_each(|packet| packet[26..28].fill(0));
    assert_eq!(counts(&join(&packets)), [1, 1, 1]);
}

#[test]
fn a_datagram_whose_length_is_not_its_packets_stays_alone() {
    let mut packets = Spec::udp4(100).run(2);
    packets[1][25] -= 1;
    assert_eq!(counts(&join(&packets)), [1, 1]);
}

#[test]
fn padding_is_not_taken_for_payload() {
    let [first, _] = Spec::tcp4(100).run(2).try_into().unwrap();
    let mut next = Spec::tcp4(100);
    next.advance();
    next.payload.truncate(98);
    // These two bytes make up for themselves in the checksum.
    let padded = [next.build(), vec![0xff, 0xfd]].concat();
    assert_eq!(counts(&join(&[first, padded])), [1, 1]);
}

type Change = fn(&mut Vec<u8>);

#[test]
fn fragments_options_and_extension_headers_stay_alone() {
    let changes: [(&str, Change); 4] = [
        ("first fragment", |packet| packet[6] |= 0x20),
        ("later fragment", |packet| packet[7] = 1),
        ("reserved bit", |packet| packet[6] |= 0x80),
        ("options", |packet| {
            packet.splice(20..20, [1; 4]);
            (packet[0], packet[3]) = (0x46, packet[3] + 4);
        }),
    ];
    for (what, change) in changes {
        let mut packets = Spec::tcp4(100).run(5);
        for packet in &mut packets[1..3] {
            change(packet);
            fixtures::mend_ipv4(packet);
        }
        let written = join(&packets);
        assert_eq!(counts(&written), [1, 1, 1, 2], "{what}");
        assert_eq!([&written[1].packet, &written[2].packet], [&packets[1], &packets[2]], "{what}");
    }
    for next_header in [0, 43, 44, 60] {
        let mut packets = Spec::tcp6(100).run(4);
        packets[1][6] = next_header;
        assert_eq!(counts(&join(&packets)), [1, 1, 2], "extension header {next_header}");
    }
}

#[test]
fn an_acknowledgement_between_two_segments_is_not_overtaken() {
    let packets = Spec::tcp4(100).run(3);
    let mut acknowledgement = Spec::tcp4(0);
    acknowledgement.sequence = acknowledgement.sequence.wrapping_add(100);
    let packets = [packets[0].clone(), acknowledgement.build(), packets[1].clone(), packets[2].clone()];
    assert_eq!(counts(&join(&packets)), [1, 1, 2]);
}

#[test]
fn a_packet_of_another_flow_does_not_end_a_super_packet() {
    let mut packets = Spec::tcp4(100).run(3);
    packets.insert(1, Spec { ports: (1, 2), ..Spec::tcp4(0) }.build());
    packets.insert(3, Spec { ports: (3, 4), ..Spec::udp4(50) }.build());
    assert_eq!(counts(&join(&packets)), [3, 1, 1]);
}

#[test]
fn it_is_used_again_after_clearing_without_taking_memory() {
    let packets = Spec::tcp4(100).run(MAX_PACKETS);
    let (mut buffer, ranges) = lay_out(&packets);
    let mut coalescer = Coalescer::new(BOTH);
    let held =
        |coalescer: &Coalescer| (coalescer.entries.as_ptr(), coalescer.pieces.as_ptr(), coalescer.ranges.as_ptr());
    let before = held(&coalescer);
    for _ in 0..3 {
        for range in &ranges {
            assert!(!coalescer.is_full());
            coalescer.push(&buffer, range.clone());
        }
        assert!(coalescer.is_full());
        assert_eq!(write_out(&mut coalescer, &mut buffer).len(), MAX_PACKETS / MAX_SEGMENTS);
        assert!(coalescer.is_empty());
        coalescer.clear();
        let (fresh, _) = lay_out(&packets);
        buffer = fresh;
    }
    assert_eq!(held(&coalescer), before);
}

#[test]
fn lone_packets_fill_it_too() {
    let packet = Spec::tcp4(0).build();
    let mut coalescer = Coalescer::new(BOTH);
    (0..MAX_ITEMS).for_each(|_| coalescer.push(&packet, 0..packet.len()));
    assert!(coalescer.is_full());
}

#[test]
fn what_the_device_takes_may_change_between_batches() {
    let (mut buffer, ranges) = lay_out(&Spec::udp4(100).run(2));
    let mut coalescer = Coalescer::new(BOTH);
    for (udp, expected) in [(false, vec![1, 1]), (true, vec![2])] {
        coalescer.set_joining(Joining { tcp: true, udp });
        ranges.iter().for_each(|range| coalescer.push(&buffer, range.clone()));
        assert_eq!(counts(&write_out(&mut coalescer, &mut buffer)), expected);
        coalescer.clear();
    }
}

#[test]
fn a_packet_pushed_after_its_flow_went_out_begins_anew() {
    let (mut buffer, ranges) = lay_out(&Spec::tcp4(100).run(4));
    let mut coalescer = Coalescer::new(BOTH);
    ranges[..2].iter().for_each(|range| coalescer.push(&buffer, range.clone()));
    assert_eq!(counts(&write_out(&mut coalescer, &mut buffer)), [2]);
    ranges[2..].iter().for_each(|range| coalescer.push(&buffer, range.clone()));
    assert_eq!(counts(&write_out(&mut coalescer, &mut buffer)), [2]);
}
