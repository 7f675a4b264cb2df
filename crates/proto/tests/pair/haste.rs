//! An end that is told that the underlay is there again does not wait for its timers.

use std::time::Duration;

use meshtun_proto::control::Reason;

use super::world::*;

#[test]
fn after_an_outage_the_channel_is_back_as_soon_as_probes_allow_and_without_a_session_much_sooner() {
    // Three answers in a row that each end needs for itself, or the handshake and one.
    for (outage, within) in [(2 * SECOND, 850 * MS), (20 * SECOND, 850 * MS), (300 * SECOND, 300 * MS)] {
        for seed in 0..20 {
            let mut world = World::up(seed);
            world.run(5 * SECOND);
            world.block_both(true);
            world.run(outage + 53 * MS * seed as u32);
            assert!(!world.both_up());
            world.block_both(false);
            world.call(A, |channel, now| channel.hasten(now));
            let took = world.run_until(World::both_up);
            assert!(took <= within, "{took:?} after {outage:?}, seed {seed}");
        }
    }
}

#[test]
fn haste_without_need_changes_nothing() {
    let mut world = World::up(1);
    world.run(5 * SECOND);
    world.tap = Some(Vec::new());
    for _ in 0..1000 {
        world.call(A, |channel, now| channel.hasten(now));
    }
    world.run(MS);
    assert!(world.tap.is_some_and(|sent| sent.len() <= 2));
    assert!(world.ends[A].log.downs.is_empty());
}

#[test]
fn a_peer_that_asked_for_rest_has_it() {
    let mut world = World::up(1);
    world.run(5 * SECOND);
    world.call(B, |channel, now| channel.close(now, Reason::Down, Duration::ZERO));
    world.run(2 * SECOND);
    world.tap = Some(Vec::new());
    world.call(A, |channel, now| channel.hasten(now));
    world.run(200 * MS);
    assert_eq!(world.tap.map(|sent| sent.len()), Some(0));
}
