//! Batches of several flows, made at random.

use super::*;
use crate::fixtures::any_spec;
use proptest::prelude::*;

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
        let plain = spec.udp || spec.flags & !PSH == ACK;
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
