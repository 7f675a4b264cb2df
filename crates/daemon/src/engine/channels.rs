//! The engine's channels: found, spoken to, added, removed.

use std::{sync::Arc, time::Instant};

use meshtun_config::ChannelView;
use meshtun_dataplane::{ChannelId, DataPlane};
use meshtun_sys::udp::Udp;

use super::{Engine, LinkState, channel::Channel};
use crate::{
    Error,
    channels::{self, ChannelParts},
};

impl Engine {
    /// The channels of a link, by number.
    pub(super) fn channels_of(&self, link: &LinkState) -> Vec<&Channel> {
        link.channels.iter().filter_map(|id| self.channels.get(id)).collect()
    }

    /// The link that a channel is of, by its place.
    pub(super) fn link_of(&self, id: ChannelId) -> Option<usize> {
        self.place_of(&self.channels.get(&id)?.link)
    }

    /// The place of a link.
    pub(super) fn place_of(&self, link: &str) -> Option<usize> {
        self.places.get(link).copied()
    }

    /// Does something with every channel, and carries out what comes of it.
    pub(super) fn each_channel(&mut self, now: Instant, mut act: impl FnMut(&mut Channel)) {
        let ids: Vec<ChannelId> = self.channels.keys().copied().collect();
        for id in ids {
            self.with_channel(id, now, |channel, _| act(channel));
        }
    }

    /// Does something with one channel, and carries out what comes of it; nothing if the channel is gone.
    pub(super) fn with_channel(&mut self, id: ChannelId, now: Instant, act: impl FnOnce(&mut Channel, &DataPlane)) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        act(channel, &self.plane);
        self.carry_out(id, now);
    }

    /// Carries out what a channel orders, and notes when it wants to be heard again.
    pub(super) fn carry_out(&mut self, id: ChannelId, now: Instant) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.carry_out(now, &self.plane);
        self.switch(id);
        let Some(channel) = self.channels.get_mut(&id) else { return };
        self.deadlines.set(id, channel.poll_timeout());
        if channel.is_parting() {
            self.parting.insert(id);
        }
        if channel.take_fall() {
            self.fallen.push(id);
        }
        if channel.take_silence() {
            self.silent.push(id);
        }
        if channel.take_path_news() {
            self.path_news.push(id);
        }
        if channel.is_rising() {
            self.rising.insert(id);
        }
    }

    /// A channel that flaps is held down for the sake of those that carry in its place. Where none does, it is better than
    /// nothing; both ends see it alike, for they take carrier together.
    pub(super) fn waive_hold_downs(&mut self, now: Instant) {
        let dead = |link: &&LinkState| self.channels_of(link).iter().all(|channel| !channel.carrier.is_up());
        let of_dead = self.links.iter().filter(dead).flat_map(|link| self.channels_of(link));
        let held: Vec<ChannelId> = of_dead.filter(|channel| channel.is_held(now)).map(|channel| channel.id).collect();
        for id in held {
            self.with_channel(id, now, |channel, _| channel.waive_hold_down(now));
        }
    }

    /// Takes over a channel whose halves are with the data plane. Its link is there.
    pub(super) fn adopt(&mut self, parts: ChannelParts, now: Instant) {
        self.next_id = self.next_id.max(parts.id.0 + 1);
        let mut channel = Channel::new(parts, self.tidings.sender.clone(), now);
        if channel.view.underlay_device.is_some() {
            channel.bind_to_device(now);
        }
        let mtu = self.mtu(&channel.link);
        channel.discover_path_mtu(*self.ceilings.entry(channel.link.clone()).or_insert(mtu));
        if let Some(place) = self.place_of(&channel.link) {
            let channels = &self.channels;
            let number = |id: &ChannelId| channels.get(id).map(|channel| channel.view.number);
            let before = self.links[place].channels.partition_point(|id| number(id) < Some(channel.view.number));
            self.links[place].channels.insert(before, channel.id);
        }
        // The link's narrowest path may be another.
        self.path_news.push(channel.id);
        self.channels.insert(channel.id, channel);
    }

    /// Makes a channel of a link whose device is there, and starts it; nobody else may be attached to the device.
    ///
    /// # Errors
    /// If its device or its halves cannot be had. Nothing is left of it then.
    pub(super) fn make_channel(
        &mut self,
        link: usize,
        channel: &ChannelView,
        udp: Arc<Udp>,
        now: Instant,
    ) -> Result<ChannelId, Error> {
        let (id, view) = (self.new_id(), self.links[link].view.clone());
        let mtu = self.mtu(&view.name);
        let parts = channels::make_one(&self.gateway, id, &view, channel, mtu, udp, Arc::default(), &mut self.plane)?;
        self.adopt(parts, now);
        self.with_channel(id, now, |channel, _| channel.start(now));
        Ok(id)
    }

    /// A channel in the place of one that failed: attached to the present device of its name, with the same socket and
    /// the same counters.
    ///
    /// # Errors
    /// As [`Engine::make_channel`]; the one that failed is still there then.
    pub(super) fn replace(&mut self, id: ChannelId, now: Instant) -> Result<ChannelId, Error> {
        let new = self.new_id();
        let (Some(link), Some(channel)) = (self.link_of(id), self.channels.get_mut(&id)) else { return Ok(id) };
        channel.carrier.release();
        self.plane.remove_channel(id);
        let link = self.links[link].view.clone();
        let mtu = self.mtu(&link.name);
        let channel = &self.channels[&id];
        let (view, udp, counters) = (channel.view.clone(), Arc::clone(&channel.udp), Arc::clone(&channel.counters));
        let parts = channels::make_one(&self.gateway, new, &link, &view, mtu, udp, counters, &mut self.plane)?;
        let before = self.forget(id);
        self.put_in_its_place(id, parts, now);
        self.with_channel(new, now, |channel, plane| {
            if let Some(before) = &before {
                channel.inherit(before, now, plane);
            }
            channel.start(now);
        });
        Ok(new)
    }

    /// Takes over a channel that was made anew; who takes the former out takes this one out.
    pub(super) fn put_in_its_place(&mut self, before: ChannelId, parts: ChannelParts, now: Instant) {
        if let Some(change) = &mut self.change {
            change.follow_replacement(before, parts.id);
        }
        self.adopt(parts, now);
    }

    /// Takes a channel out, and waits until no worker holds its device or socket.
    pub(super) fn forget(&mut self, id: ChannelId) -> Option<Channel> {
        self.plane.remove_channel(id);
        self.deadlines.set(id, None);
        if let Some(place) = self.link_of(id) {
            let link = &mut self.links[place];
            link.channels.retain(|channel| *channel != id);
            self.path_news.extend(link.channels.first());
        }
        self.channels.remove(&id)
    }

    /// An id that no channel ever had.
    fn new_id(&mut self) -> ChannelId {
        let id = ChannelId(self.next_id);
        self.next_id += 1;
        id
    }
}
