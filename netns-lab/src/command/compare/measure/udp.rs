//! Datagrams of our own: the highest rate without loss, and what one costs at a given rate.
//!
//! A datagram a call on either side, as an ordinary application does it: no trains. Sixteen flows, spread evenly over the
//! channels. The receiver's buffer is about what a server has, so that a backlog shows within a try.

use std::time::Duration;

use anyhow::Context as _;
use netns_lab::load::{UdpReport, UdpTrain};

use super::{
    super::{
        bed::{Bed, Protocol},
        tool::{Path, Subject, Underlay},
    },
    FLOWS, Figure,
    ports::Flows,
    search::{self, Found, Start, Try},
};

/// How long a try of the search sends.
pub(super) const TRY: Duration = Duration::from_secs(1);

/// How long the last datagrams are waited for.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);

/// Receive buffer in bytes: some 10,000 small datagrams, 50 ms of 200,000 a second.
const RECEIVE_BUFFER: usize = 4 << 20;

/// What the sender sends at once of what it missed when it was held up: at 200,000 a second 400 datagrams, which a tun
/// device's queue still takes.
const BURST: Duration = Duration::from_millis(2);

/// What part of the rate that was found must be carried for long, or it is told.
const HELD: f64 = 0.8;

/// The server's port.
const TO: u16 = 7400;

/// The lowest source port.
const FROM: u16 = 24_000;

/// Rates that were found, where the next search for the same begins.
#[derive(Default)]
pub(super) struct Rates(Vec<(Searched, f64)>);

/// What a rate was searched for.
#[derive(Clone, Copy, PartialEq)]
struct Searched {
    subject: Subject,
    path: Path,
    underlay: Underlay,
    bytes: usize,
}

/// Datagrams at a given rate.
#[derive(Clone, Copy)]
pub(super) struct Paced {
    pub(super) bytes: usize,
    pub(super) flows: u16,
    /// A second, all flows together.
    pub(super) rate: u32,
}

impl Rates {
    /// Searches by short tries, and confirms what was found by one that lasts.
    pub(super) fn highest(
        &mut self,
        bed: &Bed,
        path: Path,
        name: &str,
        bytes: usize,
        seconds: Duration,
    ) -> anyhow::Result<Vec<Figure>> {
        let searched = Searched { subject: bed.subject, path, underlay: bed.underlay, bytes };
        let train = train(bed, path, Paced { bytes, flows: FLOWS, rate: 0 })?;
        let send = |rate: f64, duration| at_rate(&train, rate, duration).map(|report| (outcome(&report), report));
        let start = self.found(&searched).map_or(Start::ANYWHERE, Start::at);
        let found = search::highest(start, |rate| send(rate, TRY).map(|(came, _)| came))?;
        let found = found.context("not even 100 datagrams a second are carried without loss")?;
        let confirmed = search::confirm(found.rate, |rate| send(rate, seconds))?;
        let (rate, report) = confirmed.context("no rate is carried without loss for longer than a second")?;
        self.remember(searched, rate);
        let mut figure = highest_of(name, bytes, &report);
        figure.notes.extend(doubts(found, figure.value, seconds));
        Ok(vec![figure])
    }

    fn found(&self, what: &Searched) -> Option<f64> {
        self.0.iter().find(|(searched, _)| searched == what).map(|(_, rate)| *rate)
    }

    fn remember(&mut self, what: Searched, rate: f64) {
        self.0.retain(|(searched, _)| *searched != what);
        self.0.push((what, rate));
    }
}

/// What to say of a rate that is not just what the subject carries.
fn doubts(found: Found, held: f64, seconds: Duration) -> Option<String> {
    let rate = found.rate;
    if held < HELD * rate {
        return Some(format!("{rate:.0} a second were carried for a second, but only {held:.0} for {seconds:?}"));
    }
    found.limited_by_sender.then(|| format!("more than {held:.0} a second could not be sent: it may carry more"))
}

/// What a datagram costs at a given rate, and how many are lost.
pub(super) fn paced(bed: &Bed, path: Path, name: &str, paced: Paced, seconds: Duration) -> anyhow::Result<Vec<Figure>> {
    let report = at_rate(&train(bed, path, paced)?, f64::from(paced.rate), seconds)?;
    Ok(paced_of(name, paced, &report))
}

fn train(bed: &Bed, path: Path, paced: Paced) -> anyhow::Result<UdpTrain> {
    let (client, server, address) = bed.ends(path);
    let flows = Flows { bed, path, protocol: Protocol::Udp, to: TO };
    Ok(UdpTrain {
        flows: paced.flows,
        size: paced.bytes,
        patience: PATIENCE,
        port: TO,
        source_ports: flows.even(FROM, paced.flows, None)?,
        burst: BURST,
        punctual: true,
        receive_buffer: RECEIVE_BUFFER,
        gro: false,
        ..UdpTrain::new(&client, &server, address.into())
    })
}

/// Sends at a rate of all flows together.
fn at_rate(train: &UdpTrain, rate: f64, duration: Duration) -> anyhow::Result<UdpReport> {
    let each = (rate / f64::from(train.flows)).round().max(1.0);
    Ok(UdpTrain { rate: each as u32, duration, ..train.clone() }.run()?)
}

fn outcome(report: &UdpReport) -> Try {
    let total = report.total();
    let tried = total.sent + total.refused;
    let lost = tried.saturating_sub(total.received);
    Try { sent: tried as f64 / report.elapsed.as_secs_f64(), loss: lost as f64 / tried.max(1) as f64 }
}

fn highest_of(name: &str, bytes: usize, report: &UdpReport) -> Figure {
    let received = report.total().received as f64;
    let gigabytes = received * bytes as f64 / 1e9;
    let figure = Figure::new(name, received / report.elapsed.as_secs_f64(), "datagrams/s");
    Figure { cpu_seconds_per_gb: Some(report.cpu_seconds / gigabytes).filter(|cost| cost.is_finite()), ..figure }
}

fn paced_of(name: &str, paced: Paced, report: &UdpReport) -> Vec<Figure> {
    let Try { sent, loss } = outcome(report);
    let received = report.total().received as f64;
    let mut cpu = Figure::new(format!("{name}-cpu"), report.cpu_seconds * 1e6 / received.max(1.0), "µs/datagram");
    if sent < 0.99 * f64::from(paced.rate) {
        cpu.notes.push(format!("only {sent:.0} of {} datagrams a second could be sent", paced.rate));
    }
    vec![cpu, Figure::new(format!("{name}-loss"), 100.0 * loss, "%")]
}

#[cfg(test)]
mod tests {
    use netns_lab::load::UdpFlow;

    use super::*;

    fn report(sent: u64, refused: u64, received: u64) -> UdpReport {
        let half = UdpFlow { sent: sent / 2, refused: refused / 2, received: received / 2, ..UdpFlow::default() };
        UdpReport { flows: vec![half; 2], elapsed: Duration::from_secs(2), cpu_seconds: 3.0, overrun: 0 }
    }

    #[test]
    fn what_was_refused_is_lost_as_what_never_came() {
        let came = outcome(&report(1980, 20, 1960));
        assert_eq!(came, Try { sent: 1000.0, loss: 0.02 });
        assert_eq!(outcome(&report(0, 0, 0)).loss, 0.0);
    }

    #[test]
    fn the_highest_rate_is_what_came_a_second() {
        let figure = highest_of("udp-64-highest", 64, &report(1_000_000, 0, 1_000_000));
        assert_eq!((figure.value, figure.unit), (500_000.0, "datagrams/s"));
        assert_eq!(figure.cpu_seconds_per_gb, Some(3.0 / 0.064));
        assert_eq!(highest_of("udp-64-highest", 64, &report(10, 0, 0)).cpu_seconds_per_gb, None);
    }

    #[test]
    fn a_rate_that_is_not_the_subjects_own_is_told() {
        let seconds = Duration::from_secs(10);
        let found = |limited_by_sender| Found { rate: 100_000.0, limited_by_sender };
        assert_eq!(doubts(found(false), 95_000.0, seconds), None);
        assert!(doubts(found(true), 99_000.0, seconds).unwrap().contains("99000 a second could not be sent"));
        assert!(doubts(found(true), 50_000.0, seconds).unwrap().contains("only 50000 for 10s"));
    }

    #[test]
    fn a_paced_run_tells_the_cost_and_the_loss() {
        let paced = Paced { bytes: 64, flows: 16, rate: 60_000 };
        let [cpu, loss] = &paced_of("udp-64-paced", paced, &report(120_000, 0, 119_940))[..] else { panic!() };
        assert_eq!((cpu.test.as_str(), cpu.unit), ("udp-64-paced-cpu", "µs/datagram"));
        assert!((cpu.value - 3e6 / 119_940.0).abs() < 1e-9, "{cpu:?}");
        assert!((loss.value - 0.05).abs() < 1e-9 && cpu.notes.is_empty(), "{loss:?}");
    }

    #[test]
    fn a_sender_that_was_too_slow_is_told_of() {
        let paced = Paced { bytes: 64, flows: 16, rate: 60_000 };
        let figures = paced_of("udp-64-paced", paced, &report(100_000, 0, 100_000));
        assert_eq!(figures[0].notes, ["only 50000 of 60000 datagrams a second could be sent".to_owned()]);
    }
}
