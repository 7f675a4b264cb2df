//! Commands that make routes.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::{
    ScriptFacts, Weight,
    lines::Line,
    push,
    variables::{Variables, reference},
};

/// Takes the routes of a line over. `false` when it is about something else.
pub(super) fn read(line: &Line, variables: &Variables, facts: &mut ScriptFacts) -> bool {
    let Some((command, net)) = ip_route(&line.words).or_else(|| old_route(&line.words)) else { return false };
    if leads_elsewhere(command) {
        return true;
    }
    for (at, word) in command.iter().enumerate() {
        let next = command.get(at + 1);
        match (word.as_str(), next) {
            ("src", Some(source)) => {
                for source in variables.literals(source).iter().filter_map(|word| word.parse::<IpAddr>().ok()) {
                    push(&mut facts.sources, line, source);
                }
            }
            ("weight", Some(weight)) => weigh(line, &command[..at], weight, facts),
            _ => {}
        }
    }
    let Some(destination) = net else { return true };
    let networks: Vec<IpNet> =
        variables.literals(destination).iter().filter_map(|word| prefix(word, netmask(command))).collect();
    if networks.is_empty() && destination != "default" {
        push(&mut facts.unread, line, destination.to_owned());
    }
    for network in networks {
        push(&mut facts.networks, line, network);
    }
    true
}

/// `ip [-4] route add|replace|change|append [TYPE] PREFIX …`; the verb may be a variable.
fn ip_route(words: &[String]) -> Option<(&[String], Option<&str>)> {
    let ip = words.iter().position(|word| {
        word == "ip" || word.ends_with("/ip") || reference(word).is_some_and(|name| name.eq_ignore_ascii_case("ip"))
    })?;
    let flag = |word: &&String| word.starts_with('-') || word.starts_with("inet");
    let route = ip + 1 + words[ip + 1..].iter().take_while(flag).count();
    words.get(route).filter(|word| matches!(word.as_str(), "route" | "ro" | "r"))?;
    let verb = words.get(route + 1)?;
    let makes = matches!(verb.as_str(), "add" | "replace" | "change" | "append" | "prepend" | "a" | "chg");
    if !makes && reference(verb).is_none() {
        return None;
    }
    let command = &words[route + 2..];
    let skipped = command.iter().take_while(|word| matches!(word.as_str(), "unicast" | "to")).count();
    Some((command, command.get(skipped).map(String::as_str)))
}

/// `route add [-net|-host] NETWORK [netmask MASK] …`
fn old_route(words: &[String]) -> Option<(&[String], Option<&str>)> {
    let route = words.iter().position(|word| word == "route" || word.ends_with("/route"))?;
    let command = &words[route + 1..];
    let add = command.iter().position(|word| word == "add")?;
    (add <= 2).then_some(())?;
    let command = &command[add + 1..];
    let net = command.iter().find(|word| !word.starts_with('-'));
    Some((command, net.map(String::as_str)))
}

/// Routes that do not lead into the tunnel: to nowhere, of other tables, or out of an Ethernet device.
fn leads_elsewhere(command: &[String]) -> bool {
    const TYPES: [&str; 5] = ["unreachable", "blackhole", "prohibit", "throw", "table"];
    let device = command.iter().position(|word| word == "dev").and_then(|at| command.get(at + 1));
    let hardware = |name: &String| ["eth", "en", "wl", "bond", "br", "lo"].iter().any(|kind| name.starts_with(kind));
    command.iter().any(|word| TYPES.contains(&word.as_str())) || device.is_some_and(hardware)
}

fn netmask(command: &[String]) -> Option<Ipv4Addr> {
    let at = command.iter().position(|word| word == "netmask")?;
    command.get(at + 1)?.parse().ok()
}

/// A prefix, or an address, with the mask where there is one.
fn prefix(word: &str, netmask: Option<Ipv4Addr>) -> Option<IpNet> {
    if let Ok(prefix) = word.parse::<IpNet>() {
        return Some(prefix.trunc());
    }
    match (word.parse::<IpAddr>().ok()?, netmask) {
        (IpAddr::V4(address), Some(mask)) => Ipv4Net::with_netmask(address, mask).ok().map(|net| net.trunc().into()),
        (address, _) => Some(address.into()),
    }
}

/// The weight belongs to the nearest `via` or `dev` before it.
fn weigh(line: &Line, before: &[String], weight: &str, facts: &mut ScriptFacts) {
    let Ok(weight) = weight.parse::<u16>() else { return };
    let start = before.iter().rposition(|word| word == "nexthop").unwrap_or(0);
    let at = before[start..].iter().position(|word| matches!(word.as_str(), "via" | "dev")).map(|at| at + start);
    if let Some(nexthop) = at.and_then(|at| before.get(at + 1)) {
        push(&mut facts.weights, line, Weight { nexthop: nexthop.clone(), weight });
    }
}
