//! `netns-lab run`: plays a scenario and tells whether what happened is what was expected.

mod speed;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use netns_lab::{
    openvpn::{interop, replace, scripts},
    privilege,
    program::Program,
    scenario::{BUILT_IN, Options, Outcome, Scenario, find},
    signals,
};

use super::{complain, say};

/// Scenarios that no file describes.
const OPENVPN: [&str; 4] = [interop::NAME, scripts::NAME, replace::NAME, speed::NAME];

/// Wrong arguments, or a wrong file.
const USAGE: u8 = 2;

#[derive(Args)]
pub(crate) struct Arguments {
    /// A built-in scenario, or the path of a file (with a slash, or ending in .toml)
    #[arg(required_unless_present = "list")]
    scenario: Option<String>,
    /// List the built-in scenarios
    #[arg(long)]
    list: bool,
    /// Only one line of JSON on standard output; what happens is told on standard error
    #[arg(long)]
    json: bool,
    /// Where random numbers begin; the same seed gives the same faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Only this run of the scenario; may be given several times
    #[arg(long = "only", value_name = "RUN")]
    only: Vec<String>,
    /// openvpn-interop: only cases with this in their name
    #[arg(long, value_name = "PART")]
    case: Option<String>,
    /// How long random faults go on; with openvpn-interop the case that goes on for longer than the others
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: Option<u64>,
    /// The meshtun program, instead of the one beside this program
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.list {
        return list();
    }
    if let Some(name @ (interop::NAME | replace::NAME | scripts::NAME | speed::NAME)) = arguments.scenario.as_deref() {
        return arguments.run_openvpn(name);
    }
    let scenario = match arguments.read() {
        Ok(scenario) => scenario,
        Err(problem) => {
            complain(&problem);
            return Ok(ExitCode::from(USAGE));
        }
    };
    let program = Program::find_or_build(arguments.program.as_deref())?;
    privilege::acquire()?;
    privilege::tun_device()?;
    signals::exit_cleanly()?;
    let narrate = if arguments.json { complain } else { say };
    narrate(&format!("{}: {}", scenario.name, scenario.about));
    narrate(&format!("Its steps last {} s.", scenario.duration().as_secs()));
    let options = Options { program: &program, seed: arguments.seed, narrate: &narrate };
    let outcome = scenario.play(&options);
    conclude(&outcome)
}

/// The last line, and the exit code.
fn conclude(outcome: &Outcome) -> anyhow::Result<ExitCode> {
    say(&serde_json::to_string(&outcome.json()).context("the figures cannot be written as JSON")?);
    Ok(if outcome.pass() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The last line and the exit code of what was played, or what is wrong with the arguments.
fn end(outcome: Result<Outcome, String>) -> anyhow::Result<ExitCode> {
    match outcome {
        Ok(outcome) => conclude(&outcome),
        Err(problem) => {
            complain(&problem);
            Ok(ExitCode::from(USAGE))
        }
    }
}

impl Arguments {
    /// What is played with OpenVPN, beside the scenarios that files describe.
    fn run_openvpn(&self, name: &str) -> anyhow::Result<ExitCode> {
        let meshtun = Program::find_or_build(self.program.as_deref())?;
        // As the user who types, before a user namespace is entered.
        let programs = (name == speed::NAME).then(|| speed::programs(meshtun.clone())).transpose()?;
        privilege::acquire()?;
        privilege::tun_device()?;
        signals::exit_cleanly()?;
        let narrate = if self.json { complain } else { say };
        let (meshtun, only) = (&meshtun, &self.only[..]);
        if let Some(programs) = &programs {
            narrate(&format!("{name}: {}", speed::ABOUT));
            return end(speed::run(&speed::Options { programs, only, narrate: &narrate }));
        }
        let outcome = match name {
            replace::NAME => {
                narrate(&format!("{name}: {}", replace::ABOUT));
                replace::run(&replace::Options { meshtun, only, narrate: &narrate })
            }
            scripts::NAME => {
                narrate(&format!("{name}: {}", scripts::ABOUT));
                scripts::run(&scripts::Options { meshtun, only, narrate: &narrate })
            }
            _ => {
                narrate(&format!("{name}: {}", interop::about().map_err(anyhow::Error::msg)?));
                let (case, minutes) =
                    (self.case.as_deref(), self.minutes.and_then(|minutes| u32::try_from(minutes).ok()));
                interop::run(&interop::Options { meshtun, only, case, minutes, narrate: &narrate })
            }
        };
        end(outcome)
    }

    fn read(&self) -> Result<Scenario, String> {
        let name = self.scenario.as_deref().unwrap_or_default();
        let is_path = name.contains('/') || name.ends_with(".toml");
        let scenario = match find(name) {
            Some(text) => Scenario::parse(name, &format!("{name}.toml"), text),
            None if is_path => Scenario::open(Path::new(name)),
            None => {
                let known: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).chain(OPENVPN).collect();
                return Err(format!("there is no scenario {name:?}: there are {}, or give a file", known.join(", ")));
            }
        };
        let mut scenario = scenario.map_err(|problem| problem.to_string())?;
        if !self.only.is_empty() {
            scenario = scenario.only(&self.only)?;
        }
        match self.minutes {
            Some(minutes) => scenario.last(Duration::from_secs(60 * minutes)),
            None => Ok(scenario),
        }
    }
}

fn list() -> anyhow::Result<ExitCode> {
    for (name, text) in BUILT_IN {
        let scenario = Scenario::parse(name, &format!("{name}.toml"), text)?;
        say(&format!("{name:<16} {} ({} s)", scenario.about, scenario.duration().as_secs()));
    }
    say(&format!("{:<16} {}", interop::NAME, interop::about().map_err(anyhow::Error::msg)?));
    for (name, about) in [(scripts::NAME, scripts::ABOUT), (replace::NAME, replace::ABOUT), (speed::NAME, speed::ABOUT)]
    {
        say(&format!("{name:<16} {about}"));
    }
    Ok(ExitCode::SUCCESS)
}
