//! How the two ends of a link reach each other, and that they do not do so through the tunnel.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::gateway::{Draft as Gateway, Gateways};
use super::link::Draft as Link;
use super::paths::Path;
use super::place::Place;
use crate::findings::{Findings, Located, Span};
use crate::model::{Host, Software};

/// A way over the underlay: a path of a link, or the one way of a link without paths.
struct Way<'a> {
    /// How messages call it.
    title: String,
    /// Where messages point that are about it as a whole, and where about who may speak first.
    place: &'a Span,
    begin: &'a Span,
    gateways: [&'a Gateway; 2],
    ends: [&'a Place; 2],
}

fn ways<'a>(gateways: &'a Gateways, link: &'a Link) -> Vec<Way<'a>> {
    let Some(ends) = &link.ends else { return Vec::new() };
    let gateways = ends.value.map(|end| gateways.get(end));
    if link.paths.is_empty() {
        let ends_of = gateways.map(|gateway| &gateway.place);
        return vec![Way { title: link.title(), place: link.place(), begin: &ends.span, gateways, ends: ends_of }];
    }
    let numbered = link.paths.iter().enumerate().filter_map(|(number, path)| Some((number, path.as_ref()?)));
    let way = |(number, path): (usize, &'a Path)| Way {
        title: format!("path {number} of {}", link.title()),
        place: &path.span,
        begin: &path.span,
        gateways,
        ends: path.ends.each_ref().map(|end| &end.place),
    };
    numbered.map(way).collect()
}

/// Refuses links and paths on which nobody can initiate, and those whose ends speak different versions of IP.
pub(super) fn check_ends(gateways: &Gateways, links: &[Link], findings: &mut Findings) {
    for way in links.iter().flat_map(|link| ways(gateways, link)) {
        if way.ends.iter().all(|end| end.is_learned) {
            let [a, b] = way.gateways.map(|gateway| &gateway.name.value);
            let message = format!("{}: neither `{a}` nor `{b}` has an `underlay` or an `endpoint`", way.title);
            findings.error(
                way.begin,
                message,
                "one of them must be told how to reach the other: give one its `underlay` or `endpoint`",
            );
        }
        check_family(&way, [0, 1], findings);
        check_family(&way, [1, 0], findings);
    }
}

/// Refuses addresses of the underlay that are within a network which the same gateway routes into a
/// link: the tunnel's own packets would go into the tunnel.
pub(super) fn check_inside(gateways: &Gateways, links: &[Link], findings: &mut Findings) {
    let owners = Owners::new(gateways);
    let neighbours = neighbours(gateways, links);
    for (index, place) in places(gateways, links) {
        let gateway = gateways.get(index);
        for (address, used_by_peers) in underlay_addresses(gateway.software, place) {
            if let Some((owner, network)) =
                owners.around(address.value).find(|(owner, _)| is_captured(index, used_by_peers, *owner, &neighbours))
            {
                let network = (gateways.get(owner), network);
                refuse_inside(gateway, &address, network, used_by_peers, findings);
            }
        }
    }
}

/// Every place that the file gives, and whose it is.
fn places<'a>(gateways: &'a Gateways, links: &'a [Link]) -> impl Iterator<Item = (usize, &'a Place)> {
    let own = gateways.iter().map(|(index, gateway)| (index, &gateway.place));
    let of_paths = links.iter().filter_map(|link| Some((link.ends.as_ref()?.value, link))).flat_map(|(ends, link)| {
        let given = move |path: &'a Path| ends.into_iter().zip(&path.ends).filter(|(_, end)| !end.is_own);
        link.paths.iter().flatten().flat_map(given).map(|(index, end)| (index, &end.place))
    });
    own.chain(of_paths)
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

/// The bound address of the one end must be able to send to where the other is reached.
fn check_family(way: &Way<'_>, [from, to]: [usize; 2], findings: &mut Findings) {
    let (Some(bind), Some(reach)) = (&way.ends[from].bind, &way.ends[to].reach) else { return };
    let Host::Address(remote) = reach.value else { return };
    let [from, to] = [from, to].map(|end| way.gateways[end]);
    // [::] serves both, and what plain WireGuard binds to is not ours to say.
    let any = bind.value == IpAddr::from(std::net::Ipv6Addr::UNSPECIFIED);
    if any || from.software == Software::WireGuard || bind.value.is_ipv4() == remote.is_ipv4() {
        return;
    }
    let (from, to) = (&from.name.value, &to.name.value);
    let message = format!("{}: `{from}` binds to {} and cannot send to `{to}` at {remote}", way.title, bind.value);
    let hint = format!("give both an address of one family, or give `{from}` `listen = \"::\"`, which serves both");
    findings.error(way.place, message, hint).also(&bind.span, "binds here").also(&reach.span, "is reached here");
}

/// The addresses that a gateway's underlay packets bear, and whether its peers send to them.
fn underlay_addresses(software: Software, place: &Place) -> impl Iterator<Item = (Located<IpAddr>, bool)> + use<> {
    let reach = place.reach.as_ref().and_then(|reach| match reach.value {
        Host::Address(address) => Some(reach.with(address)),
        Host::Name(_) => None,
    });
    let bind = place.bind.clone().filter(|bind| software == Software::Meshtun && !bind.value.is_unspecified());
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
