//! When each channel's timers are due, and which of them is first.

use std::{collections::BTreeSet, time::Instant};

/// One deadline, or none, for each channel.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    queue: BTreeSet<(Instant, usize)>,
    of_channel: Vec<Option<Instant>>,
}

impl Deadlines {
    /// For channels `0..channels`, none of which has a deadline.
    pub(super) fn new(channels: usize) -> Deadlines {
        Deadlines { queue: BTreeSet::new(), of_channel: vec![None; channels] }
    }

    /// Replaces a channel's deadline.
    pub(super) fn set(&mut self, channel: usize, deadline: Option<Instant>) {
        let before = std::mem::replace(&mut self.of_channel[channel], deadline);
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
    pub(super) fn due(&self, now: Instant) -> Vec<usize> {
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
        let mut deadlines = Deadlines::new(4);
        for (channel, seconds) in [(0, 9), (1, 2), (2, 5), (3, 2), (0, 1), (2, 30)] {
            deadlines.set(channel, after(seconds));
        }
        assert_eq!(deadlines.first(), after(1));
        assert_eq!(deadlines.due(start + Duration::from_secs(2)), [0, 1, 3]);
        deadlines.set(1, None);
        assert_eq!(deadlines.due(start + Duration::from_secs(60)), [0, 3, 2]);
    }

    #[test]
    fn a_channel_without_a_deadline_is_never_due() {
        let deadlines = Deadlines::new(3);
        assert_eq!(deadlines.first(), None);
        assert!(deadlines.due(Instant::now()).is_empty());
    }
}
