//! A scenario whose file was found right: everything that it names is there.

use std::{path::Path, time::Duration};

use super::{
    action::Action,
    check,
    file::{self, Begin, CableKind, Problem, Source, ToolKind},
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
    /// Whether there is a second cable, and the link's channels are dealt over both.
    pub(super) has_second: bool,
    pub(super) begin: Begin,
    /// The gateway whose address the others are not told.
    pub(super) roams: Option<usize>,
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
        check::check(name, source, &file::read(source)?)
    }

    /// Reads a scenario from a file, and calls it as the file.
    ///
    /// # Errors
    /// The first [`Problem`]; that the file cannot be read is one.
    pub fn open(path: &Path) -> Result<Scenario, Problem> {
        let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Scenario::parse(&name, &path.display().to_string(), &file::load(path)?)
    }

    /// Whether it is to be known in which channel each train is.
    pub(super) fn follows_trains(&self) -> bool {
        self.begin == Begin::Up && self.expect.iter().any(|expect| expect.figure.ends_with(check::SINCE_BLOCK))
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
