//! What the kernel holds, as `ip -j` tells it.

use std::collections::{BTreeMap, BTreeSet};

use netns_lab::Node;
use serde_json::Value;

use crate::bed::{eventually, json, run};

/// The protocol number of our routes.
const PROTOCOL: &str = "109";

/// The metric of the routes beneath ours.
pub(crate) const UNREACHABLE: u64 = 4_278_198_272;

/// Prefixes of the other site in a lab of two gateways, seen from the first.
pub(crate) const PREFIXES: [&str; 2] = ["10.2.0.0/24", "fd00:2::/64"];

/// No [`differences`].
pub(crate) const NONE: [&str; 0] = [];

/// The settings of the machine that a gateway changes.
pub(crate) const HASH_POLICIES: [&str; 2] =
    ["net.ipv4.fib_multipath_hash_policy", "net.ipv6.fib_multipath_hash_policy"];

/// A route of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Route {
    pub(crate) prefix: String,
    pub(crate) metric: u64,
    /// The source address of the gateway's own packets.
    pub(crate) source: Option<String>,
    /// What it leads over: device, and the other end's address there. Nothing if it is unreachable.
    pub(crate) legs: Vec<(String, Option<String>)>,
}

/// All routes of ours in the main table, IPv4 first.
pub(crate) fn our_routes(node: &Node) -> Vec<Route> {
    routes(node, &format!("show proto {PROTOCOL}")).iter().map(route).collect()
}

/// The routes under a prefix that lead nowhere.
pub(crate) fn only_unreachable() -> Vec<Route> {
    PREFIXES.map(|prefix| Route { prefix: prefix.into(), metric: UNREACHABLE, source: None, legs: Vec::new() }).into()
}

/// A device's index by its name, of all devices of ours.
pub(crate) fn our_devices(node: &Node) -> BTreeMap<String, u64> {
    let links = json(node, "ip -j link show");
    let ours = |link: &&Value| link["ifalias"].as_str().is_some_and(|alias| alias.starts_with("meshtun "));
    let named = |link: &Value| (text(link, "ifname"), link["ifindex"].as_u64().expect("a device has an index"));
    links.as_array().expect("ip prints a list").iter().filter(ours).map(named).collect()
}

/// Everything that a gateway may have changed or must not change, a line each: devices, addresses, routes and rules of
/// all tables, settings of the machine and of our devices. Not what comes and goes by itself.
pub(crate) fn everything(node: &Node) -> BTreeSet<String> {
    // The kernel makes a device's own address usable in its own time, and the routes of it then.
    eventually("no address is tentative", || run(node, "ip -6 -o address show tentative").is_empty());
    let mut lines = BTreeSet::new();
    for what in ["-d link show", "address show", "-4 route show table all", "-6 route show table all", "rule show"] {
        let list = json(node, &format!("ip -j {what}"));
        for mut item in list.as_array().expect("ip prints a list").clone() {
            forget_what_moves(&mut item);
            lines.insert(format!("ip {what}: {item}"));
        }
    }
    let settings = our_devices(node).into_keys().flat_map(|device| device_settings(&device));
    for key in settings.chain(HASH_POLICIES.map(str::to_owned)) {
        lines.insert(format!("sysctl {key}={}", node.sysctl(&key).expect("the kernel has it")));
    }
    lines
}

/// The lines in which two answers of [`everything`] differ.
pub(crate) fn differences(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Vec<String> {
    let gone = before.difference(after).map(|line| format!("- {line}"));
    gone.chain(after.difference(before).map(|line| format!("+ {line}"))).collect()
}

/// What a start that fails may leave in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing at all.
    Nothing,
    /// The `unreachable` routes, so that packets for the peer's networks do not take the default route.
    Unreachable,
}

/// That nothing else than this was left since `before`.
pub(crate) fn assert_left(node: &Node, before: &BTreeSet<String>, left: Left) {
    let routes = if left == Left::Unreachable { only_unreachable() } else { Vec::new() };
    assert_eq!(our_routes(node), routes);
    let others: Vec<_> = differences(before, &everything(node))
        .into_iter()
        .filter(|line| !(line.starts_with("+ ip -") && line.contains(r#""type":"unreachable""#)))
        .collect();
    assert_eq!(others, NONE);
}

/// The settings of a device that decide where packets go.
fn device_settings(device: &str) -> Vec<String> {
    let keys = ["ipv4.rp_filter", "ipv4.ignore_routes_with_linkdown", "ipv6.ignore_routes_with_linkdown"];
    let keys = keys.into_iter().chain(["ipv6.addr_gen_mode", "ipv6.accept_ra", "ipv6.disable_ipv6"]);
    keys.map(|key| {
        let (family, key) = key.split_once('.').expect("written so above");
        format!("net.{family}.conf.{device}.{key}")
    })
    .collect()
}

fn routes(node: &Node, which: &str) -> Vec<Value> {
    let list = |family: &str| json(node, &format!("ip -j {family} route {which}"));
    ["-4", "-6"].into_iter().flat_map(|family| list(family).as_array().expect("ip prints a list").clone()).collect()
}

fn route(json: &Value) -> Route {
    let optional = |value: &Value, key: &str| value[key].as_str().map(str::to_owned);
    let leg = |leg: &Value| (text(leg, "dev"), optional(leg, "gateway"));
    let legs = match json["nexthops"].as_array() {
        _ if json["type"] == "unreachable" => Vec::new(),
        Some(legs) => legs.iter().map(leg).collect(),
        None => vec![leg(json)],
    };
    let metric = json["metric"].as_u64().expect("our routes have a metric");
    Route { prefix: text(json, "dst"), metric, source: optional(json, "prefsrc"), legs }
}

/// Carrier and what follows from it, and numbers that are never given twice.
fn forget_what_moves(item: &mut Value) {
    let fields = item.as_object_mut().expect("ip prints objects");
    for key in ["ifindex", "operstate", "flags"] {
        fields.remove(key);
    }
    let legs = fields.get_mut("nexthops").and_then(Value::as_array_mut);
    legs.into_iter().flatten().for_each(forget_what_moves);
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}")).to_owned()
}
