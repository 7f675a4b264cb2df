//! Which blocks a train met: it may move from a channel that is found dead to one that was blocked meanwhile, and then
//! waits for that one's detection, too.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use super::action::Place;
use crate::{load::steady::Account, whereabouts::Sighting};

/// Silences up to this are no gaps.
const NOTABLE: Duration = Duration::from_millis(20);

/// A train, as gateways see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    /// From which gateway to which.
    pub(super) way: (usize, usize),
    /// The port that it comes from.
    pub(super) port: u16,
    pub(super) ipv6: bool,
}

/// What happened to channels, and where trains were seen.
#[derive(Debug, Default)]
pub(super) struct Met {
    /// Each train of the load.
    courses: Vec<Course>,
    /// When a channel of a way was blocked, in order.
    blocks: Vec<(Duration, (usize, usize), u16)>,
    /// When a train was seen in which channel, in order.
    seen: Vec<Vec<(Duration, u16)>>,
}

impl Met {
    /// Nothing happened yet to these trains.
    pub(super) fn of(courses: Vec<Course>) -> Met {
        Met { courses, ..Met::default() }
    }

    /// Channels are blocked from here on.
    pub(super) fn note(&mut self, at: Duration, place: &Place, channels: u16) {
        let blocked = place.channels.clone().unwrap_or_else(|| (0..channels).collect());
        let of_way = |way: &(usize, usize)| blocked.iter().map(move |channel| (at, *way, *channel)).collect::<Vec<_>>();
        self.blocks.extend(place.ways.iter().flat_map(of_way));
    }

    /// Takes what was seen at each gateway; of each there are so many channels to each other one, in order.
    pub(super) fn see(&mut self, sightings: &[Vec<Sighting>], channels: u16, start: Instant) {
        let channels = usize::from(channels.max(1));
        let seen = |course: &Course| {
            let others: Vec<_> = (0..sightings.len()).filter(|other| *other != course.way.0).collect();
            let to = others.iter().position(|other| *other == course.way.1);
            let of_train = sightings[course.way.0].iter().filter(|sighting| {
                (sighting.port, sighting.ipv6) == (course.port, course.ipv6) && Some(sighting.device / channels) == to
            });
            let place = |sighting: &Sighting| {
                (sighting.at.saturating_duration_since(start), (sighting.device % channels) as u16)
            };
            of_train.map(place).collect()
        };
        self.seen = self.courses.iter().map(seen).collect();
    }

    /// The longest gap of any train that began within, counted from the last block that it met, if that came later.
    pub(super) fn longest(&self, account: &Account, within: Range<Duration>) -> Duration {
        let since = |gap: crate::load::steady::Gap| gap.end - self.last_met(gap.train, gap.begin, gap.end);
        account.gaps(within, NOTABLE).into_iter().map(since).max().unwrap_or_default()
    }

    /// When the last of the blocks came that a train met in a gap; the gap's beginning if none came later.
    fn last_met(&self, train: usize, begin: Duration, end: Duration) -> Duration {
        let (Some(course), Some(seen)) = (self.courses.get(train), self.seen.get(train)) else { return begin };
        // It is where it was seen last until it is seen elsewhere.
        let before = seen.iter().rev().find(|(at, _)| *at <= begin);
        let meanwhile = seen.iter().filter(|(at, _)| (begin..end).contains(at));
        let channels: Vec<u16> = before.into_iter().chain(meanwhile).map(|(_, channel)| *channel).collect();
        let met = self
            .blocks
            .iter()
            .filter(|(at, way, channel)| *at <= end && *way == course.way && channels.contains(channel));
        met.map(|(at, ..)| *at).max().unwrap_or(begin).max(begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn sighting(start: Instant, at: u64, device: usize, port: u16) -> Sighting {
        Sighting { at: start + ms(at), device, port, ipv6: false }
    }

    /// Two gateways, four channels; channels 0, 1 and 3 are blocked at 1000, 1100 and 1200 ms from the first to the second.
    fn met(start: Instant, seen: &[(u64, usize)]) -> Met {
        let courses = vec![Course { way: (0, 1), port: 7, ipv6: false }];
        let mut met = Met::of(courses);
        for (at, channel) in [(1000, 0), (1100, 1), (1200, 3)] {
            met.note(ms(at), &Place { channels: Some(vec![channel]), ways: vec![(0, 1)] }, 4);
        }
        let of_first = seen.iter().map(|(at, device)| sighting(start, *at, *device, 7)).collect();
        let elsewhere = vec![sighting(start, 1250, 3, 7)];
        met.see(&[of_first, elsewhere], 4, start);
        met
    }

    #[test]
    fn a_gap_counts_from_the_last_block_that_the_train_met() {
        let start = Instant::now();
        let last = |seen: &[(u64, usize)], begin, end| met(start, seen).last_met(0, ms(begin), ms(end));
        assert_eq!(last(&[(990, 0), (1010, 0)], 1000, 1160), ms(1000));
        assert_eq!(last(&[(990, 0), (1010, 0), (1152, 1)], 1000, 1260), ms(1100));
        assert_eq!(last(&[(990, 0), (1160, 1), (1255, 3)], 1000, 1350), ms(1200));
        assert_eq!(last(&[(990, 0), (1160, 2)], 1000, 1360), ms(1000), "channel 2 is not blocked: it should have come");
        assert_eq!(last(&[(990, 2), (1155, 2)], 1150, 1360), ms(1150));
        assert_eq!(last(&[], 1000, 1360), ms(1000), "what is not known excuses nothing");
    }

    #[test]
    fn a_block_the_other_way_excuses_nothing() {
        let start = Instant::now();
        let mut met = met(start, &[(990, 2)]);
        met.note(ms(1300), &Place { channels: Some(vec![2]), ways: vec![(1, 0)] }, 4);
        assert_eq!(met.last_met(0, ms(1250), ms(1500)), ms(1250));
    }
}
