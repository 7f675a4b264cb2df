use super::*;
use crate::{ActualRoute, PROTOCOL, TunFlags, UNREACHABLE_METRIC, device_sysctls, ecmp_sysctls, multipath_metric};

fn device(name: &str) -> Device {
    let channel = name.trim_start_matches(char::is_alphabetic).parse().unwrap();
    Device {
        name: name.to_owned(),
        alias: Device::alias_of("nq", channel),
        mtu: 1420,
        txqueuelen: 500,
        link_local: std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, channel),
        qdisc: Some("fq_codel".to_owned()),
        held_down: false,
    }
}

fn nexthop(device: &str, v6: bool) -> Nexthop {
    let via = v6.then(|| format!("fe80::2:{}", &device[2..]).parse().unwrap());
    Nexthop { device: device.to_owned(), via, weight: 1 }
}

fn multipath(prefix: &str, names: &[&str]) -> Route {
    let prefix: IpNet = prefix.parse().unwrap();
    let v6 = prefix.addr().is_ipv6();
    let nexthops = names.iter().map(|name| nexthop(name, v6)).collect();
    let src = Some(if v6 { "fd00:207::1" } else { "10.207.0.1" }.parse().unwrap());
    Route { prefix, metric: multipath_metric(0), kind: RouteKind::Multipath { nexthops, src } }
}

const NETWORKS: [&str; 2] = ["10.202.0.0/16", "fd00:202::/48"];

pub(super) fn desired(names: &[&str]) -> Desired {
    let unreachable = NETWORKS.map(|prefix| Route::unreachable(prefix.parse().unwrap()));
    let multipath = NETWORKS.map(|prefix| multipath(prefix, names));
    Desired {
        devices: names.iter().map(|name| device(name)).collect(),
        routes: multipath.into_iter().chain(unreachable).collect(),
        sysctls: ecmp_sysctls().into_iter().chain(names.iter().flat_map(|name| device_sysctls(name))).collect(),
    }
}

/// The kernel that has just what is desired.
pub(super) fn converged(desired: &Desired) -> Actual {
    let devices = desired.devices.iter().enumerate().map(|(index, device)| {
        let existing = ActualDevice {
            name: device.name.clone(),
            index: 7 + u32::try_from(index).unwrap(),
            tun: Some(TunFlags { layer3: true, multi_queue: false, persistent: true }),
            alias: Some(device.alias.clone()),
            mtu: device.mtu,
            txqueuelen: device.txqueuelen,
            up: true,
            carrier: false,
            addresses: vec![IpNet::new(device.link_local.into(), 64).unwrap()],
            qdisc: device.qdisc.clone(),
            own_qdisc: true,
        };
        (device.name.clone(), existing)
    });
    let ours = desired.routes.iter().map(|route| ActualRoute {
        prefix: route.prefix,
        metric: route.metric,
        protocol: PROTOCOL,
        kind: actual_kind(&route.kind),
    });
    Actual {
        devices: devices.collect(),
        routes: ours.collect(),
        sysctls: desired.sysctls.iter().map(|sysctl| (sysctl.key.clone(), sysctl.value.clone())).collect(),
        ..empty()
    }
}

fn empty() -> Actual {
    let addresses = ["10.207.0.1", "fd00:207::1"].map(|address| address.parse().unwrap()).into();
    Actual { ipv6: true, addresses, ..Actual::default() }
}

fn lines(desired: &Desired, actual: &Actual) -> Vec<String> {
    lines_of(&difference(desired, actual, Protection::Keep).unwrap())
}

pub(super) fn lines_of(steps: &[Step]) -> Vec<String> {
    steps.iter().map(ToString::to_string).collect()
}

#[test]
fn from_nothing_the_commands_are_those_that_a_person_would_type() {
    let expected = "\
ip route replace unreachable 10.202.0.0/16 proto 109 metric 4278198272
ip -6 route replace unreachable fd00:202::/48 proto 109 metric 4278198272
sysctl -w net.ipv4.fib_multipath_hash_policy=1
sysctl -w net.ipv6.fib_multipath_hash_policy=1
ip tuntap add dev nq0 mode tun vnet_hdr
sysctl -w net.ipv4.conf.nq0.rp_filter=0
sysctl -w net.ipv4.conf.nq0.ignore_routes_with_linkdown=1
sysctl -w net.ipv6.conf.nq0.disable_ipv6=0
sysctl -w net.ipv6.conf.nq0.ignore_routes_with_linkdown=1
sysctl -w net.ipv6.conf.nq0.addr_gen_mode=1
sysctl -w net.ipv6.conf.nq0.accept_ra=0
ip link set dev nq0 alias 'meshtun nq/0' mtu 1420 txqueuelen 500 up
ip address add fe80::1:0/64 dev nq0 nodad
tc qdisc replace dev nq0 root handle 6d74: fq_codel
ip route replace 10.202.0.0/16 proto 109 metric 100 src 10.207.0.1 nexthop dev nq0 weight 1
ip -6 route replace fd00:202::/48 proto 109 metric 100 src fd00:207::1 nexthop via fe80::2:0 dev nq0 weight 1";
    assert_eq!(lines(&desired(&["nq0"]), &empty()).join("\n"), expected);
}

#[test]
fn what_is_as_desired_needs_no_step() {
    let desired = desired(&["nq0", "nq1"]);
    assert_eq!(lines(&desired, &converged(&desired)), Vec::<String>::new());
}

#[test]
fn a_channel_leaves_every_route_before_its_device_is_deleted() {
    let actual = up(converged(&desired(&["nq0", "nq1"])), &[]);
    let expected = [
        "ip route replace 10.202.0.0/16 proto 109 metric 100 src 10.207.0.1 nexthop dev nq0 weight 1",
        "ip -6 route replace fd00:202::/48 proto 109 metric 100 src fd00:207::1 nexthop via fe80::2:0 dev nq0 weight 1",
        "ip link delete dev nq1",
    ];
    assert_eq!(lines(&desired(&["nq0"]), &actual), expected);
}

#[test]
fn the_last_channel_takes_the_multipath_routes_along_and_leaves_the_unreachable_ones() {
    let actual = converged(&desired(&["nq0"]));
    let expected = [
        "ip route del 10.202.0.0/16 proto 109 metric 100",
        "ip -6 route del fd00:202::/48 proto 109 metric 100",
        "ip link delete dev nq0",
    ];
    assert_eq!(lines(&Desired::default(), &actual), expected);
}

#[test]
fn only_lifting_the_protection_deletes_unreachable_routes_and_only_those_that_are_not_desired() {
    let actual = converged(&desired(&["nq0"]));
    let mut wanted = desired(&["nq0"]);
    wanted.routes.retain(|route| route.prefix.addr().is_ipv6());
    let steps = difference(&wanted, &actual, Protection::Lift).unwrap();
    let prefix = NETWORKS[0].parse().unwrap();
    let expected = [multipath_metric(0), UNREACHABLE_METRIC].map(|metric| Step::DeleteRoute { prefix, metric });
    assert_eq!(steps, expected);
}

#[test]
fn a_device_made_anew_is_out_of_the_route_meanwhile_and_its_sysctls_are_written_again() {
    let desired = desired(&["nq0", "nq1"]);
    let mut actual = converged(&desired);
    actual.devices.get_mut("nq1").unwrap().tun.as_mut().unwrap().multi_queue = true;
    let lines = lines(&desired, &actual);
    let place =
        |start: &str| lines.iter().position(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}"));
    let order = [
        "ip route replace 10.202.0.0/16 proto 109 metric 100 src 10.207.0.1 nexthop dev nq0 weight 1",
        "ip link delete dev nq1",
        "ip tuntap add dev nq1",
        "sysctl -w net.ipv4.conf.nq1.ignore_routes_with_linkdown=1",
        "ip link set dev nq1 alias 'meshtun nq/1' mtu 1420 txqueuelen 500 up",
    ];
    assert!(order.map(place).is_sorted(), "{lines:#?}");
    let whole =
        "ip route replace 10.202.0.0/16 proto 109 metric 100 src 10.207.0.1 nexthop dev nq0 weight 1 nexthop dev nq1";
    assert!(
        lines.iter().rposition(|line| line.starts_with(whole)).unwrap() > place("ip link set dev nq1"),
        "{lines:#?}"
    );
    assert!(!lines.iter().any(|line| line.contains("nq0.")), "{lines:#?}");
}

#[test]
fn a_device_that_is_down_is_no_refuge_for_the_flows_of_one_that_goes() {
    let wanted = desired(&["nq0"]);
    let mut actual = converged(&desired(&["nq0", "nq1"]));
    actual.devices.get_mut("nq0").unwrap().up = false;
    let lines = lines(&wanted, &actual);
    let expected = [
        "ip route del 10.202.0.0/16 proto 109 metric 100",
        "ip -6 route del fd00:202::/48 proto 109 metric 100",
        "ip link delete dev nq1",
        "ip link set dev nq0 up",
        "ip route replace 10.202.0.0/16 proto 109 metric 100 src 10.207.0.1 nexthop dev nq0 weight 1",
        "ip -6 route replace fd00:202::/48 proto 109 metric 100 src fd00:207::1 nexthop via fe80::2:0 dev nq0 weight 1",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn the_first_nexthop_of_a_replaced_route_is_one_that_has_carrier() {
    let actual = up(converged(&desired(&["nq0", "nq1"])), &["nq1"]);
    let steps = difference(&desired(&["nq0", "nq1", "nq2"]), &actual, Protection::Keep).unwrap();
    let Some(Step::ReplaceRoute(Route { kind: RouteKind::Multipath { nexthops, .. }, .. })) = steps.last() else {
        panic!("{steps:?}")
    };
    let order: Vec<&str> = nexthops.iter().map(|nexthop| nexthop.device.as_str()).collect();
    assert_eq!(order, ["nq1", "nq0", "nq2"]);
}

#[test]
fn a_route_of_ours_of_another_type_is_deleted_and_made_because_ipv6_would_keep_both() {
    let desired = desired(&["nq0"]);
    let mut actual = converged(&desired);
    actual.routes[1].kind = ActualRouteKind::Other(6);
    let expected = [
        "ip -6 route del fd00:202::/48 proto 109 metric 100",
        "ip -6 route replace fd00:202::/48 proto 109 metric 100 src fd00:207::1 nexthop via fe80::2:0 dev nq0 weight 1",
    ];
    assert_eq!(lines(&desired, &actual), expected);
}

#[test]
fn everything_foreign_in_our_way_is_named_at_once() {
    let desired = desired(&["nq0", "nq1"]);
    let mut actual = converged(&desired);
    actual.devices.get_mut("nq0").unwrap().alias = None;
    actual.devices.get_mut("nq1").unwrap().tun = None;
    actual.routes[0].protocol = 12;
    let error = difference(&desired, &actual, Protection::Lift).unwrap_err().to_string();
    for part in ["device nq0", "device nq1", "route 10.202.0.0/16 metric 100", "protocol 12"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn foreign_devices_and_routes_that_are_not_in_our_way_are_never_touched() {
    let mut actual = converged(&desired(&["nq0"]));
    actual.devices.get_mut("nq0").unwrap().alias = Some("somebody's".to_owned());
    actual.routes.iter_mut().for_each(|route| route.protocol = 12);
    assert_eq!(difference(&Desired::default(), &actual, Protection::Lift).unwrap(), []);
}

#[test]
fn without_ipv6_in_the_kernel_only_ipv4_is_set_up() {
    let lines = lines(&desired(&["nq0"]), &Actual { ipv6: false, ..empty() });
    let of_ipv6 = |line: &String| ["ipv6", "fe80", "ip -6"].iter().any(|word| line.contains(word));
    assert!(!lines.iter().any(of_ipv6), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("net.ipv4.conf.nq0.rp_filter")), "{lines:#?}");
}

#[test]
fn a_tolerated_sysctl_is_left_and_a_lacking_qdisc_is_not_asked_for_again() {
    let desired = desired(&["nq0"]);
    let mut actual = converged(&desired);
    actual.sysctls.insert("net.ipv4.fib_multipath_hash_policy".to_owned(), "3".to_owned());
    actual.devices.get_mut("nq0").unwrap().qdisc = Some("pfifo_fast".to_owned());
    assert_eq!(lines(&desired, &actual), ["tc qdisc replace dev nq0 root handle 6d74: fq_codel"]);
    actual.lacking_qdiscs.insert("fq_codel".to_owned());
    assert_eq!(lines(&desired, &actual), Vec::<String>::new());
}

#[test]
fn a_qdisc_that_is_wanted_no_more_goes_if_it_was_ours() {
    let mut wanted = desired(&["nq0"]);
    let mut actual = converged(&wanted);
    wanted.devices[0].qdisc = None;
    assert_eq!(lines(&wanted, &actual), ["tc qdisc del dev nq0 root"]);
    actual.devices.get_mut("nq0").unwrap().own_qdisc = false;
    assert_eq!(lines(&wanted, &actual), Vec::<String>::new());
}

#[test]
fn host_bits_in_a_prefix_a_repeated_nexthop_and_the_weight_of_a_single_one_do_not_matter() {
    let mut alone = multipath("10.203.0.0/16", &["nq0", "nq0"]);
    let RouteKind::Multipath { nexthops, .. } = &mut alone.kind else { unreachable!() };
    nexthops.iter_mut().for_each(|nexthop| nexthop.weight = 9);
    let routes = vec![multipath("10.202.3.4/16", &["nq1", "nq0", "nq1"]), alone];
    let actual = converged(&Desired {
        routes: vec![multipath("10.202.0.0/16", &["nq0", "nq1"]), multipath("10.203.0.0/16", &["nq0"])],
        ..Desired::default()
    });
    assert_eq!(lines(&Desired { routes, ..Desired::default() }, &actual), Vec::<String>::new());
}

#[test]
fn over_devices_too_narrow_for_ipv6_its_packets_meet_the_unreachable_route() {
    let mut wanted = desired(&["nq0", "nq1"]);
    wanted.devices[1].mtu = 1279;
    let some = lines(&wanted, &empty());
    let route =
        "ip -6 route replace fd00:202::/48 proto 109 metric 100 src fd00:207::1 nexthop via fe80::2:0 dev nq0 weight 1";
    assert_eq!(some.last().unwrap(), route);
    wanted.devices[0].mtu = 1279;
    let none = lines(&wanted, &converged(&desired(&["nq0", "nq1"])));
    assert!(none.contains(&"ip -6 route del fd00:202::/48 proto 109 metric 100".to_owned()), "{none:#?}");
    assert!(lines(&wanted, &empty()).iter().any(|line| line.contains("unreachable fd00:202::/48")));
}

/// With carrier on these devices.
fn up(mut actual: Actual, names: &[&str]) -> Actual {
    names.iter().for_each(|name| actual.devices.get_mut(*name).unwrap().carrier = true);
    actual
}

#[test]
fn routes_that_only_change_their_metric_are_there_anew_before_the_old_ones_go() {
    let mut desired = desired(&["nq0", "nq1"]);
    let actual = converged(&desired);
    for route in desired.routes.iter_mut().filter(|route| route.metric == 100) {
        route.metric = 107;
    }
    let lines = lines_of(&difference(&desired, &actual, Protection::Keep).unwrap());
    let [added4, added6, gone4, gone6] = &lines[..] else { panic!("{lines:#?}") };
    for (added, gone) in [(added4, gone4), (added6, gone6)] {
        assert!(added.contains(" replace ") && added.contains("metric 107"), "{lines:#?}");
        assert!(gone.contains(" del ") && gone.contains("metric 100"), "{lines:#?}");
    }
}
