//! `down LINK/CHANNEL` and `up LINK/CHANNEL`.

use std::time::Duration;

use netns_lab::{
    topology::{Family, Shape},
    trial,
};

use super::trains::{assert_nothing_lost, patient, under_trains};
use crate::bed::{Bed, assert_unreachable, eventually, ping};

#[test]
fn a_channel_is_taken_down_and_brought_back_under_load_and_no_packet_is_lost_either_way() {
    trial::run_with_tun(|| {
        let bed = patient(4);
        let channel = format!("{}/2", bed.mesh.links[0].name);
        for round in 0..3 {
            let (reports, ()) = under_trains(&bed, Duration::from_secs(3), || {
                ask(&bed, 0, &["down", &channel]);
                let is_down = |site: usize| bed.channels(site)[2]["carrier"] == false;
                assert!(is_down(0) && is_down(1), "both ends have taken it out");
                ask(&bed, 0, &["up", &channel]);
                eventually("the channel is up at both ends", || {
                    (0..2).all(|site| bed.channels(site)[2]["state"] == "up")
                });
            });
            assert_nothing_lost(&format!("round {round}"), &reports);
        }
    });
}

#[test]
fn what_a_person_took_down_says_so_and_stays_down_until_it_is_wanted_or_the_daemon_restarts() {
    trial::run_with_tun(|| {
        let mut bed = Bed::two_gateways(2, Family::V4);
        let link = bed.mesh.links[0].name.clone();
        ask(&bed, 0, &["down", &format!("{link}/1")]);
        let channel = bed.channels(0)[1].clone();
        assert_eq!((&channel["taken_down"], &channel["state"]), (&true.into(), &"down".into()));
        let problem = channel["problem"].as_str().expect("it says why").to_owned();
        assert!(problem.contains("by a person") && problem.contains(&format!("meshtun up {link}/1")), "{problem}");
        assert_eq!(channel["withdrawn"], true);
        let [mesh, key] =
            ["mesh.toml", "private.key"].map(|name| bed.gateways[0].folder().join(name).display().to_string());
        let plan = ask(&bed, 0, &["plan", &mesh, "--key", &key]);
        assert!(plan.starts_with("# nothing to do"), "{plan}");
        // Again changes nothing, nor does a reload.
        ask(&bed, 0, &["down", &format!("{link}/1")]);
        ask(&bed, 0, &["reload"]);
        assert_eq!(bed.channels(0)[1]["taken_down"], true);
        assert_eq!(bed.channels(0)[1]["carrier"], false);
        assert_eq!(bed.channels(0)[0]["state"], "up");
        bed.gateways[0].restart().unwrap_or_else(|error| panic!("{error}"));
        bed.wait_until_up();
        assert_eq!(bed.channels(0)[1]["taken_down"], false);
    });
}

#[test]
fn a_link_that_was_taken_down_is_unreachable_and_never_in_clear_and_comes_back() {
    trial::run_with_tun(|| {
        let bed = Bed::new(Shape::TwoGateways, 2, Family::V4, |_| {});
        let link = bed.mesh.links[0].name.clone();
        ask(&bed, 1, &["down", &link]);
        for (from, to) in [(0, 1), (1, 0)] {
            bed.addresses(to).into_iter().for_each(|to| assert_unreachable(bed.host(from), to));
        }
        ask(&bed, 1, &["up", &link]);
        eventually("all channels are up", || {
            (0..2).all(|site| bed.channels(site).iter().all(|channel| channel["state"] == "up"))
        });
        for (from, to) in [(0, 1), (1, 0)] {
            bed.addresses(to).into_iter().for_each(|to| ping(bed.host(from), to));
        }
    });
}

#[test]
fn what_is_not_there_cannot_be_taken_down_and_the_answer_says_what_is() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(2, Family::V4);
        let link = bed.mesh.links[0].name.clone();
        for (target, said) in [("nosuch", link.as_str()), (&format!("{link}/2"), "it has 2, from 0")] {
            for command in ["down", "up"] {
                let error = bed.gateways[0].ask(&[command, target]).expect_err("there is no such thing").to_string();
                assert!(error.contains(said), "{error}");
            }
        }
        assert!(bed.channels(0).iter().all(|channel| channel["state"] == "up"));
    });
}

fn ask(bed: &Bed, site: usize, arguments: &[&str]) -> String {
    bed.gateways[site].ask(arguments).unwrap_or_else(|error| panic!("{error}"))
}
