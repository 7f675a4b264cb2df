//! Renewal, expiry, keepalives, silence and goodbye.

use std::time::Duration;

use meshtun_proto::Suite;
use meshtun_proto::channel::liveness::Settings;
use meshtun_proto::channel::{Channel, DownReason, LINGER, State};
use meshtun_proto::control::{Frame, Reason};
use meshtun_testkit::Path;

use super::world::*;

/// The model reports its counters this often, so what they cause may come so much later.
const REPORT: Duration = Duration::from_millis(250);

/// An inner packet is 28 bytes of headers and 4 of payload, in 32 bytes of transport message.
const INNER: usize = 64;

fn both_send(world: &mut World, every: Duration) {
    world.ends.iter_mut().for_each(|end| end.sends_every = Some(every));
}

fn assert_within(time: Duration, from: Duration, slack: Duration) {
    assert!((from..=from + slack).contains(&time), "{time:?} is not within {slack:?} after {from:?}");
}

#[test]
fn a_session_is_renewed_at_120_s_by_its_initiator_alone_and_no_packet_is_lost() {
    let mut world = World::up(1);
    let established = world.ends[A].log.initiations[0] + 2 * LATENCY;
    both_send(&mut world, 10 * MS);
    world.run(600 * SECOND);
    assert_eq!(world.ends[B].log.initiations, [], "a responder does not renew");
    assert_eq!(world.ends[A].log.initiations[1], established + 120 * SECOND);
    assert_eq!((world.ends[A].uses(), world.ends[B].uses()), (5, 5), "one session in 120 s");
    assert!(world.agree());
    world.assert_nothing_lost(A, B);
    world.assert_nothing_lost(B, A);
}

#[test]
fn the_end_with_the_higher_number_renews_what_it_initiated() {
    let mut world = World::new(1, Setup::pair());
    world.start(B);
    world.run_until(World::both_up);
    world.start(A);
    both_send(&mut world, 10 * MS);
    world.run(600 * SECOND);
    assert_eq!((world.ends[A].log.initiations.len(), world.ends[B].log.initiations.len()), (0, 5));
    world.assert_nothing_lost(A, B);
    world.assert_nothing_lost(B, A);
}

#[test]
fn a_renewal_loses_no_packet_whichever_of_its_messages_is_lost() {
    for lost in 0..8 {
        let mut world = World::up(1);
        both_send(&mut world, 10 * MS);
        world.run(119 * SECOND);
        let mut seen = 0;
        world.censor = Some(Box::new(move |_, datagram| {
            seen += usize::from(datagram.bytes.len() != INNER);
            seen == lost + 1 && datagram.bytes.len() != INNER
        }));
        world.run(40 * SECOND);
        assert!(world.agree(), "message {lost} was lost");
        assert_eq!(world.ends[A].log.downs, []);
        world.assert_nothing_lost(A, B);
        world.assert_nothing_lost(B, A);
    }
}

#[test]
fn renewals_between_plain_wireguard_ends_lose_no_packet() {
    let mut world = World::up_over(Path::after(LATENCY), 1, Setup::plain_pair());
    both_send(&mut world, 10 * MS);
    world.run(600 * SECOND);
    assert_eq!((world.ends[A].uses(), world.ends[B].uses()), (5, 5));
    world.assert_nothing_lost(A, B);
    world.assert_nothing_lost(B, A);
}

#[test]
fn an_initiator_that_only_receives_renews_at_165_s() {
    let mut world = World::up(1);
    let established = world.ends[A].log.initiations[0] + 2 * LATENCY;
    world.ends[B].sends_every = Some(SECOND);
    world.run(175 * SECOND);
    assert_eq!(world.ends[A].log.initiations[1..], [established + 165 * SECOND]);
    assert_eq!(world.ends[B].log.initiations, []);
    world.assert_nothing_lost(B, A);
}

#[test]
fn an_idle_channel_keeps_a_session_for_ever() {
    let probe = Settings { interval: 30 * SECOND, ..Settings::default() };
    let mut world = World::up_over(Path::after(LATENCY), 1, Setup::pair().map(|setup| Setup { probe, ..setup }));
    world.run(24 * 3600 * SECOND);
    assert!(world.agree());
    assert_eq!((world.ends[A].log.ups.len(), world.ends[B].log.ups.len()), (1, 1));
    assert_eq!(world.ends[B].log.initiations, [], "the initiator does it in time");
    assert_eq!(world.ends[A].log.keepalives, [], "there is nothing to answer");
}

#[test]
fn a_responder_renews_between_165_and_175_s_when_its_initiator_does_not() {
    for seed in 0..5 {
        let mut world = World::up(seed);
        let established = world.ends[A].log.initiations[0] + LATENCY;
        both_send(&mut world, SECOND);
        world.censor =
            Some(Box::new(|_, datagram| datagram.bytes[0] == 1 && datagram.from.ip().to_string() == "192.0.2.1"));
        world.run(179 * SECOND);
        let [initiation] = world.ends[B].log.initiations[..] else { panic!("{:?}", world.ends[B].log.initiations) };
        assert_within(initiation, established + 165 * SECOND, 10 * SECOND);
        world.assert_nothing_lost(A, B);
        world.assert_nothing_lost(B, A);
    }
}

#[test]
fn a_session_dies_at_180_s() {
    for seed in 0..5 {
        let mut world = World::up(seed);
        let initiation = world.ends[A].log.initiations[0];
        world.run(100 * SECOND);
        world.block_both(true);
        world.run(79 * SECOND);
        assert_eq!((world.ends[A].sessions(), world.ends[B].sessions()), (1, 1), "probes go on under it");
        world.run(121 * SECOND);
        for (end, established) in [(A, initiation + 2 * LATENCY), (B, initiation + LATENCY)] {
            let end = &world.ends[end];
            let retry = end.log.initiations.iter().find(|at| **at >= established + 180 * SECOND).unwrap();
            assert_within(*retry, established + 180 * SECOND, 910 * MS);
            assert_eq!((end.sessions(), end.channel.state()), (0, State::Handshaking));
        }
        world.block_both(false);
        let took = world.run_until(World::both_up);
        assert!(took < 910 * MS + 8 * LATENCY, "{took:?}");
    }
}

#[test]
fn a_session_is_renewed_once_when_it_has_sealed_as_much_as_its_suite_allows() {
    for (suite, renewals) in [(Suite::Aes256Gcm, 1), (Suite::ChaCha20Poly1305, 0)] {
        let setups = Setup::pair().map(|setup| Setup { suite, ..setup });
        let mut world = World::up_over(Path::after(LATENCY), 1, setups);
        both_send(&mut world, 100 * MS);
        world.run(10 * SECOND);
        world.ends[B].traffic.sent_messages += 1 << 28;
        world.run(60 * SECOND);
        assert_eq!(world.ends[B].log.initiations.len(), renewals);
        world.assert_nothing_lost(A, B);
        world.assert_nothing_lost(B, A);
    }
}

#[test]
fn what_plain_wireguard_sends_is_answered_after_10_s() {
    let mut world = World::up_over(Path::after(LATENCY), 1, Setup::plain_pair());
    world.run(SECOND);
    let sent = world.elapsed();
    world.ends[A].sends_every = Some(3600 * SECOND);
    world.run(60 * SECOND);
    let [keepalive] = world.ends[B].log.keepalives[..] else { panic!("{:?}", world.ends[B].log.keepalives) };
    assert_within(keepalive, sent + LATENCY + 10 * SECOND, REPORT);
    assert_eq!(world.ends[A].log.keepalives.len(), 1, "the confirming one, and a keepalive is not answered");
    assert_eq!(world.ends[A].log.initiations.len(), 1, "and it spares a handshake");
}

#[test]
fn who_sends_anyway_sends_no_keepalive() {
    let mut world = World::up_over(Path::after(LATENCY), 1, Setup::plain_pair());
    both_send(&mut world, 5 * SECOND);
    world.run(3600 * SECOND);
    assert_eq!(world.ends[A].log.keepalives.len(), world.ends[A].uses(), "those that confirm a session");
    assert_eq!(world.ends[B].log.keepalives, []);
}

#[test]
fn plain_wireguard_is_tried_anew_when_what_was_sent_stays_unanswered_for_15_s() {
    let mut world = World::up_over(Path::after(LATENCY), 1, Setup::plain_pair());
    world.run(SECOND);
    world.block_both(true);
    let sent = world.elapsed();
    world.ends[A].sends_every = Some(SECOND);
    world.run(18 * SECOND);
    assert_within(world.ends[A].log.initiations[1], sent + 15 * SECOND, REPORT);
    assert!(world.ends[A].log.initiations.len() >= 3, "every second");
    world.block_both(false);
    let took = world.run_until(|world| world.ends[A].uses() == 2 && world.agree());
    assert!(took < 1300 * MS + 5 * LATENCY);
    assert_eq!(world.ends[A].log.downs, [], "it was in time");
}

#[test]
fn plain_wireguard_that_is_sent_to_and_not_heard_is_down_after_20_s_and_back_within_1300_ms() {
    for one_way in [false, true] {
        let mut world = World::up_over(Path::after(LATENCY), 1, Setup::plain_pair());
        world.run(SECOND);
        let cut = world.elapsed();
        world.block(B, A, true);
        world.block(A, B, !one_way);
        both_send(&mut world, 100 * MS);
        world.run(60 * SECOND);
        let [(down, DownReason::Silent)] = world.ends[A].log.downs[..] else { panic!("{:?}", world.ends[A].log.downs) };
        assert_within(down, cut + 20 * SECOND, REPORT);
        world.block_both(false);
        let took = world.run_until(World::both_up);
        assert!(took < 1300 * MS + 5 * LATENCY, "{took:?}");
    }
}

#[test]
fn plain_wireguard_to_which_nothing_is_sent_is_not_suspected() {
    let mut world = World::up_over(Path::after(LATENCY), 1, Setup::plain_pair());
    world.block_both(true);
    world.run(100 * SECOND);
    assert!(world.both_up());
}

#[test]
fn a_goodbye_takes_the_peer_down_with_its_reason_and_holds_it_off() {
    let mut world = World::up(1);
    both_send(&mut world, 100 * MS);
    world.run(SECOND);
    world.call(A, |channel, now| channel.close(now, Reason::Restarting, 2 * SECOND));
    let closed = world.elapsed();
    let initiations = world.ends[B].log.initiations.len();
    world.run(10 * SECOND);
    let reason = DownReason::Goodbye { reason: Reason::Restarting, hold: 2 * SECOND };
    assert_eq!(world.ends[B].log.downs, [(closed + LATENCY, reason)]);
    assert_eq!(reason.to_string(), "the peer said goodbye (restarting, hold 2000 ms)");
    assert!(world.ends[B].log.initiations[initiations] >= closed + LATENCY + 2 * SECOND);
    assert_eq!((world.ends[A].sessions(), world.ends[B].sessions()), (0, 0));
    assert_eq!(world.ends[A].log.downs, [(closed, DownReason::Closed)]);
    assert_eq!((world.ends[A].channel.state(), world.ends[A].channel.poll_timeout()), (State::Down, None));
    world.restart(A);
    assert!(world.run_until(World::both_up) <= 100 * MS + 5 * LATENCY, "it is not held off itself");
}

#[test]
fn a_peer_that_was_taken_down_is_tried_slowly() {
    let mut world = World::up(1);
    world.call(A, |channel, now| channel.close(now, Reason::Down, Duration::ZERO));
    world.run(600 * SECOND);
    assert!((50..80).contains(&world.ends[B].log.initiations.len()), "{:?}", world.ends[B].log.initiations.len());
}

#[test]
fn no_goodbye_holds_us_off_longer_than_a_minute() {
    let mut world = World::up(1);
    world.call(A, |channel, now| channel.close(now, Reason::Restarting, 3600 * SECOND));
    let closed = world.elapsed();
    world.run(62 * SECOND);
    assert_within(world.ends[B].log.initiations[0], closed + 60 * SECOND, SECOND);
}

#[test]
fn a_goodbye_under_an_older_session_counts_for_nothing() {
    let mut world = World::up(1);
    let old = world.ends[B].channel.established().unwrap().index;
    both_send(&mut world, SECOND);
    world.run(130 * SECOND);
    let new = world.ends[B].channel.established().unwrap().index;
    assert_ne!(old, new);
    let goodbye = Frame::Goodbye { reason: Reason::Down, hold_ms: 0 }.encode();
    let say = |session| {
        let goodbye = goodbye.clone();
        move |channel: &mut Channel, now| channel.handle_frame(now, now, session, &goodbye)
    };
    world.call(B, say(old));
    assert!(world.ends[B].is_up());
    world.call(B, say(new));
    assert!(!world.ends[B].is_up());
}

#[test]
fn a_plain_wireguard_peer_is_told_and_believed_no_goodbye() {
    let mut world = World::up_over(Path::after(LATENCY), 1, Setup::plain_pair());
    let session = world.ends[B].channel.established().unwrap().index;
    let goodbye = Frame::Goodbye { reason: Reason::Down, hold_ms: 0 }.encode();
    world.call(B, |channel, now| channel.handle_frame(now, now, session, &goodbye));
    assert!(world.ends[B].is_up());
    let messages = world.ends[A].traffic.sent_messages;
    world.call(A, |channel, now| channel.close(now, Reason::Down, Duration::ZERO));
    world.run(LINGER);
    assert_eq!(world.ends[A].traffic.sent_messages, messages);
    assert_eq!(world.ends[A].sessions(), 0);
}
