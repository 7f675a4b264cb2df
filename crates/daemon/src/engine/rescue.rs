//! Devices of dead channels, read by a sibling that is alive.
//!
//! What is in a device when its channel dies, and what the kernel still gives to it (a moment where it acts on a loss of
//! carrier at once, up to a second where it does not), goes by another channel of the link.

use std::time::{Duration, Instant};

use meshtun_dataplane::ChannelId;

use super::Engine;

impl Engine {
    /// Finds a reader for the device of each channel that has just lost its carrier, and for those that it read itself.
    pub(super) fn rescue(&mut self) {
        for dead in std::mem::take(&mut self.fallen) {
            let Some(link) = self.link_of(dead) else { continue };
            let channels = self.links[link].channels.clone();
            let has_carrier = |id: &ChannelId| self.channels.get(id).is_some_and(|channel| channel.carrier.is_up());
            let siblings: Vec<ChannelId> = channels.iter().copied().filter(has_carrier).collect();
            let orphans = channels.into_iter().filter(|id| *id == dead || self.plane.borrower(*id) == Some(dead));
            for (number, owner) in orphans.filter(|id| !has_carrier(id)).collect::<Vec<_>>().into_iter().enumerate() {
                // Many that die at once are spread over those that live.
                let turn = dead.0 as usize + number;
                let sibling = siblings.get(turn % siblings.len().max(1)).copied();
                self.lend(owner, sibling);
                self.lent.push((owner, Instant::now() + ROUTED_AT_MOST));
            }
        }
    }

    /// Gives back what the kernel routes nothing to by now: it was told long ago.
    pub(super) fn give_back(&mut self, now: Instant) {
        let lent = std::mem::take(&mut self.lent);
        let is_told = self.carriers.is_idle();
        let (over, still): (Vec<_>, Vec<_>) = lent.into_iter().partition(|(_, until)| is_told && *until <= now);
        self.lent = still;
        over.into_iter().for_each(|(owner, _)| self.take_back(owner));
    }

    /// Lets a channel read its own device again.
    pub(super) fn take_back(&mut self, owner: ChannelId) {
        self.lend(owner, None);
    }

    fn lend(&mut self, owner: ChannelId, borrower: Option<ChannelId>) {
        if let Err(error) = self.plane.lend(owner, borrower) {
            let name = self.channels.get(&owner).map_or("a device", |channel| &channel.view.device);
            tracing::error!("{name}: {error}");
        }
    }
}

/// For how long a kernel may route to a device that has lost its carrier: it acts on that once a second at least
/// (net/core/link_watch.c).
const ROUTED_AT_MOST: Duration = Duration::from_secs(3);
