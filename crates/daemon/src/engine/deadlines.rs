//! When each channel's timers are due, and which of them is first.

use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

use meshtun_dataplane::ChannelId;

/// One deadline, or none, for each channel.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    queue: BTreeSet<(Instant, ChannelId)>,
    of_channel: HashMap<ChannelId, Instant>,
}

impl Deadlines {
    /// Replaces a channel's deadline.
    pub(super) fn set(&mut self, channel: ChannelId, deadline: Option<Instant>) {
        let before = match deadline {
            Some(deadline) => self.of_channel.insert(channel, deadline),
            None => self.of_channel.remove(&channel),
        };
        if before == deadline {
            return;
        }
        if let Some(before) = before {
            self.queue.remove(&(before, channel));
        }
        if let Some(deadline) = deadline {
            self.queue.insert((deadline, channel));
        }
    }

    /// The first deadline of all.
    pub(super) fn first(&self) -> Option<Instant> {
        self.queue.first().map(|(deadline, _)| *deadline)
    }

    /// The channels whose deadlines have come, the earliest first.
    pub(super) fn due(&self, now: Instant) -> Vec<ChannelId> {
        self.queue.iter().take_while(|(deadline, _)| *deadline <= now).map(|(_, channel)| *channel).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn channels_are_due_in_the_order_of_their_latest_deadlines() {
        let start = Instant::now();
        let after = |seconds| Some(start + Duration::from_secs(seconds));
        let mut deadlines = Deadlines::default();
        for (channel, seconds) in [(0, 9), (1, 2), (2, 5), (3, 2), (0, 1), (2, 30)] {
            deadlines.set(ChannelId(channel), after(seconds));
        }
        assert_eq!(deadlines.first(), after(1));
        assert_eq!(deadlines.due(start + Duration::from_secs(2)), [0, 1, 3].map(ChannelId));
        deadlines.set(ChannelId(1), None);
        assert_eq!(deadlines.due(start + Duration::from_secs(60)), [0, 3, 2].map(ChannelId));
    }

    #[test]
    fn a_channel_without_a_deadline_is_never_due() {
        let mut deadlines = Deadlines::default();
        deadlines.set(ChannelId(7), Some(Instant::now()));
        deadlines.set(ChannelId(7), None);
        assert_eq!(deadlines.first(), None);
        assert!(deadlines.due(Instant::now()).is_empty());
    }
}
