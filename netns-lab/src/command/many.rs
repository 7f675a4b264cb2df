//! `netns-lab many`: how a pair of gateways with very many channels starts, idles and fails over.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;
use netns_lab::{
    Node,
    firewall::Firewall,
    gateway::{self, Gateway},
    mesh::{LinkEntry, MeshFile},
    privilege,
    program::Program,
    signals,
    topology::{Options, Shape, Topology, UNDERLAY},
};
use serde::Serialize;
use serde_json::Value;

use super::{complain, say};

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many channels the two gateways have between them
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(2..=16_000))]
    channels: u16,
    /// How many of them a link has
    #[arg(long, value_name = "N", default_value_t = 250, value_parser = clap::value_parser!(u16).range(1..=250))]
    per_link: u16,
    /// Routes of others that the first gateway has besides, as one with a full table of the Internet's
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    routes: u32,
    /// How long to look at it while nothing happens
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    idle: u64,
    /// The meshtun program, instead of the one beside this program
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
}

/// What it prints, as one line of JSON.
#[derive(Debug, Serialize)]
struct Figures {
    channels: u16,
    routes: u32,
    /// Until the control socket of the first gateway answered.
    started_s: f64,
    /// Until all channels were up at both ends, from the start of the programs.
    up_s: f64,
    /// The longest that the control side of either gateway was late until then, and while nothing happened.
    late_starting_ms: f64,
    late_idle_ms: f64,
    /// Processor time of both gateways while nothing happened, in per cent of one processor.
    idle_cpu_percent: f64,
    /// From the blocking of one channel's port until its device had no carrier at the end that no longer heard it.
    failover_ms: f64,
    /// `meshtun down LINK/0` and a `reload` without a change, from asking to the answer.
    down_ms: f64,
    reload_ms: f64,
    /// Channels that lost carrier although nobody had blocked them or taken them down.
    lost: usize,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let program = Program::find_or_build(arguments.program.as_deref())?;
    privilege::acquire()?;
    privilege::tun_device()?;
    signals::exit_cleanly()?;
    let topology = Topology::build(Shape::TwoGateways, &Options::default())?;
    let keys = program.keys(2)?;
    let mesh = mesh(&topology, &keys, arguments);
    let node = &topology.sites[0].gateway;
    for site in &topology.sites {
        // Their ports begin low, and must not be taken by others.
        site.gateway.set_sysctl("net.ipv4.ip_local_port_range", "60000 60999")?;
    }
    add_routes(node, &topology.lab.folder().join("routes"), arguments.routes)?;
    let begun = Instant::now();
    let mut gateways = gateway::start_all(&topology, &program, &mesh, &keys)?;
    let started = await_status(&gateways[0], begun)?;
    complain(&format!("started after {started:.1?}"));
    let up = await_up(&mut gateways, arguments.channels, begun)?;
    complain(&format!("all {} channels up after {up:.1?}", arguments.channels));
    let late_starting_ms = late(&gateways, "late_ms")?;
    let (late_idle_ms, idle_cpu_percent) = idle(&gateways, Duration::from_secs(arguments.idle))?;
    let (down_ms, reload_ms) = (timed(&gateways[0], &["down", "many0-/1"])?, timed(&gateways[0], &["reload"])?);
    let failover_ms = fail_over(node)?;
    let figures = Figures {
        channels: arguments.channels,
        routes: arguments.routes,
        started_s: started.as_secs_f64(),
        up_s: up.as_secs_f64(),
        late_starting_ms,
        late_idle_ms,
        idle_cpu_percent,
        failover_ms,
        down_ms,
        reload_ms,
        lost: lost(&gateways[0]),
    };
    say(&serde_json::to_string(&figures)?);
    Ok(())
}

/// As many links as it takes, for IPv4 alone: the nexthops of one IPv6 route must fit into 64 KiB.
fn mesh(topology: &Topology, keys: &[netns_lab::program::Keys], arguments: &Arguments) -> MeshFile {
    let mut mesh = topology.mesh(keys, 1);
    for gateway in &mut mesh.gateways {
        gateway.networks.retain(|network| network.addr().is_ipv4());
        gateway.address6 = None;
    }
    let between = mesh.links[0].between.clone();
    let link = |first: u16| LinkEntry {
        between: between.clone(),
        name: format!("many{}-", first / arguments.per_link),
        channels: arguments.per_link.min(arguments.channels - first),
        ports: Some([FIRST_PORT + first; 2]),
        options: Vec::new(),
    };
    mesh.links = (0..arguments.channels).step_by(arguments.per_link.into()).map(link).collect();
    mesh
}

/// Beneath all that is derived, and so that 16,000 fit.
const FIRST_PORT: u16 = 1100;

fn add_routes(node: &Node, file: &Path, count: u32) -> anyhow::Result<()> {
    if count == 0 {
        return Ok(());
    }
    let route = |number: u32| {
        let [_, a, b, c] = number.to_be_bytes();
        format!("route add {}.{b}.{c}.0/24 dev lo proto bird\n", 20 + a)
    };
    fs::write(file, (0..count).map(route).collect::<String>())?;
    let mut ip = Command::new("ip");
    ip.arg("-batch").arg(file);
    let output = node.output(ip)?;
    if !output.status.success() {
        bail!("routes of others: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn await_status(gateway: &Gateway, begun: Instant) -> anyhow::Result<Duration> {
    while gateway.status().is_err() {
        if begun.elapsed() > PATIENCE {
            bail!("no answer after {PATIENCE:?}; the end of the log:\n{}", tail(gateway));
        }
        sleep(Duration::from_millis(50));
    }
    Ok(begun.elapsed())
}

fn await_up(gateways: &mut [Gateway], channels: u16, begun: Instant) -> anyhow::Result<Duration> {
    loop {
        let up = gateways.iter().map(|gateway| gateway.status().map_or(0, |status| channels_up(&status)));
        if up.min() == Some(channels.into()) {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > PATIENCE {
            bail!("not all up after {PATIENCE:?}; the end of the log:\n{}", tail(&gateways[0]));
        }
        sleep(Duration::from_millis(200));
    }
}

fn channels_up(status: &Value) -> u64 {
    let links = status["links"].as_array().into_iter().flatten();
    links.filter_map(|link| link["channels_up"].as_u64()).sum()
}

/// What the status of either gateway tells of its control side, the worse.
fn late(gateways: &[Gateway], which: &str) -> anyhow::Result<f64> {
    let of = |gateway: &Gateway| -> anyhow::Result<f64> {
        gateway.status()?["control"][which].as_f64().context("this meshtun does not tell how late it is")
    };
    gateways.iter().map(of).try_fold(0.0, |worst, late| Ok(f64::max(worst, late?)))
}

/// Waits until what was late in the beginning is no longer of late, and looks then.
fn idle(gateways: &[Gateway], duration: Duration) -> anyhow::Result<(f64, f64)> {
    complain("waiting two minutes, until the start is forgotten");
    sleep(Duration::from_secs(121));
    let (begun, before) = (Instant::now(), processor_time(gateways)?);
    sleep(duration);
    let used = processor_time(gateways)? - before;
    Ok((late(gateways, "late_ms_of_late")?, 100.0 * used.as_secs_f64() / begun.elapsed().as_secs_f64()))
}

/// User and system time, of proc_pid_stat(5), in steps of 10 ms.
fn processor_time(gateways: &[Gateway]) -> io::Result<Duration> {
    let of = |gateway: &Gateway| {
        let stat = fs::read_to_string(format!("/proc/{}/stat", gateway.id()))?;
        let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(10 * ticks))
    };
    gateways.iter().map(of).sum()
}

fn timed(gateway: &Gateway, arguments: &[&str]) -> anyhow::Result<f64> {
    let begun = Instant::now();
    gateway.ask(arguments)?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

/// Blocks what arrives for the first channel.
fn fail_over(node: &Node) -> anyhow::Result<f64> {
    let device = "many0-0";
    let firewall = Firewall::new(node, UNDERLAY)?;
    if !node.is_running(device)? {
        bail!("{device} has no carrier");
    }
    let begun = Instant::now();
    firewall.block_ports(&[FIRST_PORT], true)?;
    while node.is_running(device)? {
        if begun.elapsed() > PATIENCE {
            bail!("{device} has carrier {PATIENCE:?} after its port was blocked");
        }
        sleep(Duration::from_millis(1));
    }
    let took = begun.elapsed();
    firewall.block_ports(&[FIRST_PORT], false)?;
    Ok(took.as_secs_f64() * 1e3)
}

fn lost(gateway: &Gateway) -> usize {
    let log = gateway.log();
    let fell = log.lines().filter(|line| line.contains(": down after ") && !line.contains("many0-/1:"));
    // The one that was blocked.
    fell.filter(|line| !line.contains("many0-/0:")).count()
}

fn tail(gateway: &Gateway) -> String {
    let log = gateway.log();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

/// What takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(240);
