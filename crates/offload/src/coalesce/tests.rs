use super::*;
use crate::fixtures::{self, ACK, PSH, Spec, any_spec};
use crate::packet;
use crate::split::Split;
use proptest::prelude::*;

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
        let [alone] = join(&[packet.clone()]).try_into().unwrap();
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

/// The second packet of a flow, changed in one thing; whether it may be joined (as the kernel's GRO has it).
#[test]
fn tcp_segments_are_joined_by_the_kernels_rules() {
    type Change = fn(&mut Spec);
    let cases: &[(&str, bool, Change)] = &[
        ("nothing", true, |_| ()),
        ("less payload", true, |next| next.payload.truncate(1)),
        ("more payload", false, |next| next.payload.push(0)),
        ("no payload", false, |next| next.payload.clear()),
        ("PSH", true, |next| next.flags |= PSH),
        ("FIN", false, |next| next.flags |= fixtures::FIN),
        ("SYN", false, |next| next.flags |= fixtures::SYN),
        ("RST", false, |next| next.flags |= fixtures::RST),
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
    type Change = fn(&mut Spec);
    let cases: &[(&str, bool, Change)] = &[
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
    let exactly = (65535 - 52) / 2; // an odd number of bytes: one is left for a third
    let mut packets = Spec::tcp4(exactly).run(3);
    packets[2].truncate(52);
    let mut last = Spec::tcp4(exactly);
    (0..2).for_each(|_| last.advance());
    last.payload.truncate(1);
    packets[2] = last.build();
    let written = join(&packets);
    assert_eq!((counts(&written), written[0].packet.len()), (vec![3], 65535));
}

/// Positions of a packet's bytes that a checksum covers, and that identify neither flow nor place in it.
const CORRUPTIBLE: [(fn(usize) -> Spec, usize); 4] =
    [(Spec::tcp4, 36), (Spec::tcp6, 56), (Spec::udp4, 26), (Spec::udp6, 46)];

#[test]
fn a_corrupt_packet_goes_out_alone_and_unmodified() {
    for (spec, field) in CORRUPTIBLE {
        for victim in 0..4 {
            for at in [field, field + 1, 80, 499] {
                let mut packets = spec(500).run(4);
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
}

#[test]
fn a_datagram_whose_length_is_not_its_packets_stays_alone() {
    let mut packets = Spec::udp4(100).run(2);
    packets[1][25] -= 1;
    assert_eq!(counts(&join(&packets)), [1, 1]);
}

#[test]
fn fragments_options_and_extension_headers_stay_alone() {
    let changes: [(&str, fn(&mut Vec<u8>)); 5] = [
        ("first fragment", |packet| packet[6] |= 0x20),
        ("later fragment", |packet| packet[7] = 1),
        ("reserved bit", |packet| packet[6] |= 0x80),
        ("options", |packet| packet[0] = 0x46),
        ("padding behind the end", |packet| packet.push(0)),
    ];
    for (what, change) in changes {
        let mut packets = Spec::tcp4(100).run(4);
        change(&mut packets[1]);
        assert_eq!(counts(&join(&packets)), [1, 1, 2], "{what}");
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
fn a_packet_pushed_after_its_flow_went_out_begins_anew() {
    let (mut buffer, ranges) = lay_out(&Spec::tcp4(100).run(4));
    let mut coalescer = Coalescer::new(BOTH);
    ranges[..2].iter().for_each(|range| coalescer.push(&buffer, range.clone()));
    assert_eq!(counts(&write_out(&mut coalescer, &mut buffer)), [2]);
    ranges[2..].iter().for_each(|range| coalescer.push(&buffer, range.clone()));
    assert_eq!(counts(&write_out(&mut coalescer, &mut buffer)), [2]);
}

/// One step of a mixed batch: which flow goes on, and how.
#[derive(Clone, Debug)]
struct Step {
    flow: usize,
    payload: usize,
    flags: u8,
    lost: bool,
    change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    None,
    Corrupt(u8),
    Fragment,
    Cut(usize),
    Padded,
}

fn any_step(flows: usize) -> impl Strategy<Value = Step> {
    let payload = prop::sample::select(vec![300usize, 300, 300, 300, 300, 80, 301, 0]);
    let flags = prop::sample::select(vec![ACK, ACK, ACK, ACK, ACK | PSH, ACK | fixtures::FIN, ACK | fixtures::CWR]);
    let change = prop_oneof![
        12 => Just(Change::None),
        1 => any::<u8>().prop_map(Change::Corrupt),
        1 => Just(Change::Fragment),
        1 => (1usize..60).prop_map(Change::Cut),
        1 => Just(Change::Padded),
    ];
    (0..flows, payload, flags, prop::bool::weighted(0.05), change)
        .prop_map(|(flow, payload, flags, lost, change)| Step { flow, payload, flags, lost, change })
}

fn packets_of(mut flows: Vec<Spec>, steps: &[Step]) -> Vec<(usize, Vec<u8>)> {
    let mut packets = Vec::new();
    for step in steps {
        let at = step.flow % flows.len();
        let flow = &mut flows[at];
        flow.payload = vec![step.payload as u8; step.payload];
        flow.flags = step.flags;
        let mut packet = flow.build();
        flow.advance();
        match step.change {
            Change::None => {}
            Change::Corrupt(at) => {
                let at = usize::from(at) % packet.len();
                packet[at] ^= if identifies(flow, at) { 0 } else { 0x10 };
            }
            Change::Fragment if !flow.v6 => packet[6] |= 0x20,
            Change::Fragment => packet[6] = 44,
            Change::Cut(bytes) => packet.truncate(flow.upper().max(packet.len().saturating_sub(bytes))),
            Change::Padded => packet.push(0),
        }
        if !step.lost {
            packets.push((at, packet));
        }
    }
    packets
}

/// Whether the byte at this place says which flow the packet is of.
fn identifies(flow: &Spec, at: usize) -> bool {
    if flow.v6 { matches!(at, 0 | 6 | 8..44) } else { matches!(at, 0 | 9 | 12..24) }
}

fn any_flows() -> impl Strategy<Value = Vec<Spec>> {
    prop::collection::vec((any_spec(1), 0usize..3), 1..6).prop_map(|flows| {
        let distinct = flows.into_iter().enumerate();
        distinct
            .map(|(at, (spec, options))| Spec { ports: (at as u16, 9), options: vec![1; options * 4], ..spec })
            .collect()
    })
}

/// Flows that share a slot are joined less.
fn share_a_slot(flows: &[Spec]) -> bool {
    let slots = flows.iter().map(Spec::build).map(|packet| match segment::classify(&packet, BOTH) {
        Class::Segment(segment) => segment.flow(&packet).slot,
        Class::Alone(flow) => flow.slot,
        other => panic!("{other:?}"),
    });
    slots.collect::<std::collections::HashSet<_>>().len() < flows.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// With losses, corruption, fragments and packets that are cut short among them.
    #[test]
    fn every_packet_comes_out_once_unchanged_and_never_before_one_of_its_flow(
        flows in any_flows(),
        steps in prop::collection::vec(any_step(6), 1..150),
    ) {
        let packets = packets_of(flows, &steps);
        let (mut buffer, ranges) = lay_out(&packets.iter().map(|(_, packet)| packet.clone()).collect::<Vec<_>>());
        let mut coalescer = Coalescer::new(BOTH);
        ranges.iter().for_each(|range| coalescer.push(&buffer, range.clone()));
        let written = write_out(&mut coalescer, &mut buffer);

        let order = written.iter().flat_map(|item| &item.ranges);
        let order = order.map(|range| ranges.iter().position(|of| of.end == range.end).unwrap()).collect::<Vec<_>>();
        prop_assert_eq!(order.len(), packets.len());
        for flow in 0..6 {
            let of_flow = order.iter().filter(|at| packets[**at].0 == flow).collect::<Vec<_>>();
            prop_assert!(of_flow.is_sorted(), "flow {flow} came out as {of_flow:?}");
        }
        for (at, packet) in order.iter().zip(split_again(&written)) {
            prop_assert_eq!(&packet, &packets[*at].1);
        }
        prop_assert!(written.iter().map(|item| item.ranges[0].start).is_sorted());
    }

    #[test]
    fn a_split_super_packet_is_joined_to_the_same_bytes(spec in any_spec(6000), size in 100u16..2000) {
        let plain = !spec.udp && spec.flags & !PSH == ACK || spec.udp;
        prop_assume!(plain && spec.payload.len() > usize::from(size));
        let (header, original) = spec.build_super(size);
        let segments = split_again(&[Written { header, packet: original.clone(), ranges: vec![] }]);
        let joined = join(&segments);
        prop_assert_eq!(counts(&joined), [segments.len()]);
        prop_assert_eq!(joined[0].header, header);
        prop_assert_eq!(&joined[0].packet, &original);
    }

    #[test]
    fn packets_are_joined_as_another_implementation_joins_them(
        flows in any_flows(),
        steps in prop::collection::vec((0usize..6, any::<bool>(), any::<bool>()), 1..60),
    ) {
        prop_assume!(!share_a_slot(&flows));
        let steps = steps.into_iter().map(|(flow, short, push)| Step {
            flow,
            payload: if short { 80 } else { 300 },
            flags: if push { ACK | PSH } else { ACK },
            lost: false,
            change: Change::None,
        });
        let packets = packets_of(flows, &steps.collect::<Vec<_>>());
        let packets = packets.into_iter().map(|(_, packet)| packet).collect::<Vec<_>>();
        let ours = join(&packets).into_iter().map(|item| (item.header, item.packet)).collect::<Vec<_>>();
        prop_assert_eq!(ours, oracle(&packets));
    }

    #[test]
    fn garbage_goes_out_as_it_came(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20),
        first in prop::sample::select(vec![0x45u8, 0x60, 0x46, 0x00]),
        protocol in prop::sample::select(vec![6u8, 17, 44, 1]),
    ) {
        let mut packets = packets;
        for packet in &mut packets {
            let length = packet.len();
            if let Some(byte) = packet.first_mut() { *byte = first }
            if let Some(field) = packet.get_mut(2..4) { field.copy_from_slice(&[0, length as u8]) }
            if let Some(byte) = packet.get_mut(if first == 0x60 { 6 } else { 9 }) { *byte = protocol }
        }
        let out = join(&packets).into_iter().map(|item| item.packet).collect::<Vec<_>>();
        prop_assert_eq!(out, packets);
    }
}

/// What tun-rs makes of the same packets. It knows nothing of ids and windows, and joins across packets that stay alone.
fn oracle(packets: &[Vec<u8>]) -> Vec<(VirtioNetHdr, Vec<u8>)> {
    const OFFSET: usize = tun_rs::VIRTIO_NET_HDR_LEN;
    // A header that stays like this belongs to a packet that went into another.
    const MERGED: [u8; OFFSET] = [0xaa; OFFSET];
    let with_room = |packet: &Vec<u8>| {
        let mut buffer = Vec::with_capacity(30_000);
        buffer.extend(MERGED);
        buffer.extend(packet);
        buffer
    };
    let mut buffers = packets.iter().map(with_room).collect::<Vec<_>>();
    let mut table = tun_rs::GROTable::new();
    table.apply_gro(&mut buffers, OFFSET, true).unwrap();
    let split = buffers.iter().map(|buffer| buffer.split_first_chunk::<OFFSET>().unwrap());
    let written = split.filter(|(header, _)| **header != MERGED);
    written.map(|(header, packet)| (VirtioNetHdr::decode(header), packet.to_vec())).collect()
}
