//! How long a datagram the path takes (RFC 8899, Datagram Packetization Layer Path MTU Discovery).
//!
//! Padded probes find it out, and nothing that ICMP says is believed. While the channel is up, a probe of the size in use
//! goes out every [`CONFIRM_EVERY`] (section 4.4), and while anything is sent every [`CONFIRM_BUSY_EVERY`]. When
//! [`CONFIRMATIONS`] of them in a row stay unanswered, though small probes are answered meanwhile, the path has become
//! narrower: the size falls to a base at once, so that traffic goes on, and a search (section 5.3) finds what the path takes
//! now, which is the old size if all that was chance. [`RAISE_AFTER`] a search it is tried whether the path takes more again.
//!
//! A size that goes unanswered in a search may be too long, or the path may have become narrower just then: traffic relies on
//! the size in use, so that is confirmed before the search goes on.
//!
//! Sizes are bytes of UDP payload.

use std::time::{Duration, Instant};

/// How often the size in use is confirmed.
pub const CONFIRM_EVERY: Duration = Duration::from_secs(5);
/// The same while the channel sends: what is longer than the path takes is lost until that is noticed.
pub const CONFIRM_BUSY_EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take at least; on a long path, three round trips.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(500);
/// How often one size is tried in a search (MAX_PROBES, section 5.1.2).
pub const MAX_PROBES: u8 = 3;
/// How often the size in use is tried before it is given up: it was known to pass, and loss is more likely. The next try does
/// not wait for the whole time that an answer may take, but for half of it.
pub const CONFIRMATIONS: u8 = 6;
/// How long until a larger size is tried again (PMTU_RAISE_TIMER, section 5.1.1).
pub const RAISE_AFTER: Duration = Duration::from_secs(600);

/// The base that is fallen back to: what carries IPv6's least MTU of 1280.
pub const BASE: u16 = 1280 + 32;
/// What every path is believed to take (BASE_PLPMTU, section 5.1.2). A link over it has room for IPv4 only.
pub const LEAST: u16 = 1200;

/// Sizes closer than this are not told apart.
const STEP: u16 = 16;

/// The discovery of one channel's path MTU. Pure: the clock comes in as an argument.
#[derive(Debug)]
pub struct PathMtu {
    ceiling: u16,
    in_use: u16,
    search: Option<Search>,
    probe: Option<Probe>,
    next: Option<Instant>,
    /// The size in use is to be confirmed before anything else is tried.
    is_unsure: bool,
    /// When it was seen to pass.
    confirmed_at: Option<Instant>,
    raise_at: Option<Instant>,
    sequence: u32,
    answer_within: Duration,
    /// When the path was last seen to carry small messages both ways.
    carried_at: Option<Instant>,
}

/// The path takes `low`; more than `high` it does not take, or is of no use.
#[derive(Clone, Copy, Debug)]
struct Search {
    low: u16,
    high: u16,
}

/// A size that is being tried.
#[derive(Clone, Copy, Debug)]
struct Probe {
    size: u16,
    /// It is the size in use, and not one of a search.
    confirms: bool,
    /// Those that count.
    tries: u8,
    /// The number of the first and when the last was sent.
    first: u32,
    sent: Instant,
}

/// A probe to send: a frame that is padded until the UDP payload has this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaddedProbe {
    /// Bytes of UDP payload.
    pub size: u16,
    /// Its number, which the answer repeats.
    pub sequence: u32,
}

impl PathMtu {
    /// For a path on which no datagram is longer than `ceiling`; that it takes these, or what it was known to take before, is
    /// believed until it is known better.
    pub fn new(ceiling: u16, known: Option<u16>) -> PathMtu {
        let ceiling = ceiling.max(LEAST);
        PathMtu {
            ceiling,
            in_use: known.map_or(ceiling, |known| known.clamp(LEAST, ceiling)),
            search: None,
            probe: None,
            next: None,
            is_unsure: false,
            confirmed_at: None,
            raise_at: None,
            sequence: 0,
            answer_within: ANSWER_WITHIN,
            carried_at: None,
        }
    }

    /// The longest datagram that may be sent.
    pub fn in_use(&self) -> u16 {
        self.in_use
    }

    /// The channel is up: the size in use is confirmed at once.
    pub fn start(&mut self, now: Instant) {
        if self.next.is_none() {
            self.next = Some(now);
            let is_narrow = self.in_use < self.ceiling && self.search.is_none();
            self.raise_at = self.raise_at.or(is_narrow.then_some(now + CONFIRM_EVERY));
        }
    }

    /// A small message was just seen to have gone both ways.
    pub fn carried(&mut self, now: Instant) {
        self.carried_at = Some(now);
    }

    /// Inner packets were sent: a path that takes less than it did is to be noticed soon.
    pub fn sent(&mut self) {
        let is_resting = self.search.is_none() && self.probe.is_none();
        if let (true, Some(next), Some(confirmed)) = (is_resting, &mut self.next, self.confirmed_at) {
            *next = (*next).min(confirmed + CONFIRM_BUSY_EVERY);
        }
    }

    /// The channel is down: a probe that is lost now says nothing of sizes.
    pub fn stop(&mut self) {
        (self.probe, self.next) = (None, None);
    }

    /// How long a round trip takes.
    pub fn set_round_trip(&mut self, round_trip: Duration) {
        self.answer_within = ANSWER_WITHIN.max(round_trip * 3);
    }

    /// When [`PathMtu::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// Does what is due, and gives the probe to send, if one is.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<PaddedProbe> {
        self.next.filter(|next| *next <= now)?;
        if let Some(probe) = &mut self.probe {
            // What is lost while nothing passes says nothing of sizes.
            probe.tries += u8::from(self.carried_at > Some(probe.sent));
        }
        let most = |probe: &Probe| if probe.confirms { CONFIRMATIONS } else { MAX_PROBES };
        if let Some(probe) = self.probe.take_if(|probe| probe.tries >= most(probe)) {
            self.refused(probe, now);
            // With the search over, there is nothing to send before the next confirmation.
            self.next.filter(|next| *next <= now)?;
        }
        self.sequence = self.sequence.wrapping_add(1);
        let probe = match self.probe {
            Some(before) => Probe { sent: now, ..before },
            None => self.next_probe(now),
        };
        self.probe = Some(probe);
        self.next = Some(now + if probe.confirms { self.answer_within / 2 } else { self.answer_within });
        Some(PaddedProbe { size: probe.size, sequence: self.sequence })
    }

    /// The peer has received a probe of this size.
    pub fn handle_answer(&mut self, now: Instant, sequence: u32, size: u16) {
        let latest = self.sequence;
        let is_of = |probe: &mut Probe| {
            let (age, oldest) = (latest.wrapping_sub(sequence), latest.wrapping_sub(probe.first));
            probe.size == size && age <= oldest
        };
        let Some(probe) = self.probe.take_if(is_of) else { return };
        self.confirmed_at = Some(now);
        if probe.confirms {
            self.is_unsure = false;
        } else if let Some(search) = &mut self.search {
            search.low = probe.size;
            self.in_use = self.in_use.max(probe.size);
        }
        self.go_on(now);
    }

    fn next_probe(&mut self, now: Instant) -> Probe {
        if self.search.is_none() && self.raise_at.take_if(|at| *at <= now).is_some() {
            self.search = Some(Search { low: self.in_use, high: self.ceiling });
            self.is_unsure = true;
        }
        let size = match self.search {
            _ if self.is_unsure => self.in_use,
            None => self.in_use,
            // Traffic relies on the base: it is the first to be known.
            Some(Search { low, high }) if low < BASE && BASE <= high => BASE,
            Some(Search { low, high }) if high - low <= STEP => high,
            Some(Search { low, high }) => low.midpoint(high),
        };
        let confirms = self.is_unsure || self.search.is_none();
        Probe { size, confirms, tries: 0, first: self.sequence, sent: now }
    }

    /// A size went unanswered too often.
    fn refused(&mut self, probe: Probe, now: Instant) {
        if probe.size <= self.in_use {
            self.in_use = if probe.size > BASE { BASE } else { LEAST };
        }
        self.search = match self.search {
            Some(Search { low, .. }) if !probe.confirms => {
                Some(Search { low, high: probe.size.saturating_sub(STEP).max(low) })
            }
            // Whatever was known before does not hold any more, or it was loss after all.
            _ => Some(Search { low: LEAST, high: probe.size }),
        };
        // What every path is believed to take needs no proof, and the base is proven by the search.
        self.is_unsure = !probe.confirms && self.in_use > LEAST;
        self.go_on(now);
    }

    /// Goes on searching, unless the size is found.
    fn go_on(&mut self, now: Instant) {
        self.next = Some(now);
        if let Some(found) = self.search.take_if(|search| search.high <= search.low) {
            self.in_use = found.low;
            self.raise_at = (found.low < self.ceiling).then_some(now + RAISE_AFTER);
        }
        if self.search.is_none() && !self.is_unsure {
            self.rest(now);
        }
    }

    fn rest(&mut self, now: Instant) {
        self.next = Some(now + CONFIRM_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets it run over a path that takes `width` bytes, for a while; how many probes went out.
    fn run(discovery: &mut PathMtu, now: &mut Instant, width: u16, span: Duration) -> usize {
        let (end, mut probes) = (*now + span, 0);
        while let Some(next) = discovery.poll_timeout().filter(|next| *next <= end) {
            *now = next.max(*now);
            discovery.carried(*now - Duration::from_millis(1));
            if let Some(probe) = discovery.handle_timeout(*now) {
                probes += 1;
                if probe.size <= width {
                    discovery.handle_answer(*now, probe.sequence, probe.size);
                }
            }
        }
        *now = end;
        probes
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn started(ceiling: u16) -> (PathMtu, Instant) {
        let (mut discovery, now) = (PathMtu::new(ceiling, None), Instant::now());
        discovery.start(now);
        (discovery, now)
    }

    #[test]
    fn a_path_that_takes_all_costs_a_probe_every_five_seconds() {
        let (mut discovery, mut now) = started(1452);
        assert_eq!(run(&mut discovery, &mut now, 1472, seconds(3600)), 721);
        assert_eq!(discovery.in_use(), 1452);
    }

    #[test]
    fn whatever_the_path_takes_is_found_to_within_a_step_and_never_overshot() {
        for ceiling in [1200, 1312, 1452, 1472, 8972] {
            for width in 1200..=ceiling {
                let (mut discovery, mut now) = started(ceiling);
                run(&mut discovery, &mut now, width, seconds(60));
                let found = discovery.in_use();
                assert!(found <= width && found + STEP > width.min(ceiling), "{ceiling} {width}: {found}");
            }
        }
    }

    #[test]
    fn a_path_that_narrows_makes_the_size_fall_to_the_base_within_seven_seconds_and_under_traffic_within_three() {
        for (is_busy, within) in [(false, seconds(7)), (true, seconds(3))] {
            let (mut discovery, mut now) = started(1452);
            run(&mut discovery, &mut now, 1452, seconds(100));
            assert!(falls_below(&mut discovery, &mut now, 1400, is_busy) <= within);
            assert!(discovery.in_use() >= BASE);
        }
    }

    #[test]
    fn a_path_that_narrows_at_any_moment_of_a_search_is_noticed_while_it_goes_on() {
        for tenth in 0..150 {
            let (mut discovery, mut now) = started(1452);
            // It is found to take 1380, and at the end of this it is tried whether it takes more.
            run(&mut discovery, &mut now, 1380, seconds(60));
            let raise = discovery.raise_at.expect("it is narrow") - now;
            run(&mut discovery, &mut now, 1380, raise + Duration::from_millis(100 * tenth));
            let waited = falls_below(&mut discovery, &mut now, 1330, true);
            // What is tried in the search, three times, and then the size in use.
            assert!(waited <= Duration::from_millis(3500), "{waited:?} after {tenth} tenths");
            run(&mut discovery, &mut now, 1330, seconds(30));
            assert!((1315..=1330).contains(&discovery.in_use()), "{} after {tenth} tenths", discovery.in_use());
        }
    }

    #[test]
    fn a_search_that_is_disturbed_by_nothing_costs_a_confirmation_for_each_size_that_does_not_pass() {
        let (mut discovery, mut now) = started(1452);
        run(&mut discovery, &mut now, 1380, seconds(60));
        run(&mut discovery, &mut now, 1380, RAISE_AFTER - seconds(60));
        // Four sizes of three tries, a confirmation before the first and after each, and the usual ones before and after.
        let probes = run(&mut discovery, &mut now, 1380, seconds(60));
        assert!((17..=32).contains(&probes), "{probes}");
        assert!((1364..=1380).contains(&discovery.in_use()));
    }

    /// How long it takes until no longer datagrams than this are used on a path of this width.
    fn falls_below(discovery: &mut PathMtu, now: &mut Instant, width: u16, is_busy: bool) -> Duration {
        let begun = *now;
        while discovery.in_use() > width {
            if is_busy {
                discovery.sent();
            }
            run(discovery, now, width, Duration::from_millis(100));
            assert!(*now - begun <= seconds(60), "it is noticed");
        }
        *now - begun
    }

    #[test]
    fn a_path_that_widens_again_is_found_after_ten_minutes() {
        let (mut discovery, mut now) = started(1452);
        run(&mut discovery, &mut now, 1380, seconds(60));
        assert!((1364..=1380).contains(&discovery.in_use()));
        run(&mut discovery, &mut now, 1452, RAISE_AFTER);
        assert_eq!(discovery.in_use(), 1452);
    }

    #[test]
    fn lost_probes_mean_nothing_while_nothing_else_passes_either() {
        let (mut discovery, mut now) = started(1452);
        for _ in 0..100 {
            assert_eq!(discovery.handle_timeout(now).unwrap().size, 1452);
            now += ANSWER_WITHIN;
        }
        assert_eq!(discovery.in_use(), 1452);
    }

    #[test]
    fn a_false_alarm_is_over_with_the_search() {
        let (mut discovery, mut now) = started(1452);
        run(&mut discovery, &mut now, 1452, seconds(30));
        while discovery.in_use() == 1452 {
            run(&mut discovery, &mut now, 1200, Duration::from_millis(100));
        }
        run(&mut discovery, &mut now, 1452, seconds(1));
        assert_eq!(discovery.in_use(), 1452);
    }

    #[test]
    fn what_was_known_is_used_and_more_is_tried_soon() {
        for (width, found) in [(1380, 1365..=1380), (1452, 1452..=1452)] {
            let (mut discovery, mut now) = (PathMtu::new(1452, Some(1380)), Instant::now());
            discovery.start(now);
            assert_eq!(discovery.in_use(), 1380);
            run(&mut discovery, &mut now, width, seconds(60));
            assert!(found.contains(&discovery.in_use()), "{}", discovery.in_use());
        }
    }

    #[test]
    fn an_answer_to_any_of_the_tries_counts_and_a_channel_that_is_down_means_nothing() {
        let (mut discovery, mut now) = started(1452);
        let first = discovery.handle_timeout(now).unwrap();
        now += ANSWER_WITHIN;
        discovery.handle_timeout(now).unwrap();
        discovery.handle_answer(now, first.sequence, 1452);
        assert_eq!(discovery.poll_timeout(), Some(now + CONFIRM_EVERY));
        discovery.stop();
        assert_eq!(discovery.poll_timeout(), None);
        discovery.start(now + seconds(100));
        run(&mut discovery, &mut now, 1452, seconds(200));
        assert_eq!(discovery.in_use(), 1452);
    }

    #[test]
    fn answers_to_what_was_never_asked_are_ignored() {
        let (mut discovery, now) = started(1452);
        let probe = discovery.handle_timeout(now).unwrap();
        for (sequence, size) in [(probe.sequence, 1451), (probe.sequence + 1, 1452), (probe.sequence - 1, 1452)] {
            discovery.handle_answer(now, sequence, size);
            assert_eq!(discovery.poll_timeout(), Some(now + ANSWER_WITHIN / 2));
        }
        discovery.handle_answer(now, probe.sequence, 1452);
        assert_eq!(discovery.poll_timeout(), Some(now + CONFIRM_EVERY));
    }
}
