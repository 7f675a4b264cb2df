//! Channels that are taken out and brought back, without a packet lost.
//!
//! The kernel drops what it has already routed into a device that loses its carrier (net/sched/sch_generic.c,
//! `dev_deactivate`, comes before the routes hear of it). So a channel that goes in order leaves the routes first, then
//! loses its carrier, then sends what waits. It is back in the routes when it has carrier again.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant, SystemTime},
};

use meshtun_dataplane::ChannelId;
use meshtun_proto::{channel::LINGER, control::Reason};
use serde_json::{Value, json};
use tokio::time::sleep_until;

use super::{Engine, change::Change, channel::Channel, pending::Then};
use crate::{
    Error, channels,
    control::{Caller, Refusal, Target},
    keeper::Made,
};

impl Engine {
    /// A person wants these out.
    pub(super) fn take_down(&mut self, target: &Target, caller: Caller, now: Instant) {
        let ids = match self.channels_meant(target) {
            Ok(ids) => ids,
            Err(refusal) => return caller.answer(Err(refusal)),
        };
        tracing::info!("asked to take {target} down");
        self.change = Some(Change::TakeDown { target: target.clone(), channels: ids.clone(), is_out: false, caller });
        self.change_began = SystemTime::now();
        self.withdraw(&ids, Then::Change, now);
    }

    /// A person wants these back. They return to the routes when they have carrier.
    pub(super) fn bring_up(&mut self, target: &Target, now: Instant) -> Result<Value, Refusal> {
        let ids = self.channels_meant(target)?;
        tracing::info!("asked to bring {target} up");
        for id in &ids {
            if self.channels.get(id).is_some_and(Channel::is_taken_down) {
                self.with_channel(*id, now, |channel, _| channel.allow_up());
                self.converse(*id, now).map_err(|error| Refusal::Failed(error.to_string()))?;
            }
        }
        Ok(json!({ "channels": self.names(&ids) }))
    }

    /// Takes channels out of the routes, if others are there to carry what they carried; without others it would only be
    /// lost sooner. What follows is done when the kernel routes nothing to them any more.
    pub(super) fn withdraw(&mut self, ids: &[ChannelId], then: Then, now: Instant) {
        let ids: BTreeSet<ChannelId> = ids.iter().copied().collect();
        let is_routed =
            |channel: &&Channel| channel.carrier.is_up() && !self.surroundings.withdrawn.contains(&channel.view.device);
        let (going, others): (Vec<&Channel>, Vec<&Channel>) =
            self.channels.values().filter(is_routed).partition(|channel| ids.contains(&channel.id));
        if going.is_empty() || others.is_empty() {
            return self.follow(then, &Made::default(), now);
        }
        let devices: BTreeSet<String> = going.iter().map(|channel| channel.view.device.clone()).collect();
        self.surroundings.withdrawn.extend(devices);
        self.wish_without(then, now);
    }

    /// Goes on with those whose peers said goodbye.
    pub(super) fn let_part(&mut self, now: Instant) {
        let parting = std::mem::take(&mut self.parting);
        let parting: Vec<ChannelId> = parting.into_iter().filter(|id| !self.is_leaving(*id)).collect();
        if !parting.is_empty() {
            self.withdraw(&parting.clone(), Then::Part(parting), now);
        }
    }

    /// Puts those back into the routes that have carrier again.
    pub(super) fn let_return(&mut self) {
        if self.surroundings.withdrawn.is_empty() {
            return;
        }
        let is_back =
            |channel: &&Channel| channel.carrier.is_up() && !channel.is_parting() && !self.is_leaving(channel.id);
        let back: Vec<String> =
            self.channels.values().filter(is_back).map(|channel| channel.view.device.clone()).collect();
        let before = self.surroundings.withdrawn.len();
        back.iter().for_each(|device| _ = self.surroundings.withdrawn.remove(device));
        if self.surroundings.withdrawn.len() != before {
            self.wish(Then::Nothing);
        }
    }

    /// Begins a channel's conversation anew. What was left of the one before ends.
    pub(super) fn converse(&mut self, id: ChannelId, now: Instant) -> Result<(), Error> {
        let (Some(link), Some(channel)) = (self.link_of(id), self.channels.get(&id)) else { return Ok(()) };
        let conversation = channels::conversation(&self.gateway, &self.links[link].view, &channel.view)?;
        self.with_channel(id, now, |channel, _| channel.revoke(now));
        self.with_channel(id, now, |channel, _| channel.begin(conversation, now));
        Ok(())
    }

    /// Says goodbye on these channels; they have ended when nothing is under way any more.
    pub(super) fn close_channels(&mut self, ids: &[ChannelId], reason: Reason, now: Instant) {
        for id in ids {
            self.with_channel(*id, now, |channel, _| channel.close(now, reason, Duration::ZERO));
        }
    }

    /// Goes on receiving until then, and says goodbye again when that is due.
    pub(super) async fn linger(&mut self, until: Instant) {
        while let Some(due) = self.deadlines.first().filter(|due| *due < until) {
            sleep_until(due.into()).await;
            self.handle_deadlines(Instant::now());
        }
        sleep_until(until.into()).await;
    }

    /// How long something may still be under way when this gateway goes: a round trip to a peer that answers at once. A
    /// restart lasts as much longer, so it waits for less.
    pub(super) fn under_way(&self, reason: Reason) -> Duration {
        let round_trips = self.channels.values().filter_map(|channel| channel.history.handshake);
        let longest = round_trips.max().unwrap_or_default();
        match reason {
            Reason::Restarting => longest.min(RESTART_LINGERS),
            _ => (2 * longest).clamp(DOWN_LINGERS, LINGER),
        }
    }

    pub(super) fn names(&self, ids: &[ChannelId]) -> Vec<String> {
        ids.iter().filter_map(|id| self.channels.get(id)).map(Channel::name).collect()
    }

    fn channels_meant(&self, target: &Target) -> Result<Vec<ChannelId>, Refusal> {
        let Some(link) = self.links.iter().find(|link| link.view.name == target.link) else {
            let links: Vec<&str> = self.links.iter().map(|link| link.view.name.as_str()).collect();
            let refusal = format!("there is no link `{}` (links: {})", target.link, links.join(", "));
            return Err(Refusal::InvalidParameter(refusal));
        };
        let is_meant = |channel: &&Channel| target.channel.is_none_or(|number| number == channel.view.number);
        let meant: Vec<ChannelId> =
            self.channels_of(link).into_iter().filter(is_meant).map(|channel| channel.id).collect();
        if meant.is_empty() {
            let count = link.channels.len();
            let refusal = format!("link `{}` has no channel {target} (it has {count}, from 0)", target.link);
            return Err(Refusal::InvalidParameter(refusal));
        }
        Ok(meant)
    }
}

/// The most that a daemon which restarts waits for what is under way.
const RESTART_LINGERS: Duration = Duration::from_millis(20);

/// The least that one waits which goes for good: the goodbye is said three times in it.
const DOWN_LINGERS: Duration = Duration::from_millis(220);
