//! What the kernel shall hold.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{ALIAS_PREFIX, GUARD_METRIC, GUARD_PROTOCOL, PROTOCOL, UNREACHABLE_METRIC};

/// Everything of ours that shall be in the kernel; the empty value is what `down` wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// The channels' tun devices.
    pub devices: Vec<Device>,
    /// Multipath routes and the unreachable ones under them.
    pub routes: Vec<Route>,
    /// Settings of the devices ([`device_sysctls`]) and of the machine ([`ecmp_sysctls`]).
    pub sysctls: Vec<Sysctl>,
}

/// One channel's tun device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Interface name, at most 15 bytes.
    pub name: String,
    /// Starts with [`ALIAS_PREFIX`], which marks the device as ours; see [`Device::alias_of`].
    pub alias: String,
    /// Largest inner packet, bytes. Below 1280 the kernel has no IPv6 on the device: then it gets no link-local
    /// address.
    pub mtu: u32,
    /// Length of the transmit queue, packets.
    pub txqueuelen: u32,
    /// The device's only link-local address (its prefix is /64).
    pub link_local: Ipv6Addr,
    /// Root queueing discipline; none leaves the kernel's choice.
    pub qdisc: Option<String>,
    /// A person has set it down: it stays so, and no route leads over it.
    pub held_down: bool,
}

impl Device {
    /// The alias of a channel's device: `meshtun LINK/CHANNEL`.
    pub fn alias_of(link: &str, channel: u16) -> String {
        format!("{ALIAS_PREFIX}{link}/{channel}")
    }
}

/// A route of ours in the main table. Prefix and metric identify it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// A network of the other site.
    pub prefix: IpNet,
    /// Lower is preferred; see [`multipath_metric`] and [`UNREACHABLE_METRIC`].
    pub metric: u32,
    /// Where packets go.
    pub kind: RouteKind,
}

impl Route {
    /// The route that answers with an ICMP error when no other one is usable.
    pub fn unreachable(prefix: IpNet) -> Route {
        Route { prefix: prefix.trunc(), metric: UNREACHABLE_METRIC, kind: RouteKind::Unreachable }
    }

    /// A second one beneath it, with a protocol number of its own: when somebody flushes all routes of ours, one by one,
    /// no packet takes the default route until they are back.
    pub fn guard(prefix: IpNet) -> Route {
        Route { metric: GUARD_METRIC, ..Route::unreachable(prefix) }
    }
}

/// Where a route of ours leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteKind {
    /// Flows are spread over the nexthops that have carrier.
    Multipath {
        /// At least one; their order does not matter.
        nexthops: Vec<Nexthop>,
        /// Source address of the gateway's own packets; it must be an address of this machine.
        src: Option<IpAddr>,
    },
    /// Nowhere: the sender gets an ICMP error.
    Unreachable,
}

/// One leg of a multipath route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Nexthop {
    /// The channel's device.
    pub device: String,
    /// For IPv6 the peer's link-local address (the kernel demands one); none for IPv4.
    pub via: Option<IpAddr>,
    /// Share of the flows, 1 to 255; 0 counts as 1. With a single nexthop it means nothing.
    pub weight: u8,
}

/// A kernel setting under `/proc/sys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctl {
    /// As sysctl(8) writes it: `net.ipv4.conf.nq0.rp_filter`; a dot inside a name is written as a slash.
    pub key: String,
    /// What it shall be.
    pub value: String,
    /// Other values that are as good and are left as they are.
    pub tolerated: Vec<String>,
    /// Not of a device of ours: its previous value is recorded before it is written, and restored by `down`.
    pub machine_wide: bool,
}

impl Sysctl {
    /// The device that the key belongs to: `nq0` of `net.ipv4.conf.nq0.rp_filter`.
    pub(crate) fn device(&self) -> Option<String> {
        let mut parts = self.key.splitn(5, '.');
        let of_device = parts.next() == Some("net") && parts.nth(1) == Some("conf");
        let name = parts.next().filter(|_| of_device && parts.next().is_some())?;
        Some(name.replace('/', "."))
    }

    pub(crate) fn is_ipv6(&self) -> bool {
        self.key.starts_with("net.ipv6.")
    }
}

/// The protocol number of a route of ours.
pub(crate) fn protocol_of(metric: u32) -> u8 {
    if metric == GUARD_METRIC { GUARD_PROTOCOL } else { PROTOCOL }
}

/// Metric of the multipath routes to a gateway with this `priority` (the lower the more preferred).
pub fn multipath_metric(priority: u32) -> u32 {
    100_u32.saturating_add(priority)
}

/// The settings that every device of ours needs, in the order in which they must be made, before it goes up.
pub fn device_sysctls(device: &str) -> Vec<Sysctl> {
    let name = device.replace('.', "/");
    let own = |family: &str, key: &str, value: &str| Sysctl {
        key: format!("net.{family}.conf.{name}.{key}"),
        value: value.to_owned(),
        tolerated: Vec::new(),
        machine_wide: false,
    };
    vec![
        // The kernel's check of sources is off: every packet has passed ours. Its loose mode (2) is of no use here, for on a
        // device without an IPv4 address it asks for a way back through that very device (net/ipv4/fib_frontend.c,
        // `__fib_validate_source`: `no_addr`), and drops the ICMP errors of routers outside the routed networks.
        own("ipv4", "rp_filter", "0"),
        // Takes a nexthop without carrier out of the multipath hash; `conf.all` does not act for IPv4.
        own("ipv4", "ignore_routes_with_linkdown", "1"),
        own("ipv6", "disable_ipv6", "0"),
        own("ipv6", "ignore_routes_with_linkdown", "1"),
        // 1 is "none": no address of the kernel's making, hence no router solicitations from it.
        own("ipv6", "addr_gen_mode", "1"),
        own("ipv6", "accept_ra", "0"),
    ]
}

/// The machine-wide settings that spread flows by their ports: without them all flows between two hosts share a
/// channel.
pub fn ecmp_sysctls() -> Vec<Sysctl> {
    ["ipv4", "ipv6"]
        .map(|family| Sysctl {
            key: format!("net.{family}.fib_multipath_hash_policy"),
            value: "1".to_owned(),
            // 3 is the administrator's own choice of header fields.
            tolerated: vec!["3".to_owned()],
            machine_wide: true,
        })
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sysctls_of_a_device_name_it_even_with_a_dot_in_its_name() {
        for name in ["nq0", "n.q0"] {
            assert!(device_sysctls(name).iter().all(|sysctl| sysctl.device().as_deref() == Some(name)), "{name}");
        }
        assert!(ecmp_sysctls().iter().all(|sysctl| sysctl.device().is_none()));
    }
}
