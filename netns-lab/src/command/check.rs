//! `netns-lab check`: what a lab needs, tried one by one.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use netns_lab::{
    faults::Faults,
    load::TcpLoad,
    privilege::{self, Privilege},
    signals,
    topology::{Options, Shape, Topology, UNDERLAY},
    watch::{self, Watch},
};

use super::say;

#[derive(Args)]
pub(crate) struct Arguments {
    /// How long to send between the hosts
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    seconds: f64,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let duration = Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?;
    let by = match privilege::acquire()? {
        Privilege::Root => "as they are",
        Privilege::UserNamespace => "in a user namespace",
    };
    signals::exit_cleanly()?;
    row("privileges", by);
    row("/dev/net/tun", &privilege::tun_device().map_or_else(|error| error.to_string(), |()| "may be used".into()));
    let topology = build()?;
    let pinned = topology.lab.nodes().iter().filter_map(|node| node.pinned()).map(std::path::Path::to_owned);
    let pinned: Vec<_> = pinned.collect();
    send_in_clear(&topology, duration)?;
    drop(topology);
    send_in_userspace(duration)?;
    let left: Vec<_> = pinned.iter().filter(|path| path.exists()).collect();
    ensure!(left.is_empty(), "left behind: {left:?}");
    row("clean-up", "nothing is left");
    Ok(())
}

fn build() -> anyhow::Result<Topology> {
    let start = Instant::now();
    let options = Options { name: Some(format!("check-{}", std::process::id())), ..Options::default() };
    let topology = Topology::build(Shape::TwoGateways, &options)?;
    topology.route_in_clear()?;
    row("lab", &format!("{} nodes in {} ms", topology.lab.nodes().len(), start.elapsed().as_millis()));
    Ok(topology)
}

/// Traffic that nothing encrypts: the load must arrive, and the watch must see it.
fn send_in_clear(topology: &Topology, duration: Duration) -> anyhow::Result<()> {
    let [one, two] = [&topology.sites[0], &topology.sites[1]];
    let watch = Watch::start(&one.gateway, UNDERLAY, watch::Options::new(vec![16384..=32767]))?;
    let load = TcpLoad { duration, ..TcpLoad::new(&one.host, &two.host, two.host_v4.into()) };
    let report = load.run(|_| {})?;
    let seen = watch.stop()?;
    ensure!(report.bytes() > 0, "nothing came from host1 to host2");
    row("load", &format!("{:.2} Gb/s from host1 to host2, in clear", report.gigabits_per_second()));
    ensure!(seen.clear_packets > 0, "the watch on the underlay saw none of it");
    row("watch", &format!("saw {} clear packets", seen.clear_packets));
    Ok(())
}

/// Traffic over the underlay in userspace, without a fault: how much of it there can be.
fn send_in_userspace(duration: Duration) -> anyhow::Result<()> {
    if privilege::tun_device().is_err() {
        return Ok(());
    }
    let topology = Topology::build(Shape::TwoGateways, &Options { faults: Some(1), ..Options::default() })?;
    let [one, two] = [&topology.sites[0], &topology.sites[1]];
    let load = TcpLoad { duration, ..TcpLoad::new(&one.gateway, &two.gateway, two.underlay) };
    let report = load.run(|_| {})?;
    let counts = topology.faults.as_ref().map(Faults::counts).unwrap_or_default();
    let packets: u64 = counts.iter().map(|(_, counts)| counts.delivered).sum();
    let rate = packets as f64 / report.elapsed.as_secs_f64();
    row("faults", &format!("{:.2} Gb/s, {rate:.0} packets a second in userspace", report.gigabits_per_second()));
    Ok(())
}

fn row(name: &str, result: &str) {
    say(&format!("{name:<14} {result}"));
}
