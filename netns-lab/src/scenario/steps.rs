//! A scenario whose file was found right: everything that it names is there.

use std::{collections::BTreeSet, ops::Range, path::Path, time::Duration};

use toml::Spanned;

use super::{
    action::{Action, Chaos, Place, Weather},
    file::{self, Begin, CableKind, File, Flap, PathEntry, Problem, RunEntry, Source, StepEntry, ToolKind, Where},
};
use crate::mesh::Pairs;

/// A scenario that can be played.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it shows, for people.
    pub about: String,
    pub(super) sites: u8,
    pub(super) channels: u16,
    pub(super) cable: CableKind,
    pub(super) begin: Begin,
    pub(super) load: Load,
    pub(super) runs: Vec<RunSetup>,
    pub(super) steps: Vec<Step>,
    pub(super) expect: Vec<Expect>,
}

#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) train_rate: u32,
    pub(super) tcp_flows: u16,
    pub(super) tcp_every: Duration,
    pub(super) tcp_size: usize,
}

/// One time through all steps.
#[derive(Clone, Debug)]
pub(super) struct RunSetup {
    pub(super) name: String,
    pub(super) tool: ToolKind,
    pub(super) defaults: Pairs,
    pub(super) slower: f64,
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) phase: Option<String>,
    pub(super) say: Option<String>,
    pub(super) lasts: Duration,
    pub(super) action: Action,
}

/// A bound for a figure.
#[derive(Clone, Debug)]
pub(super) struct Expect {
    /// `PHASE.FIGURE`, or a figure of the whole run.
    pub(super) figure: String,
    pub(super) run: Option<String>,
    pub(super) at_most: Option<f64>,
    pub(super) at_least: Option<f64>,
    pub(super) why: String,
}

impl Scenario {
    /// Reads a scenario from a file's text; `name` is what it is called, `file` where errors are said to be.
    ///
    /// # Errors
    /// The first [`Problem`].
    pub fn parse(name: &str, file: &str, text: &str) -> Result<Scenario, Problem> {
        let source = Source { name: file, text };
        let raw = file::read(source)?;
        Checker { source, raw: &raw }.check(name)
    }

    /// Reads a scenario from a file, and calls it as the file.
    ///
    /// # Errors
    /// The first [`Problem`]; that the file cannot be read is one.
    pub fn open(path: &Path) -> Result<Scenario, Problem> {
        let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Scenario::parse(&name, &path.display().to_string(), &file::load(path)?)
    }

    /// How long its steps last, each run after the other.
    pub fn duration(&self) -> Duration {
        let once: Duration = self.steps.iter().map(|step| step.lasts).sum();
        self.runs.iter().map(|run| once.mul_f64(run.slower)).sum()
    }

    /// Leaves only the runs of these names.
    ///
    /// # Errors
    /// A name that no run has, with those that there are.
    pub fn only(mut self, names: &[String]) -> Result<Scenario, String> {
        let known: Vec<_> = self.runs.iter().map(|run| run.name.clone()).collect();
        if let Some(stranger) = names.iter().find(|name| !known.contains(name)) {
            return Err(format!("{} has no run {stranger:?}: it has {}", self.name, known.join(", ")));
        }
        self.runs.retain(|run| names.contains(&run.name));
        Ok(self)
    }

    /// Makes each step of random faults last so long; those before and after it stay.
    ///
    /// # Errors
    /// If no step has random faults.
    pub fn last(mut self, chaos: Duration) -> Result<Scenario, String> {
        let mut steps = self.steps.iter_mut().filter(|step| matches!(step.action, Action::Chaos(_))).peekable();
        if steps.peek().is_none() {
            return Err(format!("{} has no random faults: only those can be told how long to last", self.name));
        }
        // The first is the one with everything in it.
        if let Some(step) = steps.next() {
            step.lasts = chaos;
        }
        Ok(self)
    }
}

/// The figures of a stretch of time, that expectations may name.
const PHASE_FIGURES: &[&str] = &[
    "train_sent",
    "train_lost",
    "train_lossy",
    "train_gap_ms",
    "train_duplicated",
    "train_reordered",
    "train_back_ms",
    "sender_standstill_ms",
    "tcp_gap_ms",
    "tcp_stalled",
    "tcp_dead",
    "up_ms",
];

/// The figures of a whole run.
const RUN_FIGURES: &[&str] = &[
    "clear_packets",
    "train_sent",
    "train_lost",
    "tcp_dead",
    "blocked_packets",
    "descriptors_leaked",
    "threads_leaked",
    "uncounted",
    "carrier_changes",
    "failed_commands",
    "faults",
];

struct Checker<'a> {
    source: Source<'a>,
    raw: &'a File,
}

impl Checker<'_> {
    fn check(&self, name: &str) -> Result<Scenario, Problem> {
        let raw = self.raw;
        self.within(&raw.sites, 2..=3, "sites")?;
        self.within(&raw.channels, 1..=16, "channels")?;
        self.within(&raw.load.train_rate, 0..=10_000, "train-rate")?;
        self.within(&raw.load.tcp_flows, 0..=256, "tcp-flows")?;
        self.within(&raw.load.tcp_size, 1..=65_536, "tcp-size")?;
        if raw.load.tcp_every.get_ref().0.is_zero() {
            return Err(self.source.problem(Some(raw.load.tcp_every.span()), "tcp-every must be more than nothing"));
        }
        if raw.begin == Begin::Blocked && *raw.load.tcp_flows.get_ref() > 0 {
            let what = "with begin = \"blocked\" no connection can be made before the load begins: say tcp-flows = 0";
            return Err(self.source.problem(Some(raw.load.tcp_flows.span()).filter(|at| at.end > 0), what));
        }
        let runs = self.runs()?;
        let steps = self.steps()?;
        let expect = self.expect(&runs, &steps)?;
        Ok(Scenario {
            name: name.to_owned(),
            about: raw.about.split_whitespace().collect::<Vec<_>>().join(" "),
            sites: *raw.sites.get_ref(),
            channels: *raw.channels.get_ref(),
            cable: raw.cable,
            begin: raw.begin,
            load: Load {
                train_rate: *raw.load.train_rate.get_ref(),
                tcp_flows: *raw.load.tcp_flows.get_ref(),
                tcp_every: raw.load.tcp_every.get_ref().0,
                tcp_size: *raw.load.tcp_size.get_ref(),
            },
            runs,
            steps,
            expect,
        })
    }

    fn runs(&self) -> Result<Vec<RunSetup>, Problem> {
        let mut names = BTreeSet::new();
        let setup = |run: &RunEntry| {
            let name = run.name.get_ref().clone();
            if !names.insert(name.clone()) {
                return Err(self.source.problem(Some(run.name.span()), format!("two runs are called {name:?}")));
            }
            if run.tool == ToolKind::Openvpn && (*self.raw.sites.get_ref() != 2 || self.raw.begin == Begin::Blocked) {
                let what = "OpenVPN plays with two sites only, and not blocked from the beginning";
                return Err(self.source.problem(Some(run.name.span()), what));
            }
            let slower = run.slower.as_ref().map_or(1.0, |slower| *slower.get_ref());
            if !(slower > 0.0 && slower <= 1000.0) {
                let at = run.slower.as_ref().map(Spanned::span);
                return Err(self.source.problem(at, "slower must be more than 0 and at most 1000"));
            }
            let mut defaults = self.raw.defaults.clone();
            defaults.extend(run.defaults.clone());
            Ok(RunSetup { name, tool: run.tool, defaults: file::pairs(&defaults), slower })
        };
        if self.raw.runs.is_empty() {
            let defaults = file::pairs(&self.raw.defaults);
            return Ok(vec![RunSetup { name: "meshtun".into(), tool: ToolKind::Meshtun, defaults, slower: 1.0 }]);
        }
        self.raw.runs.iter().map(setup).collect()
    }

    fn steps(&self) -> Result<Vec<Step>, Problem> {
        if self.raw.steps.is_empty() {
            return Err(self.source.problem(None, "it has no [[steps]]"));
        }
        let mut phases = BTreeSet::new();
        self.raw.steps.iter().map(|step| self.step(step, &mut phases)).collect()
    }

    fn step(&self, step: &Spanned<StepEntry>, phases: &mut BTreeSet<String>) -> Result<Step, Problem> {
        let (span, step) = (step.span(), step.get_ref());
        if let Some(phase) = &step.phase {
            let name = phase.get_ref();
            if name.is_empty() || name.contains('.') || !phases.insert(name.clone()) {
                let what = format!("a phase is called {name:?}: give each a name of its own, without dots");
                return Err(self.source.problem(Some(phase.span()), what));
            }
        }
        let lasts = step.lasts.as_ref().map_or(Duration::ZERO, |lasts| lasts.get_ref().0);
        let action = self.action(span, step)?;
        let endless = matches!(action, Action::Flap { .. } | Action::Chaos(_));
        if endless && lasts.is_zero() {
            let at = step.flap.as_ref().map(Spanned::span).or(step.chaos.as_ref().map(Spanned::span));
            return Err(self.source.problem(at, "it goes on as long as the step lasts: say how long, lasts = \"30s\""));
        }
        Ok(Step {
            phase: step.phase.as_ref().map(|phase| phase.get_ref().clone()),
            say: step.say.clone(),
            lasts,
            action,
        })
    }

    fn action(&self, span: Range<usize>, step: &StepEntry) -> Result<Action, Problem> {
        let mut actions = Vec::new();
        for (entry, blocked) in [(&step.block, true), (&step.unblock, false)] {
            if let Some(entry) = entry {
                actions.push(Action::Block { place: self.place(entry.span(), entry.get_ref())?, blocked });
            }
        }
        if let Some(entry) = &step.path {
            actions.push(self.path(entry)?);
        }
        let gateway = |entry: &Spanned<String>| self.gateways(entry.span(), Some(entry.get_ref()), false);
        if let Some(entry) = &step.kill {
            actions.push(Action::Kill(gateway(entry)?));
        }
        if let Some(entry) = &step.stop {
            actions.push(Action::Stop(gateway(entry)?));
        }
        if let Some(entry) = &step.start {
            actions.push(Action::Start(gateway(entry)?));
        }
        if let Some(entry) = &step.meshtun {
            let asked = entry.get_ref();
            let at = self.gateways(entry.span(), Some(&asked.at), false)?;
            actions.push(Action::Meshtun { at, command: asked.command.clone(), may_fail: asked.may_fail });
        }
        if let Some(entry) = &step.run {
            let asked = entry.get_ref();
            let at = self.node(entry.span(), &asked.at)?;
            actions.push(Action::Run { at, command: asked.command.clone(), may_fail: asked.may_fail });
        }
        if let Some(entry) = &step.reload {
            let reload = entry.get_ref();
            let at = self.gateways(entry.span(), reload.at.as_ref(), true)?;
            if reload.channels.is_some_and(|channels| !(1..=16).contains(&channels)) {
                return Err(self.source.problem(Some(entry.span()), "channels must be from 1 to 16"));
            }
            actions.push(Action::Reload { at, channels: reload.channels, defaults: file::pairs(&reload.defaults) });
        }
        if let Some(entry) = &step.wait_up {
            actions.push(Action::WaitUp(entry.get_ref().0));
        }
        if let Some(entry) = &step.flap {
            actions.push(self.flap(entry)?);
        }
        if let Some(entry) = &step.chaos {
            self.must_be_faulty(entry.span())?;
            let raw = entry.get_ref();
            let or = |time: Option<file::Time>, seconds| time.map_or(Duration::from_secs(seconds), |time| time.0);
            let (every, longest) = (or(raw.every, 3), or(raw.longest, 8));
            if every.is_zero() || longest.is_zero() {
                return Err(self.source.problem(Some(entry.span()), "every and longest must be more than nothing"));
            }
            actions.push(Action::Chaos(Chaos { every, longest, only_paths: raw.only_paths }));
        }
        if let Some(count) = step.count {
            if self.raw.cable != CableKind::Faulty {
                self.must_be_faulty(span.clone())?;
            }
            actions.push(Action::Count(count));
        }
        match actions.len() {
            0 => Ok(Action::Rest),
            1 => Ok(actions.swap_remove(0)),
            _ => Err(self.source.problem(Some(span), "a step does one thing: make several steps of this one")),
        }
    }

    fn path(&self, entry: &Spanned<PathEntry>) -> Result<Action, Problem> {
        let raw = entry.get_ref();
        self.must_be_faulty(entry.span())?;
        for (name, share) in
            [("loss", raw.loss), ("reorder", raw.reorder), ("duplicate", raw.duplicate), ("corrupt", raw.corrupt)]
        {
            if !(0.0..=1.0).contains(&share) {
                return Err(self.source.problem(Some(entry.span()), format!("{name} is a share, from 0 to 1")));
            }
        }
        if raw.burst < 1.0 || raw.megabits.is_some_and(|rate| rate <= 0.0) {
            let what = "burst is a number of packets, at least 1; megabits must be more than 0";
            return Err(self.source.problem(Some(entry.span()), what));
        }
        let place = Where { channels: raw.channels.clone(), from: raw.from.clone(), to: raw.to.clone() };
        let weather = Weather {
            delay: raw.delay.0,
            jitter: raw.jitter.0,
            loss: raw.loss,
            burst: raw.burst,
            reorder: raw.reorder,
            duplicate: raw.duplicate,
            corrupt: raw.corrupt,
            bits_per_second: raw.megabits.map(|rate| (rate * 1e6) as u64),
            queue: raw.queue,
            blocked: raw.blocked,
        };
        Ok(Action::Path { place: self.place(entry.span(), &place)?, weather })
    }

    fn flap(&self, entry: &Spanned<Flap>) -> Result<Action, Problem> {
        let raw = entry.get_ref();
        let place = Where { channels: Some(raw.channels.clone()), from: raw.from.clone(), to: raw.to.clone() };
        if raw.down.0.is_zero() || raw.up.0.is_zero() {
            return Err(self.source.problem(Some(entry.span()), "up and down must be more than nothing"));
        }
        Ok(Action::Flap { place: self.place(entry.span(), &place)?, down: raw.down.0, up: raw.up.0 })
    }

    fn must_be_faulty(&self, span: Range<usize>) -> Result<(), Problem> {
        if self.raw.cable == CableKind::Faulty {
            return Ok(());
        }
        Err(self
            .source
            .problem(Some(span), "a plain cable has no such faults: say cable = \"faulty\" at the beginning"))
    }

    /// Which ways a place means: one way if only `from` or only `to` leaves no doubt, both ways if neither is given.
    fn place(&self, span: Range<usize>, entry: &Where) -> Result<Place, Problem> {
        let sites = *self.raw.sites.get_ref();
        let number = |name: &Option<String>| match name {
            None => Ok(None),
            Some(name) => Ok(Some(self.gateways(span.clone(), Some(name), false)?[0])),
        };
        let (from, to) = (number(&entry.from)?, number(&entry.to)?);
        if from.is_some() && from == to {
            return Err(self.source.problem(Some(span), "from and to are the same gateway"));
        }
        if let Some(channel) = entry.channels.iter().flatten().find(|channel| **channel >= 16) {
            return Err(self.source.problem(Some(span), format!("there is no channel {channel}: the last is 15")));
        }
        let all = (0..sites).flat_map(|one| (0..sites).map(move |other| (usize::from(one), usize::from(other))));
        let ways = all.filter(|(one, other)| {
            one != other && from.is_none_or(|from| from == *one) && to.is_none_or(|to| to == *other)
        });
        Ok(Place { channels: entry.channels.clone(), ways: ways.collect() })
    }

    /// Gateways by name, counted from 0.
    fn gateways(&self, span: Range<usize>, name: Option<&String>, all: bool) -> Result<Vec<usize>, Problem> {
        let sites = usize::from(*self.raw.sites.get_ref());
        let Some(name) = name.filter(|name| *name != "all") else { return Ok((0..sites).collect()) };
        let found = name.strip_prefix('g').and_then(|number| number.parse::<usize>().ok());
        if let Some(number) = found.filter(|number| (1..=sites).contains(number)) {
            return Ok(vec![number - 1]);
        }
        let names: Vec<_> = (1..=sites).map(|number| format!("g{number}")).collect();
        let or_all = if all { " or leave it out for all" } else { "" };
        let what = format!("there is no gateway {name:?}: say {} or \"all\"{or_all}", names.join(", "));
        Err(self.source.problem(Some(span), what))
    }

    fn node(&self, span: Range<usize>, name: &str) -> Result<String, Problem> {
        let sites = usize::from(*self.raw.sites.get_ref());
        let known = (1..=sites).flat_map(|number| [format!("g{number}"), format!("host{number}")]);
        let known: Vec<_> = known.chain(["internet".to_owned()]).collect();
        if known.iter().any(|node| node == name) {
            return Ok(name.to_owned());
        }
        Err(self.source.problem(Some(span), format!("there is no node {name:?}: there are {}", known.join(", "))))
    }

    fn expect(&self, runs: &[RunSetup], steps: &[Step]) -> Result<Vec<Expect>, Problem> {
        let check = |entry: &Spanned<file::ExpectEntry>| {
            let raw = entry.get_ref();
            let problem = |what: String| self.source.problem(Some(entry.span()), what);
            if raw.at_most.is_none() && raw.at_least.is_none() {
                return Err(problem(format!("say what {} must be: at-most or at-least", raw.figure)));
            }
            if let Some(run) = raw.run.as_ref().filter(|run| runs.iter().all(|known| known.name != **run)) {
                return Err(problem(format!("there is no run {run:?}")));
            }
            let known = match raw.figure.split_once('.') {
                Some((phase, figure)) => {
                    if !steps.iter().any(|step| step.phase.as_deref() == Some(phase)) {
                        return Err(problem(format!("there is no phase {phase:?}")));
                    }
                    PHASE_FIGURES.contains(&figure).then_some(()).ok_or(PHASE_FIGURES)
                }
                None => RUN_FIGURES.contains(&raw.figure.as_str()).then_some(()).ok_or(RUN_FIGURES),
            };
            known.map_err(|known| {
                problem(format!("there is no figure {}: there are {}", raw.figure, known.join(", ")))
            })?;
            let file::ExpectEntry { figure, run, at_most, at_least, why } = raw.clone();
            Ok(Expect { figure, run, at_most, at_least, why })
        };
        self.raw.expect.iter().map(check).collect()
    }

    fn within<T: PartialOrd + Copy + std::fmt::Display>(
        &self,
        value: &Spanned<T>,
        range: std::ops::RangeInclusive<T>,
        name: &str,
    ) -> Result<(), Problem> {
        if range.contains(value.get_ref()) {
            return Ok(());
        }
        let what = format!("{name} must be from {} to {}, not {}", range.start(), range.end(), value.get_ref());
        Err(self.source.problem(Some(value.span()), what))
    }
}
