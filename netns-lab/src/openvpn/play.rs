//! Plays one case with one pair of programs.

use std::{
    fs,
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use meshtun_sys::process::Signal;
use serde_json::{Value, json};

use super::{
    OpenVpnError, ask, config,
    judge::judge,
    matrix::{Case, Event, Side, Transport},
    process::Process,
    program::{Pair, Programs},
    soak::Soak,
    traffic::{Place, echo_datagrams, stream},
};
use crate::{
    scenario::Figures,
    topology::{Family, Options, Shape, Topology, UNDERLAY},
};

/// How long the tunnel may take to carry, at first and after something happened: OpenVPN notices a peer that is gone after
/// 5 s, and waits for up to 5 s before it connects again.
const PATIENCE: Duration = Duration::from_secs(40);

/// For how long the second program waits for the first.
const APART: Duration = Duration::from_millis(700);

/// OpenVPN asks the other end for its options after ten seconds (occ.h).
const OPTIONS_COMPARED: Duration = Duration::from_secs(12);

/// What moves goes here.
const MOVED_TO: &str = "198.51.100.77/24";

/// What came of a case.
pub(super) struct Played {
    pub(super) figures: Figures,
    pub(super) failed: Vec<String>,
}

/// A case that runs.
struct Tunnel<'a> {
    case: &'a Case,
    // Before the topology: programs end before their namespaces go.
    processes: [Process; 2],
    topology: Topology,
    figures: Figures,
    failed: Vec<String>,
}

pub(super) fn play(case: &Case, pair: Pair, programs: &Programs) -> Played {
    let mut tunnel = match Tunnel::build(case, pair, programs) {
        Ok(tunnel) => tunnel,
        Err(error) => return Played { figures: Figures::new(), failed: vec![error.to_string()] },
    };
    let gone_through = tunnel.go_through();
    let mut failed = std::mem::take(&mut tunnel.failed);
    if let Err(error) = gone_through {
        failed.push(error.to_string());
        let log =
            |process: &Process| format!("the end of the log of {}:\n{}", process.describe(), process.end_of_log());
        failed.extend(tunnel.processes.iter().map(log));
    }
    failed.extend(tunnel.processes.iter().flat_map(|process| judge(case, &process.describe(), &process.log())));
    Played { figures: tunnel.figures, failed }
}

impl<'a> Tunnel<'a> {
    fn build(case: &'a Case, pair: Pair, programs: &Programs) -> Result<Tunnel<'a>, OpenVpnError> {
        let underlay = if case.transport == Transport::Udp6 { Family::V6 } else { Family::V4 };
        let topology = Topology::build(Shape::TwoGateways, &Options { underlay, ..Options::default() })?;
        let folder = topology.lab.folder();
        let key = folder.join("static.key");
        ask(&topology.sites[0].gateway, &["openvpn", "--genkey", "secret", &key.display().to_string()])?;
        let addresses = [topology.sites[0].underlay, topology.sites[1].underlay];
        let mut processes = Vec::new();
        for (side, kind) in [Side::A, Side::B].into_iter().zip(pair.0) {
            let (site, name) = (&topology.sites[side.index()], ["a", "b"][side.index()]);
            let path = folder.join(format!("{name}.conf"));
            let text = config::of(case, side, addresses, &key);
            fs::write(&path, text).map_err(|source| OpenVpnError::File { path: path.clone(), source })?;
            let programs = programs.clone();
            let command = move |kind| {
                let mut command = programs.command(kind);
                command.arg("--config").arg(&path);
                command
            };
            let mut process = Process::new(&site.gateway, name, folder, kind, command);
            if case.has_clock(side) {
                process.with_clock(folder)?;
            }
            processes.push(process);
        }
        let Ok(processes) = processes.try_into() else { unreachable!("one for each of two sides") };
        Ok(Tunnel { case, processes, topology, figures: Figures::new(), failed: Vec::new() })
    }

    fn go_through(&mut self) -> Result<(), OpenVpnError> {
        let begun = Instant::now();
        let first = self.case.first.index();
        self.processes[first].start()?;
        thread::sleep(APART);
        self.processes[1 - first].start()?;
        let second = Instant::now();
        self.wait_for_both(1)?;
        self.note("ready_ms", second.elapsed());
        self.cross()?;
        self.go_on()?;
        thread::sleep((APART + OPTIONS_COMPARED).saturating_sub(begun.elapsed()));
        if self.case.event != Event::None {
            self.happen()?;
            let happened = Instant::now();
            self.cross_datagrams()?;
            self.note("back_ms", happened.elapsed());
            self.cross()?;
        }
        self.processes.iter_mut().try_for_each(Process::assert_runs)
    }

    fn wait_for_both(&mut self, times: usize) -> Result<(), OpenVpnError> {
        let said = "Initialization Sequence Completed";
        self.processes.iter_mut().try_for_each(|process| process.wait_for(said, times, PATIENCE))
    }

    /// Everything that a tunnel carries.
    fn cross(&mut self) -> Result<(), OpenVpnError> {
        self.cross_datagrams()?;
        let mss = stream(self.places(0), PATIENCE)?;
        self.figures.insert("mss".into(), mss.into());
        Ok(())
    }

    fn cross_datagrams(&self) -> Result<(), OpenVpnError> {
        echo_datagrams(self.places(0), PATIENCE)?;
        if self.case.ipv6 { echo_datagrams(self.places(1), PATIENCE) } else { Ok(()) }
    }

    /// Datagrams for as long as the case says, and a load besides if it says so.
    fn go_on(&mut self) -> Result<(), OpenVpnError> {
        let begun = Instant::now();
        let load = self.case.load.then(|| Soak::start(&self.topology.sites, &self.processes));
        let mut load = load.transpose()?;
        while begun.elapsed() < Duration::from_secs(self.case.seconds.into()) {
            self.cross_datagrams()?;
            if let Some(load) = &mut load {
                load.look(&self.processes);
            }
            thread::sleep(Duration::from_millis(500));
        }
        if let Some(load) = load {
            let wrong = load.finish(&self.processes, &mut self.figures)?;
            self.failed.extend(wrong);
        }
        Ok(())
    }

    /// Something happens to an end.
    fn happen(&mut self) -> Result<(), OpenVpnError> {
        let [a, b] = &mut self.processes;
        match self.case.event {
            Event::None => Ok(()),
            Event::RestartA => a.stop().and_then(|()| a.start()),
            Event::RestartB => b.stop().and_then(|()| b.start()),
            Event::KillB => {
                b.kill();
                // Without persistent ids, who starts again within the second uses some of them twice.
                thread::sleep(Duration::from_millis(1100));
                b.start()
            }
            Event::ResetA => a.signal(Signal::User1),
            Event::ResetB => b.signal(Signal::User1),
            Event::HangupB => b.signal(Signal::Hangup),
            Event::ClockBackB => b.turn_clock("-3600"),
            Event::ClockBackRestartB => {
                b.stop()?;
                b.turn_clock("-3600")?;
                b.start()
            }
            Event::MoveB => self.move_second(),
        }
    }

    fn move_second(&mut self) -> Result<(), OpenVpnError> {
        let (gateway, before) = (&self.topology.sites[1].gateway, self.topology.sites[1].underlay);
        gateway.set_sysctl("net.ipv4.conf.all.promote_secondaries", "1")?;
        ask(gateway, &["ip", "address", "add", MOVED_TO, "dev", UNDERLAY])?;
        ask(gateway, &["ip", "address", "delete", &format!("{before}/24"), "dev", UNDERLAY]).map(drop)
    }

    fn places(&self, family: usize) -> [Place<'_>; 2] {
        let inside = |end: usize| -> IpAddr { config::INSIDE[family][end].parse().expect("a constant") };
        [0, 1].map(|end| Place { node: &self.topology.sites[end].gateway, inside: inside(end) })
    }

    fn note(&mut self, figure: &str, time: Duration) {
        self.figures.insert(figure.into(), json!((time.as_secs_f64() * 1000.0).round()));
    }
}

impl Case {
    fn has_clock(&self, side: Side) -> bool {
        side == Side::B && self.turns_clocks()
    }

    pub(super) fn turns_clocks(&self) -> bool {
        matches!(self.event, Event::ClockBackB | Event::ClockBackRestartB)
    }
}

/// For reports: whether the clamped size is there.
pub(super) fn mss(played: &Played) -> Option<u64> {
    played.figures.get("mss").and_then(Value::as_u64)
}
