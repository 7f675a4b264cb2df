//! Going quietly: what is under way when an end leaves arrives nevertheless.

use std::time::Duration;

use meshtun_proto::channel::{LINGER, State};
use meshtun_proto::control::Reason;
use meshtun_testkit::Path;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::world::*;

/// Both ends send a packet each millisecond.
fn busy(path: Path) -> World {
    let mut world = World::up_over(path, 1, Setup::pair());
    world.ends.iter_mut().for_each(|end| end.sends_every = Some(MS));
    world.run(SECOND);
    world
}

#[test]
fn an_end_that_leaves_under_load_loses_no_packet_in_either_direction() {
    let mut world = busy(Path::after(100 * MS));
    world.call(A, |channel, now| channel.close(now, Reason::Down, Duration::ZERO));
    assert!(!world.ends[A].channel.has_ended(), "it goes on receiving");
    world.run(2 * LINGER);
    assert!(!world.ends[B].is_up());
    world.assert_nothing_lost(A, B);
    world.assert_nothing_lost(B, A);
    assert!(world.ends[A].channel.has_ended());
    assert_eq!((world.ends[A].sessions(), world.ends[B].sessions()), (0, 0));
    assert_eq!(world.ends[A].channel.poll_timeout(), None);
}

#[test]
fn a_goodbye_that_is_lost_is_said_again_and_still_no_packet_is_lost() {
    for lost in 1..=2 {
        let mut world = busy(Path::after(LATENCY));
        let mut left = lost;
        world.censor = Some(Box::new(move |_, datagram| {
            let from_a = datagram.from == Setup::pair()[A].address;
            let is_lost = from_a && left > 0;
            left -= usize::from(is_lost);
            is_lost
        }));
        world.call(A, |channel, now| channel.close(now, Reason::Down, Duration::ZERO));
        world.run(2 * LINGER);
        assert!(!world.ends[B].is_up());
        world.assert_nothing_lost(B, A);
    }
}

#[test]
fn a_revoked_peer_gets_nothing_more_and_is_heard_no_more() {
    let mut world = busy(Path::after(LATENCY));
    world.tap = Some(Vec::new());
    world.call(A, |channel, now| channel.revoke(now));
    let from_a = Setup::pair()[A].address;
    assert!(world.tap.take().into_iter().flatten().all(|datagram| datagram.from != from_a), "not even a goodbye");
    assert_eq!((world.ends[A].sessions(), world.ends[A].channel.state()), (0, State::Down));
    assert!(world.ends[A].channel.has_ended());
    assert_eq!(world.ends[A].channel.poll_timeout(), None);
}

#[test]
fn an_end_that_comes_back_while_its_peer_lingers_is_up_at_once() {
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..50 {
        let mut world = busy(Path::after(LATENCY));
        for _ in 0..5 {
            world.call(A, |channel, now| channel.close(now, Reason::Restarting, 2 * SECOND));
            world.run(MS * rng.random_range(0..200));
            world.restart(A);
            assert!(world.run_until(World::both_up) <= 100 * MS + 7 * LATENCY);
            world.run(MS * rng.random_range(0..400));
        }
        assert!(world.ends.iter().all(|end| end.log.most_sessions <= 4));
    }
}
