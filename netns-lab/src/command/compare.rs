//! `netns-lab compare`: meshtun beside the tools that it replaces, measured in one run.
//!
//! ```text
//!  round 1        stop: a fresh lab with one subject     cells: what is measured on it in turn
//!  round 2        stop: the next subject …
//!  round 3        …
//! ```
//! Every round measures every subject once, each round beginning with another one; a row is the median of the rounds.
//!
//! | module | what it does |
//! |---|---|
//! | [`tool`], [`plan`] | what is compared, and what is measured in which order |
//! | [`install`], [`tools`], [`bed`], [`pinning`] | programs, and a lab in which one of them carries traffic |
//! | [`measure`], [`statistics`] | the tests and their figures |
//! | [`course`], [`progress`] | the whole run, and how far it is |
//! | [`report`] | rows, JSON, Markdown, a chart |

mod ask;
mod bed;
pub(super) mod course;
pub(super) mod install;
pub(super) mod measure;
mod pinning;
pub(super) mod plan;
mod progress;
pub(super) mod report;
mod statistics;
pub(super) mod tool;
mod tools;

use std::{
    env,
    path::{Path as FilePath, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::Args;
use netns_lab::{privilege, program::Program, signals, wireguard};

use self::{
    course::Course,
    install::{Effort, Programs},
    measure::Test,
    plan::Wishes,
    report::{
        Report,
        machine::{self, Machine},
    },
    tool::{Path, Tool, Underlay},
};
use super::{complain, say};

#[derive(Args)]
pub(crate) struct Arguments {
    /// A named subset that ends within six minutes: bare, openvpn ×4 with a static key, gotatun if it is there, meshtun
    /// ×4 with both ciphers; routed; TCP with 1 and 16 streams, round trips beside them; 4 s each
    #[arg(long)]
    quick: bool,
    /// How often everything is measured; the median is told
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// How long each test measures [default: 10, and 4 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: Option<u64>,
    /// Which tools: bare, openvpn, wireguard-go, boringtun, gotatun, meshtun, meshtun-openvpn (meshtun in OpenVPN's place)
    /// [default: all but the last]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = tool)]
    tools: Option<Vec<Tool>>,
    /// How many channels openvpn and meshtun have [default: 1,4]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=16))]
    channels: Option<Vec<u16>>,
    /// Between whom: routed (hosts behind the gateways), gateway (the gateways themselves) [default: both]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = path)]
    path: Option<Vec<Path>>,
    /// What the underlay passes: trains, datagrams (each its own packet, as a plain NIC), lone-datagrams
    /// (and no GRO in the kernel either) [default: trains,datagrams]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = underlay)]
    underlay: Option<Vec<Underlay>>,
    /// Which tests: rtt-idle, tcp-1, tcp-1-reverse, tcp-16, tcp-16-reverse, rtt-loaded, rtt-loaded-other-channel,
    /// udp-64-paced, udp-64-highest, udp-300-highest, udp-1300-highest, memory [default: all between hosts with trains, a
    /// few elsewhere]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = test)]
    tests: Option<Vec<Test>>,
    /// Where the report goes [default: benches/runs/DATE-KERNEL-NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// End with the rows as one line of JSON on standard output; everything else goes to standard error
    #[arg(long)]
    json: bool,
    /// Install nothing that is missing
    #[arg(long)]
    no_install: bool,
    /// The meshtun program, instead of the one beside this program
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let wishes = arguments.wishes();
    let meshtun = Program::find_or_build(arguments.program.as_deref())?;
    // As the user who types, before a user namespace is entered.
    let programs = Programs::find(meshtun, &wishes.tools(), arguments.effort())?;
    let machine = Machine::describe(&programs.named());
    let out = arguments.out.clone().unwrap_or_else(|| own_folder(arguments.name(), &machine));
    privilege::acquire()?;
    privilege::tun_device()?;
    signals::on_ending(|ending| {
        course::stand_still();
        wireguard::clean_up();
        signals::clean_exit(ending.exit_code());
    })?;
    for missing in programs.missing() {
        complain(&format!("Missing: {missing}"));
    }
    let (rounds, seconds) = (arguments.rounds as usize, arguments.seconds());
    let outcome = Course::new(&wishes, &programs, rounds, seconds)?.run()?;
    let failed = outcome.problems.len();
    let report = Report {
        title: format!("meshtun beside other tools, {}", arguments.name()),
        machine,
        method: arguments.method(&programs),
        missing: programs.missing(),
        problems: outcome.problems,
        notes: outcome.notes,
        rows: outcome.rows,
    };
    report.write(&out).with_context(|| format!("the report in {}", out.display()))?;
    tell(&report, &out, arguments.json)?;
    ensure!(failed == 0, "{failed} problems, see above");
    Ok(())
}

/// What came of it, for whoever sits in front of it.
fn tell(report: &Report, out: &FilePath, json: bool) -> anyhow::Result<()> {
    let tell = if json { complain } else { say };
    tell(&report.table());
    report.notes.iter().for_each(|note| tell(&format!("Note: {note}")));
    report.problems.iter().for_each(|problem| tell(&format!("Problem: {problem}")));
    tell(&format!("The report is in {}", out.display()));
    if json {
        say(&serde_json::to_string(&report.rows)?);
    }
    Ok(())
}

/// `benches/runs/DATE-KERNEL-NAME` of the workspace under `cargo run`, else of the current folder; with a number if there
/// is such a run already.
fn own_folder(name: &str, machine: &Machine) -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let root = package.as_deref().and_then(FilePath::parent).unwrap_or(FilePath::new("."));
    let folder = format!("{}-{}-{name}", machine::today(), machine.kernel);
    let runs = root.join("benches/runs");
    let numbered = (2..).map(|number| runs.join(format!("{folder}-{number}")));
    [runs.join(&folder)].into_iter().chain(numbered).find(|path| !path.exists()).unwrap_or(runs)
}

impl Arguments {
    fn wishes(&self) -> Wishes {
        Wishes {
            quick: self.quick,
            tools: self.tools.clone(),
            channels: self.channels.clone(),
            paths: self.path.clone(),
            underlays: self.underlay.clone(),
            tests: self.tests.clone(),
        }
    }

    /// Minutes of compiling have no place in what ends within six.
    fn effort(&self) -> Effort {
        match () {
            () if self.no_install => Effort::Look,
            () if self.quick => Effort::Packages,
            () => Effort::Everything,
        }
    }

    fn seconds(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(if self.quick { 4 } else { 10 }))
    }

    fn name(&self) -> &'static str {
        let all = [self.tools.is_none(), self.channels.is_none(), self.path.is_none(), self.underlay.is_none()];
        match (self.quick, all.iter().all(|all| *all) && self.tests.is_none()) {
            (true, _) => "quick",
            (false, true) => "full",
            (false, false) => "part",
        }
    }

    /// How it was measured, for the report.
    fn method(&self, programs: &Programs) -> Vec<String> {
        let words: Vec<_> = env::args().skip(1).collect();
        let mut method = vec![
            format!("`cargo run --release -p netns-lab -- {}`", words.join(" ")),
            format!(
                "Both gateways, both hosts and the load on this machine, in network namespaces joined by veth with MTU 1500. \
                 {} rounds of {} s a test; every round measures every subject once, in a fresh lab, each round beginning \
                 with another subject. Values are medians of the rounds.",
                self.rounds,
                self.seconds().as_secs()
            ),
        ];
        method.extend(programs.pinning.lines());
        method
    }
}

fn tool(text: &str) -> Result<Tool, String> {
    named(text, Tool::ALL.map(|tool| (tool.name(), tool)))
}

fn path(text: &str) -> Result<Path, String> {
    named(text, [Path::Routed, Path::Gateway].map(|path| (path.name(), path)))
}

fn underlay(text: &str) -> Result<Underlay, String> {
    named(text, Underlay::ALL.map(|underlay| (underlay.name(), underlay)))
}

fn test(text: &str) -> Result<Test, String> {
    named(text, Test::ALL.iter().map(|test| (test.name(), *test)))
}

/// The one of that name.
fn named<T>(text: &str, all: impl IntoIterator<Item = (impl AsRef<str>, T)>) -> Result<T, String> {
    let mut names = Vec::new();
    for (name, one) in all {
        if name.as_ref() == text {
            return Ok(one);
        }
        names.push(name.as_ref().to_owned());
    }
    Err(format!("choose among {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command};

    use super::*;

    #[test]
    fn the_help_names_every_tool_and_every_test() {
        let help = Arguments::augment_args(Command::new("compare")).render_help().to_string();
        let names = Tool::ALL.iter().map(|tool| tool.name().to_owned()).chain(Test::ALL.iter().map(Test::name));
        for name in names {
            let named = help.split([',', ' ', '\n']).any(|word| word == name);
            assert!(named, "{name} is missing: {help}");
        }
    }

    #[test]
    fn an_unknown_tool_is_answered_with_those_that_there_are() {
        let said = tool("tinc").unwrap_err();
        assert!(said.contains("openvpn") && said.contains("meshtun"), "{said}");
        assert_eq!(tool("gotatun"), Ok(Tool::GotaTun));
    }
}
