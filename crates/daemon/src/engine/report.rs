//! The engine's state as `status` shows it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ipnet::IpNet;
use meshtun_config::{LinkView, View};
use meshtun_netlink::multipath_metric;

use super::{Engine, LinkState, channel::Channel, punctuality::Punctuality};
use crate::status::{self, ChannelState};

pub(super) fn status(engine: &Engine, control: status::Control, now: Instant) -> status::Status {
    let mut links: Vec<_> = engine.links.iter().map(|link| link_status(engine, link, now)).collect();
    mark_used(&mut links);
    let mut dropped = BTreeMap::new();
    for (reason, n) in links.iter().flat_map(|link| &link.channels).flat_map(|channel| &channel.dropped) {
        *dropped.entry(reason.clone()).or_default() += n;
    }
    status::Status {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        started: unix(engine.started),
        workers: engine.workers,
        gateway: gateway(&engine.gateway.view),
        links,
        dropped,
        alarms: alarms(engine, now),
        change: change(engine),
        control,
        hooks: engine.hooks.gateway_status(),
    }
}

fn alarms(engine: &Engine, now: Instant) -> Vec<String> {
    let missing = engine.missing.iter().map(|missing| &missing.problem);
    engine.alarms.iter().chain(missing).cloned().chain(engine.carrier_held_up(now)).collect()
}

fn change(engine: &Engine) -> Option<status::Change> {
    let change = engine.change.as_ref()?;
    Some(status::Change {
        what: change.what(),
        stage: change.stage().into(),
        since: unix(engine.change_began),
        waiting: engine.waiting.iter().filter(|asked| !asked.caller.is_gone()).count(),
    })
}

pub(super) fn control(punctuality: &mut Punctuality, now: Instant) -> status::Control {
    let ms = |delay: Duration| (delay.as_secs_f64() * 1e6).round() / 1e3;
    let (ever, of_late) = punctuality.longest(now);
    status::Control { late_ms: ms(ever), late_ms_of_late: ms(of_late) }
}

fn gateway(view: &View) -> status::Gateway {
    status::Gateway {
        name: view.gateway.clone(),
        number: view.number,
        public_key: view.public_key.to_string(),
        address: view.address,
        address6: view.address6,
        networks: view.local_networks.clone(),
    }
}

fn link_status(engine: &Engine, state: &LinkState, now: Instant) -> status::Link {
    let LinkView { name, peer, cipher, preshared_key_file, .. } = &state.view;
    let of_link = engine.channels_of(state);
    let mut channels: Vec<_> = of_link.iter().map(|channel| channel_status(engine, channel, now)).collect();
    mark_lone_channels(&mut channels, &of_link, now);
    status::Link {
        name: name.clone(),
        peer: peer.name.clone(),
        peer_kind: if peer.is_wireguard { "wireguard" } else { "meshtun" }.into(),
        peer_public_key: peer.public_key.to_string(),
        cipher: cipher.to_string(),
        preshared_key: preshared_key_file.is_some(),
        networks: peer.networks.clone(),
        mtu: engine.mtu(name),
        channels_up: channels.iter().filter(|channel| channel.carrier).count(),
        since: unix(state.health.since),
        metric: multipath_metric(peer.priority.into()),
        shares_site: false,
        in_use: false,
        hooks: engine.hooks.status(name),
        channels,
    }
}

fn channel_status(engine: &Engine, channel: &Channel, now: Instant) -> status::Channel {
    let counters = channel.counters.snapshot();
    let history = &channel.history;
    status::Channel {
        channel: channel.view.number,
        device: channel.view.device.clone(),
        state: history.state,
        since: unix(history.since),
        carrier: channel.carrier.is_up(),
        path: channel.view.path,
        underlay_device: channel.view.underlay_device.clone(),
        local: channel.udp.local_addr(),
        endpoint: channel.endpoint.current(),
        last_handshake: history.last_handshake.map(unix),
        handshake_ms: history.handshake.map(|took| (took.as_secs_f64() * 1e6).round() / 1e3),
        session_age: channel.session_began().map(|began| now.saturating_duration_since(began).as_secs()),
        sessions: history.sessions,
        taken_down: channel.is_taken_down(),
        withdrawn: engine.surroundings.withdrawn.contains(&channel.view.device),
        problem: channel.problem(now),
        probes: channel.probes(now),
        tx_packets: counters.sending.packets,
        tx_bytes: counters.sending.bytes,
        rx_packets: counters.receiving.packets,
        rx_bytes: counters.receiving.bytes,
        tx_messages: counters.sending.messages,
        rx_messages: counters.receiving.messages,
        icmp_errors: counters.receiving.icmp_errors,
        dropped: dropped(channel, &counters),
    }
}

/// Of links to the same networks the kernel uses the one with the lowest metric that has carrier.
fn mark_used(links: &mut [status::Link]) {
    let facts: Vec<(BTreeSet<IpNet>, u32, bool)> =
        links.iter().map(|link| (link.networks.iter().copied().collect(), link.metric, link.channels_up > 0)).collect();
    for (place, link) in links.iter_mut().enumerate() {
        let (networks, metric, is_up) = &facts[place];
        let others = facts.iter().enumerate().filter(|(other, (theirs, ..))| *other != place && theirs == networks);
        let others: Vec<_> = others.map(|(_, (_, metric, is_up))| (*metric, *is_up)).collect();
        link.shares_site = !networks.is_empty() && !others.is_empty();
        link.in_use = *is_up && !others.iter().any(|(theirs, up)| *up && theirs < metric);
    }
}

/// A channel that nobody answers while its siblings are up is most likely one that the other end does not have.
fn mark_lone_channels(shown: &mut [status::Channel], channels: &[&Channel], now: Instant) {
    if !shown.iter().any(|channel| channel.carrier) {
        return;
    }
    for (shown, channel) in shown.iter_mut().zip(channels) {
        let never_up = channel.history.last_handshake.is_none();
        if never_up && channel.is_unanswered(now) && !channel.is_refused() {
            shown.state = ChannelState::Unmatched;
            let doubt =
                "others of this link are up, so the other end lacks this channel, or its port is not let through";
            shown.problem = Some(format!("{}; {doubt}", channel.no_answer(now)));
        }
    }
}

fn dropped(channel: &Channel, counters: &meshtun_dataplane::CountersSnapshot) -> BTreeMap<String, u64> {
    let both = counters.sending.dropped.iter().chain(&counters.receiving.dropped);
    let mut dropped: BTreeMap<String, u64> = both.map(|(reason, n)| (reason.label().to_owned(), *n)).collect();
    dropped.extend(channel.refused.iter().map(|(reason, n)| ((*reason).to_owned(), *n)));
    if let Ok(overflow @ 1..) = channel.udp.drops() {
        dropped.insert(status::RECEIVE_BUFFER_FULL.into(), overflow);
    }
    dropped
}

fn unix(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, networks: &[&str], metric: u32, channels_up: usize) -> status::Link {
        serde_json::from_value(serde_json::json!({
            "name": name, "peer": name, "peer_kind": "meshtun", "peer_public_key": "", "cipher": "",
            "preshared_key": false, "networks": networks, "mtu": 1420, "metric": metric,
            "channels_up": channels_up, "channels": [],
        }))
        .unwrap()
    }

    #[test]
    fn of_two_links_to_a_site_the_preferred_one_that_has_carrier_is_in_use() {
        let used = |first, second| {
            let site = ["10.2.0.0/24", "fd00:2::/64"];
            let turned = [site[1], site[0]];
            let mut links = [link("a", &site, 101, first), link("b", &turned, 102, second), link("c", &[], 101, 1)];
            mark_used(&mut links);
            assert_eq!(links.each_ref().map(|link| link.shares_site), [true, true, false]);
            links.map(|link| link.in_use)
        };
        assert_eq!(used(4, 4), [true, false, true]);
        assert_eq!(used(0, 4), [false, true, true]);
        assert_eq!(used(0, 0), [false, false, true]);
        assert_eq!(used(1, 0), [true, false, true]);
    }
}
