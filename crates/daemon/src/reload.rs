//! What a new file means for the channels that run: pure.

use std::{collections::BTreeSet, fmt::Write as _, net::IpAddr};

use ipnet::IpNet;
use meshtun_config::{ChannelView, Hooks, Host, LinkView, RemoteEndpoint, View};

use crate::{
    Gateway,
    prefixes::{local_prefixes, prefixes},
};

#[cfg(test)]
mod tests;

/// Everything that becomes of a channel which runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// Its session, counters and socket stay; its settings may change.
    Stays,
    /// Its session ends at once and a new one begins: a key or the cipher is another.
    Rekeyed,
    /// Its socket is bound elsewhere: it says goodbye and is made anew.
    Remade,
    /// It is not in the file any more.
    Goes,
}

/// What becomes of one channel that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) fate: Fate,
    /// The peer's key is gone or another: nothing more is sent to whoever has the old one, not even a goodbye.
    pub(crate) revoked: bool,
}

/// Why a file cannot be taken up by a daemon that runs; none if it can.
pub(crate) fn obstacle(old: &Gateway, new: &Gateway) -> Option<String> {
    let (before, after) = (&old.view, &new.view);
    if before.public_key != after.public_key {
        let key = "this gateway's own key was changed, which the peers have to know of first";
        return Some(format!("{key}: restart meshtun to take it"));
    }
    if before.number != after.number {
        let (before, after) = (before.number, after.number);
        return Some(format!(
            "this gateway's number was changed from {before} to {after}, from which ports and addresses of all links \
             derive: restart meshtun to take it"
        ));
    }
    None
}

/// What becomes of a channel of the old gateway.
pub(crate) fn verdict(old: &Gateway, new: &Gateway, link: &LinkView, channel: &ChannelView) -> Verdict {
    let is_unknown = !new.public_keys.contains(&link.peer.public_key);
    let after = new.view.links.iter().find(|after| after.name == link.name);
    let Some(after) = after else { return Verdict { fate: Fate::Goes, revoked: is_unknown } };
    let revoked = is_unknown || after.peer.public_key != link.peer.public_key;
    let Some(now) = after.channels.iter().find(|after| after.number == channel.number) else {
        return Verdict { fate: Fate::Goes, revoked };
    };
    let fate = if now.local != channel.local {
        Fate::Remade
    } else if revoked || is_rekeyed(old, new, link, after) || is_renamed(channel, now) {
        Fate::Rekeyed
    } else {
        Fate::Stays
    };
    Verdict { fate, revoked }
}

/// Whether the conversation is another one.
fn is_rekeyed(old: &Gateway, new: &Gateway, before: &LinkView, after: &LinkView) -> bool {
    let secret = |gateway: &Gateway| gateway.preshared_keys.get(&before.name).map(|key| *key.as_bytes());
    let traits = |link: &LinkView| (link.cipher, link.peer.is_wireguard, link.peer.number);
    traits(before) != traits(after) || secret(old) != secret(new)
}

/// Whether the peer is to be found under another name: its address is to be looked up before anything is sent.
fn is_renamed(before: &ChannelView, after: &ChannelView) -> bool {
    match (&before.remote, &after.remote) {
        (before, Some(RemoteEndpoint { host: Host::Name(after), .. })) => {
            let name = before.as_ref().map(|before| &before.host);
            !matches!(name, Some(Host::Name(before)) if before == after)
        }
        _ => false,
    }
}

/// Whether what was found out of a link's width holds on: the file says the same of it, and its channels take the same ways.
pub(crate) fn has_same_width(before: &LinkView, after: &LinkView) -> bool {
    let ways = |link: &LinkView| -> BTreeSet<(IpAddr, Option<String>, Option<String>)> {
        let way = |channel: &ChannelView| {
            let remote = channel.remote.as_ref().map(|remote| remote.host.to_string());
            (channel.local.ip(), channel.underlay_device.clone(), remote)
        };
        link.channels.iter().map(way).collect()
    };
    before.mtu == after.mtu && ways(before) == ways(after)
}

/// What of a view decides which inner packets may come out of a link.
#[derive(PartialEq)]
pub(crate) struct Admission {
    theirs: Vec<IpNet>,
    ours: Vec<IpNet>,
    transit: bool,
    peer: u16,
}

impl Admission {
    pub(crate) fn of(view: &View, link: &LinkView) -> Admission {
        let (theirs, ours) = (prefixes(&link.peer), local_prefixes(view));
        Admission { theirs, ours, transit: link.transit, peer: link.peer.number }
    }
}

/// What differs, a line each, for people.
pub(crate) fn describe(old: &Gateway, new: &Gateway) -> Vec<String> {
    let mut lines = Vec::new();
    gateway(&old.view, &new.view, &mut lines);
    for link in &old.view.links {
        match new.view.links.iter().find(|after| after.name == link.name) {
            Some(after) => changed(old, new, link, after, &mut lines),
            None => lines.push(format!("link {}: removed", link.name)),
        }
    }
    for link in &new.view.links {
        if !old.view.links.iter().any(|before| before.name == link.name) {
            let (peer, channels) = (&link.peer.name, link.channels.len());
            lines.push(format!("link {}: added, to {peer}, channels {channels}", link.name));
        }
    }
    lines
}

fn gateway(old: &View, new: &View, lines: &mut Vec<String>) {
    note(lines, "this gateway: name", &old.gateway, &new.gateway);
    note(lines, "this gateway: address", &shown(old.address), &shown(new.address));
    note(lines, "this gateway: address6", &shown(old.address6), &shown(new.address6));
    note(lines, "this gateway: hooks", &programs(&old.hooks), &programs(&new.hooks));
    note(lines, "this gateway: networks", &list(&old.local_networks), &list(&new.local_networks));
}

fn changed(old: &Gateway, new: &Gateway, before: &LinkView, after: &LinkView, lines: &mut Vec<String>) {
    let name = &before.name;
    let mut note = |what: &str, before: &str, after: &str| note(lines, &format!("link {name}: {what}"), before, after);
    note("peer", &before.peer.name, &after.peer.name);
    note("peer's number", &before.peer.number.to_string(), &after.peer.number.to_string());
    note("peer's public key", &before.peer.public_key.to_string(), &after.peer.public_key.to_string());
    note("peer's networks", &list(&before.peer.networks), &list(&after.peer.networks));
    note("peer's address", &shown(before.peer.address), &shown(after.peer.address));
    note("peer's address6", &shown(before.peer.address6), &shown(after.peer.address6));
    note("peer's priority", &before.peer.priority.to_string(), &after.peer.priority.to_string());
    note("plain WireGuard", &before.peer.is_wireguard.to_string(), &after.peer.is_wireguard.to_string());
    note("cipher", &before.cipher.to_string(), &after.cipher.to_string());
    note("mtu", &shown(before.mtu), &shown(after.mtu));
    note("txqueuelen", &before.txqueuelen.to_string(), &after.txqueuelen.to_string());
    note("qdisc", &shown(before.qdisc.as_ref()), &shown(after.qdisc.as_ref()));
    note("hooks", &programs(&before.hooks), &programs(&after.hooks));
    note("transit", &before.transit.to_string(), &after.transit.to_string());
    note("clamp_mss", &before.clamp_mss.to_string(), &after.clamp_mss.to_string());
    note("probe", &before.probe.to_string(), &after.probe.to_string());
    let secret = |gateway: &Gateway| gateway.preshared_keys.get(name).map(|key| *key.as_bytes());
    if secret(old) != secret(new) {
        lines.push(format!("link {name}: pre-shared key changed"));
    }
    for channel in &before.channels {
        match after.channels.iter().find(|after| after.number == channel.number) {
            Some(after) => channel_changed(name, channel, after, lines),
            None => lines.push(format!("channel {name}/{}: removed", channel.number)),
        }
    }
    let is_new = |channel: &&ChannelView| !before.channels.iter().any(|before| before.number == channel.number);
    let added = after.channels.iter().filter(is_new);
    lines.extend(added.map(|channel| format!("channel {name}/{}: added", channel.number)));
}

fn channel_changed(link: &str, before: &ChannelView, after: &ChannelView, lines: &mut Vec<String>) {
    let mut note =
        |what: &str, old: &str, new: &str| note(lines, &format!("channel {link}/{}: {what}", before.number), old, new);
    note("path", &shown(before.path), &shown(after.path));
    note("bound to", &before.local.to_string(), &after.local.to_string());
    note("bound to device", &shown(before.underlay_device.as_ref()), &shown(after.underlay_device.as_ref()));
    note("endpoint", &shown(before.remote.as_ref()), &shown(after.remote.as_ref()));
    note("weight", &before.weight.to_string(), &after.weight.to_string());
}

fn note(lines: &mut Vec<String>, what: &str, before: &str, after: &str) {
    if before != after {
        lines.push(format!("{what}: {before} -> {after}"));
    }
}

fn shown(value: Option<impl std::fmt::Display>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn programs(hooks: &Hooks) -> String {
    let all = hooks.iter().map(|(event, program)| format!("{event} {program} ({} s)", program.timeout.as_secs()));
    let all: Vec<String> = all.collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

fn list(networks: &[IpNet]) -> String {
    let mut list = String::new();
    for network in networks {
        let comma = if list.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _written = write!(list, "{comma}{network}");
    }
    list
}
