//! Channels that fall silent together are taken out together: the flows of the first must not move to one that is as dead,
//! and only not found out yet.

use std::time::Instant;

use meshtun_proto::channel::liveness::to_go_along;

use super::Engine;

impl Engine {
    /// Takes out what is as silent as the channels that have fallen silent in this turn, where their link has one that is
    /// well; and watches those that are silent for a shorter time.
    pub(super) fn take_siblings_along(&mut self, now: Instant) {
        for silent in std::mem::take(&mut self.silent) {
            let Some(link) = self.link_of(silent) else { continue };
            let mut standings = Vec::new();
            for id in &self.links[link].channels {
                // What its workers heard until now counts.
                let channel = self.channels.get_mut(id);
                standings.extend(channel.and_then(|channel| Some((*id, channel.standing(now)?))));
            }
            for (id, course) in to_go_along(standings) {
                self.with_channel(id, now, |channel, _| channel.follow_sibling(course, now));
            }
        }
    }
}
