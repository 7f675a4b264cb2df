//! What others did to devices, and what becomes of the channels.

use std::time::{Duration, Instant};

use meshtun_dataplane::ChannelId;
use meshtun_proto::control::Reason;

use super::{Engine, channel::Channel};
use crate::{channels, keeper::Finding};

impl Engine {
    pub(super) fn handle_finding(&mut self, finding: Finding, now: Instant) {
        match finding {
            Finding::SetDown(device) => {
                if let Some(id) = self.channel_on(&device) {
                    self.with_channel(id, now, |channel, _| channel.set_down(now));
                }
            }
            Finding::SetUp(device) => {
                if let Some(id) = self.channel_on(&device) {
                    self.converse_anew(id, now);
                }
            }
            Finding::Made(device) => {
                if let Some(id) = self.channel_on(&device) {
                    self.remake(id, now);
                }
            }
            Finding::Alarms(alarms) => self.alarms = alarms,
        }
    }

    /// Makes those anew that failed a while ago.
    pub(super) fn remake_failed(&mut self, now: Instant) {
        let is_failed = |channel: &&Channel| channel.is_to_be_made_anew(now) && !self.is_going(channel.id);
        let failed = self.channels.values().filter(is_failed);
        let failed: Vec<ChannelId> = failed.map(|channel| channel.id).collect();
        failed.into_iter().for_each(|id| self.remake(id, now));
    }

    fn channel_on(&self, device: &str) -> Option<ChannelId> {
        let on_it = self.channels.values().find(|channel| channel.view.device == device).map(|channel| channel.id);
        on_it.filter(|id| !self.is_going(*id))
    }

    fn converse_anew(&mut self, id: ChannelId, now: Instant) {
        let (Some(link), Some(channel)) = (self.link_of(id), self.channels.get(&id)) else { return };
        match channels::conversation(&self.gateway, &self.links[link].view, &channel.view) {
            Ok(conversation) => {
                tracing::info!(channel = channel.name(), "{} is up again", channel.view.device);
                self.with_channel(id, now, |channel, _| channel.revoke(now));
                self.with_channel(id, now, |channel, _| channel.set_up(conversation, now));
            }
            Err(error) => self.with_channel(id, now, |channel, _| channel.fail(now, error.to_string())),
        }
    }

    /// A channel in the place of one that failed: attached to the present device of its name, with the same socket.
    fn remake(&mut self, id: ChannelId, now: Instant) {
        // Its link hears that it is down.
        self.with_channel(id, now, |channel, _| channel.close(now, Reason::Down, Duration::ZERO));
        self.hear(now);
        match self.replace(id, now) {
            Ok(new) => {
                if let Some(channel) = self.channels.get(&new) {
                    tracing::info!(channel = channel.name(), "attached to {} anew", channel.view.device);
                }
            }
            Err(error) => self.with_channel(id, now, |channel, _| channel.fail(now, error.to_string())),
        }
    }
}
