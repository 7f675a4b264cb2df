//! From the actual state to the desired one: pure, ordered, never touching what is not ours.
//!
//! The order, and why:
//! 1. `unreachable` routes that are missing: whatever happens later, nothing leaks.
//! 2. Multipath routes that are missing, over the devices that are there and stay: where the kernel has dropped one, and
//!    where one gets another metric. Then routes that must go, and nexthops over devices that must go: the kernel drops
//!    a whole IPv4 multipath route when one of its devices is deleted.
//! 3. Devices that somebody renamed get their names back; devices that must go or that nobody could attach to.
//! 4. Machine-wide sysctls: a route that comes before them would spread flows badly.
//! 5. Devices: made, their sysctls (before they go up, or the kernel gives them addresses), settings, address, queue.
//! 6. Multipath routes: the kernel refuses nexthops over devices that are down.
//! 7. With [`Protection::Lift`] the `unreachable` routes that are no longer wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::{
    Actual, ActualDevice, ActualRouteKind, Desired, Device, Foreign, ForeignError, Nexthop, Route, RouteKind, Step,
    Sysctl,
};

/// Below this MTU the kernel takes IPv6 off a device (`IPV6_MIN_MTU`, net/ipv6/addrconf.c).
const IPV6_LEAST_MTU: u32 = 1280;

/// What becomes of `unreachable` routes of ours that are not desired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// They stay: packets for a network of the other site never leave by another route (`up`, `reload`, `down`).
    Keep,
    /// They go, last of all (`down --unprotect`).
    Lift,
}

/// The steps that lead from `actual` to `desired`, in order; none if they agree.
///
/// # Errors
/// Whatever stands in our way and is not ours; all of it at once, and no steps.
pub fn difference(desired: &Desired, actual: &Actual, protection: Protection) -> Result<Vec<Step>, ForeignError> {
    let found = foreign(desired, actual);
    if !found.is_empty() {
        return Err(ForeignError { found });
    }
    let mut difference = Difference::new(desired, actual);
    difference.protect();
    difference.converge(desired);
    if protection == Protection::Lift {
        difference.lift();
    }
    Ok(difference.steps)
}

/// The steps that make the `unreachable` routes of `desired`, and none else.
pub fn protection(desired: &Desired, actual: &Actual) -> Vec<Step> {
    let mut difference = Difference::new(desired, actual);
    difference.protect();
    difference.steps
}

fn foreign(desired: &Desired, actual: &Actual) -> Vec<Foreign> {
    let devices = desired.devices.iter().filter_map(|device| actual.devices.get(&device.name));
    let devices =
        devices.filter(|device| !device.is_ours()).map(|device| Foreign::Device { name: device.name.clone() });
    let wanted = wanted_routes(desired, actual);
    let routes = actual
        .routes
        .iter()
        .filter(|route| !route.is_ours() && wanted.contains_key(&Key::of(route.prefix, route.metric)));
    let routes =
        routes.map(|route| Foreign::Route { prefix: route.prefix, metric: route.metric, protocol: route.protocol });
    devices.chain(routes).collect()
}

/// What tells our routes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    prefix: IpNet,
    metric: u32,
}

impl Key {
    fn of(prefix: IpNet, metric: u32) -> Key {
        Key { prefix: prefix.trunc(), metric }
    }
}

/// The desired routes as far as this kernel and these devices can have them. What has no IPv6 gets no IPv6 routes, and no
/// route leads over a device that is held down; for packets the `unreachable` one remains. A source address that this
/// machine does not have is left out.
fn wanted_routes(desired: &Desired, actual: &Actual) -> BTreeMap<Key, RouteKind> {
    let narrow = desired.devices.iter().filter(|device| device.mtu < IPV6_LEAST_MTU);
    let narrow: BTreeSet<&str> = narrow.map(|device| device.name.as_str()).collect();
    let held = desired.devices.iter().filter(|device| device.held_down);
    let held: BTreeSet<&str> = held.map(|device| device.name.as_str()).collect();
    let mut wanted = BTreeMap::new();
    for Route { prefix, metric, kind } in &desired.routes {
        let v6 = matches!(prefix, IpNet::V6(_));
        if v6 && !actual.ipv6 {
            continue;
        }
        let kind = match kind {
            RouteKind::Unreachable => RouteKind::Unreachable,
            RouteKind::Multipath { nexthops, src } => {
                let useless = |device: &str| held.contains(device) || (v6 && narrow.contains(device));
                let usable = nexthops.iter().filter(|nexthop| !useless(&nexthop.device));
                let nexthops: Vec<Nexthop> = usable.cloned().collect();
                if nexthops.is_empty() {
                    continue;
                }
                RouteKind::Multipath { nexthops, src: src.filter(|src| actual.addresses.contains(src)) }
            }
        };
        wanted.insert(Key::of(*prefix, *metric), kind);
    }
    wanted
}

struct Difference<'a> {
    actual: &'a Actual,
    wanted: BTreeMap<Key, RouteKind>,
    /// The desired sysctls by the device that they belong to; under no name those of the machine.
    sysctls: BTreeMap<Option<String>, Vec<&'a Sysctl>>,
    /// Devices of ours that exist and will be deleted, for good or to be made anew.
    doomed: BTreeSet<&'a str>,
    /// Devices that somebody renamed: by the name that they shall have, the one that they have.
    renamed: BTreeMap<&'a str, &'a str>,
    /// What of others has the prefix and metric of a wanted route; only a [`repair`](crate::repair()) has any.
    usurpers: BTreeMap<Key, Vec<u8>>,
    /// Our routes as the steps so far leave them.
    routes: BTreeMap<Key, ActualRouteKind>,
    steps: Vec<Step>,
}

impl<'a> Difference<'a> {
    fn new(desired: &'a Desired, actual: &'a Actual) -> Difference<'a> {
        let named: BTreeSet<&str> = desired.devices.iter().map(|device| device.name.as_str()).collect();
        let useless = |device: &&ActualDevice| !named.contains(device.name.as_str()) || !is_attachable(device);
        let renamed = renamed(desired, actual);
        let mut doomed: BTreeSet<&str> =
            actual.own_devices().filter(useless).map(|device| device.name.as_str()).collect();
        renamed.values().for_each(|present| _ = doomed.remove(present));
        let ours = actual.routes.iter().filter(|route| route.is_ours());
        let routes = ours.map(|route| (Key::of(route.prefix, route.metric), route.kind.clone())).collect();
        let mut sysctls: BTreeMap<Option<String>, Vec<&Sysctl>> = BTreeMap::new();
        for sysctl in &desired.sysctls {
            let device = sysctl.device().filter(|name| named.contains(name.as_str()));
            sysctls.entry(device).or_default().push(sysctl);
        }
        let wanted = wanted_routes(desired, actual);
        let usurpers = BTreeMap::new();
        Difference { actual, wanted, sysctls, doomed, renamed, usurpers, routes, steps: Vec::new() }
    }

    fn converge(&mut self, desired: &'a Desired) {
        self.withdraw();
        self.rename_devices();
        self.delete_devices();
        self.machine_sysctls();
        desired.devices.iter().for_each(|device| self.device(device));
        self.routes();
    }

    fn protect(&mut self) {
        self.put_wanted(|kind| *kind == RouteKind::Unreachable);
    }

    fn routes(&mut self) {
        self.put_wanted(|kind| *kind != RouteKind::Unreachable);
    }

    fn put_wanted(&mut self, which: impl Fn(&RouteKind) -> bool) {
        let wanted: Vec<(Key, RouteKind)> = self.wanted.clone().into_iter().filter(|(_, kind)| which(kind)).collect();
        wanted.into_iter().for_each(|(key, kind)| self.put(key, &kind));
    }

    /// What is missing comes first: a route that only changes its metric is never away.
    fn withdraw(&mut self) {
        for (key, kind) in self.wanted.clone() {
            if !self.routes.contains_key(&key) {
                self.put_over_what_stays(key, &kind);
            }
        }
        for (key, kind) in self.routes.clone() {
            let ActualRouteKind::Unicast { nexthops, .. } = kind else { continue };
            match self.wanted.get(&key).cloned() {
                None => self.delete(key),
                Some(kind) if nexthops.iter().any(|nexthop| self.doomed.contains(nexthop.device.as_str())) => {
                    self.put_over_what_stays(key, &kind);
                }
                Some(_) => {}
            }
        }
    }

    /// The route without the devices that go or are not ready yet; deleted if none is left.
    fn put_over_what_stays(&mut self, key: Key, kind: &RouteKind) {
        let RouteKind::Multipath { nexthops, src } = kind else { return };
        let nexthops: Vec<Nexthop> = nexthops.iter().filter(|nexthop| self.stays(nexthop)).cloned().collect();
        if !nexthops.is_empty() {
            self.put(key, &RouteKind::Multipath { nexthops, src: *src });
        } else if self.routes.contains_key(&key) {
            self.delete(key);
        }
    }

    /// Whether a route may lead over it, now. For IPv6 the device needs an address of the other end's network.
    fn stays(&self, nexthop: &Nexthop) -> bool {
        let Some(device) = self.actual.devices.get(&nexthop.device) else { return false };
        let reaches = nexthop.via.is_none_or(|via| device.addresses.iter().any(|net| net.contains(&via)));
        device.up && reaches && !self.doomed.contains(device.name.as_str())
    }

    fn rename_devices(&mut self) {
        let renamed = self.renamed.iter();
        let steps = renamed.map(|(to, from)| Step::RenameDevice { from: (*from).to_owned(), to: (*to).to_owned() });
        self.steps.extend(steps);
    }

    fn delete_devices(&mut self) {
        let names = self.doomed.iter().map(|name| Step::DeleteDevice { name: (*name).to_owned() });
        self.steps.extend(names);
    }

    fn machine_sysctls(&mut self) {
        for sysctl in self.sysctls.remove(&None).unwrap_or_default() {
            if self.actual.ipv6 || !sysctl.is_ipv6() {
                self.set(sysctl, self.actual.sysctls.get(&sysctl.key));
            }
        }
    }

    fn device(&mut self, device: &Device) {
        let present = self.renamed.get(device.name.as_str()).copied().unwrap_or(device.name.as_str());
        let existing = self.actual.devices.get(present).filter(|_| !self.doomed.contains(present));
        if existing.is_none() {
            self.steps.push(Step::CreateDevice { name: device.name.clone(), alias: device.alias.clone() });
        }
        let ipv6 = self.actual.ipv6 && device.mtu >= IPV6_LEAST_MTU;
        // Its IPv6 settings come into being with the greater MTU.
        let widened = ipv6 && existing.is_some_and(|existing| existing.mtu < IPV6_LEAST_MTU);
        if widened {
            self.configure(device, existing);
        }
        self.device_sysctls(device, existing, ipv6);
        if !widened {
            self.configure(device, existing);
        }
        // A device that goes down loses them.
        if ipv6 && !device.held_down {
            self.addresses(device, existing);
        }
        self.qdisc(device, existing);
    }

    fn device_sysctls(&mut self, device: &Device, existing: Option<&ActualDevice>, ipv6: bool) {
        for sysctl in self.sysctls.remove(&Some(device.name.clone())).unwrap_or_default() {
            if ipv6 || !sysctl.is_ipv6() {
                // A new device has the defaults, whatever its predecessor had.
                self.set(sysctl, existing.and_then(|_| self.actual.sysctls.get(&sysctl.key)));
            }
        }
    }

    fn configure(&mut self, device: &Device, existing: Option<&ActualDevice>) {
        let alias = existing.and_then(|existing| existing.alias.as_ref());
        let alias = (alias != Some(&device.alias)).then(|| device.alias.clone());
        let mtu = (existing.map(|existing| existing.mtu) != Some(device.mtu)).then_some(device.mtu);
        let length = existing.map(|existing| existing.txqueuelen);
        let txqueuelen = (length != Some(device.txqueuelen)).then_some(device.txqueuelen);
        let up = !device.held_down && !existing.is_some_and(|existing| existing.up);
        if alias.is_some() || mtu.is_some() || txqueuelen.is_some() || up {
            self.steps.push(Step::ConfigureDevice { name: device.name.clone(), alias, mtu, txqueuelen, up });
        }
    }

    /// Only link-local addresses are ours; others may be put on a device of ours by whoever likes.
    fn addresses(&mut self, device: &Device, existing: Option<&ActualDevice>) {
        let mut missing = true;
        for net in existing.map_or(&[][..], |existing| &existing.addresses) {
            let IpAddr::V6(address) = net.addr() else { continue };
            if address == device.link_local && net.prefix_len() == 64 {
                missing = false;
            } else if address.is_unicast_link_local() {
                let device = device.name.clone();
                self.steps.push(Step::RemoveAddress { device, address, prefix_len: net.prefix_len() });
            }
        }
        if missing {
            self.steps.push(Step::AddAddress { device: device.name.clone(), address: device.link_local });
        }
    }

    fn qdisc(&mut self, device: &Device, existing: Option<&ActualDevice>) {
        let Some(kind) = &device.qdisc else {
            if existing.is_some_and(|existing| existing.own_qdisc) {
                self.steps.push(Step::RemoveQdisc { device: device.name.clone() });
            }
            return;
        };
        let present = existing.and_then(|existing| existing.qdisc.as_ref());
        if present != Some(kind) && !self.actual.lacking_qdiscs.contains(kind) {
            self.steps.push(Step::SetQdisc { device: device.name.clone(), kind: kind.clone() });
        }
    }

    fn lift(&mut self) {
        let undesired: Vec<Key> = self.routes.keys().copied().filter(|key| !self.wanted.contains_key(key)).collect();
        undesired.into_iter().for_each(|key| self.delete(key));
    }

    /// Makes or replaces a route, unless it is there as it shall be.
    fn put(&mut self, key: Key, kind: &RouteKind) {
        let route = Route { prefix: key.prefix, metric: key.metric, kind: self.normal(kind) };
        let kind = actual_kind(&route.kind);
        if self.oust(key, &route) {
            self.routes.insert(key, kind);
            return;
        }
        match self.routes.get(&key) {
            Some(present) if *present == kind => return,
            Some(present) if same_type(present, &kind) => self.steps.push(Step::ReplaceRoute(route)),
            present => {
                // IPv6 would put a route of another type beside the old one, whatever the request says.
                if present.is_some() {
                    self.delete(key);
                }
                self.steps.push(Step::AddRoute(route));
            }
        }
        self.routes.insert(key, kind);
    }

    /// Deletes what of others has the route's place; `true` if the route has been put there as well.
    fn oust(&mut self, key: Key, route: &Route) -> bool {
        let Some(protocols) = self.usurpers.remove(&key) else { return false };
        if key.prefix.addr().is_ipv4() && !self.routes.contains_key(&key) && protocols.len() == 1 {
            // At once, so that nothing takes another way for a moment.
            self.steps.push(Step::ReplaceRoute(route.clone()));
            return true;
        }
        let Key { prefix, metric } = key;
        self.steps.extend(protocols.into_iter().map(|protocol| Step::DeleteUsurper { prefix, metric, protocol }));
        false
    }

    /// The nexthops that have carrier first: IPv6 replaces a route by the first nexthop and then adds the others one
    /// by one (`ip6_route_multipath_add`), so the first must be able to carry everything for that moment.
    fn normal(&self, kind: &RouteKind) -> RouteKind {
        let RouteKind::Multipath { nexthops, src } = kind else { return RouteKind::Unreachable };
        let carrier = |nexthop: &Nexthop| self.actual.devices.get(&nexthop.device).is_some_and(|device| device.carrier);
        let mut nexthops = normal_nexthops(nexthops);
        nexthops.sort_by_key(|nexthop| (!carrier(nexthop), nexthop.clone()));
        RouteKind::Multipath { nexthops, src: *src }
    }

    fn delete(&mut self, key: Key) {
        self.routes.remove(&key);
        self.steps.push(Step::DeleteRoute { prefix: key.prefix, metric: key.metric });
    }

    fn set(&mut self, sysctl: &Sysctl, present: Option<&String>) {
        let fits = |value: &String| *value == sysctl.value || sysctl.tolerated.contains(value);
        if !present.is_some_and(fits) {
            self.steps.push(Step::SetSysctl(sysctl.clone()));
        }
    }
}

/// Devices of ours that lack only their names: by the name that they shall have, the one that they have.
fn renamed<'a>(desired: &'a Desired, actual: &'a Actual) -> BTreeMap<&'a str, &'a str> {
    let named: BTreeSet<&str> = desired.devices.iter().map(|device| device.name.as_str()).collect();
    let strays = actual.own_devices().filter(|device| !named.contains(device.name.as_str()) && is_attachable(device));
    let strays: BTreeMap<&str, &str> =
        strays.filter_map(|device| Some((device.alias.as_deref()?, device.name.as_str()))).collect();
    let nameless = desired.devices.iter().filter(|device| !actual.devices.contains_key(&device.name));
    nameless.filter_map(|device| Some((device.name.as_str(), *strays.get(device.alias.as_str())?))).collect()
}

/// Whether a device of ours can be attached to by a descriptor without `IFF_MULTI_QUEUE`, and stays when that is
/// closed.
fn is_attachable(device: &ActualDevice) -> bool {
    device.tun.is_some_and(|tun| tun.persistent && !tun.multi_queue)
}

/// As the kernel gives nexthops back: each once, sorted, without a weight where there is only one.
fn normal_nexthops(nexthops: &[Nexthop]) -> Vec<Nexthop> {
    let mut normal: Vec<Nexthop> = nexthops.to_vec();
    normal.iter_mut().for_each(|nexthop| nexthop.weight = nexthop.weight.max(1));
    normal.sort();
    normal.dedup();
    if let [alone] = normal.as_mut_slice() {
        alone.weight = 1;
    }
    normal
}

fn actual_kind(kind: &RouteKind) -> ActualRouteKind {
    match kind {
        RouteKind::Multipath { nexthops, src } => {
            ActualRouteKind::Unicast { nexthops: normal_nexthops(nexthops), src: *src }
        }
        RouteKind::Unreachable => ActualRouteKind::Unreachable,
    }
}

fn same_type(left: &ActualRouteKind, right: &ActualRouteKind) -> bool {
    std::mem::discriminant(left) == std::mem::discriminant(right)
}

mod repair;
#[cfg(test)]
mod tests;

pub use repair::{Repair, repair, undone};
