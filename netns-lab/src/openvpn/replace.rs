//! OpenVPN's processes are replaced one by one under traffic: `netns-lab run openvpn-replace`.
//!
//! ```text
//!  host1 ── g1: nq1 … nq4 ══ underlay ══ g2: nq1 … nq4 ── host2        32 TCP flows and 8 trains, both ways
//! ```
//! Four OpenVPN processes run at each gateway. At the first one each is ended by SIGTERM and another program started from the
//! same file, one channel after the other; then at the second one. In the run `meshtun` the new program is `meshtun openvpn`, in
//! the run `openvpn` it is OpenVPN again: what a restart costs by itself.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    OpenVpnError,
    program::{Kind, Programs},
    site::{CHANNELS, Site, Style},
};
use crate::{
    load::{
        Marker,
        steady::{Account, Plan, Steady, Stream},
    },
    program::Program,
    scenario::{Figures, Mark, Outcome, Run, hash_by_ports, millis, train_in},
    topology::{Options as Shapes, Shape, Topology},
};

/// Its name, beside the other scenarios.
pub const NAME: &str = "openvpn-replace";

/// What it shows.
pub const ABOUT: &str = "Four OpenVPN processes at each of two gateways carry 32 TCP flows over one multipath route; one after the \
     other is ended and replaced by `meshtun openvpn` with the same file, first at one gateway, then at the other: no flow dies.";

const PROTECTION: &str = "cipher AES-256-CBC\nauth SHA256\n";

const FLOWS: usize = 32;

/// Datagrams a second of each train.
const RATE: u32 = 1000;

/// How often each flow writes, and how many bytes: far below what a channel carries.
const EVERY: Duration = Duration::from_millis(20);
const SIZE: usize = 1000;

/// The first ping comes after 5 s. A peer that is gone is noticed after 30 s: should that be needed it would be a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long traffic flows before the first replacement, and after each.
const QUIET: Duration = Duration::from_secs(5);

/// The end of that time, in which every flow must have carried something.
const CARRYING: Duration = Duration::from_secs(2);

/// The longest pause of a flow that passes: TCP sends again after 0.2, 0.6, 1.4 and 3 s.
const LONGEST_GAP: Duration = Duration::from_millis(3500);

/// How long what is under way is waited for at the end.
const STRAGGLERS: Duration = Duration::from_secs(1);

/// How it is played.
pub struct Options<'a> {
    /// The meshtun program.
    pub meshtun: &'a Program,
    /// Only these runs, `openvpn` and `meshtun`; both if there are none.
    pub only: &'a [String],
    /// Told what happens, line by line.
    pub narrate: &'a dyn Fn(&str),
}

/// Plays it.
///
/// # Errors
/// A run that is not known, with those that are.
pub fn run(options: &Options<'_>) -> Result<Outcome, String> {
    if let Some(stranger) = options.only.iter().find(|name| name.parse::<Kind>().is_err()) {
        return Err(format!("{NAME} has no run {stranger:?}: it has openvpn, meshtun"));
    }
    let begun = Instant::now();
    let programs = Programs::new(options.meshtun);
    let wanted = |kind: &Kind| options.only.is_empty() || options.only.contains(&kind.to_string());
    let runs = [Kind::OpenVpn, Kind::Meshtun].into_iter().filter(wanted);
    let runs = runs.map(|kind| play_one(kind, &programs, options.narrate)).collect();
    let seconds = (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    Ok(Outcome { scenario: NAME.into(), seed: 0, seconds, runs })
}

/// `kind`: what takes the place of each process.
fn play_one(kind: Kind, programs: &Programs, narrate: &dyn Fn(&str)) -> Run {
    narrate(&format!("── {NAME}: each process by {kind} ──"));
    let mut run = Run { name: kind.to_string(), figures: Figures::new(), phases: Vec::new(), failed: Vec::new() };
    run.failed.extend(programs.missing(Kind::OpenVpn).into_iter().chain(programs.missing(kind)));
    if run.failed.is_empty()
        && let Err(error) = play(kind, programs, &mut run, narrate)
    {
        run.failed.push(error.to_string());
    }
    run.tell(narrate);
    run
}

fn play(kind: Kind, programs: &Programs, run: &mut Run, narrate: &dyn Fn(&str)) -> Result<(), OpenVpnError> {
    let topology = Topology::build(Shape::TwoGateways, &Shapes::default())?;
    for site in &topology.sites {
        hash_by_ports(&site.gateway)?;
        // What comes by one channel may be answered by another.
        for devices in ["all", "default"] {
            site.gateway.set_sysctl(&format!("net.ipv4.conf.{devices}.rp_filter"), "0")?;
        }
    }
    let style = Style { protection: PROTECTION, recorded: false };
    let mut sites = Site::both(&topology, [Kind::OpenVpn; 2], programs, style)?;
    for channel in 0..CHANNELS {
        sites.iter_mut().try_for_each(|site| site.start(channel))?;
    }
    wait_for_routes(&mut sites)?;
    let load = Steady::start(plan(&topology, &sites)?)?;
    let mut playing = Playing { kind, programs, sites, load, narrate, marks: Vec::new(), run };
    let gone_through = playing.go_through();
    // What it suffered is told in any case.
    let concluded = playing.conclude();
    gone_through.and(concluded)
}

/// Trains in each channel both ways, and flows both ways.
fn plan(topology: &Topology, sites: &[Site; 2]) -> Result<Plan, OpenVpnError> {
    let [one, two] = [&topology.sites[0], &topology.sites[1]];
    let ways = [(one, two, &sites[0]), (two, one, &sites[1])];
    let mut trains = Vec::new();
    for (from, to, site) in ways {
        for (channel, device) in (0..).zip(site.devices()?) {
            trains.push(train_in(from, to, channel, &device.unwrap_or_default())?);
        }
    }
    let stream = |number: usize| {
        let (from, to, _) = ways[number % ways.len()];
        let (name, destination) = (format!("{}→{} flow {number}", from.name(), to.name()), to.host_v4.into());
        Stream { name, from: from.host.clone(), to: to.host.clone(), destination }
    };
    let streams = (0..FLOWS).map(stream).collect();
    Ok(Plan { trains, rate: RATE, streams, every: EVERY, size: SIZE, marker: Marker::random()? })
}

/// Waits until every channel of both gateways is in its route.
fn wait_for_routes(sites: &mut [Site; 2]) -> Result<(), OpenVpnError> {
    let begun = Instant::now();
    loop {
        let devices = [sites[0].devices()?, sites[1].devices()?];
        if devices.iter().flatten().all(Option::is_some) {
            return Ok(());
        }
        if begun.elapsed() >= PATIENCE {
            let logs = sites.iter().map(Site::logs).collect::<Vec<_>>().join("\n--\n");
            let what =
                format!("after {PATIENCE:?} the devices in the routes are {devices:?}; the ends of the logs:\n{logs}");
            return Err(OpenVpnError::Process(what));
        }
        sites.iter_mut().try_for_each(Site::assert_run)?;
        thread::sleep(Duration::from_millis(20));
    }
}

/// A run on its way.
struct Playing<'a> {
    kind: Kind,
    programs: &'a Programs,
    // Before the processes: it sends through them.
    load: Steady,
    sites: [Site; 2],
    narrate: &'a dyn Fn(&str),
    marks: Vec<Mark>,
    run: &'a mut Run,
}

impl Playing<'_> {
    fn go_through(&mut self) -> Result<(), OpenVpnError> {
        self.phase("before", "OpenVPN runs at both gateways");
        thread::sleep(QUIET);
        for (at, gateway) in [(0, "g1"), (1, "g2")] {
            for channel in 0..CHANNELS {
                let name = format!("{gateway} nq{}", channel + 1);
                self.phase(&name, &format!("its process is ended, and {} started from the same file", self.kind));
                let begun = Instant::now();
                self.sites[at].replace(channel, self.kind)?;
                wait_for_routes(&mut self.sites)?;
                self.note("back_in_route_ms", millis(begun.elapsed()));
                thread::sleep(QUIET);
            }
            self.phase(&format!("{gateway} is replaced"), "nothing happens");
            thread::sleep(QUIET);
            let paths = self.sites[at].programs();
            self.run.figures.insert(format!("programs_{gateway}"), json!(paths));
            if !paths.iter().all(|path| self.programs.is(self.kind, path)) {
                self.run.failed.push(format!("{gateway} runs {paths:?}, and not {}", self.kind));
            }
        }
        self.sites.iter_mut().try_for_each(Site::assert_run)
    }

    fn phase(&mut self, name: &str, say: &str) {
        let at = self.load.now();
        (self.narrate)(&format!("[{:6.1} s] {name}: {say}", at.as_secs_f64()));
        self.marks.push(Mark { at, handshakes: None });
        self.run.phases.push((name.to_owned(), Figures::new()));
    }

    fn note(&mut self, figure: &str, value: serde_json::Value) {
        if let Some((_, figures)) = self.run.phases.last_mut() {
            figures.insert(figure.to_owned(), value);
        }
    }

    fn conclude(self) -> Result<(), OpenVpnError> {
        let Playing { load, sites, marks, run, .. } = self;
        let account = load.stop(STRAGGLERS)?;
        run.account(&account, &marks, None);
        let complaints: Vec<_> = sites.iter().flat_map(Site::complaints).collect();
        run.figures.insert("complaints".into(), complaints.len().into());
        run.failed.extend(complaints);
        judge(run, &account, &marks);
        Ok(())
    }
}

/// Every flow must have gone on after each replacement, soon, and to the end.
fn judge(run: &mut Run, account: &Account, marks: &[Mark]) {
    let ends = marks.iter().skip(1).map(|mark| mark.at).chain([account.over()]);
    for ((mark, end), (phase, figures)) in marks.iter().zip(ends).zip(&mut run.phases) {
        let carrying = FLOWS as u64 - account.flows(end.saturating_sub(CARRYING)..end).silent;
        figures.insert("tcp_carrying".into(), carrying.into());
        if carrying < FLOWS as u64 {
            run.failed.push(format!("{phase}: {carrying} of {FLOWS} flows carried something in its last {CARRYING:?}"));
        }
        let flows = account.flows(mark.at..end);
        if flows.gap > LONGEST_GAP {
            run.failed.push(format!("{phase}: nothing came of {} for {:?}", flows.gap_of, flows.gap));
        }
    }
    let dead = account.flows(Duration::ZERO..account.over()).dead;
    if dead > 0 {
        run.failed.push(format!("{dead} of {FLOWS} flows died"));
    }
}
