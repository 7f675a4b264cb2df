use super::*;
use crate::checksum::Sum;
use crate::fixtures::{Spec, assert_sound, make_partial};
use crate::split::Split;
use crate::virtio::{NEEDS_CSUM, VirtioNetHdr};
use proptest::prelude::*;

const ACK: u8 = 0x10;

/// As Linux sends it: size, SACK, timestamps, window scale.
const USUAL: &[u8] = &[2, 4, 5, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7];

fn syn(spec: Spec, options: &[u8]) -> Spec {
    Spec { flags: SYN, options: options.to_vec(), payload: Vec::new(), ..spec }
}

fn size_of_packet(packet: &[u8]) -> Option<u16> {
    let offset = Upper::parse(packet)?.offset;
    let options = &packet[offset + 20..offset + usize::from(packet[offset + 12] >> 4) * 4];
    let at = find(options)?;
    Some(u16::from_be_bytes([options[at], options[at + 1]]))
}

#[test]
fn a_syn_is_told_what_fits_and_its_checksum_stays_sound() {
    for (spec, longest, expected) in [
        (Spec::tcp4(1), 1420, 1380),
        (Spec::tcp6(1), 1420, 1360),
        (Spec::tcp4(1), 1280, 1240),
        (Spec::tcp6(1), 1280, 1220),
        (Spec::tcp4(1), 0x0100 + 40, 0x0100),
    ] {
        for flags in [SYN, SYN | ACK] {
            let spec = Spec { flags, ..syn(spec.clone(), USUAL) };
            let mut packet = spec.build();
            assert!(clamp(&mut packet, longest, false), "{spec:?}");
            assert_eq!(size_of_packet(&packet), Some(expected));
            assert_sound(&packet);
            let mut again = packet.clone();
            assert!(!clamp(&mut again, longest, false), "it is low enough already");
            assert_eq!(again, packet);
        }
    }
}

#[test]
fn a_size_is_never_raised() {
    for longest in [1500, 1501, 9000, u16::MAX] {
        for mut packet in [syn(Spec::tcp4(1), USUAL).build(), syn(Spec::tcp6(1), &[2, 4, 5, 0xa0]).build()] {
            let before = packet.clone();
            assert!(!clamp(&mut packet, longest, false));
            assert_eq!(packet, before);
        }
    }
}

#[test]
fn a_size_at_an_odd_place_is_summed_up_as_it_lies() {
    for noops in 0..4 {
        let mut options = vec![1; noops];
        options.extend([2, 4, 0x12, 0x34]);
        options.resize(8, 0);
        for spec in [Spec::tcp4(1), Spec::tcp6(1)] {
            let mut packet = syn(spec, &options).build();
            assert!(clamp(&mut packet, 1000, false));
            assert!(size_of_packet(&packet) < Some(1000));
            assert_sound(&packet);
        }
    }
}

#[test]
fn a_partial_checksum_is_completed_over_the_lowered_size() {
    for spec in [syn(Spec::tcp4(1), USUAL), syn(Spec::tcp6(1), USUAL)] {
        let mut packet = spec.build();
        let header = VirtioNetHdr {
            flags: NEEDS_CSUM,
            csum_start: spec.upper() as u16,
            csum_offset: 16,
            ..VirtioNetHdr::default()
        };
        make_partial(&mut packet, header);
        assert!(clamp(&mut packet, 1400, header.needs_csum()));
        let mut split = Split::new(header, &mut packet, 1500).unwrap();
        assert_sound(split.next_segment().unwrap());
    }
}

#[test]
fn a_checksum_that_is_wrong_stays_wrong() {
    let mut packet = syn(Spec::tcp4(1), USUAL).build();
    packet[20 + 16] ^= 1;
    assert!(clamp(&mut packet, 1400, false));
    let sum = Sum::of(&packet[12..20]).plus_u16(6).plus_u16(packet.len() as u16 - 20).plus(Sum::of(&packet[20..]));
    assert!(!sum.verifies(), "damage on the way does not go unnoticed");
}

#[test]
fn every_other_packet_stays_as_it_is() {
    let fragment = |offset: u16| {
        let mut packet = syn(Spec::tcp4(1), USUAL).build();
        packet[6..8].copy_from_slice(&offset.to_be_bytes());
        packet
    };
    let with_length = |length: u8| {
        let mut packet = syn(Spec::tcp4(1), USUAL).build();
        packet[20 + 12] = length << 4;
        packet
    };
    let cases = [
        ("nothing", vec![]),
        ("a lone nibble", vec![0x45]),
        ("no SYN", Spec { flags: ACK, ..syn(Spec::tcp4(1), USUAL) }.build()),
        ("UDP with what looks like SYN", Spec::udp4(100).build()),
        ("UDP over IPv6", Spec::udp6(100).build()),
        ("a fragment but the first", fragment(3)),
        ("no options", syn(Spec::tcp4(1), &[]).build()),
        ("no size among the options", syn(Spec::tcp4(1), &[1, 3, 3, 7]).build()),
        ("a size behind the end of the options", syn(Spec::tcp4(1), &[0, 0, 0, 0, 2, 4, 5, 180]).build()),
        ("an option of no length", syn(Spec::tcp4(1), &[8, 0, 2, 4, 5, 180, 0, 0]).build()),
        ("an option of a length of 1", syn(Spec::tcp4(1), &[8, 1, 2, 4, 5, 180, 0, 0]).build()),
        ("an option that leads out", syn(Spec::tcp4(1), &[8, 9, 2, 4, 5, 180, 0, 0]).build()),
        ("a size of another length", syn(Spec::tcp4(1), &[2, 3, 180, 1]).build()),
        ("a size cut short", syn(Spec::tcp4(1), &[1, 1, 2, 4]).build()),
        ("a TCP header that is too short", with_length(4)),
        ("a TCP header that leads out", with_length(15)),
        ("a packet cut short", syn(Spec::tcp4(1), USUAL).build()[..39].to_vec()),
        ("version 5", [&[0x55][..], &syn(Spec::tcp4(1), USUAL).build()[1..]].concat()),
    ];
    for (what, packet) in cases {
        let mut after = packet.clone();
        assert!(!clamp(&mut after, 1000, false), "{what}");
        assert_eq!(after, packet, "{what}");
    }
}

#[test]
fn the_first_of_several_fragments_is_clamped() {
    let mut packet = syn(Spec::tcp4(1), USUAL).build();
    packet[6..8].copy_from_slice(&0x2000u16.to_be_bytes());
    assert!(clamp(&mut packet, 1400, false));
}

#[test]
fn extension_headers_are_walked() {
    let plain = syn(Spec::tcp6(1), USUAL).build();
    for (number, length) in [(0, 8), (43, 24), (60, 8), (44, 8)] {
        let mut header = vec![0; length];
        header[0] = 6;
        header[1] = if number == 44 { 0 } else { (length / 8 - 1) as u8 };
        let mut packet = [&plain[..40], &header, &plain[40..]].concat();
        packet[6] = number;
        packet[4..6].copy_from_slice(&((plain.len() - 40 + length) as u16).to_be_bytes());
        assert!(clamp(&mut packet, 1400, false), "behind header {number}");
        let mut expected = plain.clone();
        clamp(&mut expected, 1400, false);
        assert_eq!(packet[40 + length..], expected[40..], "behind header {number}");
    }
}

proptest! {
    #[test]
    fn nothing_but_the_size_and_the_checksum_changes(
        options in prop::collection::vec(any::<u8>(), 0..=10),
        v6 in any::<bool>(), flags in any::<u8>(), longest in any::<u16>(), payload in 0usize..64,
    ) {
        let options: Vec<u8> = options.iter().flat_map(|byte| [*byte % 9, byte / 9, 3, 4]).take(40).collect();
        let spec = Spec { v6, flags, options: options[..options.len() / 4 * 4].to_vec(), ..Spec::tcp4(payload + 1) };
        let before = spec.build();
        let mut after = before.clone();
        if clamp(&mut after, longest, false) {
            prop_assert!(spec.flags & SYN != 0);
            prop_assert!(size_of_packet(&after) < size_of_packet(&before));
            prop_assert_eq!(size_of_packet(&after), Some(longest.saturating_sub(spec.upper() as u16 + 20)));
            assert_sound(&after);
            let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            prop_assert!(changed <= 4, "{} bytes", changed);
        } else {
            prop_assert_eq!(before, after);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..120), longest in any::<u16>(), first in 0x40u8..0x70) {
        if let Some(byte) = bytes.first_mut() {
            *byte = first;
        }
        let length = bytes.len();
        clamp(&mut bytes, longest, false);
        prop_assert_eq!(bytes.len(), length);
    }
}
