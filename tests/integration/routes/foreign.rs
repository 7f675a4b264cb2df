//! What is not ours.

use std::collections::BTreeSet;

use netns_lab::{
    gateway::Gateway,
    topology::{Options, Shape},
    trial,
};

use crate::bed::{Bed, PATIENCE, eventually, run};
use crate::kernel::{Left, NONE, assert_left, differences, everything};

#[test]
fn devices_routes_and_addresses_of_others_are_left_alone() {
    trial::run_with_tun(|| {
        let mut bed = Bed::quiet(Shape::TwoGateways, 2, &Options { internet: true, ..Options::default() });
        let node = bed.gateway(0).clone();
        for line in [
            "ip tuntap add dev other0 mode tun",
            "ip link set dev other0 alias somebody's up",
            "ip address add 172.16.0.1/24 dev other0",
            "ip address add 10.1.0.77/32 dev lo",
            "ip route add 172.17.0.0/16 via 203.0.113.5 proto 42",
            "ip route add unreachable 172.18.0.0/16 metric 4278198272 proto 186",
            "ip -6 route add fd00:9::/64 via 2001:db8:200:1::1 proto static metric 101",
            // Within a network of the link, and under our routes.
            "ip route add 10.2.0.0/24 via 203.0.113.5 proto 42 metric 300",
            "ip route add 10.2.0.0/24 via 203.0.113.5 table 77",
            "ip rule add from 172.16.0.0/24 lookup 77",
        ] {
            run(&node, line);
        }
        let before = everything(&node);
        bed.start_all();
        let warning = "the route 10.2.0.0/24 metric 300 is not of meshtun and takes packets past its links as soon as";
        assert!(bed.gateways[0].log().contains(warning), "{}", bed.gateways[0].log());
        let marks = ["\"protocol\":\"109\"", "\"protocol\":\"110\"", "cable0", "cable1", "sysctl "];
        let others = |lines: &BTreeSet<String>| -> BTreeSet<String> {
            lines.iter().filter(|line| !marks.iter().any(|mark| line.contains(mark))).cloned().collect()
        };
        assert_eq!(differences(&others(&before), &others(&everything(&node))), NONE);
        bed.gateways[0].ask(&["down"]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(differences(&others(&before), &others(&everything(&node))), NONE);
        bed.gateways[0].ask(&["down", "--unprotect"]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(differences(&before, &everything(&node)), NONE, "as if we had never been here");
    });
}

#[test]
fn a_device_of_our_name_that_is_not_ours_is_refused_and_left_alone() {
    trial::run_with_tun(|| {
        for make in ["ip tuntap add dev cable1 mode tun", "ip link add dev cable1 type veth peer name cable-peer"] {
            refused(make, &["device cable1", "not a device of meshtun"]);
        }
    });
}

#[test]
fn a_route_of_our_prefix_and_metric_that_is_not_ours_is_refused_and_left_alone() {
    trial::run_with_tun(|| {
        refused(
            "ip route add 10.2.0.0/24 dev lan proto static metric 101",
            &["10.2.0.0/24", "metric 101", "protocol 4"],
        );
    });
}

#[test]
fn a_second_daemon_is_refused_and_told_of_the_first() {
    trial::run_with_tun(|| {
        let mut bed = Bed::quiet(Shape::TwoGateways, 2, &Options::default());
        bed.start_all();
        let before = everything(bed.gateway(0));
        let first = &bed.gateways[0];
        let [mesh, key] = ["mesh.toml", "private.key"].map(|name| first.folder().join(name).display().to_string());
        let output = crate::bed::output(first.node(), first.command(&["up", &mesh, "--key", &key]));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(&format!("process {}", first.id())), "{said}");
        assert_eq!(differences(&before, &everything(bed.gateway(0))), NONE);
        bed.status(0);
    });
}

/// Makes something in the way of g1, which must say all of `words` in one line, end, and have closed the way out.
fn refused(make: &str, words: &[&str]) {
    let mut bed = Bed::quiet(Shape::TwoGateways, 2, &Options::default());
    let node = bed.gateway(0).clone();
    run(&node, make);
    let before = everything(&node);
    bed.start(0, bed.mesh.clone());
    let gateway: &mut Gateway = &mut bed.gateways[0];
    eventually("the daemon ends", || gateway.ended().expect("it can be waited for").is_some());
    let said = gateway.log();
    assert_eq!(gateway.stop(PATIENCE).ok().and_then(|status| status.code()), Some(1), "{said}");
    let complaint: Vec<_> = said.lines().filter(|line| line.starts_with("meshtun: ")).collect();
    assert_eq!(complaint.len(), 1, "{said}");
    assert!(words.iter().all(|word| complaint[0].contains(word)), "{said}");
    assert_left(&node, &before, Left::Unreachable);
}
