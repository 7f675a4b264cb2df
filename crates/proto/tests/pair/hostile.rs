//! Replays, cross-wiring, garbage and floods.

use std::net::SocketAddr;
use std::time::Instant;

use meshtun_proto::LocalIdentity;
use meshtun_proto::channel::{Channel, HELLO_VERSION, HandshakeError, Output, SessionInfo, State, Unmatched};
use meshtun_proto::control::{Frame, Signal};
use meshtun_proto::cookie::CookieJar;
use meshtun_proto::message::{Handshake, Initiation, Response};
use meshtun_proto::noise::NoiseError;
use meshtun_testkit::Datagram;
use proptest::prelude::*;

use super::world::*;

fn attacker() -> SocketAddr {
    "203.0.113.66:666".parse().unwrap()
}

/// All that can be seen of a channel.
fn snapshot(channel: &Channel) -> (State, Option<SessionInfo>, Option<Instant>, Option<Unmatched>) {
    (channel.state(), channel.established(), channel.poll_timeout(), channel.unmatched().cloned())
}

/// The datagrams of the handshake of a pair that came up.
fn recorded(world: &mut World, kind: u8) -> Vec<Datagram> {
    world.tap.take().unwrap().into_iter().filter(|datagram| datagram.bytes[0] == kind).collect()
}

fn tapped(seed: u64) -> World {
    let mut world = World::new(seed, Setup::pair());
    world.tap = Some(Vec::new());
    world.start(A);
    world
}

#[test]
fn a_replayed_handshake_changes_nothing() {
    let mut world = tapped(1);
    world.run_until(World::both_up);
    let messages = world.tap.take().unwrap();
    let now = world.clock.now();
    for message in messages.into_iter().filter(|message| message.bytes[0] < 4) {
        for from in [message.from, attacker()] {
            let end = if message.to == world.ends[A].setup.address { A } else { B };
            let channel = &mut world.ends[end].channel;
            let before = snapshot(channel);
            assert!(channel.handle_handshake(now, from, &message.bytes, false).is_err());
            assert!(channel.poll_output().is_none());
            assert_eq!(snapshot(channel), before);
        }
    }
}

/// A handshake message as an attacker can make it who knows the receiver's public key, and has
/// seen the true one: with a right MAC1.
fn forged<M: Handshake>(mut message: M, receiver: &Setup, now: Instant) -> Vec<u8> {
    let receiver = LocalIdentity::new(receiver.secret).public_key();
    CookieJar::new(&receiver).add_macs(now, &mut message);
    message.as_bytes().to_vec()
}

#[test]
fn a_forged_response_with_a_right_mac1_does_not_spoil_the_true_one() {
    let mut world = tapped(1);
    world.censor = Some(Box::new(|_, datagram| datagram.bytes[0] == 2));
    world.run_while(SECOND, |world| world.ends[B].sessions() == 0);
    let original = recorded(&mut world, 2).remove(0);
    let mut response = Response::view(&original.bytes).unwrap().clone();
    response.sealed_nothing[0] ^= 1;
    let now = world.clock.now();
    let forged = forged(response, &world.ends[A].setup, now);
    let channel = &mut world.ends[A].channel;
    let before = snapshot(channel);
    for _ in 0..3 {
        let error = channel.handle_handshake(now, attacker(), &forged, false);
        assert_eq!(error, Err(HandshakeError::Noise(NoiseError::Forged)));
    }
    assert_eq!(snapshot(channel), before);
    assert_eq!(channel.handle_handshake(now, original.from, &original.bytes, false), Ok(()));
}

#[test]
fn a_forged_initiation_with_a_right_mac1_changes_nothing() {
    let mut world = tapped(1);
    world.run_until(World::both_up);
    let original = recorded(&mut world, 1).remove(0);
    let mut initiation = Initiation::view(&original.bytes).unwrap().clone();
    initiation.sealed_stamp[3] ^= 1;
    let now = world.clock.now();
    let forged = forged(initiation, &world.ends[B].setup, now);
    let channel = &mut world.ends[B].channel;
    let before = snapshot(channel);
    let error = channel.handle_handshake(now, attacker(), &forged, false);
    assert_eq!(error, Err(HandshakeError::Noise(NoiseError::Forged)));
    assert!(channel.poll_output().is_none());
    assert_eq!(snapshot(channel), before);
}

#[test]
fn a_session_that_matched_does_not_change_its_ends() {
    let mut world = World::up(1);
    let channel = &mut world.ends[B].channel;
    let session = channel.established().unwrap().index;
    let other = Frame::Hello {
        version: HELLO_VERSION,
        ack: true,
        features: 0,
        link: "east".into(),
        channel: 0,
        incarnation: 1,
        generation: 9,
        signal: Signal::default(),
    };
    let before = snapshot(channel);
    channel.handle_frame(world.clock.now(), world.clock.now(), session, &other.encode());
    assert!(channel.poll_output().is_none());
    assert_eq!(snapshot(channel), before);
}

#[test]
fn an_initiation_that_was_held_back_moves_neither_the_traffic_nor_the_endpoint() {
    let mut world = tapped(1);
    world.block_both(true);
    world.run(10 * SECOND);
    let held_back = recorded(&mut world, 1);
    world.block_both(false);
    world.run_until(World::both_up);
    world.restart(B); // So that it knows no stamp.
    world.censor = Some(Box::new(|_, datagram| datagram.bytes[0] == 1));
    world.ends.iter_mut().for_each(|end| end.sends_every = Some(10 * MS));
    world.run(SECOND);
    for message in held_back {
        world.deliver(Datagram { from: attacker(), ..message });
    }
    world.run(5 * SECOND);
    assert!(!world.ends[B].is_up(), "nobody can confirm it");
    assert_eq!(world.ends[B].endpoint, Some(world.ends[A].setup.address));
    assert_eq!(world.ends[B].log.admits, 1, "only the one that came up before");
}

/// Channels 0 and 1 of one link: the ends A and B, and two more with the same keys.
fn two_channels() -> World {
    let second = Setup::pair().map(|setup| {
        let other = |address: SocketAddr| SocketAddr::new(address.ip(), 6001);
        let (address, peer_address) = (other(setup.address), setup.peer_address.map(other));
        Setup { address, peer_address, ..setup }.named("nq", 1)
    });
    World::new(1, Setup::pair().into_iter().chain(second))
}

#[test]
fn a_replayed_initiation_of_channel_0_at_channel_1_lets_no_packet_pass() {
    let mut world = two_channels();
    world.tap = Some(Vec::new());
    (0..4).for_each(|end| world.start(end));
    world.run(SECOND);
    world.ends.iter_mut().for_each(|end| end.sends_every = Some(10 * MS));
    world.run(SECOND);
    world.tap = Some(Vec::new());
    world.restart(A);
    world.run(SECOND);
    // Fresh initiations of channel 0, its stamp later than any that channel 1 saw.
    let initiations = recorded(&mut world, 1);
    assert!(!initiations.is_empty());
    let admitted = world.ends[3].log.admits;
    for initiation in initiations {
        world.deliver(Datagram { from: attacker(), to: world.ends[3].setup.address, ..initiation });
    }
    assert!(world.ends[3].sessions() > 1, "it is answered, as far as that goes");
    world.run(10 * SECOND);
    assert_eq!(world.ends[3].log.admits, admitted);
    assert_eq!(world.ends[3].endpoint, Some(world.ends[2].setup.address), "and its endpoint stays");
    let end = &world.ends[3];
    assert!(end.log.received.iter().all(|number| world.ends[2].log.sent.contains(number)));
    assert!(end.is_up() && world.ends[2].is_up());
}

#[test]
fn two_channels_whose_datagrams_are_swapped_never_carry_a_packet() {
    let mut world = two_channels();
    // An attacker on the way forwards everything of channel 0 to channel 1 and the other way round.
    let addresses: Vec<_> = world.ends.iter().map(|end| end.setup.address).collect();
    for (end, crossed) in [(0, 3), (3, 0), (1, 2), (2, 1)] {
        world.ends[end].endpoint = Some(addresses[crossed]);
    }
    world.ends.iter_mut().for_each(|end| end.sends_every = Some(10 * MS));
    (0..4).for_each(|end| world.start(end));
    world.run(120 * SECOND);
    for end in &world.ends {
        assert_eq!((end.log.ups.len(), end.log.admits, end.log.received.len()), (0, 0, 0));
        assert!(matches!(end.channel.unmatched(), Some(Unmatched::Name { .. })));
    }
}

#[test]
fn a_flood_under_load_costs_a_cookie_each_and_nothing_else() {
    let mut world = tapped(1);
    world.run_until(World::both_up);
    let initiation = recorded(&mut world, 1).remove(0);
    let now = world.clock.now();
    let channel = &mut world.ends[B].channel;
    let before = snapshot(channel);
    for port in 1..1000 {
        let from = SocketAddr::new(attacker().ip(), port);
        assert!(channel.handle_handshake(now, from, &initiation.bytes, true).is_err());
        let outputs: Vec<_> = std::iter::from_fn(|| channel.poll_output()).collect();
        assert!(matches!(&outputs[..], [Output::Transmit { datagram, .. }] if datagram.len() == 64));
    }
    assert_eq!(snapshot(channel), before);
}

/// A change to a datagram.
#[derive(Debug, Clone)]
enum Mutation {
    Flip(prop::sample::Index, u8),
    Truncate(prop::sample::Index),
    Extend(Vec<u8>),
    Overwrite(prop::sample::Index, u8),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        (any::<prop::sample::Index>(), 0..8u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        any::<prop::sample::Index>().prop_map(Mutation::Truncate),
        prop::collection::vec(any::<u8>(), 1..200).prop_map(Mutation::Extend),
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Overwrite(at, byte)),
    ]
}

impl Mutation {
    /// Applied to all but the last 16 bytes: MAC2, which counts only under load.
    fn apply(&self, bytes: &mut Vec<u8>) {
        let covered = bytes.len() - 16;
        match self {
            Mutation::Flip(at, bit) => bytes[at.index(covered)] ^= 1 << bit,
            Mutation::Truncate(at) => bytes.truncate(at.index(covered)),
            Mutation::Extend(more) => bytes.extend(more),
            Mutation::Overwrite(at, byte) => bytes[at.index(covered)] = *byte,
        }
    }
}

/// Gives mutations of the next message of a handshake to whom it is for, and then itself.
fn mutate_on_the_way(kind: u8, mutations: &[Mutation]) {
    let mut world = tapped(1);
    world.ends[B].under_load = kind == 3;
    world.run_while(60 * SECOND, |world| !world.tap.as_ref().unwrap().iter().any(|sent| sent.bytes[0] == kind));
    let original = recorded(&mut world, kind).remove(0);
    let now = world.clock.now();
    let end = if original.to == world.ends[A].setup.address { A } else { B };
    let channel = &mut world.ends[end].channel;
    for mutation in mutations {
        let mut bytes = original.bytes.clone();
        mutation.apply(&mut bytes);
        if bytes == original.bytes {
            continue;
        }
        let before = snapshot(channel);
        assert!(channel.handle_handshake(now, original.from, &bytes, false).is_err());
        assert!(channel.poll_output().is_none());
        assert_eq!(snapshot(channel), before);
    }
    assert!(channel.handle_handshake(now, original.from, &original.bytes, false).is_ok(), "the true one still counts");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_mutation_of_a_handshake_message_changes_anything(
        kind in 1..=3u8,
        mutations in prop::collection::vec(mutation(), 1..20),
    ) {
        mutate_on_the_way(kind, &mutations);
    }

    #[test]
    fn garbage_changes_nothing(
        datagrams in prop::collection::vec((1..=5u8, prop::collection::vec(any::<u8>(), 0..300)), 1..20),
        lengths: bool,
        under_load: bool,
    ) {
        let mut world = World::up(1);
        let now = world.clock.now();
        let channel = &mut world.ends[A].channel;
        let before = snapshot(channel);
        for (kind, mut bytes) in datagrams {
            if lengths {
                bytes.resize([0, 148, 92, 64, 80, 10][usize::from(kind)], 0);
                bytes[..4].copy_from_slice(&[kind, 0, 0, 0]);
            }
            prop_assert!(channel.handle_handshake(now, attacker(), &bytes, under_load).is_err());
            prop_assert!(channel.poll_output().is_none());
        }
        prop_assert_eq!(snapshot(channel), before);
    }

    #[test]
    fn what_is_no_frame_changes_nothing(
        frames in prop::collection::vec((0..8u8, prop::collection::vec(any::<u8>(), 0..80)), 1..20),
        is_known: bool,
        is_marked: bool,
    ) {
        let mut world = World::up(1);
        let now = world.clock.now();
        let channel = &mut world.ends[B].channel;
        let before = snapshot(channel);
        let session = channel.established().unwrap().index ^ u32::from(!is_known);
        for (kind, mut frame) in frames {
            if is_marked {
                frame.splice(0..0, [0xC0, kind]);
            }
            if is_known && Frame::decode(&frame).is_ok() {
                continue;
            }
            channel.handle_frame(now, now, session, &frame);
            prop_assert!(channel.poll_output().is_none());
        }
        prop_assert_eq!(snapshot(channel), before);
    }

    #[test]
    fn a_hello_that_is_cut_short_is_no_hello(len in 0..34usize) {
        let mut world = World::new(1, Setup::pair());
        world.censor = Some(Box::new(|_, datagram| datagram.bytes[0] == 4));
        world.start(A);
        world.run_until(|world| world.ends[A].channel.state() == State::Greeting);
        let hello = Frame::Hello {
            version: HELLO_VERSION,
            ack: true,
            features: 0,
            link: "nq".into(),
            channel: 0,
            incarnation: 1,
            generation: 1,
            signal: Signal::default(),
        };
        let hello = hello.encode();
        let channel = &mut world.ends[A].channel;
        let before = snapshot(channel);
        for session in 0..3 {
            let (now, cut) = (world.clock.now(), len.min(hello.len() - 1));
            channel.handle_frame(now, now, session, &hello[..cut]);
            prop_assert!(channel.poll_output().is_none());
        }
        prop_assert_eq!(snapshot(channel), before);
    }
}
