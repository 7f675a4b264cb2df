//! What a running gateway does about changes that others make: it refuses nothing as a whole.

use std::collections::BTreeMap;

use super::{Difference, Key, wanted_routes};
use crate::{Actual, Desired, Foreign, RouteKind, Step};

/// What to do, and what is left undone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repair {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Devices of others that have the names of ours: what would lead over them is left out.
    pub foreign: Vec<Foreign>,
}

/// The steps that put back what others have changed under a running gateway.
///
/// As [`difference`](super::difference()), with these exceptions:
/// - a device of `known` index under its old name is ours even if it has lost its alias;
/// - a device of others in the place of one of ours is left alone, and told of, while everything else is put right;
/// - a route of others with the prefix and metric of one of ours has taken its place since we came up: it goes.
pub fn repair(desired: &Desired, actual: &Actual, known: &BTreeMap<String, u32>) -> Repair {
    let actual = adopt(actual, known);
    let (desired, foreign) = without_foreign(desired, &actual);
    let mut difference = Difference::new(&desired, &actual);
    difference.usurpers = usurpers(&desired, &actual);
    difference.protect();
    difference.converge(&desired);
    // Those that stand beside a route of ours which is as it shall be.
    for (Key { prefix, metric }, protocols) in std::mem::take(&mut difference.usurpers) {
        let gone = protocols.into_iter().map(|protocol| Step::DeleteUsurper { prefix, metric, protocol });
        difference.steps.splice(0..0, gone);
    }
    Repair { steps: difference.steps, foreign }
}

/// Of the steps that [`repair`] gives for `desired`, those that `before` needs as well: where that had been made wholly, others
/// have undone it since.
pub fn undone(before: &Desired, desired: &Desired, actual: &Actual, known: &BTreeMap<String, u32>) -> Vec<Step> {
    let wanted = repair(desired, actual, known).steps;
    // Nearly always: nothing, or what is new alone.
    if wanted.is_empty() {
        return Vec::new();
    }
    let missing = repair(before, actual, known).steps;
    wanted.into_iter().filter(|step| missing.contains(step)).collect()
}

fn adopt(actual: &Actual, known: &BTreeMap<String, u32>) -> Actual {
    let mut actual = actual.clone();
    for device in actual.devices.values_mut() {
        let is_tun = device.tun.is_some_and(|tun| tun.layer3);
        if is_tun && !device.is_ours() && known.get(&device.name) == Some(&device.index) {
            device.alias = Some(crate::ALIAS_PREFIX.to_owned());
        }
    }
    actual
}

fn without_foreign(desired: &Desired, actual: &Actual) -> (Desired, Vec<Foreign>) {
    let mut desired = desired.clone();
    let taken: Vec<String> = desired
        .devices
        .iter()
        .filter(|device| actual.devices.get(&device.name).is_some_and(|device| !device.is_ours()))
        .map(|device| device.name.clone())
        .collect();
    desired.devices.retain(|device| !taken.contains(&device.name));
    desired.sysctls.retain(|sysctl| sysctl.device().is_none_or(|device| !taken.contains(&device)));
    for route in &mut desired.routes {
        if let RouteKind::Multipath { nexthops, .. } = &mut route.kind {
            nexthops.retain(|nexthop| !taken.contains(&nexthop.device));
        }
    }
    (desired, taken.into_iter().map(|name| Foreign::Device { name }).collect())
}

fn usurpers(desired: &Desired, actual: &Actual) -> BTreeMap<Key, Vec<u8>> {
    let wanted = wanted_routes(desired, actual);
    let mut usurpers = BTreeMap::<Key, Vec<u8>>::new();
    for route in actual.routes.iter().filter(|route| !route.is_ours()) {
        let key = Key::of(route.prefix, route.metric);
        if wanted.contains_key(&key) {
            usurpers.entry(key).or_default().push(route.protocol);
        }
    }
    usurpers
}

#[cfg(test)]
mod tests {
    use super::super::tests::{converged, desired, lines_of};
    use super::*;
    use crate::{ActualRoute, ActualRouteKind};

    fn known(actual: &Actual) -> BTreeMap<String, u32> {
        actual.devices.values().map(|device| (device.name.clone(), device.index)).collect()
    }

    const V4: &str = "ip route replace 10.202.0.0/16 proto 109 metric 100 src 10.207.0.1";

    #[test]
    fn what_nobody_changed_needs_no_step() {
        let desired = desired(&["nq0", "nq1"]);
        let actual = converged(&desired);
        assert_eq!(repair(&desired, &actual, &known(&actual)), Repair::default());
    }

    #[test]
    fn what_others_have_undone_is_told_from_what_is_newly_wanted() {
        let before = desired(&["nq0"]);
        let desired = desired(&["nq0", "nq1"]);
        let mut actual = converged(&before);
        let known = known(&actual);
        assert_eq!(undone(&before, &desired, &actual, &known), []);
        let guard = |route: &ActualRoute| route.prefix.addr().is_ipv4() && route.kind == ActualRouteKind::Unreachable;
        actual.routes.retain(|route| !guard(route));
        let lines = lines_of(&undone(&before, &desired, &actual, &known));
        assert!(!lines.is_empty() && lines.iter().all(|line| line.contains("replace unreachable 10.202.0.0/16")));
        // What is no longer wanted is nobody's loss.
        let mut less = desired.clone();
        less.routes.retain(|route| route.prefix.addr().is_ipv6());
        assert_eq!(undone(&before, &less, &actual, &known), []);
    }

    #[test]
    fn a_device_that_was_deleted_leaves_the_others_their_routes_before_it_is_made_anew() {
        let desired = desired(&["nq0", "nq1"]);
        let mut actual = converged(&desired);
        let known = known(&actual);
        actual.devices.remove("nq1");
        actual.routes.retain(|route| route.prefix.addr().is_ipv6() || route.kind == ActualRouteKind::Unreachable);
        let lines = lines_of(&repair(&desired, &actual, &known).steps);
        assert_eq!(lines[0], format!("{V4} nexthop dev nq0 weight 1"), "{lines:#?}");
        let made = lines.iter().position(|line| line.starts_with("ip tuntap add dev nq1")).unwrap();
        let whole = format!("{V4} nexthop dev nq0 weight 1 nexthop dev nq1 weight 1");
        assert!(lines.iter().position(|line| *line == whole).unwrap() > made, "{lines:#?}");
    }

    #[test]
    fn a_route_of_another_in_our_place_is_replaced_at_once_and_one_beside_ours_goes() {
        let desired = desired(&["nq0"]);
        let mut actual = converged(&desired);
        let known = known(&actual);
        let stranger = |prefix: &str| ActualRoute {
            prefix: prefix.parse().unwrap(),
            metric: 100,
            protocol: 3,
            kind: ActualRouteKind::Other(6),
        };
        actual.routes.push(stranger("fd00:202::/48"));
        let gone = "ip -6 route del fd00:202::/48 proto 3 metric 100";
        assert_eq!(lines_of(&repair(&desired, &actual, &known).steps), [gone]);
        actual.routes.retain(|route| route.metric != 100);
        actual.routes.extend(["10.202.0.0/16", "fd00:202::/48"].map(stranger));
        let lines = lines_of(&repair(&desired, &actual, &known).steps);
        let v6 = "ip -6 route replace fd00:202::/48 proto 109 metric 100 src fd00:207::1 nexthop via fe80::2:0 dev nq0 weight 1";
        assert_eq!(lines, [format!("{V4} nexthop dev nq0 weight 1"), gone.to_owned(), v6.to_owned()]);
    }

    #[test]
    fn a_device_that_lost_its_name_or_its_alias_gets_it_back() {
        let desired = desired(&["nq0"]);
        let mut actual = converged(&desired);
        let known = known(&actual);
        actual.devices.get_mut("nq0").unwrap().alias = None;
        assert_eq!(lines_of(&repair(&desired, &actual, &known).steps), ["ip link set dev nq0 alias 'meshtun nq/0'"]);
        let mut actual = converged(&desired);
        let mut device = actual.devices.remove("nq0").unwrap();
        device.name = "other".to_owned();
        actual.devices.insert("other".to_owned(), device);
        let lines = lines_of(&repair(&desired, &actual, &known).steps);
        assert!(lines.contains(&"ip link set dev other name nq0".to_owned()), "{lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("delete") || line.contains("tuntap")), "{lines:#?}");
    }

    #[test]
    fn a_device_of_another_in_the_place_of_ours_is_told_of_and_all_else_is_put_right() {
        let desired = desired(&["nq0", "nq1"]);
        let mut actual = converged(&desired);
        let mut known = known(&actual);
        known.insert("nq1".to_owned(), 1000);
        actual.devices.get_mut("nq1").unwrap().alias = None;
        actual.routes.clear();
        let repair = repair(&desired, &actual, &known);
        assert_eq!(repair.foreign, [Foreign::Device { name: "nq1".to_owned() }]);
        let lines = lines_of(&repair.steps);
        assert!(lines.contains(&format!("{V4} nexthop dev nq0 weight 1")), "{lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("nq1")), "{lines:#?}");
    }

    #[test]
    fn a_device_that_a_person_holds_down_stays_so_and_out_of_the_routes() {
        let mut desired = desired(&["nq0", "nq1"]);
        let mut actual = converged(&desired);
        desired.devices[1].held_down = true;
        let device = actual.devices.get_mut("nq1").unwrap();
        (device.up, device.addresses) = (false, Vec::new());
        let known = known(&actual);
        let lines = lines_of(&repair(&desired, &actual, &known).steps);
        assert_eq!(lines[0], format!("{V4} nexthop dev nq0 weight 1"));
        assert!(!lines.iter().any(|line| line.contains("nq1")), "{lines:#?}");
    }
}
