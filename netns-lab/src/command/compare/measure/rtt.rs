//! Round trips: an echo of small datagrams at a steady pace, alone and beside TCP flows.

mod echo;

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use netns_lab::load::{TcpLoad, TcpReport};

use self::echo::{Echo, Pings};
use super::{
    super::{
        bed::{Bed, Protocol},
        statistics::percentile,
        tool::Path,
    },
    FLOWS, Figure,
    kernel::ReceiveErrors,
    ports::Flows,
};

/// How long the flows have run when the first round trip is measured.
pub(super) const WARM_UP: Duration = Duration::from_secs(1);

/// The echo's ports: the lowest of the client's and the server's.
const ECHO: (u16, u16) = (23_000, 7000);

/// The load's port at the server.
const LOAD: u16 = 7500;

/// The lowest of the load's source ports beside an echo on its channels, and beside one on another: not the same, because
/// the kernel remembers for a minute who talked to whom, and one test may follow the other.
const LOAD_FROM: [u16; 2] = [25_000, 26_000];

/// While nothing else is carried.
pub(super) fn idle(bed: &Bed, path: Path, name: &str, seconds: Duration) -> anyhow::Result<Vec<Figure>> {
    let (echo, _) = echo(bed, path)?;
    figures(name, &echo.run(seconds)?)
}

/// Beside 16 TCP flows, on a channel that carries some of them, or on one that carries none.
pub(super) fn loaded(
    bed: &Bed,
    path: Path,
    name: &str,
    same_channel: bool,
    seconds: Duration,
) -> anyhow::Result<Vec<Figure>> {
    let (echo, channel) = echo(bed, path)?;
    let quiet = channel.filter(|_| !same_channel);
    let load = load(bed, path, quiet.as_deref(), seconds)?;
    let carried_by_quiet = || quiet.as_deref().map_or(Ok(0), |device| packets(bed, device));
    let (errors, packets) = (ReceiveErrors::read(&bed.topology)?, carried_by_quiet()?);
    let (carried, pings) = both(&load, &echo, seconds)?;
    ensure!(carried.bytes() > 0, "the load beside which round trips are measured carried nothing");
    let mut figures = figures(name, &pings)?;
    figures[0].complaints = ReceiveErrors::read(&bed.topology)?.since(&errors);
    let packets = carried_by_quiet()?.saturating_sub(packets);
    figures[0].notes.extend(quiet.as_deref().and_then(|device| noise(device, packets, pings.sent)));
    Ok(figures)
}

/// The echo, on one channel both ways, and the channel's device.
fn echo(bed: &Bed, path: Path) -> anyhow::Result<(Echo, Option<String>)> {
    let (client, server, address) = bed.ends(path);
    let (first, to) = ECHO;
    let (from, channel) = Flows { bed, path, protocol: Protocol::Udp, to }.round(first)?;
    Ok((Echo { client, server, from, to: (address, to).into() }, channel))
}

fn load(bed: &Bed, path: Path, quiet: Option<&str>, seconds: Duration) -> anyhow::Result<TcpLoad> {
    let (client, server, address) = bed.ends(path);
    let from = LOAD_FROM[usize::from(quiet.is_some())];
    let flows = Flows { bed, path, protocol: Protocol::Tcp, to: LOAD };
    Ok(TcpLoad {
        flows: FLOWS.into(),
        // It ends when the last answers have come.
        duration: WARM_UP + seconds + echo::PATIENCE,
        every: Duration::from_millis(50),
        port: LOAD,
        source_ports: flows.even(from, FLOWS, quiet)?,
        congestion_control: Some("cubic".into()),
        ..TcpLoad::new(&client, &server, address.into())
    })
}

/// Pings while the load runs, which has found its rate before.
fn both(load: &TcpLoad, echo: &Echo, seconds: Duration) -> anyhow::Result<(TcpReport, Pings)> {
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        let loading = scope.spawn(move || load.run(|_| _ = tell.send(())));
        // Every word says that it runs; that there is none any more, that it has failed.
        let pings = match told.recv_timeout(Duration::from_secs(60)) {
            Ok(()) => {
                thread::sleep(WARM_UP);
                Some(echo.run(seconds))
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => bail!("no TCP connection comes about"),
        };
        let carried = loading.join().expect("a load does not panic").context("the load beside the round trips")?;
        Ok((carried, pings.context("the load has ended at once")??))
    })
}

/// Median, 99th percentile and maximum in ms, and what part had no answer.
fn figures(name: &str, pings: &Pings) -> anyhow::Result<Vec<Figure>> {
    let milliseconds: Vec<_> = pings.answers.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    ensure!(!milliseconds.is_empty(), "none of {} datagrams was answered", pings.sent);
    let time = |(what, percent)| {
        let value = percentile(&milliseconds, percent).unwrap_or_default();
        Figure::new(format!("{name}-{what}"), value, "ms")
    };
    let mut figures: Vec<_> = [("p50", 50.0), ("p99", 99.0), ("max", 100.0)].map(time).into();
    let lost = pings.sent.saturating_sub(milliseconds.len() as u64);
    figures.push(Figure::new(format!("{name}-lost"), 100.0 * lost as f64 / pings.sent as f64, "%"));
    Ok(figures)
}

/// Packets in and out of a device of the first gateway.
fn packets(bed: &Bed, device: &str) -> anyhow::Result<u64> {
    let links = bed.topology.sites[0].gateway.links()?;
    Ok(links.iter().filter(|link| link.name == device).map(|link| link.rx_packets + link.tx_packets).sum())
}

/// What to say of a channel that should carry nothing but so many datagrams and their echo, if it carried far more: then
/// its figures are not those of an unloaded channel.
fn noise(quiet: &str, packets: u64, pings: u64) -> Option<String> {
    let told =
        || format!("{quiet}, which should carry {pings} datagrams and their echo alone, carried {packets} packets");
    (packets > 4 * pings + 100).then(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pings(milliseconds: &[u64], sent: u64) -> Pings {
        Pings { sent, answers: milliseconds.iter().map(|time| Duration::from_millis(*time)).collect() }
    }

    #[test]
    fn median_and_tail_and_what_was_not_answered_are_told() {
        let times: Vec<u64> = (1..=100).collect();
        let figures = figures("rtt-idle", &pings(&times, 200)).unwrap();
        let told: Vec<_> = figures.iter().map(|figure| (figure.test.as_str(), figure.value, figure.unit)).collect();
        assert_eq!(
            told,
            [
                ("rtt-idle-p50", 50.0, "ms"),
                ("rtt-idle-p99", 99.0, "ms"),
                ("rtt-idle-max", 100.0, "ms"),
                ("rtt-idle-lost", 50.0, "%")
            ]
        );
    }

    #[test]
    fn no_answer_at_all_is_an_error() {
        let error = figures("rtt-idle", &pings(&[], 2000)).unwrap_err();
        assert_eq!(error.to_string(), "none of 2000 datagrams was answered");
    }

    #[test]
    fn a_channel_is_quiet_that_carries_little_but_the_echo() {
        assert_eq!(noise("mt0", 4_010, 2_000), None);
        let told = noise("mt0", 50_000, 2_000).unwrap();
        assert!(told.contains("mt0") && told.contains("50000"), "{told}");
    }
}
