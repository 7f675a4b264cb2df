//! The MTU of a link whose underlay turns out to be narrower than it looked.

use std::{collections::BTreeSet, time::Instant};

use meshtun_dataplane::{ChannelId, Command};
use meshtun_proto::channel::path_mtu::RAISE_AFTER;

use super::{Engine, pending::Then};
use crate::{Error, keeper::Survey, surroundings, way::way};

impl Engine {
    /// The kernel refused a datagram of this size on this channel: the link's devices get an MTU that fits.
    pub(super) fn lower_mtu(&mut self, id: ChannelId, datagram: usize, now: Instant) {
        let Some(channel) = self.channels.get(&id) else { return };
        let way = channel.endpoint.current().map(|endpoint| way(&channel.view, endpoint.ip()));
        let asks = |then: &Then| matches!(then, Then::Lower { channel, .. } if *channel == id);
        match way {
            _ if self.pending.values().any(asks) => {}
            Some(way) => {
                let number = self.keeper.measure(way);
                self.pending.insert(number, Then::Lower { channel: id, datagram });
            }
            None => self.lower_mtu_over(id, datagram, None, now),
        }
    }

    /// As [`Engine::lower_mtu`], where the underlay's device is this wide, as far as is known.
    pub(super) fn lower_mtu_over(&mut self, id: ChannelId, datagram: usize, underlay: Option<u32>, now: Instant) {
        let Some(link) = self.link_of(id) else { return };
        let mtu = self.mtu(&self.links[link].view.name);
        if datagram > usize::from(mtu) + TRANSPORT_OVERHEAD {
            // It was in the device's queue before the MTU was lowered.
            return;
        }
        match lower(mtu, datagram, underlay) {
            Some(lower) => {
                self.set_ceiling(link, lower, now);
                self.widen_at = Some(now + RAISE_AFTER);
                self.set_mtu(link, lower);
            }
            None => self.with_channel(id, now, |channel, _| channel.cannot_shrink(now, datagram)),
        }
    }

    /// The MTU of a link's devices.
    pub(super) fn mtu(&self, link: &str) -> u16 {
        self.surroundings.mtus.get(link).copied().unwrap_or(surroundings::USUAL_MTU)
    }

    /// Gives each link whose paths are news the MTU of its narrowest path. One that the file gives an MTU keeps it.
    pub(super) fn follow_paths(&mut self) {
        let mut links = BTreeSet::new();
        for id in std::mem::take(&mut self.path_news) {
            let (Some(link), Some(channel)) = (self.link_of(id), self.channels.get(&id)) else { continue };
            let (name, number) = (&self.links[link].view.name, channel.view.number);
            let ceiling = self.ceilings.get(name).copied().unwrap_or(u16::MAX);
            let path = channel.path_mtu.unwrap_or(ceiling);
            if let Some(mtu) = self.links[link].view.mtu {
                if path < mtu {
                    tracing::warn!(
                        "{name}/{number}: the path takes packets of {path} bytes at most, and the file says mtu = {mtu}: \
                         longer ones are lost; lower it, or leave it out"
                    );
                }
                continue;
            }
            tracing::debug!("{name}/{number}: the path takes packets of {path} bytes");
            links.insert((link, ceiling));
        }
        for (link, ceiling) in links {
            let channels = self.channels_of(&self.links[link]);
            let mtu = narrowest(ceiling, channels.iter().map(|channel| (channel.path_mtu, channel.is_forgotten)));
            if mtu != self.mtu(&self.links[link].view.name) {
                self.set_mtu(link, mtu);
            }
        }
    }

    /// Paths whose channels have been out for long count no more: they may be gone for good. For a while they do, or the MTU
    /// would go up and down with each failure, and hosts remember a narrow path for ten minutes in any case (RFC 1191,
    /// section 6.3). What a channel was known to take counts again from the moment that it has carrier.
    pub(super) fn forget_paths(&mut self, now: Instant) {
        for channel in self.channels.values_mut() {
            if channel.path_mtu.is_some() && !channel.is_forgotten && channel.is_out_since(now, RAISE_AFTER) {
                channel.is_forgotten = true;
                self.path_news.push(channel.id);
            }
        }
    }

    /// What the underlay's device leaves is another: the paths are looked at anew.
    fn set_ceiling(&mut self, link: usize, ceiling: u16, now: Instant) {
        self.ceilings.insert(self.links[link].view.name.clone(), ceiling);
        for id in self.links[link].channels.clone() {
            self.with_channel(id, now, |channel, _| channel.discover_path_mtu(ceiling));
            self.path_news.push(id);
        }
    }

    /// Looks, a while after the underlay's devices turned out to be narrower than they were, whether they are wide again.
    pub(super) fn look_for_width(&mut self, now: Instant) {
        if self.widen_at.take_if(|at| *at <= now).is_some() {
            let number = self.keeper.survey(self.gateway.view.clone());
            self.pending.insert(number, Then::Widen);
        }
    }

    /// The answer.
    pub(super) fn widen_underlays(&mut self, survey: Result<Survey, Error>, now: Instant) {
        let Ok(Survey { surroundings: found, .. }) = survey else {
            self.widen_at = Some(now + RAISE_AFTER);
            return;
        };
        for link in 0..self.links.len() {
            let name = &self.links[link].view.name;
            let (Some(&wide), Some(&before)) = (found.mtus.get(name), self.ceilings.get(name)) else { continue };
            if wide > before {
                self.set_ceiling(link, wide, now);
            } else {
                self.widen_at = Some(now + RAISE_AFTER);
            }
        }
    }

    fn set_mtu(&mut self, link: usize, mtu: u16) {
        let name = self.links[link].view.name.clone();
        let before = self.mtu(&name);
        if mtu < before {
            tracing::warn!(link = name, "mtu {before} is too much for the underlay: {mtu} from here on");
        } else {
            tracing::info!(link = name, "the underlay takes more again: mtu {mtu} instead of {before}");
        }
        self.surroundings.mtus.insert(name.clone(), mtu);
        // Halves drop what is longer than they were told: they hear of more before the kernel gives it, of less after.
        if mtu > before {
            self.tell_mtu(&name, mtu);
        }
        self.wish(Then::Narrow { link: name, mtu });
    }

    /// Tells a link's halves what the kernel gives them, or what it will give them soon if that is longer.
    pub(super) fn tell_mtu(&self, link: &str, mtu: u16) {
        let mtu = mtu.max(self.mtu(link));
        let link = self.links.iter().find(|it| it.view.name == link);
        link.into_iter().flat_map(|link| &link.channels).for_each(|id| self.plane.send(*id, Command::Mtu(mtu)));
    }
}

/// The MTU of a link: what the narrowest of its paths takes, of those that are not forgotten if there are any such.
fn narrowest(ceiling: u16, paths: impl Iterator<Item = (Option<u16>, bool)> + Clone) -> u16 {
    let all_forgotten = paths.clone().all(|(_, is_forgotten)| is_forgotten);
    let counting = paths.filter(|(_, is_forgotten)| all_forgotten || !is_forgotten);
    counting.filter_map(|(mtu, _)| mtu).fold(ceiling, u16::min)
}

/// Header and tag of a transport message.
const TRANSPORT_OVERHEAD: usize = 32;

/// Padding goes in steps of this.
const STEP: usize = 16;

/// No MTU is lowered below what every IPv4 host takes (RFC 791).
const LEAST: u16 = 576;

/// The MTU to go on with: what the underlay's device leaves, or else a step below what was refused.
fn lower(mtu: u16, refused: usize, underlay: Option<u32>) -> Option<u16> {
    let by_device = underlay.map(|width| surroundings::mtu_over(u16::try_from(width).unwrap_or(u16::MAX)));
    let by_refusal = u16::try_from(refused.saturating_sub(TRANSPORT_OVERHEAD + STEP)).unwrap_or(u16::MAX);
    let lower = by_device.filter(|by_device| *by_device < mtu).unwrap_or(by_refusal);
    (LEAST..mtu).contains(&lower).then_some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_out_for_long_does_not_hold_the_others_down() {
        let mtu = |paths: &[(Option<u16>, bool)]| narrowest(1420, paths.iter().copied());
        assert_eq!(mtu(&[(None, false), (Some(1300), false)]), 1300);
        assert_eq!(mtu(&[(None, false), (Some(1300), true)]), 1420);
        assert_eq!(mtu(&[(Some(1380), false), (Some(1300), true)]), 1380);
        assert_eq!(mtu(&[(Some(1380), true), (Some(1300), true)]), 1300, "what comes back may be any of them");
        assert_eq!(mtu(&[]), 1420);
    }

    #[test]
    fn the_mtu_falls_to_what_the_underlay_leaves() {
        assert_eq!(lower(1500, 1532, Some(1500)), Some(1420));
        assert_eq!(lower(8920, 8952, Some(1500)), Some(1420));
    }

    #[test]
    fn where_the_underlay_explains_nothing_the_mtu_falls_step_by_step() {
        assert_eq!(lower(1420, 1452, Some(1500)), Some(1404));
        assert_eq!(lower(1420, 1452, None), Some(1404));
        assert_eq!(lower(1420, 1000, None), Some(952));
    }

    #[test]
    fn the_mtu_never_rises_and_never_falls_below_what_ipv4_needs() {
        for refused in 0..3000 {
            for underlay in [None, Some(100), Some(1500), Some(70_000)] {
                if let Some(lower) = lower(1420, refused, underlay) {
                    assert!((LEAST..1420).contains(&lower), "{refused} {underlay:?} gave {lower}");
                }
            }
        }
        assert_eq!(lower(600, 620, Some(100)), None);
    }
}
