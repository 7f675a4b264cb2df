//! A load that goes on in a case's tunnel, and what it suffered: trains and TCP flows both ways, between the gateways.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{OpenVpnError, config, process::Process};
use crate::{
    Node,
    load::{
        Marker,
        steady::{Plan, Steady, Stream, Train},
    },
    scenario::{Figures, Resources, millis},
    topology::Site,
};

/// Datagrams a second of each train.
const RATE: u32 = 1000;

/// TCP flows of each direction, how often each writes, and how many bytes: 25 Mb/s in all.
const FLOWS: usize = 4;
const EVERY: Duration = Duration::from_millis(10);
const SIZE: usize = 4000;

/// The port that trains are sent from.
const PORT: u16 = 7100;

/// How long what is under way is waited for at the end.
const STRAGGLERS: Duration = Duration::from_secs(1);

/// After so long each process holds what it needs.
const SETTLED: Duration = Duration::from_secs(20);

/// One datagram of so many may be lost: what a machine that is busy with other cases drops by itself.
const LOST_OF: u64 = 1000;

/// By how much a process may grow.
const GROWTH: u64 = 8 << 20;

/// A load on its way.
pub(super) struct Soak {
    load: Steady,
    begun: Instant,
    gateways: [Node; 2],
    /// Lines in the log of each process before.
    lines: [usize; 2],
    /// Datagrams that found a socket's buffer full at each gateway before.
    full: [u64; 2],
    before: Option<[Resources; 2]>,
}

impl Soak {
    /// Begins to send.
    pub(super) fn start(sites: &[Site], processes: &[Process; 2]) -> Result<Soak, OpenVpnError> {
        let inside = |end: usize| config::INSIDE[0][end].parse().expect("a constant");
        let ways = [(0, 1), (1, 0)];
        let train = |(from, to): (usize, usize)| Train {
            name: format!("{}→{}", sites[from].name(), sites[to].name()),
            from: sites[from].gateway.clone(),
            source: inside(from),
            port: PORT,
            to: sites[to].gateway.clone(),
            destination: inside(to),
        };
        let stream = |number: usize| {
            let (from, to) = ways[number % 2];
            let name = format!("{}→{} flow {number}", sites[from].name(), sites[to].name());
            Stream { name, from: sites[from].gateway.clone(), to: sites[to].gateway.clone(), destination: inside(to) }
        };
        let (trains, streams) = (ways.map(train).into(), (0..2 * FLOWS).map(stream).collect());
        let plan = Plan { trains, rate: RATE, streams, every: EVERY, size: SIZE, marker: Marker::random()? };
        let lines = lines_of(processes);
        let gateways = [0, 1].map(|end| sites[end].gateway.clone());
        let full = [full(&gateways[0])?, full(&gateways[1])?];
        Ok(Soak { load: Steady::start(plan)?, begun: Instant::now(), gateways, lines, full, before: None })
    }

    /// To be called now and then.
    pub(super) fn look(&mut self, processes: &[Process; 2]) {
        if self.before.is_none() && self.begun.elapsed() >= SETTLED {
            self.before = Some(held_by(processes));
        }
    }

    /// Ends it. Gives what is not as it should be.
    pub(super) fn finish(self, processes: &[Process; 2], figures: &mut Figures) -> Result<Vec<String>, OpenVpnError> {
        let after = held_by(processes);
        let account = self.load.stop(STRAGGLERS)?;
        let whole = Duration::ZERO..account.over();
        let (trains, flows) = (account.trains(whole.clone()), account.flows(whole));
        let mut wrong = Vec::new();
        let mut note = |figure: &str, value: Value| drop(figures.insert(figure.to_owned(), value));
        note("train_sent", trains.sent.into());
        note("train_lost", trains.lost.into());
        note("train_duplicated", trains.duplicated.into());
        note("train_reordered", trains.reordered.into());
        note("train_gap_ms", millis(trains.gap));
        note("tcp_gap_ms", millis(flows.gap));
        note("tcp_dead", flows.dead.into());
        for ((gateway, before), end) in self.gateways.iter().zip(self.full).zip(["a", "b"]) {
            note(&format!("full_buffers_{end}"), full(gateway)?.saturating_sub(before).into());
        }
        if trains.lost > trains.sent / LOST_OF || trains.duplicated > 0 {
            wrong.push(format!(
                "of {} datagrams {} were lost and {} came twice",
                trains.sent, trains.lost, trains.duplicated
            ));
        }
        if flows.dead > 0 {
            wrong.push(format!("{} of {} TCP flows died", flows.dead, 2 * FLOWS));
        }
        let said: Vec<_> = processes.iter().zip(self.lines).flat_map(|(process, lines)| said(process, lines)).collect();
        note("log_lines", said.len().into());
        wrong.extend(said.into_iter().filter(|line| line.contains("WARNING")).take(3));
        for (end, process) in processes.iter().enumerate() {
            let Some(before) = self.before.map(|before| before[end]) else { continue };
            let grown = after[end].resident.saturating_sub(before.resident);
            note(&format!("resident_growth_kib_{}", ["a", "b"][end]), (grown >> 10).into());
            let more = |of: fn(&Resources) -> usize| of(&after[end]).saturating_sub(of(&before));
            let (descriptors, threads) = (more(|one| one.descriptors), more(|one| one.threads));
            if grown > GROWTH || descriptors > 0 || threads > 0 {
                let name = process.describe();
                wrong.push(format!(
                    "{name} holds {} KiB, {descriptors} descriptors and {threads} threads more than at first",
                    grown >> 10
                ));
            }
        }
        Ok(wrong)
    }
}

/// How many datagrams found the buffer of a UDP socket full at a node (`RcvbufErrors`, RFC 4113 and the kernel's own).
fn full(node: &Node) -> Result<u64, OpenVpnError> {
    let text = node.run(|| fs::read_to_string("/proc/thread-self/net/snmp"))??;
    Ok(full_of(&text).unwrap_or(0))
}

fn full_of(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split(' ').position(|name| name == "RcvbufErrors")?;
    values.split(' ').nth(at)?.parse().ok()
}

fn held_by(processes: &[Process; 2]) -> [Resources; 2] {
    [0, 1].map(|end| processes[end].id().map(Resources::of).unwrap_or_default())
}

fn lines_of(processes: &[Process; 2]) -> [usize; 2] {
    [0, 1].map(|end| processes[end].log().lines().count())
}

/// What a process has logged meanwhile.
fn said(process: &Process, before: usize) -> Vec<String> {
    let log = process.log();
    log.lines().skip(before).map(|line| format!("{}: {line}", process.describe())).collect()
}

#[cfg(test)]
mod tests {
    use super::full_of;

    #[test]
    fn datagrams_that_found_a_full_buffer_are_read() {
        let text = "Tcp: A B\nTcp: 1 2\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors\n\
                    Udp: 10 0 7 10 7 0\nUdpLite: InDatagrams\nUdpLite: 0\n";
        assert_eq!(full_of(text), Some(7));
        assert_eq!(full_of("Tcp: A\n"), None);
    }
}
