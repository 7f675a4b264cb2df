//! Both ends initiate at once, and any message may be lost.

use meshtun_proto::Suite;
use meshtun_testkit::{Datagram, Path};
use proptest::prelude::*;

use super::world::*;

/// Both ends are started so that their first initiations cross on a slow path.
fn crossed(seed: u64) -> World {
    let mut world = World::over(Path::after(200 * MS), seed, Setup::pair());
    world.start(A);
    world.start(B);
    world
}

/// Both ends use the same session, but for the moment that a renewal takes, and packets pass both
/// ways.
fn assert_converged(world: &mut World) {
    assert!(world.run_until(|world| world.both_up() && world.agree()) < SECOND);
    for end in [A, B] {
        world.ends[end].log.sent.clear();
        world.ends[1 - end].log.received.clear();
        world.ends[end].sends_every = Some(10 * MS);
    }
    world.run(SECOND);
    world.assert_nothing_lost(A, B);
    world.assert_nothing_lost(B, A);
    assert!(world.run_until(|world| world.both_up() && world.agree()) < SECOND, "and they go on agreeing");
}

#[test]
fn crossed_initiations_both_complete_and_the_lower_numbers_session_is_used() {
    for seed in 0..20 {
        let mut world = crossed(seed);
        world.run(3 * SECOND);
        assert_eq!((world.ends[A].log.admits, world.ends[B].log.admits), (2, 2), "both were completed");
        assert_converged(&mut world);
        let [a, b] = [A, B].map(|end| world.ends[end].channel.established().unwrap().initiated_by_us);
        assert_eq!((a, b), (true, false));
    }
}

#[test]
fn crossed_initiations_need_no_more_than_the_first_three_round_trips() {
    let mut world = crossed(1);
    let took = world.run_until(World::both_up);
    assert!(took <= 100 * MS + 7 * 200 * MS, "{took:?}");
    assert_eq!((world.ends[A].log.initiations.len(), world.ends[B].log.initiations.len()), (1, 1));
}

#[test]
fn crossed_renewals_lose_no_packet() {
    for seed in 0..20 {
        let setups = Setup::pair().map(|setup| Setup { suite: Suite::Aes256Gcm, ..setup });
        let mut world = World::up_over(Path::after(200 * MS), seed, setups);
        world.ends.iter_mut().for_each(|end| end.sends_every = Some(20 * MS));
        world.run(60 * SECOND);
        // Both have sealed as many messages as the suite allows before a renewal.
        world.ends.iter_mut().for_each(|end| end.traffic.sent_messages += 1 << 28);
        world.run(10 * SECOND);
        assert_eq!((world.ends[A].log.initiations.len(), world.ends[B].log.initiations.len()), (2, 1));
        assert_eq!((world.ends[A].log.admits, world.ends[B].log.admits), (3, 3), "both were completed");
        world.assert_nothing_lost(A, B);
        world.assert_nothing_lost(B, A);
        assert_converged(&mut world);
    }
}

#[test]
fn the_ends_converge_whichever_of_the_first_messages_are_lost() {
    // Bit n of the mask loses the n-th datagram.
    for mask in 0..1u32 << 9 {
        let mut world = crossed(mask.into());
        world.censor = Some(Box::new(move |number, _| number < 32 && mask >> number & 1 == 1));
        world.run(20 * SECOND);
        assert!(world.both_up() && world.agree(), "mask {mask:b}");
    }
}

#[test]
fn a_hello_of_the_peers_earlier_life_does_not_bring_back_a_dead_session() {
    let mut world = World::up(1);
    let b = world.ends[B].setup.address;
    world.tap = Some(Vec::new());
    world.censor = Some(Box::new(move |_, datagram| datagram.from == b && datagram.bytes[0] == 4));
    world.restart(A);
    world.run_until(|world| world.ends[B].log.admits == 2);
    let held_back = world.tap.take().unwrap().pop().unwrap();
    assert_eq!((held_back.from, held_back.bytes[0]), (b, 4), "the answer to A's hello");
    world.restart(B);
    world.run_until(|world| world.ends[A].sessions() == 2);
    world.censor = None;
    world.deliver(held_back);
    assert!(!world.ends[A].is_up(), "nobody answers under it");
    assert!(world.run_until(|world| world.both_up() && world.agree()) < SECOND);
}

#[test]
fn an_end_that_is_not_heard_in_the_better_session_asks_for_a_new_one() {
    let mut world = crossed(1);
    let [a, b] = [A, B].map(|end| world.ends[end].setup.address);
    let index = |datagram: &Datagram| u32::from_le_bytes(*datagram.bytes[4..].first_chunk().unwrap());
    let (mut answered, mut hellos) = (None, 0);
    world.censor = Some(Box::new(move |_, datagram| {
        if datagram.from == b && datagram.bytes[0] == 2 {
            answered.get_or_insert(index(datagram));
        }
        // Only the first hello under A's session passes, and none of its answers.
        let is_under = datagram.from == a && datagram.bytes[0] == 4 && answered == Some(index(datagram));
        hellos += u32::from(is_under);
        is_under && hellos > 1
    }));
    let took = world.run_until(|world| world.both_up() && world.agree());
    assert!((700 * MS..6 * SECOND).contains(&took), "{took:?}");
    let initiations: usize = world.ends.iter().map(|end| end.log.initiations.len()).sum();
    assert!(initiations > 2, "each end used the session that it initiated, and B did not hear A");
    assert_converged(&mut world);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_ends_converge_after_any_disorder(
        seed: u64,
        seconds in prop_oneof![4 => 1u32..10, 1 => 100u32..300],
        loss in 0.0..0.6f64,
        reordering in 0.0..0.5f64,
        duplication in 0.0..0.5f64,
        latency in 1u32..400,
        restarts in 0usize..3,
    ) {
        let mut path = Path::after(MS * latency);
        (path.loss, path.reordering, path.duplication) = (loss, reordering, duplication);
        // No hold-down keeps them apart when the disorder is over.
        let setups = Setup::pair().map(|mut setup| {
            setup.probe.hold_down = SECOND;
            setup
        });
        let mut world = World::over(path, seed, setups);
        world.start(A);
        world.start(B);
        world.ends.iter_mut().for_each(|end| end.sends_every = Some(SECOND));
        world.run(SECOND * seconds);
        world.ends.iter_mut().for_each(|end| end.sends_every = None);
        for restart in 0..restarts {
            world.restart(restart % 2);
            world.run(MS * 700);
        }
        let (a, b) = (world.ends[A].setup.address, world.ends[B].setup.address);
        *world.underlay.path(a, b) = Path::after(MS * latency);
        *world.underlay.path(b, a) = Path::after(MS * latency);
        world.run(SECOND * 30);
        assert_converged(&mut world);
    }
}
