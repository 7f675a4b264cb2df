use std::{thread, time::Duration};

use netns_lab::{
    topology::{Family, LAN, Options, Shape, Site, Topology, UNDERLAY, WAN},
    trial,
};

use crate::{connects, reaches, routed};

const ALL: [(Shape, Family); 4] = [
    (Shape::TwoGateways, Family::V4),
    (Shape::TwoGateways, Family::V6),
    (Shape::ThreeSites, Family::V4),
    (Shape::ThreeSites, Family::V6),
];

fn pairs(topology: &Topology) -> impl Iterator<Item = (&Site, &Site)> {
    let other = |one: &Site, other: &Site| one.number != other.number;
    topology
        .sites
        .iter()
        .flat_map(move |one| topology.sites.iter().filter(move |two| other(one, two)).map(move |two| (one, two)))
}

#[test]
fn hosts_reach_their_gateways_and_gateways_each_other_and_hosts_no_other_site() {
    trial::run(|| {
        thread::scope(|scope| {
            for (shape, underlay) in ALL {
                scope.spawn(move || {
                    let options = Options { underlay, ..Options::default() };
                    let topology = Topology::build(shape, &options).unwrap();
                    assert_eq!(topology.sites.len(), usize::from(shape.sites()));
                    for site in &topology.sites {
                        assert!(reaches(&site.host, &site.gateway, site.gateway_v4));
                        assert!(reaches(&site.host, &site.gateway, site.gateway_v6));
                        assert!(reaches(&site.gateway, &site.host, site.host_v6));
                        assert_eq!(site.underlay.is_ipv4(), underlay == Family::V4);
                    }
                    for (one, two) in pairs(&topology) {
                        assert!(reaches(&one.gateway, &two.gateway, two.underlay), "{shape:?} {underlay:?}");
                        for address in [two.host_v4.into(), two.host_v6.into()] {
                            let there = connects(&one.host, &two.host, address, Duration::from_millis(100));
                            assert!(!there, "{shape:?} {underlay:?}: {} reaches {address}", one.host.name());
                        }
                    }
                });
            }
        });
    });
}

#[test]
fn routes_in_clear_join_the_sites() {
    trial::run(|| {
        for (shape, underlay) in [(Shape::TwoGateways, Family::V4), (Shape::ThreeSites, Family::V6)] {
            let topology = Topology::build(shape, &Options { underlay, ..Options::default() }).unwrap();
            topology.route_in_clear().unwrap();
            for (one, two) in pairs(&topology) {
                match underlay {
                    Family::V4 => assert!(reaches(&one.host, &two.host, two.host_v4)),
                    Family::V6 => assert!(reaches(&one.host, &two.host, two.host_v6)),
                }
            }
        }
    });
}

#[test]
fn by_the_internet_everything_leaks_through_the_default_routes() {
    trial::run(|| {
        for shape in [Shape::TwoGateways, Shape::ThreeSites] {
            let topology = Topology::build(shape, &Options { internet: true, ..Options::default() }).unwrap();
            let internet = topology.internet.as_ref().unwrap();
            let sent = |site: &Site| {
                let links = site.gateway.links().unwrap();
                links.iter().find(|link| link.name == WAN).map(|link| link.tx_packets).unwrap()
            };
            for site in &topology.sites {
                assert!(reaches(&site.host, internet, std::net::Ipv4Addr::new(192, 0, 2, 1)));
                assert!(reaches(&site.host, internet, "2001:db8:300::1".parse::<std::net::Ipv6Addr>().unwrap()));
            }
            for (one, two) in pairs(&topology) {
                let before = sent(one);
                assert!(reaches(&one.host, &two.host, two.host_v4));
                assert!(reaches(&one.host, &two.host, two.host_v6));
                assert!(sent(one) > before);
                assert!(
                    reaches(&one.gateway, &two.gateway, two.underlay),
                    "the underlay's own route is the better one"
                );
            }
        }
    });
}

#[test]
fn the_underlay_has_the_mtu_that_was_asked_for_and_the_lans_no_less_than_ethernets() {
    trial::run(|| {
        for (shape, mtu, lan) in [(Shape::TwoGateways, 9000, 9000), (Shape::ThreeSites, 1280, 1500)] {
            let topology = Topology::build(shape, &Options { mtu, ..Options::default() }).unwrap();
            for site in &topology.sites {
                let links = site.gateway.links().unwrap();
                let mtu_of = |name| links.iter().find(|link| link.name == name).unwrap().mtu;
                assert_eq!((mtu_of(UNDERLAY), mtu_of(LAN)), (mtu, lan));
            }
        }
    });
}

#[test]
fn the_drawing_shows_every_node_and_address() {
    trial::run(|| {
        for (shape, underlay) in ALL {
            let options = Options { underlay, internet: true, ..Options::default() };
            let topology = Topology::build(shape, &options).unwrap();
            let drawing = topology.drawing();
            for site in &topology.sites {
                let addresses = [site.host_v4.to_string(), site.gateway_v6.to_string(), site.underlay.to_string()];
                for part in addresses.iter().map(String::as_str).chain([site.name(), site.host.name(), "internet"]) {
                    assert!(drawing.contains(part), "{part} is not in\n{drawing}");
                }
            }
            assert!(drawing.lines().all(|line| line.chars().count() < 100), "{drawing}");
        }
    });
}

#[test]
fn the_mesh_of_a_topology_links_every_pair_of_gateways() {
    trial::run(|| {
        let keys: Vec<_> = (1..=3).map(|n| netns_lab::program::Keys::new("secret", &format!("key{n}="))).collect();
        let two = routed().mesh(&keys, 4);
        assert_eq!(two.devices("g1"), ["cable0", "cable1", "cable2", "cable3"]);
        let three = Topology::build(Shape::ThreeSites, &Options::default()).unwrap().mesh(&keys, 2);
        assert_eq!(three.devices("g1"), ["ab0", "ab1", "ac0", "ac1"]);
        assert_eq!(three.devices("g3"), ["ac0", "ac1", "bc0", "bc1"]);
        assert_eq!(three.ports().len(), 6);
        let text = three.to_string();
        assert!(text.contains("key3=") && !text.contains("secret"), "{text}");
    });
}
