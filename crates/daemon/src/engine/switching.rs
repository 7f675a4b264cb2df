//! Carrier that channels have ordered, on its way to the kernel.

use std::time::{Duration, Instant};

use meshtun_dataplane::ChannelId;

use super::Engine;

impl Engine {
    /// Has the kernel told what a channel has ordered.
    pub(super) fn switch(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if let Some(act) = channel.carrier.take_order() {
            self.carriers.order(&channel.view.device, channel.carrier.is_up(), act);
        }
    }

    /// That the kernel keeps a change of carrier waiting, in words.
    pub(super) fn carrier_held_up(&self, now: Instant) -> Option<String> {
        let (device, waited) = self.carriers.held_up(now)?;
        Some(format!(
            "the kernel has not taken the carrier of {device} for {} s, nor of others since: its lock for devices (rtnl) is \
             held, by a driver or by whoever makes or deletes many devices on this machine; packets for a dead channel go by \
             its siblings meanwhile",
            waited.as_secs()
        ))
    }

    /// Tells the log of it.
    pub(super) fn note_held_up(&mut self, now: Instant) {
        if let Some(problem) = self.carrier_held_up(now)
            && self.held_up.admit(now).is_some()
        {
            tracing::warn!("{problem}");
        }
    }
}

/// How often the log repeats it.
pub(super) const HELD_UP: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
