//! Which prefixes a link carries, each way.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use meshtun_config::{PeerView, View};

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
