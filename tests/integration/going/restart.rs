//! A daemon that is stopped and started again, under traffic.

use std::time::Duration;

use netns_lab::{topology::Family, trial};

use super::trains::under_trains;
use crate::bed::{Bed, PATIENCE};

/// How long nothing may come: many times what it takes, so that only a restart that has become an outage fails.
const LONGEST: Duration = Duration::from_secs(5);

#[test]
fn a_restart_is_a_pause_and_no_outage() {
    trial::run_with_tun(|| {
        let mut bed = Bed::two_gateways(4, Family::V4);
        // The bed is the loads', too.
        let mut gateway = bed.gateways.remove(0);
        let (reports, ()) = under_trains(&bed, Duration::from_secs(4), || {
            gateway.stop(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
            gateway.restart().unwrap_or_else(|error| panic!("{error}"));
            gateway.wait_until_up(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
        });
        for report in reports {
            let total = report.total();
            eprintln!("a restart: the longest gap {:?}, {} of {} lost", total.longest_gap, total.lost(), total.sent);
            assert!(total.longest_gap < LONGEST, "{total:?}");
            assert!(total.received > 0);
        }
    });
}
