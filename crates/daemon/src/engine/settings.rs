//! Settings that a new file changes on links and channels that stay.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use meshtun_dataplane::{ChannelId, Command};
use meshtun_proto::control::Reason;

use super::Engine;
use crate::{Gateway, channels, reload::Admission, view};

impl Engine {
    /// Lets halves seal longer packets before the kernel gives them such.
    pub(super) fn widen(&self, before: &BTreeMap<String, u16>) {
        self.tell_mtus(|link, mtu| before.get(link).is_some_and(|before| *before < mtu));
    }

    /// And keeps to shorter ones when it gives none longer.
    pub(super) fn narrow(&self, before: &BTreeMap<String, u16>) {
        self.tell_mtus(|link, mtu| before.get(link).is_some_and(|before| *before > mtu));
    }

    fn tell_mtus(&self, differs: impl Fn(&str, u16) -> bool) {
        for link in &self.links {
            let (name, mtu) = (&link.view.name, self.mtu(&link.view.name));
            if differs(name, mtu) {
                link.channels.iter().for_each(|id| self.plane.send(*id, Command::Mtu(mtu)));
            }
        }
    }

    /// Looks for what the paths of links take whose `mtu` is another.
    pub(super) fn take_ceilings(&mut self, ceilings: BTreeMap<String, u16>, now: Instant) {
        self.ceilings.retain(|name, _| self.links.iter().any(|link| link.view.name == *name));
        for (name, ceiling) in ceilings {
            let link = self.links.iter().find(|link| link.view.name == name);
            for id in link.map(|link| link.channels.clone()).unwrap_or_default() {
                self.with_channel(id, now, |channel, _| channel.discover_path_mtu(ceiling));
            }
            self.ceilings.insert(name, ceiling);
        }
    }

    /// Filters, endpoints, weights and names of channels that stay.
    pub(super) fn take_settings(&mut self, old: &Gateway, staying: &[ChannelId], now: Instant) {
        let count = view::channels(&self.gateway.view).count();
        for id in staying {
            let (Some(place), Some(channel)) = (self.link_of(*id), self.channels.get(id)) else { continue };
            let link = self.links[place].view.clone();
            let Some(view) = link.channels.iter().find(|view| view.number == channel.view.number) else { continue };
            let before = old.view.links.iter().find(|before| before.name == link.name);
            if before.is_none_or(|before| before.clamp_mss != link.clamp_mss) {
                self.plane.send(*id, Command::ClampMss(channels::clamp_mss(&link)));
            }
            let before = before.map(|before| Admission::of(&old.view, before));
            if before != Some(Admission::of(&self.gateway.view, &link)) {
                let filter = channels::filter(&self.gateway.view, &link, view);
                self.plane.send(*id, Command::Filter(Arc::new(filter)));
            }
            self.with_channel(*id, now, |channel, plane| {
                channel.take_view(view, &link.peer.name, now, plane);
                channel.set_probe(now, channels::probe(&link));
                channel.spread_over(count);
            });
        }
    }

    /// Ends the sessions of these, and begins new ones under the new keys.
    pub(super) fn rekey(&mut self, ids: &[ChannelId], now: Instant) {
        for id in ids {
            self.with_channel(*id, now, |channel, _| channel.close(now, Reason::Restarting, Duration::ZERO));
            if let Err(error) = self.converse(*id, now) {
                self.with_channel(*id, now, |channel, _| channel.fail(now, error.to_string()));
            }
        }
    }
}
