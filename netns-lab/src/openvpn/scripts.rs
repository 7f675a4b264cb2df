//! Four OpenVPN processes at each of two gateways, whose scripts edit one multipath route: `netns-lab run openvpn-scripts`.
//!
//! Each process is as people run several for one link: `ping 5`, `ping-restart 30`, `up-delay`, `down-pre`, `up-restart`, a
//! Perl script that keeps the route under a lock. How each script is called is recorded, arguments and environment. The first
//! gateway runs OpenVPN in one run, meshtun in the other, the second OpenVPN in both; and the records, and the routes after each
//! step, must be equal but for process numbers and times.

mod trace;

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use meshtun_sys::process::Signal;
use serde_json::json;

use self::trace::{Call, differences};
use super::{
    OpenVpnError,
    program::{Kind, Programs},
    site::{CHANNELS, Site, Style},
};
use crate::{
    program::Program,
    scenario::{Figures, Outcome, Run},
    topology::{Options as Shapes, Shape, Topology},
};

/// Its name, beside the other scenarios.
pub const NAME: &str = "openvpn-scripts";

/// What it shows.
pub const ABOUT: &str = "Four processes with a static key at each of two gateways, whose up and down scripts edit one \
     multipath route under a lock: the same scripts are called in the same way by OpenVPN and by `meshtun openvpn`, and leave \
     the same routes.";

/// The first ping comes after 5 s, a peer that is gone is noticed after 30 s, and the process waits 2 s before it connects
/// again.
const PATIENCE: Duration = Duration::from_secs(60);

/// How it is played.
pub struct Options<'a> {
    /// The meshtun program.
    pub meshtun: &'a Program,
    /// Only these runs, `openvpn` and `meshtun`; both if there are none.
    pub only: &'a [String],
    /// Told what happens, line by line.
    pub narrate: &'a dyn Fn(&str),
}

/// What a run leaves: how the scripts of each process of the first gateway were called, and the routes after each step.
#[derive(Default)]
struct Record {
    calls: Vec<Vec<Call>>,
    routes: Vec<(String, [String; 2])>,
}

/// Plays it.
///
/// # Errors
/// A run that is not known, with those that are.
pub fn run(options: &Options<'_>) -> Result<Outcome, String> {
    let kinds = [Kind::OpenVpn, Kind::Meshtun];
    if let Some(stranger) = options.only.iter().find(|name| name.parse::<Kind>().is_err()) {
        return Err(format!("{NAME} has no run {stranger:?}: it has openvpn, meshtun"));
    }
    let begun = Instant::now();
    let programs = Programs::new(options.meshtun);
    let wanted = |kind: &Kind| options.only.is_empty() || options.only.contains(&kind.to_string());
    let mut reference = None;
    let mut runs = Vec::new();
    for kind in kinds.into_iter().filter(wanted) {
        (options.narrate)(&format!("── {NAME}: {kind} at g1 ──"));
        let (run, record) = play_one(kind, &programs, reference.as_ref(), options.narrate);
        run.failed.iter().for_each(|what| (options.narrate)(&format!("NOT PASSED: {what}")));
        if run.failed.is_empty() {
            (options.narrate)("passed");
        }
        reference = reference.or(Some(record).filter(|_| kind == Kind::OpenVpn));
        runs.push(run);
    }
    let seconds = (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    Ok(Outcome { scenario: NAME.into(), seed: 0, seconds, runs })
}

fn play_one(kind: Kind, programs: &Programs, reference: Option<&Record>, narrate: &dyn Fn(&str)) -> (Run, Record) {
    let mut run = Run { name: kind.to_string(), figures: Figures::new(), phases: Vec::new(), failed: Vec::new() };
    let mut record = Record::default();
    run.failed.extend(programs.missing(Kind::OpenVpn).into_iter().chain(programs.missing(kind)));
    if !run.failed.is_empty() {
        return (run, record);
    }
    if let Err(error) = play(kind, programs, &mut record, narrate) {
        run.failed.push(error.to_string());
    }
    run.figures.insert("calls".into(), record.calls.iter().map(Vec::len).sum::<usize>().into());
    let traces: Vec<Vec<String>> = record.calls.iter().map(|calls| calls.iter().map(Call::words).collect()).collect();
    run.figures.insert("trace".into(), json!(traces));
    run.figures.insert("routes".into(), json!(record.routes));
    if let Some(reference) = reference {
        let differing = record.differences(reference);
        run.figures.insert("differences".into(), differing.len().into());
        run.failed.extend(differing);
    }
    (run, record)
}

impl Record {
    /// What is other than in the reference, in words.
    fn differences(&self, reference: &Record) -> Vec<String> {
        let of_channel = |(number, (ours, theirs)): (usize, (&Vec<Call>, &Vec<Call>))| {
            differences(ours, theirs)
                .into_iter()
                .map(move |what| format!("channel {}: {what}", number + 1))
                .collect::<Vec<_>>()
        };
        let calls = self.calls.iter().zip(&reference.calls).enumerate().flat_map(of_channel);
        let routes = self.routes.iter().zip(&reference.routes).filter(|(ours, theirs)| ours != theirs);
        let routes = routes.map(|((step, ours), (_, theirs))| {
            format!("routes after {step:?} are {ours:?}, and with OpenVPN {theirs:?}")
        });
        calls.chain(routes).collect()
    }
}

fn play(kind: Kind, programs: &Programs, record: &mut Record, narrate: &dyn Fn(&str)) -> Result<(), OpenVpnError> {
    let topology = Topology::build(Shape::TwoGateways, &Shapes::default())?;
    let style = Style { protection: "cipher AES-256-CBC\n", recorded: true };
    let sites = Site::both(&topology, [kind, Kind::OpenVpn], programs, style)?;
    let mut stage = Stage { sites, known: [0; CHANNELS], record, narrate, begun: Instant::now() };
    let played = stage.go_through();
    stage.record.calls = (0..CHANNELS).map(|channel| stage.calls(channel)).collect::<Result<_, _>>()?;
    played
}

struct Stage<'a> {
    sites: [Site; 2],
    /// How many calls of each process of the first gateway were waited for.
    known: [usize; CHANNELS],
    record: &'a mut Record,
    narrate: &'a dyn Fn(&str),
    begun: Instant,
}

impl Stage<'_> {
    fn go_through(&mut self) -> Result<(), OpenVpnError> {
        for channel in 0..CHANNELS {
            self.sites.iter_mut().try_for_each(|site| site.start(channel))?;
        }
        self.settle("all are started", [4, 4])?;
        for site in &self.sites {
            site.block(&[1, 2], true)?;
        }
        self.settle("channels 2 and 3 are blocked", [2, 2])?;
        for site in &self.sites {
            site.block(&[1, 2], false)?;
        }
        self.settle("they pass again", [4, 4])?;
        self.sites[0].stop(2)?;
        self.settle("channel 3 is stopped at g1", [3, 4])?;
        self.sites[0].start(2)?;
        self.settle("it is started again", [4, 4])?;
        for channel in [0, 3] {
            self.signal(channel, Signal::User1)?;
        }
        self.wait_for_calls([0, 3])?;
        self.settle("channels 1 and 4 of g1 get SIGUSR1", [4, 4])?;
        self.signal(1, Signal::Hangup)?;
        self.wait_for_calls([1])?;
        self.settle("channel 2 of g1 gets SIGHUP", [4, 4])?;
        for channel in 0..CHANNELS {
            self.sites.iter_mut().try_for_each(|site| site.stop(channel))?;
        }
        self.settle("all are stopped", [0, 0])
    }

    /// How the scripts of a process of the first gateway were called so far.
    fn calls(&self, channel: usize) -> Result<Vec<Call>, OpenVpnError> {
        let (path, folder) = (self.sites[0].trace(channel), self.sites[0].folder().display().to_string());
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text.map_err(|source| OpenVpnError::File { path, source })?,
        };
        Ok(trace::read(&text, &folder))
    }

    /// Sends a signal; what the scripts were called for before is known from here on.
    fn signal(&mut self, channel: usize, signal: Signal) -> Result<(), OpenVpnError> {
        self.known[channel] = self.calls(channel)?.len();
        self.sites[0].signal(channel, signal)
    }

    /// Waits until each site routes into so many channels, and notes how.
    fn settle(&mut self, step: &str, hops: [usize; 2]) -> Result<(), OpenVpnError> {
        let begun = Instant::now();
        loop {
            let routes = [self.sites[0].routes()?, self.sites[1].routes()?];
            if routes.iter().zip(hops).all(|(route, hops)| route.matches("via ").count() == hops) {
                let at = self.begun.elapsed().as_secs_f64();
                (self.narrate)(&format!(
                    "[{at:6.1} s] {step}: g1 routes into {} channels, g2 into {}",
                    hops[0], hops[1]
                ));
                self.record.routes.push((step.to_owned(), routes));
                return Ok(());
            }
            if begun.elapsed() >= PATIENCE {
                let logs = self.sites.iter().map(Site::logs).collect::<Vec<_>>().join("\n--\n");
                let what =
                    format!("{step}: after {PATIENCE:?} the routes are {routes:?}; the ends of the logs:\n{logs}");
                return Err(OpenVpnError::Process(what));
            }
            self.sites.iter_mut().try_for_each(Site::assert_run)?;
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until each of these channels of the first site has gone down and come up once more than before.
    fn wait_for_calls<const N: usize>(&mut self, channels: [usize; N]) -> Result<(), OpenVpnError> {
        let begun = Instant::now();
        let step = self.record.routes.len();
        loop {
            let mut all = true;
            for channel in channels {
                let calls = self.calls(channel)?;
                all &= calls.last().is_some_and(|call| call.script() == "up") && calls.len() > self.known[channel];
            }
            if all {
                return Ok(());
            }
            if begun.elapsed() >= PATIENCE {
                return Err(OpenVpnError::Process(format!("step {step}: no script was called within {PATIENCE:?}")));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}
