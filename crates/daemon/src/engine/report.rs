//! The engine's state as `status` shows it.

use std::{
    collections::BTreeMap,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use meshtun_config::{LinkView, View};

use super::{Engine, LinkState, channel::Channel};
use crate::status::{self, ChannelState};

pub(super) fn status(engine: &Engine, now: Instant) -> status::Status {
    let links: Vec<_> = engine.links.iter().map(|link| link_status(engine, link, now)).collect();
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
        alarms: engine.alarms.clone(),
    }
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
