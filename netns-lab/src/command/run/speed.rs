//! `netns-lab run openvpn-speed`: `meshtun openvpn` beside OpenVPN, with the same files at both ends, in one run.
//!
//! Rounds of fresh labs, as `compare` has them; each measures every subject once. A figure is the median of its rounds, and
//! only the ratio of two that were measured in the same run is judged.

use std::time::{Duration, Instant};

use netns_lab::{
    program::Program,
    scenario::{Figures, Outcome, Run},
};
use serde_json::json;

use crate::command::compare::{
    course::Course,
    install::{Effort, Programs},
    measure::Test,
    plan::Stop,
    report::row::Row,
    tool::{Cipher, Path, Subject, Tool, Underlay},
};

/// Its name, beside the other scenarios.
pub(super) const NAME: &str = "openvpn-speed";

/// What it shows.
pub(super) const ABOUT: &str = "TCP through four processes at each gateway, and through one, between hosts behind them: `meshtun \
     openvpn` beside OpenVPN with the same files, same wire, same processors, in one run. It passes if meshtun carries at least \
     three times as much.";

/// How many times as much as OpenVPN meshtun must carry.
const TARGET: f64 = 3.0;

/// How often everything is measured.
const ROUNDS: usize = 3;

/// How long each test measures, after a second that does not count.
const SECONDS: Duration = Duration::from_secs(4);

const TESTS: [Test; 2] = [Test::Tcp { streams: 16, reverse: false }, Test::Tcp { streams: 1, reverse: false }];

/// Processes at each gateway, as both tools have them.
#[derive(Clone, Copy)]
struct Pair {
    name: &'static str,
    channels: u16,
    /// AES-256-CBC with SHA256, or AES-128-CBC with SHA1.
    cipher: Cipher,
    /// Whether the cable passes trains of datagrams, as a NIC with segmentation offload, or each by itself, as a plain one.
    underlay: Underlay,
}

const PAIRS: [Pair; 4] = [
    Pair { name: "four-aes-256", channels: 4, cipher: Cipher::StaticAes256Cbc, underlay: Underlay::Trains },
    Pair {
        name: "four-aes-256-plain-nic",
        channels: 4,
        cipher: Cipher::StaticAes256Cbc,
        underlay: Underlay::Datagrams,
    },
    Pair { name: "one-aes-256", channels: 1, cipher: Cipher::StaticAes256Cbc, underlay: Underlay::Trains },
    Pair { name: "four-aes-128", channels: 4, cipher: Cipher::StaticAes128Cbc, underlay: Underlay::Trains },
];

const TOOLS: [Tool; 2] = [Tool::OpenVpn, Tool::MeshtunOpenVpn];

/// How it is played.
pub(super) struct Options<'a> {
    /// The programs that it needs.
    pub(super) programs: &'a Programs,
    /// Only these runs, by name; all if there are none.
    pub(super) only: &'a [String],
    /// Told what came of it, line by line.
    pub(super) narrate: &'a dyn Fn(&str),
}

/// The programs that it needs; nothing is installed.
pub(super) fn programs(meshtun: Program) -> anyhow::Result<Programs> {
    Programs::find(meshtun, &TOOLS, Effort::Look)
}

/// Plays it.
///
/// # Errors
/// A run that is not known, with those that are.
pub(super) fn run(options: &Options<'_>) -> Result<Outcome, String> {
    if let Some(stranger) = options.only.iter().find(|name| PAIRS.iter().all(|pair| pair.name != **name)) {
        let known = PAIRS.map(|pair| pair.name);
        return Err(format!("{NAME} has no run {stranger:?}: it has {}", known.join(", ")));
    }
    let begun = Instant::now();
    let wanted = |pair: &Pair| options.only.is_empty() || options.only.iter().any(|only| only == pair.name);
    let chosen: Vec<_> = PAIRS.into_iter().filter(wanted).collect();
    let (rows, problems) = measure(&chosen, options.programs);
    let mut runs: Vec<_> = chosen.iter().map(|pair| pair.judge(&rows)).collect();
    runs[0].failed.extend(problems);
    runs.iter().for_each(|run| tell(run, options.narrate));
    let seconds = (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    Ok(Outcome { scenario: NAME.into(), seed: 0, seconds, runs })
}

/// The rows of all subjects, and what went wrong.
fn measure(chosen: &[Pair], programs: &Programs) -> (Vec<Row>, Vec<String>) {
    if let Some(missing) = programs.missing().into_iter().next() {
        return (Vec::new(), vec![missing]);
    }
    let cells = TESTS.map(|test| (Path::Routed, test)).to_vec();
    let stop = |pair: &Pair, tool| Stop { subject: pair.subject(tool), underlay: pair.underlay, cells: cells.clone() };
    let stops: Vec<_> = chosen.iter().flat_map(|pair| TOOLS.map(|tool| stop(pair, tool))).collect();
    match Course::of(&stops, programs, ROUNDS, SECONDS).run() {
        Ok(outcome) => (outcome.rows, outcome.problems),
        Err(error) => (Vec::new(), vec![format!("{error:#}")]),
    }
}

impl Pair {
    fn subject(&self, tool: Tool) -> Subject {
        Subject { tool, channels: self.channels, cipher: self.cipher }
    }

    /// The figures of both tools and their ratios.
    fn judge(&self, rows: &[Row]) -> Run {
        let mut run = Run { name: self.name.into(), figures: Figures::new(), phases: Vec::new(), failed: Vec::new() };
        for test in TESTS.map(|test| test.name()) {
            let is_it =
                |row: &&Row, tool| (row.subject, row.underlay, &row.test) == (self.subject(tool), self.underlay, &test);
            let [theirs, ours] = TOOLS.map(|tool| rows.iter().find(|row| is_it(row, tool)));
            let mut figures = Figures::new();
            for (tool, row) in [("openvpn", theirs), ("meshtun", ours)] {
                let Some(row) = row else { continue };
                figures.insert(format!("{tool}_gbps"), json!(rounded(row.value)));
                figures.insert(format!("{tool}_gbps_of_rounds"), json!([rounded(row.min), rounded(row.max)]));
                figures.insert(format!("{tool}_cpu_seconds_per_gb"), json!(row.cpu_seconds_per_gb.map(rounded)));
            }
            let ratio = theirs.zip(ours).map(|(theirs, ours)| ours.value / theirs.value);
            figures.insert("ratio".into(), json!(ratio.map(rounded)));
            match ratio {
                Some(ratio) if ratio >= TARGET => {}
                Some(ratio) => {
                    run.failed.push(format!("{test}: meshtun carries {ratio:.2} times as much, expected {TARGET}"));
                }
                None => run.failed.push(format!("{test}: there is no figure")),
            }
            run.phases.push((test, figures));
        }
        run
    }
}

fn tell(run: &Run, narrate: &dyn Fn(&str)) {
    for (test, figures) in &run.phases {
        let cell = |name: &str| figures.get(name).map_or_else(|| "?".into(), ToString::to_string);
        narrate(&format!(
            "{:<22} {test:<8} OpenVPN {:>6} Gb/s, {:>6} CPU s/GB; meshtun {:>6} Gb/s, {:>6} CPU s/GB: {} times",
            run.name,
            cell("openvpn_gbps"),
            cell("openvpn_cpu_seconds_per_gb"),
            cell("meshtun_gbps"),
            cell("meshtun_cpu_seconds_per_gb"),
            cell("ratio"),
        ));
    }
    run.failed.iter().for_each(|what| narrate(&format!("NOT PASSED: {}: {what}", run.name)));
}

/// To thousandths.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(tool: Tool, test: &str, value: f64) -> Row {
        let subject = Subject { tool, channels: 4, cipher: Cipher::StaticAes256Cbc };
        Row {
            subject,
            path: Path::Routed,
            underlay: Underlay::Trains,
            test: test.to_owned(),
            value,
            unit: "Gb/s",
            min: value,
            max: value,
            cpu_seconds_per_gb: Some(1.0),
            rounds: 3,
        }
    }

    #[test]
    fn only_the_ratio_decides() {
        let of = |ours: f64| {
            let rows =
                ["tcp-16", "tcp-1"].map(|test| [row(Tool::OpenVpn, test, 0.5), row(Tool::MeshtunOpenVpn, test, ours)]);
            PAIRS[0].judge(rows.as_flattened())
        };
        assert_eq!((of(1.5).failed.len(), of(1.4).failed.len()), (0, 2));
        assert!(of(1.4).failed[0].contains("2.80 times"), "{:?}", of(1.4).failed);
    }

    #[test]
    fn what_was_not_measured_does_not_pass() {
        assert_eq!(PAIRS[0].judge(&[row(Tool::OpenVpn, "tcp-16", 1.0)]).failed.len(), 2);
    }
}
