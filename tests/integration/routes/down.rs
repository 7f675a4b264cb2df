//! What `down` takes away, and what it leaves.

use netns_lab::{
    topology::{Options, Shape, WAN},
    trial,
    watch::{self, Watch},
};

use crate::bed::{Bed, PATIENCE, assert_unreachable, eventually, ping, run};
use crate::kernel::{HASH_POLICIES, only_unreachable, our_devices, our_routes};

#[test]
fn down_leaves_nothing_but_the_unreachable_routes() {
    trial::run_with_tun(|| {
        let mut bed = with_internet();
        assert_down(&mut bed, 0);
        let ended = || bed.gateways[0].ended().expect("it can be waited for");
        let mut ended = ended;
        eventually("the daemon ends", || ended().is_some());
        assert_eq!(ended().and_then(|status| status.code()), Some(0), "a clean end");
    });
}

#[test]
fn down_removes_what_a_stopped_daemon_left() {
    trial::run_with_tun(|| {
        let mut bed = with_internet();
        bed.gateways[0].stop(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
        assert_down(&mut bed, 0);
    });
}

#[test]
fn down_removes_what_a_crashed_daemon_left() {
    trial::run_with_tun(|| {
        let mut bed = with_internet();
        bed.gateways[0].kill().unwrap_or_else(|error| panic!("{error}"));
        assert_down(&mut bed, 0);
    });
}

#[test]
fn down_protects_before_it_removes_anything() {
    trial::run_with_tun(|| {
        let mut bed = with_internet();
        bed.gateways[0].kill().unwrap_or_else(|error| panic!("{error}"));
        for line in [
            "ip route del unreachable 10.2.0.0/24 metric 4278198272",
            "ip route del unreachable 10.2.0.0/24 metric 4278198273",
            "ip -6 route del unreachable fd00:2::/64 metric 4278198272",
            "ip -6 route del unreachable fd00:2::/64 metric 4278198273",
        ] {
            run(bed.gateway(0), line);
        }
        assert_down(&mut bed, 0);
    });
}

#[test]
fn unprotect_removes_the_unreachable_routes_too_and_only_then_packets_leave_in_clear() {
    trial::run_with_tun(|| {
        let bed = with_internet();
        let watch = Watch::start(bed.gateway(0), WAN, watch::Options::new(bed.mesh.ports())).expect("it is there");
        // The one with its daemon running, the other after a plain `down`.
        bed.gateways[1].ask(&["down"]).unwrap_or_else(|error| panic!("{error}"));
        assert_unreachable(bed.host(0), bed.addresses(1)[0]);
        assert_eq!(watch.report().clear_packets, 0, "{:?}", watch.report());
        for gateway in &bed.gateways {
            gateway.ask(&["down", "--unprotect"]).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(our_routes(gateway.node()), []);
        }
        bed.addresses(1).into_iter().for_each(|to| ping(bed.host(0), to));
        let report = watch.stop().expect("nothing was missed");
        assert!(report.clear_packets >= 4, "the watch sees what leaves: {report:?}");
    });
}

#[test]
fn down_gives_the_machine_its_settings_back_unless_somebody_changed_them_since() {
    trial::run_with_tun(|| {
        let mut bed = Bed::quiet(Shape::TwoGateways, 2, &Options::default());
        let [v4, v6] = HASH_POLICIES;
        let setting = |bed: &Bed, key: &str| bed.gateway(0).sysctl(key).expect("the kernel has it");
        for key in [v4, v6] {
            bed.gateway(0).set_sysctl(key, "2").expect("the kernel takes it");
        }
        bed.start_all();
        assert_eq!((setting(&bed, v4).as_str(), setting(&bed, v6).as_str()), ("1", "1"));
        // A crash and a start in between must not take our own value for the machine's.
        bed.gateways[0].restart().unwrap_or_else(|error| panic!("{error}"));
        bed.wait_until_up();
        bed.gateway(0).set_sysctl(v6, "0").expect("the kernel takes it");
        bed.gateways[0].ask(&["down"]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((setting(&bed, v4).as_str(), setting(&bed, v6).as_str()), ("2", "0"));
    });
}

fn with_internet() -> Bed {
    let mut bed = Bed::quiet(Shape::TwoGateways, 4, &Options { internet: true, ..Options::default() });
    bed.start_all();
    bed
}

/// Takes a gateway down and looks at what is left.
fn assert_down(bed: &mut Bed, site: usize) {
    let watch = Watch::start(bed.gateway(site), WAN, watch::Options::new(bed.mesh.ports())).expect("it is there");
    let said = bed.gateways[site].ask(&["down"]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(said, "");
    assert_eq!(our_routes(bed.gateway(site)), only_unreachable());
    assert!(our_devices(bed.gateway(site)).is_empty());
    for key in HASH_POLICIES {
        assert_eq!(bed.gateway(site).sysctl(key).expect("the kernel has it"), "0", "{key}");
    }
    for to in bed.addresses(1 - site) {
        assert_unreachable(bed.host(site), to);
    }
    let report = watch.stop().expect("nothing was missed");
    assert_eq!(report.clear_packets, 0, "{report:?}");
}
