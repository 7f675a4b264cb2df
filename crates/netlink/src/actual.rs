//! What the kernel holds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{ALIAS_PREFIX, GUARD_PROTOCOL, Nexthop, PROTOCOL};

/// The kernel's state, as far as it concerns a [`Desired`](crate::Desired).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actual {
    /// Every device of the namespace by name, ours or not.
    pub devices: BTreeMap<String, ActualDevice>,
    /// Of the main table: our routes, and all others to or inside a desired prefix.
    pub routes: Vec<ActualRoute>,
    /// The addresses that this machine may send from.
    pub addresses: BTreeSet<IpAddr>,
    /// Present values of the desired keys; a key that does not exist (yet) is missing.
    pub sysctls: BTreeMap<String, String>,
    /// Whether the kernel has IPv6 at all.
    pub ipv6: bool,
    /// Queueing disciplines that this kernel was found to lack.
    pub lacking_qdiscs: BTreeSet<String>,
}

impl Actual {
    /// Devices of ours, desired or not.
    pub fn own_devices(&self) -> impl Iterator<Item = &ActualDevice> {
        self.devices.values().filter(|device| device.is_ours())
    }

    /// Routes of others that take packets away from `routed` networks: more specific ones, and the same prefix with a
    /// metric below `metric`.
    pub fn foreign_inside(&self, routed: &[IpNet], metric: u32) -> Vec<&ActualRoute> {
        let takes = |route: &ActualRoute, ours: &IpNet| {
            ours.contains(&route.prefix) && (route.prefix.prefix_len() > ours.prefix_len() || route.metric < metric)
        };
        self.routes.iter().filter(|route| !route.is_ours() && routed.iter().any(|ours| takes(route, ours))).collect()
    }
}

/// A network device as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActualDevice {
    /// Interface name.
    pub name: String,
    /// Interface index.
    pub index: u32,
    /// Set if it is a tun or tap device.
    pub tun: Option<TunFlags>,
    /// The alias, if it has one.
    pub alias: Option<String>,
    /// Bytes.
    pub mtu: u32,
    /// Packets.
    pub txqueuelen: u32,
    /// Administratively up.
    pub up: bool,
    /// The link state: whether the kernel uses the device.
    pub carrier: bool,
    /// Addresses with their prefix lengths.
    pub addresses: Vec<IpNet>,
    /// Kind of the root queueing discipline.
    pub qdisc: Option<String>,
    /// Whether that one has the handle by which ours are known ([`QDISC_HANDLE`](crate::QDISC_HANDLE)).
    pub own_qdisc: bool,
}

impl ActualDevice {
    /// Whether it is a tun device that carries our mark.
    pub fn is_ours(&self) -> bool {
        let marked = self.alias.as_deref().is_some_and(|alias| alias.starts_with(ALIAS_PREFIX));
        marked && self.tun.is_some_and(|tun| tun.layer3)
    }
}

/// How a tun device was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunFlags {
    /// tun (IP packets), not tap (frames).
    pub layer3: bool,
    /// `IFF_MULTI_QUEUE`: nobody can attach without it.
    pub multi_queue: bool,
    /// It stays when the last descriptor is closed.
    pub persistent: bool,
}

/// A route of the main table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActualRoute {
    /// Destination.
    pub prefix: IpNet,
    /// Priority.
    pub metric: u32,
    /// Who made it: [`PROTOCOL`] and [`GUARD_PROTOCOL`] are ours.
    pub protocol: u8,
    /// Where it leads.
    pub kind: ActualRouteKind,
}

impl ActualRoute {
    /// Whether it carries one of our protocol numbers.
    pub fn is_ours(&self) -> bool {
        matches!(self.protocol, PROTOCOL | GUARD_PROTOCOL)
    }
}

/// Where a route of the kernel leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActualRouteKind {
    /// One nexthop or several; with one, its weight reads 1.
    Unicast {
        /// Sorted.
        nexthops: Vec<Nexthop>,
        /// Preferred source address.
        src: Option<IpAddr>,
    },
    /// `unreachable`.
    Unreachable,
    /// Any other type (blackhole, prohibit, …), by its number.
    Other(u8),
}
