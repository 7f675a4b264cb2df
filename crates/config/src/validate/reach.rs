//! How the two ends of a link reach each other, and that they do not do so through the tunnel.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::gateway::{Draft as Gateway, Gateways};
use super::link::Draft as Link;
use crate::findings::{Findings, Located};
use crate::model::{Host, Software};

/// Refuses links that nobody can initiate, and those whose ends speak different versions of IP.
pub(super) fn check_ends(gateways: &Gateways, links: &[Link], findings: &mut Findings) {
    for link in links {
        let Some(ends) = &link.ends else { continue };
        let [first, second] = ends.value.map(|end| gateways.get(end));
        if first.is_learned && second.is_learned {
            let (a, b) = (&first.name.value, &second.name.value);
            let message = format!("{}: neither `{a}` nor `{b}` has an `underlay` or an `endpoint`", link.title());
            findings.error(
                &ends.span,
                message,
                "one of them must be told how to reach the other: give one its `underlay` or `endpoint`",
            );
        }
        check_family(link, first, second, findings);
        check_family(link, second, first, findings);
    }
}

/// Refuses addresses of the underlay that are within a network which the same gateway routes into a
/// link: the tunnel's own packets would go into the tunnel.
pub(super) fn check_inside(gateways: &Gateways, links: &[Link], findings: &mut Findings) {
    let owners = Owners::new(gateways);
    let neighbours = neighbours(gateways, links);
    for (index, gateway) in gateways.iter() {
        for (address, used_by_peers) in underlay_addresses(gateway) {
            if let Some((owner, network)) =
                owners.around(address.value).find(|(owner, _)| is_captured(index, used_by_peers, *owner, &neighbours))
            {
                let network = (gateways.get(owner), network);
                refuse_inside(gateway, &address, network, used_by_peers, findings);
            }
        }
    }
}

/// Whether packets from or to an underlay address of `gateway` would be routed into a link by a network of `owner`.
///
/// The networks of `owner` are routed into links by its neighbours. The gateway's own address is on
/// its packets if it is one of them; its peers send to that address if they are.
fn is_captured(gateway: usize, used_by_peers: bool, owner: usize, neighbours: &[HashSet<usize>]) -> bool {
    let routes = &neighbours[owner];
    let by_itself = routes.contains(&gateway);
    let by_a_peer = || routes.iter().any(|router| owner == gateway || neighbours[*router].contains(&gateway));
    by_itself || (used_by_peers && by_a_peer())
}

/// The bound address of `from` must be able to send to where `to` is reached.
fn check_family(link: &Link, from: &Gateway, to: &Gateway, findings: &mut Findings) {
    let (Some(bind), Some(reach)) = (&from.bind, &to.reach) else { return };
    let Host::Address(remote) = reach.value else { return };
    // [::] serves both, and what plain WireGuard binds to is not ours to say.
    let any = bind.value == IpAddr::from(std::net::Ipv6Addr::UNSPECIFIED);
    if any || from.software == Software::WireGuard || bind.value.is_ipv4() == remote.is_ipv4() {
        return;
    }
    let message = format!(
        "{}: `{}` binds to {} and cannot send to `{}` at {remote}",
        link.title(),
        from.name.value,
        bind.value,
        to.name.value
    );
    let hint = format!(
        "give both an address of one family, or give `{}` `listen = \"::\"`, which serves both",
        from.name.value
    );
    findings.error(link.place(), message, hint).also(&bind.span, "binds here").also(&reach.span, "is reached here");
}

/// The addresses that a gateway's underlay packets bear, and whether its peers send to them.
fn underlay_addresses(gateway: &Gateway) -> impl Iterator<Item = (Located<IpAddr>, bool)> {
    let reach = gateway.reach.as_ref().and_then(|reach| match reach.value {
        Host::Address(address) => Some(reach.with(address)),
        Host::Name(_) => None,
    });
    let bind =
        gateway.bind.clone().filter(|bind| gateway.software == Software::Meshtun && !bind.value.is_unspecified());
    let bind = bind.filter(|bind| reach.as_ref().is_none_or(|reach| reach.value != bind.value));
    reach.map(|reach| (reach, true)).into_iter().chain(bind.map(|bind| (bind, false)))
}

fn refuse_inside(
    gateway: &Gateway,
    address: &Located<IpAddr>,
    (owner, network): (&Gateway, &Located<IpNet>),
    used_by_peers: bool,
    findings: &mut Findings,
) {
    let message = format!(
        "{} of gateway `{}` is within {} of gateway `{}`, which is routed into links: the tunnel would run inside itself",
        address.value, gateway.name.value, network.value, owner.name.value
    );
    let hint = if used_by_peers {
        "list networks that do not have it; if it is an inner address behind NAT, write it as `listen` and the outer one as `endpoint`"
    } else {
        "list networks that do not have it, or bind to another address"
    };
    findings.error(&address.span, message, hint).also(&network.span, "within this network");
}

/// For each gateway those that it has a link to.
fn neighbours(gateways: &Gateways, links: &[Link]) -> Vec<HashSet<usize>> {
    let mut neighbours = vec![HashSet::new(); gateways.len()];
    for ends in links.iter().filter_map(|link| link.ends.as_ref()) {
        let [first, second] = ends.value;
        neighbours[first].insert(second);
        neighbours[second].insert(first);
    }
    neighbours
}

/// Networks by prefix, to find those around an address.
struct Owners<'a>(HashMap<IpNet, Vec<(usize, &'a Located<IpNet>)>>);

impl<'a> Owners<'a> {
    fn new(gateways: &'a Gateways) -> Self {
        let mut owners: HashMap<IpNet, Vec<_>> = HashMap::new();
        for (index, gateway) in gateways.iter() {
            for network in &gateway.networks {
                owners.entry(network.value).or_default().push((index, network));
            }
        }
        Owners(owners)
    }

    /// Every network around the address with its gateway, the longest prefix first.
    fn around(&self, address: IpAddr) -> impl Iterator<Item = (usize, &'a Located<IpNet>)> {
        let host = IpNet::from(address);
        std::iter::successors(Some(host), IpNet::supernet).filter_map(|network| self.0.get(&network)).flatten().copied()
    }
}
