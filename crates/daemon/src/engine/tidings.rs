//! What became of channels, and what that means for their links: told in the order in which it happened.

use std::{
    sync::mpsc,
    time::{Duration, Instant, SystemTime},
};

use meshtun_dataplane::ChannelId;

use super::{Engine, LinkState, journal::Span};

/// A change of a channel's carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tiding {
    pub(super) channel: ChannelId,
    pub(super) is_up: bool,
    /// Why it went down, in words.
    pub(super) reason: Option<String>,
}

/// Where channels tell, and where the engine hears of it at the end of its turn.
#[derive(Debug)]
pub(super) struct Tidings {
    pub(super) sender: mpsc::Sender<Tiding>,
    receiver: mpsc::Receiver<Tiding>,
}

impl Tidings {
    pub(super) fn new() -> Tidings {
        let (sender, receiver) = mpsc::channel();
        Tidings { sender, receiver }
    }
}

/// Whether a link carries, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Health {
    /// None until its first channel is up.
    pub(super) is_up: Option<bool>,
    pub(super) since: SystemTime,
    changed: Instant,
}

impl Health {
    pub(super) fn new(now: Instant) -> Health {
        Health { is_up: None, since: SystemTime::now(), changed: now }
    }

    /// How long it was otherwise, if this is a change.
    fn change(&mut self, is_up: bool, now: Instant) -> Option<Duration> {
        if self.is_up.unwrap_or(false) == is_up {
            return None;
        }
        let before = now - std::mem::replace(&mut self.changed, now);
        (self.is_up, self.since) = (Some(is_up), SystemTime::now());
        Some(before)
    }
}

impl Engine {
    /// Hears what became of channels in this turn.
    pub(super) fn hear(&mut self, now: Instant) {
        let mut links = Vec::new();
        while let Ok(tiding) = self.tidings.receiver.try_recv() {
            let Some(link) = self.link_of(tiding.channel) else {
                self.tell_orphan(&tiding);
                continue;
            };
            self.tell_channel(link, &tiding);
            match links.iter_mut().find(|(known, _)| *known == link) {
                Some((_, last)) => *last = tiding,
                None => links.push((link, tiding)),
            }
        }
        links.into_iter().for_each(|(link, last)| self.note_health(link, &last, now));
    }

    fn note_health(&mut self, place: usize, last: &Tiding, now: Instant) {
        let channels = self.channels_of(&self.links[place]);
        let (up, all) = (channels.iter().filter(|channel| channel.carrier.is_up()).count(), channels.len());
        let LinkState { view, health, .. } = &mut self.links[place];
        let (link, is_first) = (&view.name, health.is_up.is_none());
        let Some(before) = health.change(up > 0, now) else { return };
        let before = Span(before);
        match (up, is_first) {
            (0, _) => tracing::warn!(link, "down after {before}: no channel is left to {}", view.peer.name),
            (_, true) => tracing::info!(link, "up: {up} of {all} channels to {}", view.peer.name),
            (_, false) => tracing::info!(link, "up again after {before}: {up} of {all} channels to {}", view.peer.name),
        }
        self.tell_health(place, up, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_links_health_changes_when_its_first_channel_comes_and_its_last_one_goes() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut health = Health::new(start);
        assert_eq!(health.change(false, after(1)), None, "it was never up");
        assert_eq!(health.change(true, after(2)), Some(Duration::from_secs(2)));
        assert_eq!(health.change(true, after(3)), None);
        assert_eq!(health.change(false, after(5)), Some(Duration::from_secs(3)));
        assert_eq!(health.change(false, after(6)), None);
    }
}
