//! The underlay's device and address go and come back.

use netns_lab::{
    topology::{Options, Shape, UNDERLAY},
    trial,
};

use super::{alarms, under_traffic, wait_for_word, with_internet};
use crate::bed::{Bed, assert_unreachable, eventually, ping, run};

#[test]
fn a_gateway_starts_without_its_underlay_address_and_is_up_when_that_comes() {
    trial::run_with_tun(|| {
        let mut bed = Bed::quiet(Shape::TwoGateways, 2, &Options::default());
        let underlay = bed.topology.sites[0].underlay;
        let shown = run(bed.gateway(0), &format!("ip -o address show to {underlay}"));
        let address = shown.split_whitespace().nth(3).expect("the address is there").to_owned();
        run(bed.gateway(0), &format!("ip address del {address} dev {UNDERLAY}"));
        for site in 0..2 {
            bed.start(site, bed.mesh.clone());
        }
        eventually("the daemon runs, and says what it lacks", || {
            bed.gateways[0].status().is_ok() && alarms(&bed, &format!("underlay address {underlay}")) == 1
        });
        assert_unreachable(bed.host(0), bed.addresses(1)[0]);
        run(bed.gateway(0), &format!("ip address add {address} dev {UNDERLAY}"));
        bed.wait_until_up();
        eventually("it lacks nothing", || alarms(&bed, "underlay address") == 0);
        ping(bed.host(0), bed.addresses(1)[0]);
    });
}

#[test]
fn an_underlay_address_that_goes_and_comes_back_ends_nothing() {
    trial::run_with_tun(|| {
        let mut bed = with_internet(2);
        under_traffic(&mut bed, |bed| {
            let address = bed.topology.sites[0].underlay;
            let shown = run(bed.gateway(0), &format!("ip -o address show to {address}"));
            let address = shown.split_whitespace().nth(3).expect("the address is there").to_owned();
            run(bed.gateway(0), &format!("ip address del {address} dev {UNDERLAY}"));
            run(bed.gateway(0), &format!("ip address add {address} dev {UNDERLAY}"));
        });
        assert!(bed.gateways[0].ended().expect("it can be asked").is_none(), "the daemon runs on");
    });
}

#[test]
fn an_underlay_device_that_goes_down_and_up_ends_nothing() {
    trial::run_with_tun(|| {
        let mut bed = with_internet(2);
        under_traffic(&mut bed, |bed| {
            run(bed.gateway(0), &format!("ip link set {UNDERLAY} down"));
            // Sooner or later both ends have noticed, and packets meet the route beneath.
            assert_unreachable(bed.host(0), bed.addresses(1)[0]);
            wait_for_word(bed, "no channel is left to");
            run(bed.gateway(0), &format!("ip link set {UNDERLAY} up"));
        });
        wait_for_word(&bed, "up again after");
        assert!(bed.gateways[0].ended().expect("it can be asked").is_none(), "the daemon runs on");
    });
}
