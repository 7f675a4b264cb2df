//! `[gateways.NAME]`.

use std::{collections::BTreeSet, fmt::Write, net::IpAddr};

use super::{
    super::group::{Gateway, Mesh},
    Page, key, quoted,
};
use crate::directive::Place;

/// The table of a gateway; number 0 is this one.
pub(super) fn write(page: &mut Page<'_>, mesh: &Mesh, number: usize, gateway: &Gateway) {
    writeln!(page.text, "\n[gateways.{}]", key(&gateway.name)).expect("a string takes all");
    if number == 0 {
        page.decide([], "numbers of gateways are small, unique in the mesh, and for ever: ports derive from them");
    }
    page.line("number", number + 1);
    let text = format!(
        "on {}: `(umask 077; meshtun keygen > /etc/meshtun/private.key)`, and here what `meshtun pubkey --key /etc/meshtun/private.key` prints there",
        gateway.name
    );
    page.decide([], &text);
    page.line("public_key", quoted(&format!("PUBLIC KEY OF {}", gateway.name)));
    write_reach(page, gateway);
    write_address(page, gateway);
    write_networks(page, mesh, number, gateway);
}

fn write_reach(page: &mut Page<'_>, gateway: &Gateway) {
    match &gateway.host {
        Some(host) if host.parse::<IpAddr>().is_ok() => page.line("underlay", quoted(host)),
        Some(host) => page.line("endpoint", quoted(host)),
        None => {
            let text = format!(
                "no file says where {} is reached: `underlay = \"ADDRESS\"`, or leave it out if it is the one that begins",
                gateway.name
            );
            page.decide([], &text);
        }
    }
}

fn write_address(page: &mut Page<'_>, gateway: &Gateway) {
    for (name, is_ours) in [("address", IpAddr::is_ipv4 as fn(&IpAddr) -> bool), ("address6", IpAddr::is_ipv6)] {
        let found: Vec<_> = gateway.addresses.iter().filter(|(address, _)| is_ours(address)).collect();
        match found.as_slice() {
            [] => {}
            [(address, place)] => {
                page.comment("", &format!("`src` of its routes ({place})"));
                page.line(name, quoted(&address.to_string()));
            }
            several => {
                let list = several.iter().map(|(address, _)| address.to_string()).collect::<Vec<_>>().join(", ");
                let text =
                    format!("routes have different source addresses: which of {list} is `{name}` of {}?", gateway.name);
                page.decide(several.iter().map(|(_, place)| place.clone()), &text);
            }
        }
    }
}

fn write_networks(page: &mut Page<'_>, mesh: &Mesh, number: usize, gateway: &Gateway) {
    let name = &gateway.name;
    let uncertain: Vec<_> =
        gateway.perhaps.iter().filter(|(net, _)| !gateway.networks.iter().any(|(n, _)| n == net)).collect();
    if !uncertain.is_empty() {
        let list = uncertain.iter().map(|(net, _)| net.to_string()).collect::<Vec<_>>().join(", ");
        let text = format!("the script serves several links: which of these are behind {name}? {list}");
        page.decide(uncertain.iter().map(|(_, place)| place.clone()), &text);
    }
    for (text, places) in unread(mesh, number) {
        page.decide(places, &text);
    }
    if gateway.networks.is_empty() {
        let whose = if number == 0 {
            "the other end's files tell: name them with --other-end"
        } else {
            "no `route` and no script tells"
        };
        page.decide([], &format!("which networks are behind {name}? {whose}; `meshtun check` wants one at least"));
        page.line("networks", "[]");
        return;
    }
    page.text.push_str("networks = [\n");
    for (net, place) in &gateway.networks {
        writeln!(page.text, "    {}, # {place}", quoted(&net.to_string())).expect("a string takes all");
    }
    page.text.push_str("]\n");
    covers(page, mesh, gateway);
}

/// A network that has a gateway's own address on the underlay in it would lead the tunnel into itself.
fn covers(page: &mut Page<'_>, mesh: &Mesh, gateway: &Gateway) {
    let hosts = mesh.gateways.iter().filter_map(|other| other.host.as_ref()?.parse::<IpAddr>().ok());
    let inside: BTreeSet<IpAddr> =
        hosts.filter(|host| gateway.networks.iter().any(|(net, _)| net.contains(host))).collect();
    for host in inside {
        let net = gateway.networks.iter().find(|(net, _)| net.contains(&host));
        let text = format!(
            "{host}, where a gateway is reached, lies in this network: the tunnel would run inside itself; give parts of it that leave {host} out"
        );
        page.decide(net.map(|(_, place)| place.clone()), &text);
    }
}

/// What could not be read of the routes that lead to a gateway.
fn unread(mesh: &Mesh, number: usize) -> Vec<(String, Vec<Place>)> {
    let mut told: Vec<(String, Vec<Place>)> = Vec::new();
    for link in mesh.links.iter().filter(|link| number == 0 || link.peer == number) {
        let channels =
            link.channels.iter().filter_map(|pair| if number == 0 { pair.there.as_ref() } else { Some(&pair.here) });
        for script in channels.flat_map(|channel| &channel.scripts).filter(|script| script.directive != "down") {
            let (text, places) = match &script.facts {
                Err(reason) => (
                    format!("{reason}: add the networks that it routes to {}", mesh.gateways[number].name),
                    vec![script.script.place.clone()],
                ),
                Ok((_, facts)) if facts.unread.is_empty() => continue,
                Ok((path, facts)) => {
                    let words =
                        facts.unread.iter().map(|found| format!("`{}`", found.what)).collect::<Vec<_>>().join(", ");
                    let known: Vec<String> = facts.prefixes.iter().map(|found| found.what.to_string()).collect();
                    let hint = if known.is_empty() {
                        String::new()
                    } else {
                        format!(" (prefixes in the script: {})", known.join(", "))
                    };
                    let places =
                        facts.unread.iter().map(|found| Place { file: Some(path.as_str().into()), line: found.line });
                    (
                        format!(
                            "the script works out {words} while it runs: add what it routes to {}{hint}",
                            mesh.gateways[number].name
                        ),
                        places.collect(),
                    )
                }
            };
            match told.iter_mut().find(|(other, _)| *other == text) {
                Some((_, others)) => {
                    others.extend(places.into_iter().filter(|place| !others.contains(place)).collect::<Vec<_>>())
                }
                None => told.push((text, places)),
            }
        }
    }
    told
}
