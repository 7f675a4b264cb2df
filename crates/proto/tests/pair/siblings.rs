//! Channels of one link: those that are as silent as one that has just failed go down with it, and it costs them no more
//! than it should.

use std::time::Duration;

use meshtun_proto::channel::DownReason;
use meshtun_proto::channel::liveness::{Settings, Standing, to_go_along};
use meshtun_testkit::Path;

use super::world::*;

/// The channels of a link, each in a world of its own, and both ends' owners.
struct Link {
    channels: Vec<World>,
    /// Whether owners take siblings along.
    takes_along: bool,
    downs_seen: Vec<[usize; 2]>,
}

impl Link {
    fn up(channels: u64, probe: Settings, takes_along: bool) -> Link {
        let setups = || Setup::pair().map(|setup| Setup { probe, ..setup });
        let mut channels: Vec<_> =
            (0..channels).map(|seed| World::up_over(Path::after(LATENCY), seed, setups())).collect();
        channels.iter_mut().for_each(|world| world.run(5 * SECOND));
        let downs_seen = vec![[0; 2]; channels.len()];
        Link { channels, takes_along, downs_seen }
    }

    /// All clocks go on side by side, a little at a time.
    fn run(&mut self, time: Duration, step: Duration) {
        let mut left = time;
        while !left.is_zero() {
            let step = step.min(left);
            self.channels.iter_mut().for_each(|world| world.run(step));
            [A, B].into_iter().for_each(|end| self.note(end));
            left -= step;
        }
    }

    /// What an owner does: looks for channels that have just fallen silent, or are suspect as others have.
    fn note(&mut self, end: usize) {
        let mut is_silent = false;
        for (world, seen) in self.channels.iter_mut().zip(&mut self.downs_seen) {
            let End { log, channel, .. } = &mut world.ends[end];
            is_silent |= log.downs[seen[end]..].iter().any(|(_, reason)| matches!(reason, DownReason::NotHeard(_)));
            is_silent |= channel.take_suspicion();
            seen[end] = log.downs.len();
        }
        if !is_silent || !self.takes_along {
            return;
        }
        self.channels.iter_mut().for_each(|world| world.report(end));
        let standing =
            |world: &World| -> Option<Standing> { world.ends[end].channel.liveness()?.standing(world.clock.now()) };
        let standings = self.channels.iter().enumerate().filter_map(|(number, world)| Some((number, standing(world)?)));
        for (number, course) in to_go_along(standings) {
            self.channels[number].call(end, |channel, now| channel.follow_sibling(course, now));
        }
    }

    fn downs(&self) -> usize {
        self.channels.iter().flat_map(|world| &world.ends).map(|end| end.log.downs.len()).sum()
    }

    fn both_up(&self) -> usize {
        self.channels.iter().filter(|world| world.both_up()).count()
    }
}

fn probe(interval: Duration) -> Settings {
    Settings { interval, ..Settings::default() }
}

/// What flows, and what is cut, from the first end to the second and back.
#[test]
fn three_that_are_cut_100_ms_apart_are_down_within_one_detection_time_at_both_ends() {
    let ways = [[true, false], [false, true], [true, true]];
    for (flows, cut) in ways.into_iter().chain([[false; 2]]).flat_map(|flows| ways.map(|cut| (flows, cut))) {
        let mut link = Link::up(4, probe(250 * MS), true);
        for end in link.channels.iter_mut().flat_map(|world| world.ends.iter_mut().zip(flows)) {
            end.0.sends_every = Some(5 * MS).filter(|_| end.1);
        }
        link.run(200 * MS, MS);
        let begun: Vec<_> = link.channels.iter().map(World::elapsed).collect();
        for number in [0, 1, 3] {
            link.channels[number].block(A, B, cut[0]);
            link.channels[number].block(B, A, cut[1]);
            link.run(100 * MS, MS);
        }
        link.run(600 * MS, MS);
        for number in [0, 1, 3] {
            for end in [A, B] {
                let case = format!("flows {flows:?}, cut {cut:?}: channel {number}, end {end}");
                let (at, reason) = link.channels[number].ends[end].log.downs.last().copied().expect(&case);
                let took = at - begun[number];
                assert!(took <= 750 * MS + 2 * LATENCY + 2 * MS, "{case}: {took:?}, {reason}");
            }
        }
        assert_eq!(link.both_up(), 1, "the fourth is left");
    }
}

#[test]
fn the_last_channel_that_is_well_is_never_taken_along() {
    let mut link = Link::up(4, probe(250 * MS), true);
    for world in &mut link.channels {
        world.block_both(true);
    }
    link.run(3 * SECOND, MS);
    let own = |(_, reason): &(Duration, DownReason)| !matches!(reason, DownReason::WithSibling(_));
    assert!(link.channels.iter().flat_map(|world| &world.ends).all(|end| end.log.downs.iter().all(own)));
}

#[test]
fn who_went_along_and_would_not_have_failed_pays_nothing() {
    let mut link = Link::up(3, probe(250 * MS), true);
    // Channel 1 is silent for 600 ms only, time and again, while channel 0 fails.
    for _ in 0..6 {
        link.channels[0].block_both(true);
        link.run(100 * MS, MS);
        link.channels[1].block_both(true);
        link.run(750 * MS, MS);
        link.channels[1].block_both(false);
        link.channels[0].block_both(false);
        link.run(20 * SECOND, 5 * MS);
    }
    let along =
        |end: &End| end.log.downs.iter().filter(|(_, reason)| matches!(reason, DownReason::WithSibling(_))).count();
    let times: usize = link.channels[1].ends.iter().map(along).sum();
    assert!(times >= 4, "it went along {times} times");
    let now = link.channels[1].clock.now();
    for end in &mut link.channels[1].ends {
        assert_eq!(end.channel.liveness().unwrap().held_for(now), None);
    }
    assert!(link.channels[1].both_up(), "and is back each time");
}

#[test]
fn who_went_along_and_stays_silent_pays_as_for_a_failure_of_its_own() {
    let mut link = Link::up(3, probe(250 * MS), true);
    for _ in 0..5 {
        link.channels[0].block_both(true);
        link.run(100 * MS, MS);
        link.channels[1].block_both(true);
        link.run(3 * SECOND, 5 * MS);
        link.channels[0].block_both(false);
        link.channels[1].block_both(false);
        link.run(20 * SECOND, 5 * MS);
    }
    link.channels[1].block_both(true);
    link.run(2 * SECOND, 5 * MS);
    let now = link.channels[1].clock.now();
    for end in &mut link.channels[1].ends {
        let held = end.channel.liveness().unwrap().held_for(now).expect("it failed six times");
        assert!((13..=16).contains(&held.as_secs()), "16 s from its failure on: {held:?}");
    }
}

/// A link on which each channel loses its packets by itself.
fn failures_under_loss(loss: f64, takes_along: bool) -> usize {
    let probe = Settings { hold_down: Duration::ZERO, ..probe(250 * MS) };
    let mut link = Link::up(4, probe, takes_along);
    for world in &mut link.channels {
        let addresses = [A, B].map(|end| world.ends[end].setup.address);
        for (from, to) in [(0, 1), (1, 0)] {
            world.underlay.path(addresses[from], addresses[to]).loss = loss;
        }
    }
    link.run(1800 * SECOND, 10 * MS);
    link.downs()
}

#[test]
fn random_loss_does_not_make_a_link_flap_more() {
    for loss in [0.2, 0.35] {
        let (alone, along) = (failures_under_loss(loss, false), failures_under_loss(loss, true));
        assert!(alone >= 20, "it does flap: {alone}");
        assert!(along <= alone + alone / 5, "{along} with siblings taken along, {alone} without, at {loss}");
    }
}
