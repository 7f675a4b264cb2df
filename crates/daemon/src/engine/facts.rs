//! What hooks are told of gateway, links and channels. docs/hooks.md lists it; names never change their meaning.

use meshtun_config::HookEvent;

use super::{Engine, channel::Channel, tidings::Tiding};
use crate::hooks::Facts;

impl Engine {
    /// Of the gateway.
    pub(super) fn facts(&self) -> Facts {
        let view = &self.gateway.view;
        Facts::default()
            .with("gateway", view.gateway.as_str())
            .with("gateway_number", view.number)
            .with("pid", std::process::id())
            .with("address", view.address.map(|address| address.to_string()))
            .with("address6", view.address6.map(|address| address.to_string()))
    }

    fn facts_of_link(&self, place: usize) -> Facts {
        let link = &self.links[place];
        let channels = self.channels_of(link);
        let (view, up) = (&link.view, channels.iter().filter(|channel| channel.carrier.is_up()).count());
        self.facts()
            .with("link", view.name.as_str())
            .with("peer", view.peer.name.as_str())
            .with("peer_number", view.peer.number)
            .with("peer_address", view.peer.address.map(|address| address.to_string()))
            .with("peer_address6", view.peer.address6.map(|address| address.to_string()))
            .with_list("networks", &view.peer.networks)
            .with_list("devices", channels.iter().map(|channel| channel.view.device.as_str()))
            .with("mtu", self.mtu(&view.name))
            .with("channels", channels.len())
            .with("channels_up", up)
    }

    /// A channel came up or went.
    pub(super) fn tell_channel(&self, place: usize, tiding: &Tiding) {
        let Some(channel) = self.channels.get(&tiding.channel) else { return };
        let facts = facts_of_channel(self.facts_of_link(place), channel, tiding);
        self.hooks.tell_link(&self.links[place].view.name, what(tiding), facts);
    }

    /// A channel went whose link is not in the file any more, and with the last one its link.
    pub(super) fn tell_orphan(&self, tiding: &Tiding) {
        let Some(channel) = self.channels.get(&tiding.channel) else { return };
        let facts = || self.facts().with("link", channel.link.as_str());
        self.hooks.tell_link(&channel.link, what(tiding), facts_of_channel(facts(), channel, tiding));
        let carries = |other: &&Channel| other.link == channel.link && other.carrier.is_up();
        if !tiding.is_up && !self.channels.values().any(|other| carries(&other)) {
            let facts = facts().with("state", "down").with("reason", tiding.reason.as_deref());
            self.hooks.tell_link(&channel.link, HookEvent::LinkDown, facts);
        }
    }

    /// A link came up or went, by what became of a channel last.
    pub(super) fn tell_health(&self, place: usize, up: usize, last: &Tiding) {
        let is_up = up > 0;
        let reason = last.reason.as_deref().filter(|_| !is_up);
        let facts = self.facts_of_link(place).with("state", state(is_up)).with("reason", reason);
        let what = if is_up { HookEvent::LinkUp } else { HookEvent::LinkDown };
        self.hooks.tell_link(&self.links[place].view.name, what, facts);
    }
}

fn facts_of_channel(of_link: Facts, channel: &Channel, tiding: &Tiding) -> Facts {
    of_link
        .with("channel", channel.view.number)
        .with("device", channel.view.device.as_str())
        .with("path", channel.view.path)
        .with("underlay_device", channel.view.underlay_device.as_deref())
        .with("local", channel.udp.local_addr().to_string())
        .with("endpoint", channel.endpoint.current().map(|endpoint| endpoint.to_string()))
        .with("link_local", channel.view.link_local.to_string())
        .with("peer_link_local", channel.view.peer_link_local.to_string())
        .with("state", state(tiding.is_up))
        .with("reason", tiding.reason.as_deref())
}

fn what(tiding: &Tiding) -> HookEvent {
    if tiding.is_up { HookEvent::ChannelUp } else { HookEvent::ChannelDown }
}

fn state(is_up: bool) -> &'static str {
    if is_up { "up" } else { "down" }
}
