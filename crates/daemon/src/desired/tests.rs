use meshtun_config::Mesh;
use meshtun_netlink::{GUARD_METRIC, UNREACHABLE_METRIC};

use super::*;
use crate::fixtures;

fn mesh() -> Mesh {
    Mesh::parse("mesh.toml", &fixtures::mesh("mtu = 1400\nqdisc = \"fq\"\nweight = [1, 3]")).unwrap()
}

fn surroundings() -> Surroundings {
    Surroundings { mtus: BTreeMap::from([("nq".into(), 1400), ("mq".into(), 1420)]), ..Surroundings::default() }
}

fn planned() -> Desired {
    desired(&fixtures::view(&mesh()), &surroundings())
}

fn multipath(desired: &Desired, prefix: &str, metric: u32) -> (Vec<Nexthop>, Option<IpAddr>) {
    let prefix: IpNet = prefix.parse().unwrap();
    let route = desired.routes.iter().find(|route| (route.prefix, route.metric) == (prefix, metric));
    match &route.unwrap_or_else(|| panic!("{prefix} metric {metric} in {:#?}", desired.routes)).kind {
        RouteKind::Multipath { nexthops, src } => (nexthops.clone(), *src),
        RouteKind::Unreachable => panic!("{prefix} metric {metric} leads nowhere"),
    }
}

#[test]
fn every_channel_gets_its_device() {
    let devices = planned().devices;
    let names: Vec<_> = devices.iter().map(|device| (device.name.as_str(), device.alias.as_str())).collect();
    assert_eq!(
        names,
        [("nq0", "meshtun nq/0"), ("nq1", "meshtun nq/1"), ("mq0", "meshtun mq/0"), ("mq1", "meshtun mq/1")]
    );
    let facts: Vec<_> = devices.iter().map(|device| (device.mtu, device.qdisc.as_deref())).collect();
    assert_eq!(facts, [(1400, Some("fq")), (1400, Some("fq")), (1420, None), (1420, None)]);
    assert_ne!(devices[0].link_local, devices[1].link_local);
}

#[test]
fn a_network_is_routed_over_all_channels_with_their_weights() {
    let (nexthops, src) = multipath(&planned(), "10.202.0.0/16", multipath_metric(1));
    let leg = |device: &str, weight| Nexthop { device: device.into(), via: None, weight };
    assert_eq!(nexthops, [leg("nq0", 1), leg("nq1", 3)]);
    assert_eq!(src, Some("10.207.0.1".parse().unwrap()));
}

#[test]
fn ipv6_goes_by_way_of_the_peers_link_local_address() {
    let view = fixtures::view(&mesh());
    let (nexthops, src) = multipath(&planned(), "fd00:202::/48", multipath_metric(1));
    let expected: Vec<_> =
        view.links[0].channels.iter().map(|channel| Some(IpAddr::V6(channel.peer_link_local))).collect();
    assert_eq!(nexthops.iter().map(|nexthop| nexthop.via).collect::<Vec<_>>(), expected);
    assert_eq!(src, Some("fd00:207::1".parse().unwrap()));
}

#[test]
fn the_second_gateway_of_a_site_has_the_next_metric() {
    let (nexthops, _) = multipath(&planned(), "10.202.0.0/16", multipath_metric(2));
    assert_eq!(nexthops.iter().map(|nexthop| nexthop.device.as_str()).collect::<Vec<_>>(), ["mq0", "mq1"]);
}

#[test]
fn every_routed_network_has_an_unreachable_route_beneath_and_a_guard_and_these_come_first() {
    let routes = planned().routes;
    let unreachable: Vec<_> = routes.iter().take_while(|route| route.kind == RouteKind::Unreachable).collect();
    let prefixes: Vec<_> = unreachable.iter().map(|route| route.prefix.to_string()).collect();
    assert_eq!(prefixes, ["10.202.0.0/16", "10.202.0.0/16", "fd00:202::/48", "fd00:202::/48"]);
    let metrics: Vec<_> = unreachable.iter().map(|route| route.metric).collect();
    assert_eq!(metrics, [UNREACHABLE_METRIC, GUARD_METRIC, UNREACHABLE_METRIC, GUARD_METRIC]);
    for route in &routes[unreachable.len()..] {
        assert!(prefixes.contains(&route.prefix.to_string()), "{route:?} has nothing beneath");
        assert_ne!(route.kind, RouteKind::Unreachable);
    }
}

#[test]
fn a_channel_that_was_taken_out_keeps_its_device_and_is_in_no_route() {
    let view = fixtures::view(&mesh());
    let withdrawn = BTreeSet::from(["nq1".to_owned()]);
    let desired = desired(&view, &Surroundings { withdrawn, ..surroundings() });
    assert_eq!(desired.devices, planned().devices);
    let devices: BTreeSet<&str> = desired
        .routes
        .iter()
        .filter_map(|route| match &route.kind {
            RouteKind::Multipath { nexthops, .. } => Some(nexthops),
            RouteKind::Unreachable => None,
        })
        .flatten()
        .map(|nexthop| nexthop.device.as_str())
        .collect();
    assert_eq!(devices, BTreeSet::from(["nq0", "mq0", "mq1"]));
}

#[test]
fn a_link_that_has_lost_all_its_channels_leaves_the_unreachable_route() {
    let mut view = fixtures::view(&mesh());
    view.links.iter_mut().for_each(|link| link.channels.clear());
    let desired = desired(&view, &surroundings());
    assert!(desired.devices.is_empty());
    assert_eq!(desired.routes.len(), 4);
    assert!(desired.routes.iter().all(|route| route.kind == RouteKind::Unreachable));
}

#[test]
fn a_peers_address_outside_its_networks_is_routed_too() {
    let text = fixtures::mesh("").replace("address = \"10.202.0.1\"", "address = \"192.0.2.77\"");
    let view = fixtures::view(&Mesh::parse("mesh.toml", &text).unwrap());
    let (nexthops, _) = multipath(&desired(&view, &surroundings()), "192.0.2.77/32", multipath_metric(1));
    assert_eq!(nexthops.len(), 2);
}

#[test]
fn every_device_and_the_machine_get_their_settings() {
    let keys: Vec<_> = planned().sysctls.into_iter().map(|sysctl| (sysctl.key, sysctl.machine_wide)).collect();
    assert!(keys.contains(&("net.ipv4.conf.mq1.rp_filter".into(), false)));
    assert!(keys.contains(&("net.ipv6.conf.nq0.ignore_routes_with_linkdown".into(), false)));
    assert!(keys.contains(&("net.ipv4.fib_multipath_hash_policy".into(), true)));
}
