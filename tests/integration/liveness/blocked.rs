//! Directions of a channel that carry nothing.

use std::time::{Duration, Instant};

use meshtun_sys::process::Signal;
use netns_lab::{topology::Family, trial};

use super::{Faults, has_carrier};
use crate::bed::{Bed, eventually, ping};

/// Detection takes 750 ms; the rest is for a machine that has other things to do.
const SOON: Duration = Duration::from_secs(8);

#[test]
fn a_channel_of_which_one_direction_is_blocked_loses_carrier_at_both_ends_and_gets_it_back() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(3, Family::V4);
        let faults = Faults::of(&bed);
        for deaf in [0, 1] {
            faults.block(&bed, deaf, 1, true);
            let began = Instant::now();
            eventually("neither end has carrier", || (0..2).all(|site| !has_carrier(&bed, site, 1)));
            let took = began.elapsed();
            assert!(took < SOON, "{took:?}");
            assert!([0, 2].iter().all(|channel| (0..2).all(|site| has_carrier(&bed, site, *channel))));
            for (from, to) in [(0, 1), (1, 0)] {
                bed.addresses(to).into_iter().for_each(|to| ping(bed.host(from), to));
            }
            let problem = |site: usize| bed.channels(site)[1]["problem"].as_str().unwrap_or_default().to_owned();
            eventually("the deaf end says so", || problem(deaf).contains("nothing heard from"));
            eventually("the other end says so", || problem(1 - deaf).contains("hears nothing from here"));
            faults.block(&bed, deaf, 1, false);
            eventually("both have carrier again", || (0..2).all(|site| has_carrier(&bed, site, 1)));
        }
        for site in [0, 1] {
            let channel = &bed.channels(site)[1];
            assert!(channel["probes"]["lost"].as_u64().is_some_and(|lost| lost > 0), "{channel}");
            assert!(channel["probes"]["rtt_smoothed_ms"].as_f64().is_some_and(|rtt| rtt > 0.0), "{channel}");
            assert_eq!(bed.channels(site)[0]["probes"]["lost"], 0, "each channel has its own");
            let log = bed.gateways[site].log();
            assert!(log.contains("nothing heard from the peer for 750 ms"), "{log}");
            assert!(log.contains("the peer hears nothing from this end"), "{log}");
        }
    });
}

#[test]
fn all_channels_of_a_peer_that_was_killed_lose_carrier_and_come_back_when_it_starts() {
    trial::run_with_tun(|| {
        let mut bed = Bed::two_gateways(4, Family::V6);
        for _ in 0..3 {
            bed.gateways[1].signal(Signal::Kill).unwrap_or_else(|error| panic!("{error}"));
            let began = Instant::now();
            eventually("no channel has carrier", || (0..4).all(|channel| !has_carrier(&bed, 0, channel)));
            assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
            bed.gateways[1].restart().unwrap_or_else(|error| panic!("{error}"));
            bed.wait_until_up();
            ping(bed.host(0), bed.addresses(1)[0]);
        }
        let held = bed.channels(0).iter().filter(|channel| !channel["probes"]["held_s"].is_null()).count();
        assert_eq!(held, 0, "a peer that was restarted is not held against its path");
    });
}

#[test]
fn a_channel_that_keeps_failing_is_held_down_for_longer_each_time() {
    trial::run_with_tun(|| {
        let mut bed = Bed::new(netns_lab::topology::Shape::TwoGateways, 2, Family::V4, |mesh| {
            let probe = "{ interval = \"50ms\", down_after = 8, up_after = 2, hold_down = \"600s\" }";
            mesh.defaults.push(("probe".into(), probe.into()));
        });
        let faults = Faults::of(&bed);
        for _ in 0..2 {
            faults.block(&bed, 0, 0, true);
            eventually("the channel is down", || !has_carrier(&bed, 0, 0));
            faults.block(&bed, 0, 0, false);
            bed.wait_until_up();
        }
        faults.block(&bed, 0, 0, true);
        eventually("the channel is down", || !has_carrier(&bed, 1, 0));
        faults.block(&bed, 0, 0, false);
        let is_held = |site: usize| {
            let channel = &bed.channels(site)[0];
            channel["state"] == "held"
                && channel["problem"].as_str().is_some_and(|problem| problem.contains("held down"))
        };
        eventually("it is held down", || is_held(0) || is_held(1));
        bed.wait_until_up();
    });
}

#[test]
fn a_link_of_which_no_channel_is_left_comes_back_at_once_however_often_it_failed() {
    trial::run_with_tun(|| {
        let mut bed = Bed::two_gateways(2, Family::V4);
        let faults = Faults::of(&bed);
        for _ in 0..6 {
            let block = |blocked| [0, 1].iter().for_each(|channel| faults.block(&bed, 0, *channel, blocked));
            block(true);
            eventually("the link is down", || (0..2).all(|channel| !has_carrier(&bed, 1, channel)));
            block(false);
            let began = Instant::now();
            eventually("a channel carries", || (0..2).any(|channel| has_carrier(&bed, 0, channel)));
            assert!(began.elapsed() < SOON, "the sixth failure would cost 16 s: {:?}", began.elapsed());
        }
        bed.wait_until_up();
    });
}

#[test]
fn a_channel_that_is_as_silent_as_one_that_failed_goes_down_with_it_and_the_last_one_stays() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(4, Family::V4);
        let faults = Faults::of(&bed);
        let blocked = [0, 1, 3];
        for channel in blocked {
            faults.block(&bed, 0, channel, true);
        }
        eventually("three have no carrier", || {
            blocked.iter().all(|channel| (0..2).all(|site| !has_carrier(&bed, site, *channel)))
        });
        assert!((0..2).all(|site| has_carrier(&bed, site, 2)), "nothing is wrong with the fourth");
        let deaf = bed.gateways[0].log();
        // Their probes come at random times, so that one of them is found dead first.
        assert!(deaf.contains("and a sibling has just failed"), "{deaf}");
        blocked.iter().for_each(|channel| faults.block(&bed, 0, *channel, false));
        eventually("all have carrier again", || {
            blocked.iter().all(|channel| (0..2).all(|site| has_carrier(&bed, site, *channel)))
        });
        let held = bed.channels(0).iter().filter(|channel| !channel["probes"]["held_s"].is_null()).count();
        assert_eq!(held, 0, "it was the first failure of each");
    });
}
