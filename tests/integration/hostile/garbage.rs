//! Datagrams that nobody's keys made.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use meshtun_proto::{
    LocalIdentity, Suite,
    channel::{Channel, ChannelConfig, Output, Peer},
    tai64n::Tai64n,
};
use netns_lab::trial;
use zeroize::Zeroizing;

use super::attack::Attack;
use crate::bed::{eventually, ping};

/// Around every length that means something: types, headers, tags, the handshake messages, the underlay's MTU, the most
/// that UDP can carry (in fragments).
const LENGTHS: [usize; 31] = [
    0, 1, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 91, 92, 93, 147, 148, 149, 576, 1420, 1471, 1472,
    1473, 9000, 65_506, 65_507,
];

#[test]
fn garbage_of_every_length_is_counted_as_malformed_and_ends_nothing() {
    trial::run_with_tun(|| {
        let attack = Attack::new();
        let mut random = Random(1);
        attack.expect(&[("malformed", 2 * 3 * LENGTHS.len() as u64)], |attack| {
            for length in LENGTHS {
                for first in [0, 5, 0xff] {
                    let mut datagram = random.bytes(length);
                    // Not by chance one of the four types.
                    datagram.first_mut().into_iter().for_each(|byte| *byte = first);
                    attack.send(&datagram);
                }
            }
        });
    });
}

#[test]
fn garbage_dressed_as_a_message_is_counted_under_what_it_lacks() {
    trial::run_with_tun(|| {
        let attack = Attack::new();
        let mut random = Random(2);
        let mut message = |kind: u8, length: usize| {
            let mut bytes = random.bytes(length);
            bytes[..4].copy_from_slice(&[kind, 0, 0, 0]);
            bytes
        };
        // Right types of wrong lengths, and reserved bytes that are not zero.
        let wrong: Vec<_> = [(1, 147), (1, 149), (2, 91), (2, 93), (3, 63), (3, 65), (4, 31), (4, 16), (4, 4)]
            .map(|(kind, length)| message(kind, length))
            .into_iter()
            .chain([(1, 148), (2, 92), (3, 64), (4, 128)].map(|(kind, length)| {
                let mut bytes = message(kind, length);
                bytes[3] = 1;
                bytes
            }))
            .collect();
        let transport: Vec<_> = [32, 48, 1452, 1472, 65_507].map(|length| message(4, length)).into();
        let (initiation, response, cookie) = (message(1, 148), message(2, 92), message(3, 64));
        let expected = [
            ("malformed", 2 * wrong.len() as u64),
            ("unknown-session", 2 * transport.len() as u64),
            ("handshake-wrong-mac1", 4),
            ("handshake-unasked", 2),
        ];
        attack.expect(&expected, |attack| {
            for datagram in wrong.iter().chain(&transport).chain([&initiation, &response, &cookie]) {
                attack.send(datagram);
            }
        });
    });
}

#[test]
fn trains_of_garbage_are_counted_datagram_by_datagram() {
    trial::run_with_tun(|| {
        let attack = Attack::new();
        let mut random = Random(3);
        // Full trains; one whose last datagram is short, one of single bytes.
        let trains = [(64, 1000, 64 * 1000), (44, 1472, 43 * 1472 + 5), (64, 1, 64)];
        let datagrams: u64 = trains.iter().map(|(datagrams, ..)| datagrams).sum();
        attack.expect(&[("malformed", datagrams)], |attack| {
            for (_, segment, length) in trains {
                let mut bytes = random.bytes(length);
                bytes.chunks_mut(segment).for_each(|datagram| datagram[0] = 0);
                attack.send_train(&bytes, segment);
            }
        });
        let mut transport = random.bytes(64 * 1000);
        transport.chunks_mut(1000).for_each(|datagram| datagram[..4].copy_from_slice(&[4, 0, 0, 0]));
        attack.expect(&[("unknown-session", 64)], |attack| attack.send_train(&transport, 1000));
    });
}

#[test]
fn a_flood_of_initiations_by_somebody_who_knows_the_public_key_leaves_the_channel_alone() {
    trial::run_with_tun(|| {
        let attack = Attack::new();
        let victim = attack.bed.keys[0].public().parse::<meshtun_config::PublicKey>().expect("a key of the lab").0;
        let flood: Vec<_> = (0..250).map(|number| initiation(victim, number)).collect();
        let before = attack.dropped();
        let count = |reasons: &[&str]| -> u64 {
            let now = attack.dropped();
            let more = |reason: &&str| now.get(*reason).unwrap_or(&0) - before.get(*reason).unwrap_or(&0);
            reasons.iter().map(more).sum()
        };
        flood.iter().for_each(|datagram| attack.send(datagram));
        eventually("each is counted", || {
            let full = ["handshake-forged", "handshake-under-load", "control-busy", "receive-buffer-full"];
            count(&full) == 2 * flood.len() as u64
        });
        assert!(count(&["handshake-forged"]) > 0, "the first ones are looked at");
        assert_eq!(attack.bed.channels(0)[0]["state"], "up");
        ping(attack.bed.host(0), attack.bed.addresses(1)[0]);
    });
}

/// An initiation with a right MAC1, by a gateway that is none of the mesh.
fn initiation(victim: [u8; 32], number: u8) -> Vec<u8> {
    let config = ChannelConfig {
        suite: Suite::ChaCha20Poly1305,
        identity: Arc::new(LocalIdentity::new([7; 32])),
        peer_key: victim,
        preshared_key: Zeroizing::new([0; 32]),
        peer: Peer::WireGuard,
        initiates: true,
        probe: Default::default(),
    };
    let now = Instant::now();
    let mut channel = Channel::new(config, now, [number; 32]);
    channel.start(now);
    channel.handle_timeout(now + Duration::from_secs(1), || Tai64n::from(SystemTime::now()));
    let outputs = std::iter::from_fn(|| channel.poll_output());
    let datagrams = outputs.filter_map(|output| match output {
        Output::Transmit { datagram, .. } => Some(datagram),
        _ => None,
    });
    datagrams.last().expect("a channel begins with an initiation")
}

/// The same bytes in every run (splitmix64).
struct Random(u64);

impl Random {
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 56) as u8
    }
}
