//! A scenario's file as it is written, and what is wrong with it.

use std::{collections::BTreeMap, fmt, ops::Range, path::Path, time::Duration};

use serde::Deserialize;
use toml::Spanned;

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// Line and column, from 1; none if the whole file is meant.
    pub place: Option<(usize, usize)>,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

impl std::error::Error for Problem {}

/// A file's text with its name, to tell where things stand.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    pub(super) fn problem(&self, at: Option<Range<usize>>, what: impl Into<String>) -> Problem {
        let place = at.map(|at| {
            let before = &self.text.as_bytes()[..at.start.min(self.text.len())];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            (line, String::from_utf8_lossy(&before[begin..]).chars().count() + 1)
        });
        Problem { file: self.name.to_owned(), place, what: what.into() }
    }
}

/// Reads a file's text.
pub(super) fn read(source: Source<'_>) -> Result<File, Problem> {
    toml::from_str(source.text).map_err(|error| source.problem(error.span(), error.message().trim()))
}

/// The text of a file that a person named.
pub(super) fn load(path: &Path) -> Result<String, Problem> {
    let failed = |error| Problem { file: path.display().to_string(), place: None, what: format!("{error}") };
    std::fs::read_to_string(path).map_err(failed)
}

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    pub(super) about: String,
    #[serde(default = "two")]
    pub(super) sites: Spanned<u8>,
    #[serde(default = "four")]
    pub(super) channels: Spanned<u16>,
    #[serde(default)]
    pub(super) cable: CableKind,
    /// Ways between two sites: one cable, or two of which the second has IPv6.
    #[serde(default = "one")]
    pub(super) paths: Spanned<u8>,
    #[serde(default)]
    pub(super) begin: Begin,
    /// A gateway to which the file gives no address: the others learn it.
    pub(super) roams: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) defaults: toml::Table,
    #[serde(default)]
    pub(super) load: Load,
    #[serde(default)]
    pub(super) runs: Vec<RunEntry>,
    #[serde(default)]
    pub(super) steps: Vec<Spanned<StepEntry>>,
    #[serde(default)]
    pub(super) expect: Vec<Spanned<ExpectEntry>>,
}

/// What lies between the gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CableKind {
    /// Veth cables, faults on and off by nftables.
    #[default]
    Plain,
    /// A userspace underlay that delays, loses, reorders, doubles, damages and limits.
    Faulty,
}

/// Whether the gateways run when the load begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Begin {
    /// All channels are up.
    #[default]
    Up,
    /// The gateways run and nothing passes between them, so that there never was a session.
    Blocked,
}

/// `[load]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct Load {
    /// Datagrams a second of the train in each channel and direction.
    pub(super) train_rate: Spanned<u32>,
    pub(super) tcp_flows: Spanned<u16>,
    pub(super) tcp_every: Spanned<Time>,
    pub(super) tcp_size: Spanned<usize>,
}

/// `[[runs]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RunEntry {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) tool: ToolKind,
    #[serde(default)]
    pub(super) defaults: toml::Table,
    /// So many times as long does everything last.
    pub(super) slower: Option<Spanned<f64>>,
}

/// What joins the sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ToolKind {
    /// This project.
    #[default]
    Meshtun,
    /// A process of OpenVPN for each channel, with scripts that edit a multipath route.
    Openvpn,
}

/// `[[steps]]`: at most one action.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct StepEntry {
    /// A stretch of time of this name begins here.
    pub(super) phase: Option<Spanned<String>>,
    pub(super) say: Option<String>,
    /// How long the next step waits.
    pub(super) lasts: Option<Spanned<Time>>,
    pub(super) block: Option<Spanned<Where>>,
    pub(super) unblock: Option<Spanned<Where>>,
    pub(super) path: Option<Spanned<PathEntry>>,
    pub(super) kill: Option<Spanned<String>>,
    pub(super) stop: Option<Spanned<String>>,
    pub(super) start: Option<Spanned<String>>,
    pub(super) meshtun: Option<Spanned<Asked>>,
    pub(super) run: Option<Spanned<Asked>>,
    pub(super) reload: Option<Spanned<Reload>>,
    pub(super) wait_up: Option<Spanned<Time>>,
    pub(super) flap: Option<Spanned<Flap>>,
    pub(super) chaos: Option<Spanned<ChaosEntry>>,
    pub(super) count: Option<Count>,
}

/// Whether what was sent, received, dropped and lost on the way adds up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Count {
    /// What comes after counts.
    Begin,
    /// It is added up.
    Check,
}

/// Channels of the link between two sites, one way or both.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Where {
    /// All channels and everything else between the two, if not given.
    pub(super) channels: Option<Vec<u16>>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
}

/// How a path of a faulty cable behaves from here on; what is not given is perfect.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct PathEntry {
    pub(super) channels: Option<Vec<u16>>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) delay: Time,
    pub(super) jitter: Time,
    pub(super) loss: f64,
    pub(super) burst: f64,
    pub(super) reorder: f64,
    pub(super) duplicate: f64,
    pub(super) corrupt: f64,
    pub(super) megabits: Option<f64>,
    pub(super) queue: u64,
    pub(super) blocked: bool,
}

/// Something that a program is told at a node.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Asked {
    pub(super) at: String,
    pub(super) command: String,
    /// Whether it may fail.
    #[serde(default)]
    pub(super) may_fail: bool,
}

/// A changed file and `meshtun reload`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Reload {
    /// Where; all gateways if not given.
    pub(super) at: Option<String>,
    pub(super) channels: Option<u16>,
    #[serde(default)]
    pub(super) defaults: toml::Table,
}

/// A channel that goes and comes for as long as the step lasts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Flap {
    pub(super) channels: Vec<u16>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) down: Time,
    pub(super) up: Time,
}

/// Random faults for as long as the step lasts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(super) struct ChaosEntry {
    /// The mean time between two faults.
    pub(super) every: Option<Time>,
    /// The longest time for which a fault stays.
    pub(super) longest: Option<Time>,
    /// Only what happens on the way: no program is touched.
    pub(super) only_paths: bool,
}

/// `[[expect]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ExpectEntry {
    pub(super) figure: String,
    /// Every run of meshtun, if not given.
    pub(super) run: Option<String>,
    pub(super) at_most: Option<f64>,
    pub(super) at_least: Option<f64>,
    #[serde(default)]
    pub(super) why: String,
}

/// A length of time: `"250ms"`, `"3s"`, `"10m"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Time(pub(super) Duration);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Time, String> {
        let wrong = || format!("{text:?} is no length of time: write it as \"250ms\", \"3s\" or \"10m\"");
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let seconds = match &text[digits..] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            _ => return Err(wrong()),
        };
        let number: f64 = text[..digits].parse().map_err(|_| wrong())?;
        Duration::try_from_secs_f64(number * seconds).map(Time).map_err(|_| wrong())
    }
}

impl Default for Load {
    fn default() -> Load {
        let unplaced = 0..0;
        Load {
            train_rate: Spanned::new(unplaced.clone(), 1000),
            tcp_flows: Spanned::new(unplaced.clone(), 32),
            tcp_every: Spanned::new(unplaced.clone(), Time(Duration::from_millis(10))),
            tcp_size: Spanned::new(unplaced, 1000),
        }
    }
}

impl Default for PathEntry {
    fn default() -> PathEntry {
        PathEntry {
            channels: None,
            from: None,
            to: None,
            delay: Time::default(),
            jitter: Time::default(),
            loss: 0.0,
            burst: 1.0,
            reorder: 0.0,
            duplicate: 0.0,
            corrupt: 0.0,
            megabits: None,
            queue: 1 << 20,
            blocked: false,
        }
    }
}

fn one() -> Spanned<u8> {
    Spanned::new(0..0, 1)
}

fn two() -> Spanned<u8> {
    Spanned::new(0..0, 2)
}

fn four() -> Spanned<u16> {
    Spanned::new(0..0, 4)
}

/// Settings of the mesh file, key by key, as TOML text.
pub(super) fn pairs(table: &toml::Table) -> Vec<(String, String)> {
    let merged: BTreeMap<_, _> = table.iter().collect();
    merged.into_iter().map(|(key, value)| (key.clone(), inline(value))).collect()
}

/// A value as it stands on one line.
fn inline(value: &toml::Value) -> String {
    match value {
        toml::Value::Table(table) => {
            let pairs: Vec<_> = table.iter().map(|(key, value)| format!("{key} = {}", inline(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        toml::Value::Array(values) => format!("[{}]", values.iter().map(inline).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
