//! Channels into links, and what both ends' files say of the gateways.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::{IpNet, Ipv4Net};

use super::{Decision, Wishes, channel::Channel, names};
use crate::{directive::Place, options::Destination};

/// Everything that stands in `mesh.toml`.
pub(super) struct Mesh {
    /// This one first.
    pub(super) gateways: Vec<Gateway>,
    pub(super) links: Vec<Link>,
    pub(super) keep_ports: bool,
}

/// One end.
pub(super) struct Gateway {
    pub(super) name: String,
    /// Where others reach it.
    pub(super) host: Option<String>,
    /// Source addresses that scripts give routes.
    pub(super) addresses: Vec<(IpAddr, Place)>,
    /// Networks that the other ends route to it.
    pub(super) networks: Vec<(IpNet, Place)>,
    /// The same from scripts that serve several links: which of them are its own is not clear.
    pub(super) perhaps: Vec<(IpNet, Place)>,
}

/// Two ends and the channels between them.
pub(super) struct Link {
    pub(super) name: String,
    /// The other end's number in [`Mesh::gateways`]; this end is 0.
    pub(super) peer: usize,
    pub(super) channels: Vec<Pair>,
    /// First ports at both ends, where all ports follow each other.
    pub(super) ports: Option<(u16, u16)>,
    /// Devices that OpenVPN has under names of their own.
    pub(super) devices: BTreeSet<String>,
}

/// A channel, and the other end's file of it.
pub(super) struct Pair {
    pub(super) here: Channel,
    pub(super) there: Option<Channel>,
}

/// Groups channels by the machine at the other end.
pub(super) fn group(here: Vec<Channel>, there: Vec<Channel>, wishes: &Wishes, decisions: &mut Vec<Decision>) -> Mesh {
    let devices: BTreeSet<String> =
        here.iter().chain(&there).filter_map(|channel| channel.device().map(str::to_owned)).collect();
    let groups = by_peer(pair(here, there, !wishes.there.is_empty(), decisions));
    ask_about_twins(&groups, decisions);
    let mut mesh = Mesh { gateways: vec![ours(&groups, wishes)], links: Vec::new(), keep_ports: wishes.keep_ports };
    let mut taken = devices.clone();
    let shared = shared_scripts(&groups);
    for (host, channels) in groups {
        let gateway = theirs(host, &channels, &shared, &mesh.gateways);
        let stem = stem_of(&channels);
        let name = names::link(&stem, channels.len(), &taken);
        taken.extend((0..channels.len()).map(|number| format!("{name}{number}")));
        our_networks(&mut mesh.gateways[0], &channels);
        mesh.gateways.push(gateway);
        let ports = contiguous(&channels);
        let own: BTreeSet<String> = channels.iter().filter_map(|pair| pair.here.device().map(str::to_owned)).collect();
        mesh.links.push(Link { name, peer: mesh.gateways.len() - 1, channels, ports, devices: own });
    }
    mesh
}

/// Finds each channel's file of the other end.
fn pair(here: Vec<Channel>, mut there: Vec<Channel>, expected: bool, decisions: &mut Vec<Decision>) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for channel in here {
        let at = there.iter().position(|other| channel.pairs_with(other));
        let other = at.map(|at| there.remove(at));
        if expected && other.is_none() {
            let text = "no file of the other end has these ports and addresses: does the channel still exist there?";
            decisions.push(Decision::new([channel.place("remote")], text));
        }
        pairs.push(Pair { here: channel, there: other });
    }
    for channel in &there {
        let text = "this file of the other end belongs to none of this end's: name that one too, or leave this out";
        decisions.push(Decision::new([channel.place("remote")], text));
    }
    pairs
}

/// Channels of one peer, in the order of their ports.
fn by_peer(pairs: Vec<Pair>) -> Vec<(Option<String>, Vec<Pair>)> {
    let mut groups: Vec<(String, Option<String>, Vec<Pair>)> = Vec::new();
    for pair in pairs {
        let host = pair.here.remote().map(|remote| remote.host.clone());
        let host = host.or_else(|| Some(pair.there.as_ref()?.local_host()?.to_owned()));
        let key = host.clone().unwrap_or_else(|| format!("?{}", names::stem(&pair.here.file)));
        match groups.iter_mut().find(|(other, _, _)| *other == key) {
            Some((_, _, pairs)) => pairs.push(pair),
            None => groups.push((key, host, vec![pair])),
        }
    }
    for (_, _, pairs) in &mut groups {
        pairs.sort_by_key(|pair| {
            let port = pair.here.options().local_port;
            (port.is_none(), port, pair.here.remote().map(|remote| remote.port))
        });
    }
    groups.into_iter().map(|(_, host, pairs)| (host, pairs)).collect()
}

/// Files of one name to different machines may be different ways to one.
fn ask_about_twins(groups: &[(Option<String>, Vec<Pair>)], decisions: &mut Vec<Decision>) {
    for (number, (host, pairs)) in groups.iter().enumerate() {
        let stem = stem_of(pairs);
        let twin = groups[..number].iter().find(|(_, others)| !stem.is_empty() && stem_of(others) == stem);
        if let (Some(host), Some((Some(other), others))) = (host, twin) {
            let text = format!(
                "`{stem}` leads to {other} and to {host}: if both are one gateway, make one link of them, with `paths`"
            );
            decisions.push(Decision::new([others[0].here.place("remote"), pairs[0].here.place("remote")], text));
        }
    }
}

/// Scripts that stand in the files of more than one link.
fn shared_scripts(groups: &[(Option<String>, Vec<Pair>)]) -> BTreeSet<String> {
    let of = |pairs: &[Pair]| -> BTreeSet<String> {
        let scripts = pairs.iter().flat_map(|pair| &pair.here.scripts);
        scripts.filter_map(|script| script.facts.as_ref().ok().map(|(path, _)| path.clone())).collect()
    };
    let mut seen = BTreeSet::new();
    groups.iter().flat_map(|(_, pairs)| of(pairs)).filter(|path| !seen.insert(path.clone())).collect()
}

fn stem_of(pairs: &[Pair]) -> String {
    let stems = pairs.iter().map(|pair| pair.here.device().map_or_else(|| names::stem(&pair.here.file), names::stem));
    let mut stems = stems.filter(|stem| !stem.is_empty() && stem != "tun");
    stems.next().unwrap_or_else(|| names::stem(&pairs[0].here.file))
}

/// This gateway.
fn ours(groups: &[(Option<String>, Vec<Pair>)], wishes: &Wishes) -> Gateway {
    let pairs = || groups.iter().flat_map(|(_, pairs)| pairs);
    let bound = pairs().find_map(|pair| pair.here.local_host().map(str::to_owned));
    let reached = || pairs().find_map(|pair| Some(pair.there.as_ref()?.remote()?.host.clone()));
    let host = bound.or_else(reached);
    let name = wishes.name.clone().or_else(|| host.as_deref().map(names::gateway));
    let mut gateway = Gateway::new(name.unwrap_or_else(|| "this-gateway".to_owned()), host);
    for pair in pairs() {
        gateway.take_addresses(&pair.here);
    }
    gateway
}

/// The gateway at the other end of some channels.
fn theirs(host: Option<String>, pairs: &[Pair], shared: &BTreeSet<String>, others: &[Gateway]) -> Gateway {
    let taken: Vec<String> = others.iter().map(|gateway| gateway.name.clone()).collect();
    let wish = host.as_deref().map_or_else(|| "peer".to_owned(), names::gateway);
    let mut gateway = Gateway::new(names::unique(wish, &taken), host);
    for pair in pairs {
        gateway.take_networks(&pair.here, shared);
        if let Some(there) = &pair.there {
            gateway.take_addresses(there);
        }
    }
    gateway
}

/// What the other end routes to us.
fn our_networks(gateway: &mut Gateway, pairs: &[Pair]) {
    for there in pairs.iter().filter_map(|pair| pair.there.as_ref()) {
        gateway.take_networks(there, &BTreeSet::new());
    }
}

impl Gateway {
    fn new(name: String, host: Option<String>) -> Self {
        Self { name, host, addresses: Vec::new(), networks: Vec::new(), perhaps: Vec::new() }
    }

    /// `src` of a channel's own routes is its own gateway's address.
    fn take_addresses(&mut self, channel: &Channel) {
        for (path, facts) in channel.scripts.iter().filter_map(|script| script.facts.as_ref().ok()) {
            for found in &facts.sources {
                add(&mut self.addresses, found.what, place(path, found.line));
            }
        }
    }

    /// What a channel routes is its peer's.
    fn take_networks(&mut self, channel: &Channel, shared: &BTreeSet<String>) {
        let underlay: Vec<IpAddr> =
            channel.options().remotes.iter().filter_map(|remote| remote.host.parse().ok()).collect();
        let to_the_peer = |net: &IpNet| net.prefix_len() == net.max_prefix_len() && underlay.contains(&net.addr());
        for (net, place) in routes(channel).into_iter().filter(|(net, _)| !to_the_peer(net)) {
            add(&mut self.networks, net, place);
        }
        for (path, facts) in channel.scripts.iter().filter_map(|script| script.facts.as_ref().ok()) {
            let unclear = shared.contains(path) && !facts.chosen;
            let list = if unclear { &mut self.perhaps } else { &mut self.networks };
            for found in facts.networks.iter().filter(|found| !to_the_peer(&found.what)) {
                add(list, found.what, place(path, found.line));
            }
        }
    }
}

/// `route` and `route-ipv6` into the tunnel.
pub(super) fn routes(channel: &Channel) -> Vec<(IpNet, Place)> {
    let options = channel.options();
    let v4 = options.routes.iter().filter_map(|route| {
        let Destination::Address(network) = route.network else { return None };
        let inside = route.gateway.is_none() || route.gateway == Some(Destination::VpnGateway);
        let inside =
            inside || matches!(route.gateway, Some(Destination::Address(via)) if Some(via) == channel.inner_remote());
        let net = Ipv4Net::with_netmask(network, route.netmask).ok()?;
        inside.then(|| (IpNet::from(net.trunc()), route.place.clone()))
    });
    let v6 = options.routes_ipv6.iter().map(|route| (IpNet::from(route.network.trunc()), route.place.clone()));
    v4.chain(v6).collect()
}

fn place(path: &str, line: u32) -> Place {
    Place { file: Some(path.into()), line }
}

fn add<T: PartialEq>(list: &mut Vec<(T, Place)>, what: T, place: Place) {
    if !list.iter().any(|(other, _)| *other == what) {
        list.push((what, place));
    }
}

/// The first ports, when the channels' ports follow each other at both ends in the same order.
fn contiguous(pairs: &[Pair]) -> Option<(u16, u16)> {
    let ports = |pair: &Pair| {
        let there = pair.there.as_ref().and_then(|there| there.options().local_port);
        Some((pair.here.options().local_port?, pair.here.remote().map(|remote| remote.port).or(there)?))
    };
    let first = ports(pairs.first()?)?;
    let follows =
        |(number, pair): (u16, &Pair)| ports(pair) == first.0.checked_add(number).zip(first.1.checked_add(number));
    (0..).zip(pairs).all(follows).then_some(first)
}
