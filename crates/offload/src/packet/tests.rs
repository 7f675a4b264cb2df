use super::*;
use crate::fixtures::{Spec, any_spec};
use etherparse::PacketBuilder;
use proptest::prelude::*;

fn icmp4(kind: u8) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv4([192, 0, 2, 1], [10, 9, 8, 1], 64).icmpv4_raw(kind, 0, [0; 4]);
    builder.write(&mut packet, &[0; 28]).unwrap();
    packet
}

fn icmp6(kind: u8) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv6([0xfd; 16], [0xfc; 16], 64).icmpv6_raw(kind, 0, [0; 4]);
    builder.write(&mut packet, &[0; 48]).unwrap();
    packet
}

/// The same packet with extension headers: each its number and its bytes, of which the first is filled in.
fn with_extensions(packet: &[u8], extensions: &[(u8, &[u8])]) -> Vec<u8> {
    let (mut header, upper) = (packet[..40].to_vec(), &packet[40..]);
    let mut chain = Vec::new();
    let mut numbers = extensions.iter().map(|(number, _)| *number).chain([packet[6]]);
    header[6] = numbers.next().unwrap();
    for ((_, bytes), next) in extensions.iter().zip(numbers) {
        chain.push(next);
        chain.extend(&bytes[1..]);
    }
    let payload = (chain.len() + upper.len()) as u16;
    header[4..6].copy_from_slice(&payload.to_be_bytes());
    [header, chain, upper.to_vec()].concat()
}

#[test]
fn padding_behind_a_packet_is_no_part_of_it() {
    for spec in Spec::all_four(100) {
        let packet = spec.build();
        for padding in [0, 1, 15] {
            let padded = [packet.clone(), vec![0; padding]].concat();
            assert_eq!(trim(&padded), Some(packet.len()));
        }
    }
}

#[test]
fn what_is_no_whole_packet_is_not_taken() {
    let with = |packet: &[u8], at: usize, value: u8| {
        let mut packet = packet.to_vec();
        packet[at] = value;
        packet
    };
    let (v4, v6) = (Spec::tcp4(100).build(), Spec::tcp6(100).build());
    let refused = [
        ("nothing", vec![]),
        ("a control frame", with(&v4, 0, 0xc0)),
        ("version 5", with(&v4, 0, 0x55)),
        ("an IPv4 header of 16 bytes", with(&v4, 0, 0x44)),
        ("an IPv4 packet cut short", v4[..v4.len() - 1].to_vec()),
        ("an IPv4 header cut short", v4[..19].to_vec()),
        ("a total length within the header", with(&with(&v4, 2, 0), 3, 19)),
        ("an IPv6 packet cut short", v6[..v6.len() - 1].to_vec()),
        ("an IPv6 header cut short", v6[..39].to_vec()),
    ];
    for (what, packet) in refused {
        assert_eq!(trim(&packet), None, "{what}");
        assert_eq!(Addresses::parse(&packet), None, "{what}");
        assert!(!is_icmp_error(&packet), "{what}");
    }
}

#[test]
fn addresses_are_source_and_destination() {
    let v4 = Addresses::V4([10, 9, 8, 1].into(), [10, 9, 8, 2].into());
    assert_eq!(Addresses::parse(&Spec::udp4(1).build()), Some(v4));
    let source = "fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fd01".parse().unwrap();
    let destination = "fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fd02".parse().unwrap();
    assert_eq!(Addresses::parse(&Spec::udp6(1).build()), Some(Addresses::V6(source, destination)));
}

#[test]
fn icmp_errors_are_told_from_other_messages() {
    for kind in 0..=255 {
        assert_eq!(is_icmp_error(&icmp4(kind)), [3, 11, 12].contains(&kind), "type {kind}");
        assert_eq!(is_icmp_error(&icmp6(kind)), [1, 2, 3, 4].contains(&kind), "ICMPv6 type {kind}");
    }
    assert!(Spec::all_four(100).iter().all(|spec| !is_icmp_error(&spec.build())));
}

#[test]
fn icmp_of_the_other_ip_version_is_no_error() {
    let mut packet = icmp4(3);
    packet[9] = ICMPV6;
    assert!(!is_icmp_error(&packet));
    let mut packet = icmp6(3);
    packet[6] = ICMP;
    assert!(!is_icmp_error(&packet));
}

#[test]
fn an_icmp_error_is_found_behind_options_and_extension_headers() {
    let plain = icmp4(3);
    let mut packet = [&plain[..20], &[1; 4], &plain[20..]].concat();
    packet[0] = 0x46;
    packet[3] += 4;
    assert!(is_icmp_error(&packet));

    let chains: [&[(u8, &[u8])]; 5] = [
        &[(0, &[0; 8])],
        &[(43, &[0; 8])],
        &[(60, &[0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9])],
        &[(44, &[0; 8])],
        &[(51, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
    ];
    for chain in chains {
        assert!(is_icmp_error(&with_extensions(&icmp6(1), chain)), "{chain:?}");
        assert!(!is_icmp_error(&with_extensions(&icmp6(128), chain)), "{chain:?}");
    }
}

#[test]
fn a_later_fragment_has_no_upper_layer() {
    let mut packet = icmp4(3);
    packet[7] = 1;
    assert!(!is_icmp_error(&packet));
    assert_eq!(Upper::parse(&packet), None);
    let later = with_extensions(&icmp6(1), &[(44, &[0, 0, 0, 8, 0, 0, 0, 0])]);
    assert_eq!(Upper::parse(&later), None);
}

#[test]
fn a_first_fragment_is_known_as_one() {
    let mut packet = icmp4(3);
    packet[6] = 0x20;
    assert_eq!(Upper::parse(&packet), Some(Upper { protocol: ICMP, offset: 20, fragment: true }));
    let first = with_extensions(&icmp6(1), &[(44, &[0, 0, 0, 1, 0, 0, 0, 0])]);
    assert_eq!(Upper::parse(&first), Some(Upper { protocol: ICMPV6, offset: 48, fragment: true }));
}

#[test]
fn a_chain_of_extension_headers_ends_within_the_packet_and_within_reason() {
    let eight = vec![(60u8, &[0u8; 8][..]); 8];
    assert!(is_icmp_error(&with_extensions(&icmp6(1), &eight)));
    let nine = vec![(60u8, &[0u8; 8][..]); 9];
    assert_eq!(Upper::parse(&with_extensions(&icmp6(1), &nine)), None);
    let beyond = with_extensions(&icmp6(1), &[(60, &[0, 200, 0, 0, 0, 0, 0, 0])]);
    assert_eq!(Upper::parse(&beyond), None);
}

proptest! {
    #[test]
    fn garbage_is_viewed_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), first in prop::sample::select(vec![0x45u8, 0x60, 0x4f])) {
        if let Some(byte) = bytes.first_mut() { *byte = first }
        if let Some(lengths) = bytes.get_mut(2..6) { lengths.copy_from_slice(&[0, 40, 0, 0]) }
        if let Some(upper) = Upper::parse(&bytes) {
            prop_assert!((20..=bytes.len()).contains(&upper.offset));
        }
        prop_assert_eq!(Addresses::parse(&bytes).is_some(), trim(&bytes).is_some());
        is_icmp_error(&bytes);
    }

    #[test]
    fn a_packet_cut_anywhere_is_not_taken(spec in any_spec(100), at in any::<prop::sample::Index>()) {
        let packet = spec.build();
        prop_assert_eq!(trim(&packet[..at.index(packet.len())]), None);
    }
}

#[test]
fn packets_of_a_flow_share_a_hash_and_other_flows_have_others() {
    let udp = |source: u16, length: usize| {
        let mut packet = vec![0; 28 + length];
        (packet[0], packet[9]) = (0x45, UDP);
        packet[2..4].copy_from_slice(&(28 + length as u16).to_be_bytes());
        packet[12..20].copy_from_slice(&[10, 1, 0, 2, 10, 2, 0, 2]);
        packet[20..22].copy_from_slice(&source.to_be_bytes());
        packet[23] = 53;
        packet
    };
    assert_eq!(flow_hash(&udp(5000, 10)), flow_hash(&udp(5000, 900)));
    let spread: std::collections::BTreeSet<_> = (0..1000).map(|port| flow_hash(&udp(port, 10)) % 128).collect();
    assert!(spread.len() > 120, "1000 flows fill {} of 128 places", spread.len());
    let mut fragment = udp(5000, 10);
    fragment[6] = 0x20;
    let mut second = fragment.clone();
    (second[7], second[20]) = (1, 77);
    assert_eq!(flow_hash(&fragment), flow_hash(&second), "the second fragment has no ports to go by");
    assert_eq!(flow_hash(&[0x45; 19]), 0);
}
