//! From a gateway's view of the mesh to what the kernel shall hold for it. Pure.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use meshtun_config::{ChannelView, LinkView, PeerView, View};
use meshtun_netlink::{Desired, Device, Nexthop, Route, RouteKind, device_sysctls, ecmp_sysctls, multipath_metric};

use crate::surroundings::USUAL_MTU;

/// What the plan depends on and the mesh file does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// The MTU of each link's devices, by the link's name.
    pub(crate) mtus: BTreeMap<String, u16>,
    /// The gateway's own address, if this machine has it.
    pub(crate) source: Option<Ipv4Addr>,
    /// Its IPv6 address, if this machine has it.
    pub(crate) source6: Option<Ipv6Addr>,
}

/// The devices, routes and settings of a gateway.
///
/// Each network of a peer gets a multipath route over all channels of all links to it, with the metric of the peer's
/// priority, and an `unreachable` route beneath; without channels, only the latter.
pub(crate) fn desired(view: &View, surroundings: &Surroundings) -> Desired {
    let devices: Vec<Device> = view.links.iter().flat_map(|link| devices(link, surroundings)).collect();
    let mut sysctls: Vec<_> = devices.iter().flat_map(|device| device_sysctls(&device.name)).collect();
    sysctls.extend(ecmp_sysctls());
    Desired { devices, routes: routes(view, surroundings), sysctls }
}

/// The prefixes to be routed to a peer: its networks, and its own addresses if they lie outside.
pub(crate) fn prefixes(peer: &PeerView) -> Vec<IpNet> {
    with_addresses(&peer.networks, peer.address, peer.address6)
}

/// The prefixes that are ours: what peers may send to.
pub(crate) fn local_prefixes(view: &View) -> Vec<IpNet> {
    with_addresses(&view.local_networks, view.address, view.address6)
}

fn with_addresses(networks: &[IpNet], address: Option<Ipv4Addr>, address6: Option<Ipv6Addr>) -> Vec<IpNet> {
    let addresses = [address.map(IpAddr::V4), address6.map(IpAddr::V6)];
    let outside = |address: &IpAddr| !networks.iter().any(|network| network.contains(address));
    let outside = addresses.into_iter().flatten().filter(outside).map(IpNet::from);
    networks.iter().copied().chain(outside).collect()
}

fn devices<'v>(link: &'v LinkView, surroundings: &Surroundings) -> impl Iterator<Item = Device> + 'v {
    let mtu = surroundings.mtus.get(&link.name).copied().unwrap_or(USUAL_MTU);
    link.channels.iter().map(move |channel| Device {
        name: channel.device.clone(),
        alias: Device::alias_of(&link.name, channel.number),
        mtu: mtu.into(),
        txqueuelen: link.txqueuelen,
        link_local: channel.link_local,
        qdisc: link.qdisc.clone(),
    })
}

fn routes(view: &View, surroundings: &Surroundings) -> Vec<Route> {
    let mut nexthops: BTreeMap<(IpNet, u32), Vec<Nexthop>> = BTreeMap::new();
    for link in &view.links {
        let metric = multipath_metric(link.peer.priority.into());
        for prefix in prefixes(&link.peer) {
            let legs = link.channels.iter().map(|channel| nexthop(channel, prefix));
            nexthops.entry((prefix.trunc(), metric)).or_default().extend(legs);
        }
    }
    let mut unreachable: Vec<Route> = nexthops.keys().map(|(prefix, _)| Route::unreachable(*prefix)).collect();
    unreachable.dedup();
    let usable = nexthops.into_iter().filter(|(_, nexthops)| !nexthops.is_empty());
    let multipath = usable.map(|((prefix, metric), nexthops)| {
        let src = match prefix {
            IpNet::V4(_) => surroundings.source.map(IpAddr::V4),
            IpNet::V6(_) => surroundings.source6.map(IpAddr::V6),
        };
        Route { prefix, metric, kind: RouteKind::Multipath { nexthops, src } }
    });
    unreachable.into_iter().chain(multipath).collect()
}

fn nexthop(channel: &ChannelView, prefix: IpNet) -> Nexthop {
    let via = matches!(prefix, IpNet::V6(_)).then_some(IpAddr::V6(channel.peer_link_local));
    Nexthop { device: channel.device.clone(), via, weight: u8::try_from(channel.weight).unwrap_or(u8::MAX) }
}

#[cfg(test)]
mod tests;
