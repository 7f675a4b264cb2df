//! What a steady load suffered, told for any stretch of its time.

use std::{ops::Range, time::Duration};

/// A time since the start in ticks of 10 µs: 11 hours fit.
pub(super) type Tick = u32;

/// What stands for "never" among arrivals; the first tick of all is not used.
const NEVER: Tick = 0;

/// The account of a whole load.
#[derive(Clone, Debug, Default)]
pub struct Account {
    pub(super) train_names: Vec<String>,
    pub(super) trains: Vec<TrainLog>,
    pub(super) flow_names: Vec<String>,
    pub(super) flows: Vec<FlowLog>,
    /// How often each flow writes.
    pub(super) every: Duration,
    /// When sending ended.
    pub(super) over: Duration,
}

/// All trains in one stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrainFigures {
    /// Datagrams sent in that time.
    pub sent: u64,
    /// Of these, the ones that never arrived.
    pub lost: u64,
    /// Trains that lost some.
    pub losers: u64,
    /// Second copies that arrived in that time.
    pub duplicated: u64,
    /// Datagrams that arrived in that time behind a later one.
    pub reordered: u64,
    /// The longest time in which datagrams of one train were sent and none arrived, among those that began in that time.
    /// While the sender stood still nothing could arrive; that does not count.
    pub gap: Duration,
    /// The train that had it.
    pub gap_of: String,
    /// From the beginning of that time until every train had arrived again; `None` if one never did.
    pub back: Option<Duration>,
    /// From the beginning of that time until any train had arrived; `None` if none did.
    pub first: Option<Duration>,
    /// The longest time that the sender itself was late: the machine's fault, and no network's.
    pub standstill: Duration,
}

/// A time in which datagrams of one train were sent and none arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The train, by its place in the plan.
    pub train: usize,
    /// When the first of them was sent.
    pub begin: Duration,
    /// When the next arrived, or sending ended.
    pub end: Duration,
}

/// All flows in one stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowFigures {
    /// The longest time in which nothing of one flow came, among those that were first noticed in that time: when the next
    /// write should have come.
    pub gap: Duration,
    /// The flow that had it.
    pub gap_of: String,
    /// Flows that had a gap of over 100 ms.
    pub stalled: u64,
    /// Flows of which nothing came in the whole of that time.
    pub silent: u64,
    /// Flows of which nothing came any more from some moment in that time on to the end.
    pub dead: u64,
}

/// One train, datagram by datagram.
#[derive(Clone, Debug, Default)]
pub(super) struct TrainLog {
    /// When each was sent.
    pub(super) sent: Vec<Tick>,
    /// When datagrams were due and when they were sent, of all trains together; kept with the first.
    pub(super) late: Vec<(Tick, Tick)>,
    /// When each first arrived.
    pub(super) arrived: Vec<Tick>,
    /// When second copies arrived.
    pub(super) duplicated: Vec<Tick>,
    /// When any arrived behind a later one.
    pub(super) reordered: Vec<Tick>,
}

/// One flow: the times in which nothing came, from the last bytes to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct FlowLog {
    pub(super) gaps: Vec<(Tick, Tick)>,
    pub(super) last: Tick,
}

pub(super) fn tick(time: Duration) -> Tick {
    Tick::try_from(time.as_micros() / 10).unwrap_or(Tick::MAX).max(1)
}

fn time(ticks: Tick) -> Duration {
    Duration::from_micros(u64::from(ticks) * 10)
}

impl Account {
    /// When sending ended, on the load's clock.
    pub fn over(&self) -> Duration {
        self.over
    }

    /// The trains in a stretch of time.
    pub fn trains(&self, stretch: Range<Duration>) -> TrainFigures {
        let (from, to, over) = (tick(stretch.start), tick(stretch.end), tick(self.over));
        let mut total = TrainFigures { back: Some(Duration::ZERO), ..TrainFigures::default() };
        for (name, log) in self.train_names.iter().zip(&self.trains) {
            let (sent, lost) = log.sent_and_lost(from, to);
            total.sent += sent;
            total.lost += lost;
            total.losers += u64::from(lost > 0);
            let within = |ticks: &[Tick]| ticks.iter().filter(|at| (from..to).contains(*at)).count() as u64;
            total.duplicated += within(&log.duplicated);
            total.reordered += within(&log.reordered);
            let arrivals = log.arrivals();
            let silences = silences(&log.sent, &arrivals, from..to, over).into_iter();
            let gap = silences.map(|(begin, end)| time(end - begin)).max().unwrap_or_default();
            if gap > total.gap {
                (total.gap, total.gap_of) = (gap, name.clone());
            }
            let first = arrivals.get(arrivals.partition_point(|at| *at < from));
            let back = first.map(|first| time(first - from));
            total.first = total.first.into_iter().chain(back).min();
            total.back = total.back.zip(back).map(|(one, other)| one.max(other));
            let late = log.late.iter().filter(|(due, _)| (from..to).contains(due));
            let latest = late.map(|(due, sent)| sent.saturating_sub(*due)).max().unwrap_or(0);
            total.standstill = total.standstill.max(time(latest));
        }
        total
    }

    /// The gaps of trains that are longer than this and began in a stretch of time.
    pub fn gaps(&self, stretch: Range<Duration>, longer: Duration) -> Vec<Gap> {
        let (within, over, longer) = (tick(stretch.start)..tick(stretch.end), tick(self.over), tick(longer));
        let mut gaps = Vec::new();
        for (train, log) in self.trains.iter().enumerate() {
            let of_train = silences(&log.sent, &log.arrivals(), within.clone(), over);
            let long = of_train.into_iter().filter(|(begin, end)| end - begin > longer);
            gaps.extend(long.map(|(begin, end)| Gap { train, begin: time(begin), end: time(end) }));
        }
        gaps
    }

    /// The flows in a stretch of time.
    pub fn flows(&self, stretch: Range<Duration>) -> FlowFigures {
        let (from, to, over) = (tick(stretch.start), tick(stretch.end), tick(self.over));
        let mut total = FlowFigures::default();
        for (name, log) in self.flow_names.iter().zip(&self.flows) {
            let open = (log.last, over.max(log.last));
            let missed = |gap: &&(Tick, Tick)| (from..to).contains(&gap.0.saturating_add(tick(self.every)));
            let gaps = log.gaps.iter().chain([&open]).filter(missed);
            let gap = gaps.map(|(begin, end)| time(end - begin)).max().unwrap_or_default();
            if gap > total.gap {
                (total.gap, total.gap_of) = (gap, name.clone());
            }
            let covers = |(begin, end): &(Tick, Tick)| *begin <= from && *end >= to;
            total.silent += u64::from(log.gaps.iter().chain([&open]).any(covers));
            total.stalled += u64::from(gap > Duration::from_millis(100));
            // A flow that is only between two writes is not dead.
            let dead = missed(&&open) && time(open.1 - open.0) > Duration::from_secs(3);
            total.dead += u64::from(dead);
        }
        total
    }
}

impl TrainLog {
    pub(super) fn with_arrivals(mut self, arrivals: TrainLog) -> TrainLog {
        (self.arrived, self.duplicated, self.reordered) = (arrivals.arrived, arrivals.duplicated, arrivals.reordered);
        self
    }

    /// Notes that a datagram came; `next` is one more than the highest number that came before.
    pub(super) fn arrive(&mut self, number: usize, now: Tick, next: &mut usize) {
        if number >= self.arrived.len() {
            self.arrived.resize(number + 1, NEVER);
        }
        if self.arrived[number] != NEVER {
            self.duplicated.push(now);
            return;
        }
        self.arrived[number] = now;
        if number < *next {
            self.reordered.push(now);
        }
        *next = (*next).max(number + 1);
    }

    /// When datagrams arrived, in order.
    fn arrivals(&self) -> Vec<Tick> {
        let mut arrivals: Vec<_> = self.arrived.iter().copied().filter(|at| *at != NEVER).collect();
        arrivals.sort_unstable();
        arrivals
    }

    fn sent_and_lost(&self, from: Tick, to: Tick) -> (u64, u64) {
        let numbers = self.sent.partition_point(|at| *at < from)..self.sent.partition_point(|at| *at < to);
        let came = |number: &usize| self.arrived.get(*number).is_some_and(|at| *at != NEVER);
        (numbers.len() as u64, numbers.filter(|number| !came(number)).count() as u64)
    }
}

impl FlowLog {
    /// Notes that bytes came. Gaps below 20 ms are not kept.
    pub(super) fn arrive(&mut self, now: Tick) {
        const NOTABLE: Tick = 2_000;
        if now.saturating_sub(self.last) >= NOTABLE {
            self.gaps.push((self.last, now));
        }
        self.last = now;
    }
}

/// The times from the first datagram that was sent after an arrival to the next arrival, or the end, that begin within.
/// Both lists ascend.
fn silences(sent: &[Tick], arrivals: &[Tick], within: Range<Tick>, over: Tick) -> Vec<(Tick, Tick)> {
    // What was sent before the very first arrival began the first silence.
    let befores = [0].into_iter().chain(arrivals.iter().copied());
    let nexts = arrivals.iter().copied().chain([over]);
    let (mut silences, mut at) = (Vec::new(), 0);
    for (before, next) in befores.zip(nexts) {
        while sent.get(at).is_some_and(|sent| *sent < before) {
            at += 1;
        }
        let Some(begin) = sent.get(at).filter(|begin| within.contains(*begin)) else { continue };
        silences.push((*begin, next.max(*begin)));
    }
    silences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u32) -> Duration {
        Duration::from_millis(milliseconds.into())
    }

    fn ticks(milliseconds: &[u32]) -> Vec<Tick> {
        milliseconds.iter().map(|ms| ms * 100).collect()
    }

    /// Sent at 10, 20, … 100 ms; `arrived` 1 ms later unless 0.
    fn account(arrived: &[u32]) -> Account {
        let sent = ticks(&(1..=10).map(|n| n * 10).collect::<Vec<_>>());
        let log = TrainLog { sent, arrived: ticks(arrived), ..TrainLog::default() };
        Account { train_names: vec!["t".into()], trains: vec![log], over: ms(100), ..Account::default() }
    }

    #[test]
    fn loss_belongs_to_the_time_of_sending_and_a_gap_to_the_time_of_its_beginning() {
        let account = account(&[11, 21, 31, 0, 0, 61, 71, 81, 91, 101]);
        let first = account.trains(ms(0)..ms(45));
        assert_eq!((first.sent, first.lost, first.gap), (4, 1, ms(21)));
        let gap = |begin, end| Gap { train: 0, begin: ms(begin), end: ms(end) };
        assert_eq!(account.gaps(ms(0)..ms(200), ms(5)), [gap(40, 61)]);
        let second = account.trains(ms(45)..ms(200));
        assert_eq!((second.sent, second.lost, second.gap), (6, 1, ms(1)));
    }

    #[test]
    fn silence_to_the_end_is_a_gap_and_there_is_no_way_back_from_it() {
        let account = account(&[11, 21, 0, 0, 0, 0, 0, 0, 0, 0]);
        let figures = account.trains(ms(15)..ms(100));
        assert_eq!((figures.gap, figures.lost), (ms(70), 7));
        assert_eq!(account.trains(ms(50)..ms(100)).back, None);
        assert_eq!(figures.back, Some(ms(6)));
    }

    #[test]
    fn while_the_sender_stands_still_nothing_is_missed() {
        let sent = ticks(&[10, 20, 500, 510]);
        let arrived = ticks(&[11, 21, 501, 511]);
        let late = vec![(1_000, 1_000), (2_000, 2_000), (3_000, 50_000)];
        let log = TrainLog { sent, arrived, late, ..TrainLog::default() };
        let account = Account { train_names: vec!["t".into()], trains: vec![log], over: ms(520), ..Account::default() };
        let figures = account.trains(ms(0)..ms(520));
        assert_eq!((figures.gap, figures.standstill), (ms(1), ms(470)));
    }

    #[test]
    fn second_copies_and_late_ones_are_told_apart() {
        let (mut log, mut next) = (TrainLog::default(), 0);
        for (number, now) in [(0, 100), (2, 200), (1, 300), (1, 400), (3, 500)] {
            log.arrive(number, now, &mut next);
        }
        assert_eq!((log.arrived, log.duplicated, log.reordered), (vec![100, 300, 200, 500], vec![400], vec![300]));
    }

    #[test]
    fn a_flow_that_ends_within_a_stretch_is_dead_there_and_nowhere_else() {
        let mut log = FlowLog { last: 1, ..FlowLog::default() };
        for now in ticks(&[10, 20, 500, 510]) {
            log.arrive(now);
        }
        let flows = vec![log];
        let account = Account { flow_names: vec!["f".into()], flows, over: ms(9000), ..Account::default() };
        let first = account.flows(ms(0)..ms(100));
        assert_eq!((first.gap, first.stalled, first.dead), (ms(480), 1, 0));
        let second = account.flows(ms(100)..ms(9000));
        assert_eq!((second.gap, second.stalled, second.dead), (ms(8490), 1, 1));
        let silent = |from, to| account.flows(ms(from)..ms(to)).silent;
        assert_eq!([silent(0, 100), silent(30, 400), silent(30, 600), silent(600, 9000)], [0, 1, 0, 1]);
    }
}
