//! From a gateway's view of the mesh to what the kernel shall hold for it. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;
use meshtun_config::{ChannelView, LinkView, View};
use meshtun_netlink::{Desired, Device, Nexthop, Route, RouteKind, device_sysctls, ecmp_sysctls, multipath_metric};

use crate::{
    prefixes::prefixes,
    surroundings::{Surroundings, USUAL_MTU},
};

/// The devices, routes and settings of a gateway.
///
/// Each network of a peer gets a multipath route over all channels of all links to it, with the metric of the peer's
/// priority, an `unreachable` route beneath, and a guard beneath that; without channels, only the latter two.
pub(crate) fn desired(view: &View, surroundings: &Surroundings) -> Desired {
    let devices: Vec<Device> = view.links.iter().flat_map(|link| devices(link, surroundings)).collect();
    let mut sysctls: Vec<_> = devices.iter().flat_map(|device| device_sysctls(&device.name)).collect();
    sysctls.extend(ecmp_sysctls());
    Desired { devices, routes: routes(view, surroundings), sysctls }
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
        held_down: false,
    })
}

fn routes(view: &View, surroundings: &Surroundings) -> Vec<Route> {
    let is_routed = |channel: &&ChannelView| !surroundings.withdrawn.contains(&channel.device);
    let mut nexthops: BTreeMap<(IpNet, u32), Vec<Nexthop>> = BTreeMap::new();
    for link in &view.links {
        let metric = multipath_metric(link.peer.priority.into());
        for prefix in prefixes(&link.peer) {
            let legs = link.channels.iter().filter(is_routed).map(|channel| nexthop(channel, prefix));
            nexthops.entry((prefix.trunc(), metric)).or_default().extend(legs);
        }
    }
    let prefixes: BTreeSet<IpNet> = nexthops.keys().map(|(prefix, _)| *prefix).collect();
    let unreachable = prefixes.into_iter().flat_map(|prefix| [Route::unreachable(prefix), Route::guard(prefix)]);
    let unreachable: Vec<Route> = unreachable.collect();
    let usable = nexthops.into_iter().filter(|(_, nexthops)| !nexthops.is_empty());
    let multipath = usable.map(|((prefix, metric), nexthops)| {
        let src = match prefix {
            IpNet::V4(_) => view.address.map(IpAddr::V4),
            IpNet::V6(_) => view.address6.map(IpAddr::V6),
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
