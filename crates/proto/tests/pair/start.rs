//! How a channel comes up, and how it does not.

use std::time::Duration;

use meshtun_proto::Suite;
use meshtun_proto::channel::{DownReason, HandshakeError, Peer, State, Unmatched};
use meshtun_proto::noise::NoiseError;
use meshtun_testkit::Path;

use super::world::*;

/// Between two meshtuns a handshake is tried this often, give or take 30 %.
const RETRY: Duration = Duration::from_millis(700);

/// The gaps between initiations.
fn gaps(initiations: &[Duration]) -> Vec<Duration> {
    initiations.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

fn assert_gaps(initiations: &[Duration], every: Duration) {
    let gaps = gaps(initiations);
    assert!(gaps.iter().all(|gap| (every * 7 / 10..=every * 13 / 10).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().max().unwrap().abs_diff(*gaps.iter().min().unwrap()) > every / 10, "they are jittered");
}

#[test]
fn a_channel_is_up_three_round_trips_after_its_first_initiation() {
    let mut world = World::new(1, Setup::pair());
    world.start(A);
    world.run_until(World::both_up);
    let initiation = world.ends[A].log.initiations[0];
    assert!(initiation <= 100 * MS, "the start is jittered by at most 100 ms");
    assert_eq!(world.ends[A].log.ups, [initiation + 6 * LATENCY], "initiation, response, hello, answer, probe, reply");
    assert_eq!(world.ends[B].log.ups, [initiation + 7 * LATENCY], "and the word that this end is up");
    assert_eq!(world.ends[A].log.handshakes, [4 * LATENCY]);
    assert_eq!(world.ends.iter().map(|end| end.log.initiations.len()).sum::<usize>(), 1);
    assert!(world.agree());
}

#[test]
fn a_plain_wireguard_pair_is_up_one_round_trip_after_the_first_initiation() {
    let mut world = World::new(1, Setup::plain_pair());
    world.start(A);
    world.run_until(World::both_up);
    let initiation = world.ends[A].log.initiations[0];
    assert_eq!(world.ends[A].log.ups, [initiation + 2 * LATENCY], "initiation, response");
    assert_eq!(world.ends[B].log.ups, [initiation + 3 * LATENCY], "the confirming keepalive");
    assert!(world.agree());
    assert_eq!(world.ends[A].log.hellos + world.ends[B].log.hellos, 0, "nothing of ours is said");
}

#[test]
fn a_channel_comes_up_under_loss_reordering_and_duplication() {
    for seed in 0..40 {
        let mut path = Path::after(20 * MS);
        (path.loss, path.reordering, path.duplication, path.jitter) = (0.3, 0.3, 0.3, 20 * MS);
        let mut world = World::over(path, seed, Setup::pair());
        world.start(A);
        world.start(B);
        let took = world.run_until(World::both_up);
        assert!(took < 10 * SECOND, "seed {seed}: {took:?}");
    }
}

#[test]
fn a_channel_comes_up_over_corrupting_links() {
    for seed in 0..10 {
        let mut path = Path::after(20 * MS);
        path.corruption = 0.3;
        let mut world = World::over(path, seed, Setup::pair());
        world.start(A);
        world.start(B);
        assert!(world.run_until(World::both_up) < 60 * SECOND);
    }
}

#[test]
fn a_path_that_is_slower_than_the_retries_costs_no_more_than_its_round_trips() {
    for seed in 0..10 {
        let latency = 700 * MS;
        let mut world = World::over(Path::after(latency), seed, Setup::pair());
        world.start(A);
        assert!(world.run_until(World::both_up) <= 100 * MS + 7 * latency);
        let mut world = World::over(Path::after(latency), seed, Setup::pair());
        world.start(A);
        world.start(B);
        assert!(world.run_until(World::both_up) <= 100 * MS + 9 * latency, "crossed, too");
    }
}

#[test]
fn who_has_answered_leaves_the_initiative_to_the_peer() {
    for seed in 0..10 {
        let mut world = World::over(Path::after(300 * MS), seed, Setup::pair());
        world.start(A);
        world.run_until(|world| world.ends[B].sessions() == 1);
        world.start(B);
        world.run_until(World::both_up);
        assert_eq!(world.ends[B].log.initiations, []);
    }
}

#[test]
fn an_answer_that_was_lost_leaves_no_session_behind() {
    let mut world = World::new(1, Setup::pair());
    let mut responses = 0;
    world.censor = Some(Box::new(move |_, datagram| {
        responses += u32::from(datagram.bytes[0] == 2);
        datagram.bytes[0] == 2 && responses == 1
    }));
    world.start(A);
    world.run_until(World::both_up);
    assert_eq!((world.ends[A].sessions(), world.ends[B].sessions()), (1, 1));
}

#[test]
fn both_suites_carry_packets_both_ways() {
    for suite in [Suite::ChaCha20Poly1305, Suite::Aes256Gcm] {
        let setups = Setup::pair().map(|setup| Setup { suite, preshared_key: [9; 32], ..setup });
        let mut world = World::up_over(Path::after(LATENCY), 1, setups);
        world.ends.iter_mut().for_each(|end| end.sends_every = Some(10 * MS));
        world.run(SECOND);
        world.assert_nothing_lost(A, B);
        world.assert_nothing_lost(B, A);
    }
}

#[test]
fn a_wrong_preshared_key_never_comes_up_and_is_retried_for_ever() {
    let [a, b] = Setup::pair();
    let mut world = World::new(1, [Setup { preshared_key: [1; 32], ..a }, b]);
    world.start(A);
    world.run(600 * SECOND);
    assert_eq!(world.ends[A].log.ups.len() + world.ends[B].log.ups.len(), 0);
    assert_gaps(&world.ends[A].log.initiations, RETRY);
    assert!((800..=920).contains(&world.ends[A].log.initiations.len()));
    assert_eq!(world.ends[A].channel.last_error(), Some(HandshakeError::Noise(NoiseError::Forged)));
    assert_eq!(world.ends[A].channel.state(), State::Handshaking);
    assert!(world.ends[B].log.most_sessions <= 3, "what nobody confirms makes room");
}

#[test]
fn a_wrong_key_never_comes_up_and_is_retried_for_ever() {
    let [a, b] = Setup::pair();
    let mut world = World::new(1, [a, Setup { peer_secret: [3; 32], ..b }]);
    world.start(A);
    world.start(B);
    world.run(600 * SECOND);
    assert_eq!(world.ends[A].log.ups.len() + world.ends[B].log.ups.len(), 0);
    assert_gaps(&world.ends[A].log.initiations, RETRY);
    assert_gaps(&world.ends[B].log.initiations, RETRY);
    assert_eq!(world.ends[B].channel.last_error(), Some(HandshakeError::Noise(NoiseError::UnknownPeer)));
    assert_eq!((world.ends[A].sessions(), world.ends[B].sessions()), (0, 0));
}

#[test]
fn a_peer_that_is_not_there_is_tried_for_ever() {
    let mut world = World::started(1);
    world.block_both(true);
    world.run(3600 * SECOND);
    assert_gaps(&world.ends[A].log.initiations, RETRY);
    world.block_both(false);
    assert!(world.run_until(World::both_up) < 910 * MS + 7 * LATENCY);
}

#[test]
fn a_cipher_that_differs_is_named() {
    let [a, b] = Setup::pair();
    let mut world = World::new(1, [a, Setup { suite: Suite::Aes256Gcm, ..b }]);
    world.start(A);
    world.run(5 * SECOND);
    let error = world.ends[B].channel.last_error().unwrap();
    let expected = HandshakeError::OtherSuite { ours: Suite::Aes256Gcm, theirs: Suite::ChaCha20Poly1305 };
    assert_eq!(error, expected);
    assert!(error.to_string().contains("the other end uses the cipher chacha20-poly1305, this end aes-256-gcm"));
}

#[test]
fn a_hello_that_does_not_match_is_reported_at_both_ends_with_both_names() {
    let [a, b] = Setup::pair();
    let mut world = World::new(1, [a, b.named("east", 1)]);
    world.start(A);
    world.start(B);
    world.run(200 * SECOND);
    for (end, ours, theirs) in [(A, "nq/0", "east/1"), (B, "east/1", "nq/0")] {
        let end = &world.ends[end];
        assert!(end.log.unmatched.iter().all(|(_, why)| matches!(why, Unmatched::Name { .. })));
        let words = end.channel.unmatched().unwrap().to_string();
        assert!(words.contains(&format!("this end is {ours}, but the other end says {theirs}")), "{words}");
        assert_eq!((end.log.admits, end.log.uses.len(), end.log.ups.len()), (0, 0, 0));
    }
    let mut initiations = [&world.ends[A].log.initiations[..], &world.ends[B].log.initiations[..]].concat();
    initiations.sort_unstable();
    assert!(initiations.len() < 40, "the retries are slow: {}", initiations.len());
}

#[test]
fn a_channel_that_only_one_end_has_is_retried_slowly_once_it_answers_as_another() {
    let [a, b] = Setup::pair();
    let mut world = World::new(1, [a.named("nq", 7), b]);
    world.start(A);
    world.run(200 * SECOND);
    assert_gaps(&world.ends[A].log.initiations, 10 * SECOND);
}

#[test]
fn a_peer_that_never_says_hello_is_reported_and_gets_nothing() {
    let [a, b] = Setup::pair();
    let mut world = World::new(1, [a, Setup { peer: Peer::WireGuard, ..b }]);
    world.start(A);
    world.ends[A].sends_every = Some(100 * MS);
    world.ends[B].sends_every = Some(100 * MS);
    world.run(60 * SECOND);
    world.run_until(|world| world.ends[A].channel.state() != State::Greeting);
    assert_eq!(world.ends[A].channel.unmatched(), Some(&Unmatched::NoHello));
    assert_eq!(world.ends[A].log.received, [], "nothing passes before the hello");
    assert_eq!(world.ends[B].log.received, [], "nothing is sent before the hello");
    assert!(world.ends[A].log.refused > 0, "though the other end did send");
    assert_eq!(world.ends[A].log.hellos, 3 * world.ends[A].log.unmatched.len(), "three for each session");
}

#[test]
fn a_single_lost_exchange_of_hellos_is_made_good_at_once() {
    let mut world = World::new(1, Setup::pair());
    world.censor = Some(Box::new(|_, datagram| datagram.bytes[0] == 4));
    world.start(A);
    world.run_until(|world| !world.ends[A].log.unmatched.is_empty());
    world.censor = None;
    assert!(world.run_until(World::both_up) < 910 * MS + 7 * LATENCY);
    assert_eq!(world.ends[A].channel.unmatched(), None);
}

#[test]
fn a_peer_that_was_restarted_is_heard_again_at_once() {
    let mut world = World::up(1);
    world.run(50 * SECOND);
    for _ in 0..3 {
        world.restart(B);
        let took = world.run_until(|world| world.agree() && world.both_up());
        assert!(took <= 100 * MS + 7 * LATENCY, "{took:?}");
        world.ends[A].log.sent.clear();
        world.ends[B].log.received.clear();
        world.ends[A].sends_every = Some(10 * MS);
        world.run(SECOND);
        world.assert_nothing_lost(A, B);
    }
    let reasons: Vec<_> = world.ends[A].log.downs.iter().map(|(_, reason)| *reason).collect();
    assert_eq!(reasons, [DownReason::PeerRestarted; 3], "as soon as it says so, and for two round trips");
}

#[test]
fn a_restarted_peer_comes_back_though_its_clock_went_back_a_day() {
    let mut world = World::up(1);
    world.run(10 * SECOND);
    let wall = world.clock.wall();
    world.clock.set_wall(wall - 24 * 3600 * SECOND);
    world.restart(A);
    assert!(world.run_until(|world| world.ends[B].log.downs.len() == 1) <= 100 * MS + 3 * LATENCY);
    assert!(world.run_until(|world| world.agree() && world.both_up()) <= 5 * LATENCY);
}

#[test]
fn an_end_without_an_endpoint_waits_and_learns_it_from_the_first_hello() {
    let [a, b] = Setup::pair();
    let mut world = World::new(1, [a, Setup { peer_address: None, ..b }]);
    world.start(B);
    world.run(10 * SECOND);
    assert_eq!(world.ends[B].channel.state(), State::Down);
    assert_eq!(world.ends[B].log.initiations, []);
    world.start(A);
    world.run_until(World::both_up);
    assert_eq!(world.ends[B].log.endpoints, [world.ends[A].setup.address]);
}

#[test]
fn an_address_that_changed_is_reported_once_the_peer_proved_itself() {
    let mut world = World::up(1);
    let new = "198.51.100.9:7777".parse().unwrap();
    world.ends[A].setup.address = new;
    world.restart(A);
    assert_eq!(world.ends[B].log.endpoints.last(), Some(&"192.0.2.1:6000".parse().unwrap()));
    world.run_until(|world| world.agree() && world.both_up());
    assert_eq!(world.ends[B].endpoint, Some(new));
}

#[test]
fn under_load_a_cookie_is_asked_for_and_the_next_attempt_bears_it() {
    let mut world = World::new(1, Setup::pair());
    world.ends[B].under_load = true;
    world.start(A);
    let took = world.run_until(World::both_up);
    assert!(took <= 100 * MS + 910 * MS + 7 * LATENCY, "{took:?}");
    assert_eq!(world.ends[B].log.cookies, 1);
    assert_eq!(world.ends[A].log.initiations.len(), 2);
}

#[test]
fn two_ends_under_load_come_up() {
    let mut world = World::started(1);
    world.ends.iter_mut().for_each(|end| end.under_load = true);
    let took = world.run_until(World::both_up);
    assert!(took < 6 * SECOND, "{took:?}");
}
