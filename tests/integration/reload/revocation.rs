//! A key that is taken out of the file.

use netns_lab::{
    topology::{Options, Shape, WAN},
    trial,
    watch::{self, Watch},
};

use crate::bed::{Bed, assert_unreachable, eventually, program};

#[test]
fn a_gateway_whose_key_is_gone_is_cut_off_at_once_and_its_networks_stay_protected() {
    trial::run_with_tun(|| {
        let mut bed = Bed::quiet(Shape::TwoGateways, 2, &Options { internet: true, ..Options::default() });
        bed.start_all();
        let watch = Watch::start(bed.gateway(0), WAN, watch::Options::new(bed.mesh.ports())).expect("it is there");
        let mut mesh = bed.mesh.clone();
        mesh.links.clear();
        mesh.gateways.remove(1);
        bed.gateways[0].rewrite(&mesh).unwrap_or_else(|error| panic!("{error}"));
        bed.gateways[0].ask(&["reload"]).unwrap_or_else(|error| panic!("{error}"));
        assert!(bed.gateways[0].log().contains("revoked"), "{}", bed.gateways[0].log());
        for to in bed.addresses(1) {
            assert_unreachable(bed.host(0), to);
        }
        assert_eq!(watch.stop().expect("nothing was missed").clear_packets, 0);
    });
}

#[test]
fn a_gateway_with_a_new_key_is_spoken_to_under_that_and_no_longer_under_the_old_one() {
    trial::run_with_tun(|| {
        let mut bed = Bed::two_gateways(2, netns_lab::topology::Family::V4);
        let before = bed.channels(0);
        let mut mesh = bed.mesh.clone();
        mesh.gateways[1].public_key = program().keys(1).expect("keys are made")[0].public().to_owned();
        bed.gateways[0].rewrite(&mesh).unwrap_or_else(|error| panic!("{error}"));
        let said = bed.gateways[0].ask(&["reload"]).unwrap_or_else(|error| panic!("{error}"));
        assert!(said.contains("peer's public key"), "{said}");
        assert!(bed.channels(0).iter().all(|channel| channel["carrier"] == false), "{:?}", bed.channels(0));
        assert_unreachable(bed.host(0), bed.addresses(1)[0]);
        // The other end still has the old key, and goes on trying.
        eventually("its handshakes are refused", || bed.dropped(0, "handshake-forged") > 0);
        assert!(bed.channels(0).iter().all(|channel| channel["carrier"] == false));
        let mesh = bed.mesh.clone();
        bed.gateways[0].rewrite(&mesh).unwrap_or_else(|error| panic!("{error}"));
        bed.gateways[0].ask(&["reload"]).unwrap_or_else(|error| panic!("{error}"));
        eventually("with the right key it is up again", || {
            bed.channels(0).iter().all(|channel| channel["state"] == "up")
        });
        assert!(bed.channels(0)[0]["sessions"].as_u64() > before[0]["sessions"].as_u64());
    });
}
