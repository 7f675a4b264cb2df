//! Detection in both directions, recovery, hold-down, and that the ends agree whatever is lost.

use std::time::Duration;

use meshtun_proto::channel::liveness::Settings;
use meshtun_proto::channel::{DownReason, State};
use meshtun_proto::control::Reason;
use meshtun_testkit::Path;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::world::*;

/// With the default settings.
const DETECTION: Duration = Duration::from_millis(750);
const INTERVAL: Duration = Duration::from_millis(250);

fn with_probe(probe: Settings) -> [Setup; 2] {
    Setup::pair().map(|setup| Setup { probe, ..setup })
}

/// A pair that is up and has measured its path.
fn settled(seed: u64) -> World {
    let mut world = World::up(seed);
    world.run(5 * SECOND);
    world
}

fn last_down(world: &World, end: usize) -> (Duration, DownReason) {
    *world.ends[end].log.downs.last().expect("it went down")
}

#[test]
fn both_ends_are_down_within_the_detection_time_whichever_direction_fails() {
    for (a_to_b, b_to_a) in [(true, false), (false, true), (true, true)] {
        for seed in 0..20 {
            let mut world = settled(seed);
            world.ends.iter_mut().for_each(|end| end.sends_every = Some(5 * MS));
            world.run(SECOND + MS * 13 * seed as u32);
            let cut = world.elapsed();
            world.block(A, B, a_to_b);
            world.block(B, A, b_to_a);
            world.run(3 * SECOND);
            for end in [A, B] {
                let (at, _) = last_down(&world, end);
                let took = at - cut;
                let earliest = DETECTION - 5 * MS;
                assert!((earliest..=DETECTION + 2 * LATENCY).contains(&took), "{took:?}, seed {seed}");
            }
            let reasons = [A, B].map(|end| last_down(&world, end).1);
            let (unheard, told) = (DownReason::NotHeard(DETECTION), DownReason::NotHeardByPeer);
            let expected = match (a_to_b, b_to_a) {
                (true, false) => [told, unheard],
                (false, true) => [unheard, told],
                _ => [unheard, unheard],
            };
            assert_eq!(reasons, expected);
        }
    }
}

#[test]
fn an_idle_channel_detects_as_well() {
    for seed in 0..20 {
        let mut world = settled(seed);
        world.run(MS * 37 * seed as u32);
        let cut = world.elapsed();
        world.block(A, B, true);
        world.run(3 * SECOND);
        for end in [A, B] {
            let took = last_down(&world, end).0 - cut;
            assert!((DETECTION - INTERVAL..=DETECTION + 2 * LATENCY).contains(&took), "{took:?}");
        }
    }
}

#[test]
fn the_longer_of_both_intervals_counts_at_both_ends() {
    let [a, b] = Setup::pair();
    let slow = Settings { interval: 2 * SECOND, ..Settings::default() };
    let mut world = World::up_over(Path::after(LATENCY), 1, [a, Setup { probe: slow, ..b }]);
    world.run(30 * SECOND);
    assert_eq!(world.ends[A].log.downs, [], "who probes four times a second waits for who does it every two");
    let cut = world.elapsed();
    world.block(A, B, true);
    world.block(B, A, true);
    world.run(20 * SECOND);
    for end in [A, B] {
        let took = last_down(&world, end).0 - cut;
        assert!((4 * SECOND..=6 * SECOND + 2 * LATENCY).contains(&took), "{took:?}");
    }
}

#[test]
fn probes_go_out_at_the_interval_less_up_to_a_quarter_whatever_else_flows() {
    for sends_every in [None, Some(MS)] {
        let mut world = settled(1);
        world.ends.iter_mut().for_each(|end| end.sends_every = sends_every);
        let before = world.ends[A].log.probes;
        world.run(100 * SECOND);
        let probes = world.ends[A].log.probes - before;
        assert!((445..=470).contains(&probes), "400 to 533, on average 457: {probes}");
    }
}

#[test]
fn a_single_lost_direction_of_probes_is_no_failure_while_packets_pass() {
    let mut world = settled(1);
    world.ends.iter_mut().for_each(|end| end.sends_every = Some(50 * MS));
    // Control frames are 64 bytes on the wire, packets too; these are the ones that are not A's or B's packets.
    let mut count = 0;
    world.censor = Some(Box::new(move |_, _| {
        count += 1;
        count % 2 == 0
    }));
    world.run(60 * SECOND);
    assert_eq!((&world.ends[A].log.downs[..], &world.ends[B].log.downs[..]), (&[][..], &[][..]), "half is lost");
}

#[test]
fn a_short_outage_ends_within_an_interval_and_the_good_round_trips() {
    for seed in 0..20 {
        let mut world = settled(seed);
        world.block_both(true);
        world.run(5 * SECOND);
        world.block_both(false);
        let took = world.run_until(World::both_up);
        assert!(took <= 3 * INTERVAL + 7 * LATENCY, "seed {seed}: {took:?}");
    }
}

#[test]
fn after_an_outage_of_any_length_traffic_is_back_within_a_second() {
    for outage in [5, 120, 179, 181, 600] {
        for seed in 0..4 {
            for directions in [[true, false], [false, true], [true, true]] {
                let mut world = settled(seed);
                world.ends.iter_mut().for_each(|end| end.sends_every = Some(20 * MS));
                world.run(SECOND);
                world.block(A, B, directions[0]);
                world.block(B, A, directions[1]);
                world.run(outage * SECOND + MS * 77 * seed as u32);
                assert!(!world.ends[A].is_up() && !world.ends[B].is_up());
                world.block_both(false);
                let took = world.run_until(World::both_up);
                assert!(took <= SECOND, "{outage} s, {directions:?}, seed {seed}: {took:?}");
                let received = [A, B].map(|end| world.ends[end].log.received.len());
                world.run(100 * MS);
                assert!([A, B].iter().all(|end| world.ends[*end].log.received.len() > received[*end]), "packets pass");
            }
        }
    }
}

#[test]
fn the_first_failure_costs_nothing_and_the_next_ones_twice_as_much_each_time() {
    let mut world = settled(1);
    let mut held = Vec::new();
    for _ in 0..6 {
        world.run(10 * SECOND);
        world.block_both(true);
        world.run(2 * SECOND);
        let now = world.clock.now();
        let left = world.ends[A].channel.liveness().unwrap().held_for(now);
        let down = last_down(&world, A).0;
        held.push(left.map_or(0, |left| (world.elapsed() + left - down).as_secs()));
        world.block_both(false);
        world.run_until(World::both_up);
        let back = world.elapsed() - down;
        assert!(back >= SECOND * *held.last().unwrap() as u32, "it is not let go before");
    }
    assert_eq!(held, [0, 0, 2, 4, 8, 16], "the hold-down of 1 s was over when it was looked at");
}

#[test]
fn good_health_is_rewarded() {
    let mut world = settled(1);
    for _ in 0..4 {
        world.block_both(true);
        world.run(2 * SECOND);
        world.block_both(false);
        world.run_until(World::both_up);
        world.run(SECOND);
    }
    world.run(4 * 180 * SECOND);
    world.block_both(true);
    world.run(2 * SECOND);
    world.block_both(false);
    assert!(world.run_until(World::both_up) < SECOND, "it is forgotten");
}

#[test]
fn a_channel_that_is_held_down_at_one_end_is_down_at_the_other() {
    let [a, b] = Setup::pair();
    let patient = Settings { hold_down: Duration::ZERO, ..b.probe };
    let mut world = World::up_over(Path::after(LATENCY), 1, [a, Setup { probe: patient, ..b }]);
    world.run(5 * SECOND);
    for _ in 0..6 {
        world.run(SECOND);
        world.block_both(true);
        world.run(SECOND);
        world.block_both(false);
        world.run_while(20 * SECOND, |world| !world.both_up());
    }
    world.block(A, B, true);
    world.run(SECOND);
    world.block(A, B, false);
    world.run(10 * SECOND);
    let now = world.clock.now();
    assert!(world.ends[A].channel.liveness().unwrap().held_for(now).is_some());
    assert_eq!(world.ends[B].channel.liveness().unwrap().held_for(now), None);
    assert_eq!([A, B].map(|end| world.ends[end].channel.state()), [State::Probing; 2]);
}

#[test]
fn a_day_of_flapping_changes_the_state_as_rarely_as_the_hold_down_says_and_leaves_nothing_behind() {
    let probe = Settings { interval: 2 * SECOND, ..Settings::default() };
    let mut world = World::up_over(Path::after(LATENCY), 1, with_probe(probe));
    let mut rng = StdRng::seed_from_u64(1);
    let day = 24 * 3600 * SECOND;
    while world.elapsed() < day {
        world.run(MS * rng.random_range(1000..20_000));
        let direction: u8 = rng.random_range(1..4);
        world.block(A, B, direction & 1 != 0);
        world.block(B, A, direction & 2 != 0);
        world.run(MS * rng.random_range(1000..15_000));
        world.block_both(false);
    }
    // Doubling leads to 180 s within 9 failures; from there on each costs so much.
    let most = 9 + (day.as_secs() / 180) as usize;
    for end in &world.ends {
        assert!(end.log.downs.len() <= most, "{} failures, at most {most}", end.log.downs.len());
        assert!(end.log.downs.len() > 100, "it did flap: {} times", end.log.downs.len());
        assert!(end.log.most_sessions <= 4);
        assert!(end.log.initiations.len() < 86_400 * 2);
    }
    assert!(world.run_until(World::both_up) <= 181 * SECOND);
    world.run(400 * SECOND);
    assert!(world.both_up() && world.agree());
    assert!([A, B].iter().all(|end| world.ends[*end].sessions() <= 2), "the current one and the one before");
}

#[test]
fn a_peer_that_is_killed_and_restarted_within_a_second_is_back_after_its_handshake() {
    for seed in 0..20 {
        for dead_for in [100, 500, 749, 900, 1000] {
            let mut world = settled(seed);
            world.block_both(true); // A process that is dead neither hears nor speaks.
            world.run(MS * dead_for);
            world.block_both(false);
            world.restart(B);
            let took = world.run_until(|world| world.both_up() && world.agree());
            assert!(took <= 100 * MS + 7 * LATENCY, "dead for {dead_for} ms, seed {seed}: {took:?}");
        }
    }
}

#[test]
fn restarts_do_not_add_up_to_a_hold_down() {
    let mut world = settled(1);
    for _ in 0..20 {
        world.run(2 * SECOND);
        world.block_both(true);
        world.run(SECOND);
        world.block_both(false);
        world.restart(B);
        assert!(world.run_until(|world| world.both_up() && world.agree()) <= 100 * MS + 7 * LATENCY);
    }
}

#[test]
fn an_end_whose_clock_is_a_day_off_comes_back_all_the_same() {
    let day = 24 * 3600 * SECOND;
    for ahead in [true, false] {
        for seed in 0..5 {
            let mut world = settled(seed);
            let wall = world.clock.wall();
            world.clock.set_wall(if ahead { wall + day } else { wall - day });
            world.ends.iter_mut().for_each(|end| end.sends_every = Some(SECOND));
            world.run(300 * SECOND);
            assert_eq!((&world.ends[A].log.downs[..], &world.ends[B].log.downs[..]), (&[][..], &[][..]), "renewed");
            world.restart(A);
            let took = world.run_until(|world| world.both_up() && world.agree());
            assert!(took <= 100 * MS + 7 * LATENCY, "{took:?}");
            world.block_both(true);
            world.run(200 * SECOND);
            world.block_both(false);
            assert!(world.run_until(World::both_up) <= SECOND);
        }
    }
}

#[test]
fn a_machine_that_was_suspended_is_heard_again_at_once_however_long_it_slept() {
    // A blink; longer than a detection; longer than a session lives; an hour.
    for slept in [400 * MS, 2 * SECOND, 100 * SECOND, 200 * SECOND, 3600 * SECOND] {
        for seed in 0..4 {
            let mut world = settled(seed);
            world.ends.iter_mut().for_each(|end| end.sends_every = Some(50 * MS));
            world.run(SECOND + 37 * MS * seed as u32);
            world.suspend(A);
            world.run(slept);
            assert_eq!(world.ends[B].is_up(), slept < DETECTION - INTERVAL, "B sees it");
            world.resume(A);
            let took = world.run_until(|world| world.both_up() && world.agree());
            // The end that was awake initiates all the while, with 750 ms between at most; then two probes confirm.
            assert!(took <= 1250 * MS, "{took:?} after a sleep of {slept:?}");
            world.ends.iter_mut().for_each(|end| end.sends_every = None);
            // What is under way arrives.
            world.run(SECOND);
            for end in &mut world.ends {
                (end.log.sent, end.log.received) = Default::default();
                end.sends_every = Some(50 * MS);
            }
            world.run(2 * SECOND);
            world.assert_nothing_lost(A, B);
        }
    }
}

#[test]
fn an_unknown_session_makes_an_end_without_one_ask_at_once_but_at_most_every_five_seconds() {
    let mut world = World::new(1, Setup::pair());
    world.start(A);
    world.run(200 * MS);
    assert!(world.both_up());
    world.call(B, |channel, now| channel.close(now, Reason::Down, Duration::ZERO));
    world.run(SECOND);
    let before = world.ends[A].log.initiations.len();
    assert!(world.ends[A].channel.poll_timeout().unwrap() > world.clock.now() + SECOND, "it is tried slowly");
    world.run(15 * SECOND);
    let slow = world.ends[A].log.initiations.len() - before;
    for _ in 0..15_000 {
        world.call(A, |channel, now| channel.handle_unknown_session(now));
        world.run(MS);
    }
    let hastened = world.ends[A].log.initiations.len() - before - slow;
    assert!((3..=6).contains(&hastened), "{hastened} in 15 s");
}

#[test]
fn an_unknown_session_means_nothing_to_an_end_that_hears_its_peer() {
    let mut world = settled(1);
    let (initiations, timeout) = (world.ends[A].log.initiations.len(), world.ends[A].channel.poll_timeout());
    world.call(A, |channel, now| channel.handle_unknown_session(now));
    assert_eq!(world.ends[A].channel.poll_timeout(), timeout);
    world.run(10 * SECOND);
    assert_eq!(world.ends[A].log.initiations.len(), initiations);
}

#[test]
fn probes_tell_loss_and_delay_of_each_direction() {
    let mut world = settled(1);
    let [a, b] = [A, B].map(|end| world.ends[end].setup.address);
    world.underlay.path(a, b).jitter = 8 * MS;
    world.underlay.path(b, a).loss = 0.2;
    world.run(100 * SECOND);
    let statistics = world.ends[A].channel.liveness().unwrap().statistics();
    let loss = statistics.recent_loss.unwrap();
    assert!((0.08..0.35).contains(&loss), "{loss}");
    let round_trip = statistics.round_trip.unwrap();
    assert!((2 * LATENCY..2 * LATENCY + 8 * MS).contains(&round_trip.smoothed), "{round_trip:?}");
    assert!((2 * LATENCY..2 * LATENCY + 2 * MS).contains(&round_trip.least), "{round_trip:?}");
    assert_eq!(statistics.variation_in, Some(Duration::ZERO));
    let out = statistics.variation_out.unwrap();
    assert!((MS..5 * MS).contains(&out), "8 ms even: 2.7 ms from one to the next on average: {out:?}");
    assert!(round_trip.jitter.abs_diff(out) < MS, "{round_trip:?}");
}

#[test]
fn nothing_is_probed_towards_plain_wireguard() {
    let mut world = World::up_over(Path::after(LATENCY), 1, Setup::plain_pair());
    world.run(100 * SECOND);
    assert_eq!(world.ends[A].log.probes + world.ends[B].log.probes, 0);
    assert!(world.ends[A].channel.liveness().is_none());
}

#[test]
fn settings_change_on_a_running_channel() {
    let mut world = settled(1);
    let fast = Settings { interval: 50 * MS, down_after: 4, ..Settings::default() };
    for end in [A, B] {
        world.call(end, |channel, now| channel.set_probe(now, fast));
    }
    world.run(SECOND);
    assert!(world.both_up() && world.ends[A].log.downs.is_empty());
    let cut = world.elapsed();
    world.block(A, B, true);
    world.run(SECOND);
    let took = last_down(&world, A).0 - cut;
    assert!((150 * MS..=220 * MS).contains(&took), "{took:?}");
}

/// Adds up how long one end is up and the other is not.
fn longest_disagreement(world: &mut World, time: Duration, mut change: impl FnMut(&mut World)) -> Duration {
    let (mut since, mut longest) = ([None; 2], Duration::ZERO);
    let end = world.elapsed() + time;
    while world.elapsed() < end {
        world.run(MS);
        change(world);
        let up = [A, B].map(|end| world.ends[end].is_up());
        for end in [A, B] {
            let alone = up[end] && !up[1 - end];
            let began = if alone { *since[end].get_or_insert(world.elapsed()) } else { world.elapsed() };
            since[end] = since[end].filter(|_| alone);
            longest = longest.max(world.elapsed() - began);
        }
    }
    longest
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// What is lost changes at random, for each direction apart.
    #[test]
    fn the_ends_never_disagree_for_longer_than_the_detection_time(
        seed: u64,
        latency in 1u32..60,
        jitter in 0u32..40,
        reordering in 0.0..0.3f64,
        duplication in 0.0..0.3f64,
        sends in [prop::option::of(5u32..100), prop::option::of(5u32..100)],
        most_loss in 0.2..1.0f64,
        restarts: bool,
    ) {
        let mut path = Path::after(MS * latency);
        (path.jitter, path.reordering, path.duplication, path.held_back) = (MS * jitter, reordering, duplication, MS * 50);
        let mut world = World::over(path, seed, Setup::pair());
        world.start(A);
        world.start(B);
        for end in [A, B] {
            world.ends[end].sends_every = sends[end].map(|millis| MS * millis);
        }
        let mut rng = StdRng::seed_from_u64(seed);
        let longest = longest_disagreement(&mut world, 60 * SECOND, |world| {
            let (a, b) = (world.ends[A].setup.address, world.ends[B].setup.address);
            for (from, to) in [(a, b), (b, a)] {
                if rng.random_bool(1.0 / 1500.0) {
                    let loss = if rng.random() { 0.0 } else { rng.random_range(0.0..1.0) };
                    let path = world.underlay.path(from, to);
                    path.loss = if loss > most_loss { 1.0 } else { loss };
                }
            }
            if restarts && rng.random_bool(1.0 / 20_000.0) {
                world.restart(rng.random_range(0..2));
            }
        });
        let path = MS * (latency + jitter + 50);
        prop_assert!(longest <= DETECTION + INTERVAL + 4 * path, "{longest:?}");
    }

    /// Whatever was lost before, good paths bring both ends up, and keep them there.
    #[test]
    fn the_ends_come_up_together_and_stay(
        seed: u64,
        latency in 1u32..300,
        loss in 0.0..0.9f64,
        seconds in 1u32..40,
    ) {
        let mut path = Path::after(MS * latency);
        path.loss = loss;
        let mut world = World::over(path, seed, Setup::pair());
        world.start(A);
        world.start(B);
        world.run(SECOND * seconds);
        let (a, b) = (world.ends[A].setup.address, world.ends[B].setup.address);
        *world.underlay.path(a, b) = Path::after(MS * latency);
        *world.underlay.path(b, a) = Path::after(MS * latency);
        world.run(200 * SECOND);
        prop_assert!(world.both_up() && world.agree());
        let downs = [A, B].map(|end| world.ends[end].log.downs.len());
        world.run(200 * SECOND);
        prop_assert!(world.both_up());
        prop_assert_eq!([A, B].map(|end| world.ends[end].log.downs.len()), downs);
    }
}
