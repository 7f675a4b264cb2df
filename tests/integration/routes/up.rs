//! What `up` makes.

use netns_lab::{
    topology::{Family, Options, Shape, WAN},
    trial,
    watch::{self, Watch},
};

use crate::bed::{Bed, assert_unreachable, eventually, json};
use crate::kernel::{HASH_POLICIES, PREFIXES, Route, UNREACHABLE, our_devices, our_routes};

#[test]
fn up_spreads_each_network_over_all_devices_with_an_unreachable_route_beneath() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(4, Family::V4);
        let route = |prefix: &str, metric, source: Option<&str>, via: Option<&str>| {
            let leg = |n: usize| (format!("cable{n}"), via.map(|via| format!("{via}{n}")));
            let legs = if source.is_some() { (0..4).map(leg).collect() } else { Vec::new() };
            Route { prefix: prefix.into(), metric, source: source.map(str::to_owned), legs }
        };
        let [v4, v6] = PREFIXES;
        let expected = [
            route(v4, 101, Some("10.1.0.1"), None),
            route(v4, UNREACHABLE, None, None),
            route(v6, 101, Some("fd00:1::1"), Some("fe80::2:")),
            route(v6, UNREACHABLE, None, None),
        ];
        assert_eq!(our_routes(bed.gateway(0)), expected);
        for key in HASH_POLICIES {
            assert_eq!(bed.gateway(0).sysctl(key).expect("the kernel has it"), "1", "{key}");
        }
    });
}

#[test]
fn up_makes_a_device_for_each_channel_as_the_file_says() {
    trial::run_with_tun(|| {
        let bed = Bed::new(Shape::TwoGateways, 2, Family::V6, |mesh| {
            mesh.links[0].options.push(("txqueuelen".into(), "123".into()));
            mesh.links[0].options.push(("mtu".into(), "1300".into()));
        });
        for (number, device) in ["cable0", "cable1"].into_iter().enumerate() {
            let shown = &json(bed.gateway(1), &format!("ip -j -d address show dev {device}"))[0];
            assert_eq!((&shown["mtu"], &shown["txqlen"]), (&1300.into(), &123.into()), "{shown}");
            assert_eq!(shown["ifalias"], format!("meshtun cable/{number}"), "{shown}");
            assert_eq!(shown["linkinfo"]["info_data"]["persist"], true, "{shown}");
            let addresses = shown["addr_info"].as_array().expect("a list");
            let addresses: Vec<_> = addresses.iter().map(|a| (a["local"].as_str(), a["prefixlen"].as_u64())).collect();
            assert_eq!(addresses, [(Some(format!("fe80::2:{number}").as_str()), Some(64))], "{shown}");
            assert!(bed.gateway(1).is_running(device).expect("the node can be entered"));
        }
    });
}

#[test]
fn before_the_peer_answers_nothing_leaves_in_clear() {
    trial::run_with_tun(|| {
        let mut bed = Bed::quiet(Shape::TwoGateways, 2, &Options { internet: true, ..Options::default() });
        let watch = Watch::start(bed.gateway(0), WAN, watch::Options::new(bed.mesh.ports())).expect("it is there");
        bed.start(0, bed.mesh.clone());
        eventually("the devices are there", || our_devices(bed.gateway(0)).len() == 2);
        eventually("the gateway answers", || bed.gateways[0].status().is_ok());
        for device in ["cable0", "cable1"] {
            assert!(!bed.gateway(0).is_running(device).expect("the node can be entered"), "{device} has carrier");
        }
        for to in bed.addresses(1) {
            assert_unreachable(bed.host(0), to);
            assert_unreachable(bed.gateway(0), to);
        }
        let report = watch.stop().expect("nothing was missed");
        assert_eq!(report.clear_packets, 0, "{report:?}");
    });
}
