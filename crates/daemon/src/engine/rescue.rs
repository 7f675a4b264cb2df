//! Devices of dead channels, read by a sibling that is alive.
//!
//! What is in a device when its channel dies, and what the kernel still gives to it (a moment where it acts on a loss of
//! carrier at once, up to a second where it does not), goes by another channel of the link.

use meshtun_dataplane::ChannelId;

use super::Engine;

impl Engine {
    /// Finds a reader for the device of each channel that has just lost its carrier, and for those that it read itself.
    pub(super) fn rescue(&mut self) {
        for dead in std::mem::take(&mut self.fallen) {
            let Some(link) = self.link_of(dead) else { continue };
            let channels = self.links[link].channels.clone();
            let has_carrier = |id: &ChannelId| self.channels.get(id).is_some_and(|channel| channel.carrier.is_up());
            let sibling = channels.iter().copied().find(has_carrier);
            let orphans = channels.into_iter().filter(|id| *id == dead || self.plane.borrower(*id) == Some(dead));
            for owner in orphans.filter(|id| !has_carrier(id)).collect::<Vec<_>>() {
                self.lend(owner, sibling);
            }
        }
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
