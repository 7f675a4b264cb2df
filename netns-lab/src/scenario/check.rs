//! Whether everything that a scenario's file names is there.

mod action;

use std::{collections::BTreeSet, time::Duration};

use toml::Spanned;

use super::{
    action::Action,
    file::{self, Begin, CableKind, File, Problem, RunEntry, Source, StepEntry, ToolKind},
    steps::{Expect, Load, RunSetup, Scenario, Step},
};

/// Makes a scenario of a file, or tells the first problem.
pub(super) fn check(name: &str, source: Source<'_>, raw: &File) -> Result<Scenario, Problem> {
    Checker { source, raw }.check(name)
}

/// The figure for which trains must be followed.
pub(super) const SINCE_BLOCK: &str = "train_gap_since_block_ms";

/// The figures of a stretch of time, that expectations may name.
const PHASE_FIGURES: &[&str] = &[
    "train_sent",
    "train_lost",
    "train_lossy",
    "train_gap_ms",
    SINCE_BLOCK,
    "train_duplicated",
    "train_reordered",
    "train_back_ms",
    "train_first_ms",
    "sender_standstill_ms",
    "tcp_gap_ms",
    "tcp_stalled",
    "tcp_dead",
    "up_ms",
    "handshakes",
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
        self.within(&raw.paths, 1..=2, "paths")?;
        let has_second = *raw.paths.get_ref() == 2;
        let is_usual = *raw.sites.get_ref() == 2 && raw.cable == CableKind::Plain;
        if has_second && (!is_usual || raw.runs.iter().any(|run| run.tool == ToolKind::Openvpn)) {
            let what = "two paths are between two sites with meshtun and a plain cable only";
            return Err(self.source.problem(Some(raw.paths.span()), what));
        }
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
        let roams = match &raw.roams {
            Some(name) => Some(self.gateways(name.span(), Some(name.get_ref()), false)?[0]),
            None => None,
        };
        let runs = self.runs()?;
        let steps = self.steps()?;
        let expect = self.expect(&runs, &steps)?;
        Ok(Scenario {
            name: name.to_owned(),
            about: raw.about.split_whitespace().collect::<Vec<_>>().join(" "),
            sites: *raw.sites.get_ref(),
            channels: *raw.channels.get_ref(),
            cable: raw.cable,
            has_second,
            begin: raw.begin,
            roams,
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
