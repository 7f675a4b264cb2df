//! `probe` in the file, and on a running daemon.

use netns_lab::{
    topology::{Family, Shape},
    trial,
};

use crate::bed::{Bed, eventually, output};

#[test]
fn probes_go_out_as_the_file_says_and_otherwise_after_a_reload() {
    trial::run_with_tun(|| {
        let mut bed = Bed::new(Shape::TwoGateways, 2, Family::V4, |mesh| {
            mesh.defaults.push(("probe".into(), "{ interval = \"100ms\" }".into()));
            mesh.links[0].options.push(("probe".into(), "{ down_after = 20 }".into()));
        });
        let probes = |bed: &Bed| ["interval_ms", "detection_ms"].map(|key| bed.channels(0)[0]["probes"][key].as_f64());
        assert_eq!(probes(&bed), [Some(100.0), Some(2000.0)]);
        let sessions: Vec<_> = bed.channels(0).iter().map(|channel| channel["sessions"].clone()).collect();
        let mut mesh = bed.mesh.clone();
        mesh.defaults.clear();
        for site in [0, 1] {
            bed.gateways[site].rewrite(&mesh).unwrap_or_else(|error| panic!("{error}"));
            let reload = output(bed.gateway(site), bed.gateways[site].command(&["reload"]));
            let said = String::from_utf8_lossy(&reload.stdout).into_owned();
            assert!(reload.status.success(), "{said}");
            assert!(said.contains("probe: every 100ms, down after 20"), "{said}");
        }
        eventually("both ends probe as the new file says", || probes(&bed) == [Some(250.0), Some(5000.0)]);
        let now: Vec<_> = bed.channels(0).iter().map(|channel| channel["sessions"].clone()).collect();
        assert_eq!(now, sessions, "the sessions go on");
        assert!(bed.channels(0).iter().all(|channel| channel["state"] == "up"));
    });
}

#[test]
fn every_channel_measures_its_own_round_trips() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(2, Family::V4);
        for channel in [0, 1] {
            let figures = ["rtt_ms", "rtt_least_ms", "jitter_ms", "delay_variation_out_ms", "delay_variation_in_ms"];
            eventually("all is measured", || {
                let probes = &bed.channels(0)[channel]["probes"];
                figures.iter().all(|key| probes[key].as_f64().is_some_and(|figure| figure < 1000.0))
            });
        }
    });
}
