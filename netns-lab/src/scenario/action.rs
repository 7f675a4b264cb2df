//! What a step does.

use std::{process::Command, thread, time::Duration};

use rand::rngs::StdRng;

use super::{ScenarioError, chaos, file::Count, stage::Stage};
use crate::{Node, faults::Path, mesh::Pairs};

/// One thing that happens. Gateways are counted from 0.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// Nothing: time passes.
    Rest,
    /// Channels are blocked, or pass again.
    Block { place: Place, blocked: bool },
    /// A path of the faulty cable changes.
    Path { place: Place, weather: Weather },
    /// SIGKILL.
    Kill(Vec<usize>),
    /// SIGTERM, and wait.
    Stop(Vec<usize>),
    /// Start again, or for the first time.
    Start(Vec<usize>),
    /// A meshtun command beside the running gateway.
    Meshtun { at: Vec<usize>, command: String, may_fail: bool },
    /// Any command in a node.
    Run { at: String, command: String, may_fail: bool },
    /// A changed file, and `meshtun reload`.
    Reload { at: Vec<usize>, channels: Option<u16>, defaults: Pairs },
    /// Wait until every device of every gateway has carrier.
    WaitUp(Duration),
    /// Channels go and come for as long as the step lasts.
    Flap { place: Place, down: Duration, up: Duration },
    /// Random faults for as long as the step lasts.
    Chaos(Chaos),
    /// What was sent, received, dropped and lost is added up from here, or up to here.
    Count(Count),
}

/// Where a fault is: channels (or everything), and from which gateway to which.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) channels: Option<Vec<u16>>,
    pub(super) ways: Vec<(usize, usize)>,
}

/// How a path of the faulty cable behaves.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weather {
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) loss: f64,
    /// The mean length of a loss, in packets.
    pub(super) burst: f64,
    pub(super) reorder: f64,
    pub(super) duplicate: f64,
    pub(super) corrupt: f64,
    pub(super) bits_per_second: Option<u64>,
    /// Bytes that wait where there is a limit.
    pub(super) queue: u64,
    pub(super) blocked: bool,
}

/// Random faults.
#[derive(Clone, Debug)]
pub(super) struct Chaos {
    pub(super) every: Duration,
    pub(super) longest: Duration,
    pub(super) only_paths: bool,
}

impl Place {
    /// For people.
    pub(super) fn words(&self) -> String {
        let ways: Vec<_> = self.ways.iter().map(|(from, to)| format!("g{}→g{}", from + 1, to + 1)).collect();
        let channels = self.channels.iter().flatten().map(u16::to_string).collect::<Vec<_>>().join(", ");
        let what = if self.channels.is_some() { format!("channel {channels} of") } else { "everything".into() };
        format!("{what} {}", ways.join(" and "))
    }
}

impl Weather {
    /// Nothing happens.
    pub(super) fn fair() -> Weather {
        Weather {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            burst: 1.0,
            reorder: 0.0,
            duplicate: 0.0,
            corrupt: 0.0,
            bits_per_second: None,
            queue: 1 << 20,
            blocked: false,
        }
    }

    /// As the underlay in userspace takes it.
    pub(super) fn path(&self) -> Path {
        Path {
            jitter: self.jitter,
            loss: self.loss,
            loss_burst: self.burst,
            duplication: self.duplicate,
            reordering: self.reorder,
            held_back: (self.delay * 4).max(Duration::from_millis(4)),
            corruption: self.corrupt,
            blocked: self.blocked,
            rate: self.bits_per_second,
            queue: self.queue,
            ..Path::after(self.delay)
        }
    }
}

impl Action {
    /// Does it. What goes on for as long as the step lasts returns when that is over.
    pub(super) fn take(
        &self,
        stage: &mut Stage,
        lasts: Duration,
        rng: &mut StdRng,
        narrate: &dyn Fn(&str),
    ) -> Result<(), ScenarioError> {
        match self {
            Action::Rest | Action::WaitUp(_) | Action::Count(_) => Ok(()),
            Action::Block { place, blocked } => stage.block(place, *blocked),
            Action::Path { place, weather } => stage.path(place, weather),
            Action::Kill(at) => stage.each(at, Stage::kill),
            Action::Stop(at) => stage.each(at, Stage::stop),
            Action::Start(at) => stage.each(at, Stage::start),
            Action::Meshtun { at, command, may_fail } => {
                stage.each(at, |stage, at| stage.meshtun(at, command, *may_fail))
            }
            Action::Run { at, command, may_fail } => {
                let node = stage.node(at)?;
                may_fail_or(ask(&node, command), *may_fail, stage)
            }
            Action::Reload { at, channels, defaults } => {
                stage.each(at, |stage, at| stage.reload(at, *channels, defaults))
            }
            Action::Flap { place, down, up } => flap(stage, place, *down, *up, lasts),
            Action::Chaos(chaos) => {
                stage.faults += chaos::rage(stage, chaos, lasts, rng, narrate)?;
                Ok(())
            }
        }
    }
}

fn flap(stage: &mut Stage, place: &Place, down: Duration, up: Duration, lasts: Duration) -> Result<(), ScenarioError> {
    let mut left = lasts;
    while let Some(rest) = left.checked_sub(down + up) {
        stage.block(place, true)?;
        thread::sleep(down);
        stage.block(place, false)?;
        thread::sleep(up);
        left = rest;
    }
    thread::sleep(left);
    Ok(())
}

/// A command that fails is counted, and told; the scenario goes on.
pub(super) fn may_fail_or(
    result: Result<String, ScenarioError>,
    may_fail: bool,
    stage: &mut Stage,
) -> Result<(), ScenarioError> {
    match result {
        Err(error @ ScenarioError::Command { .. }) if !may_fail => {
            stage.failures.push(error.to_string());
            Ok(())
        }
        Err(ScenarioError::Command { .. }) | Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Runs a command in a node, which must succeed, and gives what it wrote. The words are separated by white space.
pub(super) fn ask(node: &Node, command_line: &str) -> Result<String, ScenarioError> {
    let mut words = command_line.split_ascii_whitespace();
    let mut command = Command::new(words.next().unwrap_or("true"));
    command.args(words);
    let output = node.output(command)?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(said(&output.stdout));
    }
    let (node, command) = (node.name().to_owned(), command_line.to_owned());
    Err(ScenarioError::Command { node, command, said: format!("{}: {}", output.status, said(&output.stderr)) })
}
