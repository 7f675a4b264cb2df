//! `netns-lab run`, with the real meshtun.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use netns_lab::{program::Program, trial};
use serde_json::Value;

use crate::own_name;

const PROGRAM: &str = env!("CARGO_BIN_EXE_netns-lab");

/// A channel that is blocked for a while; tests/integration has what that and other faults cost.
const SMALL: &str = r#"
about = "small"
channels = 2

[load]
train-rate = 200
tcp-flows = 4

[[steps]]
phase = "quiet"
lasts = "500ms"

[[steps]]
phase = "blocked"
say = "channel 1 is blocked"
block = { channels = [1], from = "g1" }
lasts = "500ms"

[[expect]]
figure = "quiet.train_lost"
at-most = 0

[[expect]]
figure = "blocked.train_lost"
at-least = 10
"#;

/// A file with a scenario, gone with this.
struct File(PathBuf);

impl File {
    fn new(test: &str, text: &str) -> File {
        let path = std::env::temp_dir().join(format!("{}.toml", own_name(test)));
        fs::write(&path, text).unwrap();
        File(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.0);
    }
}

fn program() -> Program {
    Program::find(None).or_else(|_| Program::find_or_build(None)).unwrap()
}

fn run(file: &File, more: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("run").arg(&file.0).args(more).arg("--program").arg(program().path());
    command.output().unwrap()
}

fn last_line(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().unwrap_or_else(|| panic!("{output:?}"));
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"))
}

#[test]
fn a_scenario_is_played_told_and_summed_up_in_one_line() {
    trial::run_with_tun(|| {
        let file = File::new("played", SMALL);
        let output = run(&file, &[]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("blocked: channel 1 is blocked") && said.contains("passed"), "{said}");
        let line = last_line(&output);
        assert_eq!(
            (&line["scenario"], &line["pass"]),
            (&Value::from(file.0.file_stem().unwrap().to_str()), &true.into())
        );
        let figures = &line["runs"]["meshtun"];
        assert_eq!(figures["clear_packets"], 0);
        assert!(figures["blocked_packets"].as_u64() >= Some(10), "{figures}");
        assert!(figures["phases"]["blocked"]["train_lost"].as_u64() >= Some(10), "{figures}");
    });
}

#[test]
fn what_is_not_as_expected_is_told_and_the_exit_code_says_so() {
    trial::run_with_tun(|| {
        let file = File::new("failed", &SMALL.replace("at-least = 10", "at-least = 1000000"));
        let output = run(&file, &["--json"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("NOT PASSED: blocked.train_lost is "), "{said}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1, "with --json there is one line only");
        let line = last_line(&output);
        assert_eq!(line["pass"], false);
        let failed = line["runs"]["meshtun"]["failed"].as_array().unwrap();
        assert!(failed.len() == 1 && failed[0].as_str().unwrap().contains("at least 1000000"), "{failed:?}");
    });
}

#[test]
fn one_packet_in_clear_fails_a_scenario_whatever_it_expects() {
    trial::run_with_tun(|| {
        let unprotected = r#"
about = "what a person may ask for"
channels = 1

[load]
train-rate = 100
tcp-flows = 0

[[steps]]
phase = "unprotected"
meshtun = { at = "g1", command = "down --unprotect" }
lasts = "500ms"
"#;
        let file = File::new("clear", unprotected);
        let output = run(&file, &[]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("NOT PASSED: in clear on g1 wan: UDP 10.1.0.2:"), "{said}");
        assert!(last_line(&output)["runs"]["meshtun"]["clear_packets"].as_u64() > Some(0), "{said}");
    });
}

#[test]
fn a_faulty_cable_adds_up_with_what_the_gateways_counted() {
    trial::run_with_tun(|| {
        let faulty = r#"
about = "loss, copies, damage and disorder"
channels = 2
cable = "faulty"

[load]
train-rate = 200
tcp-flows = 2

[[steps]]
phase = "faulty"
count = "begin"

[[steps]]
path = { channels = [0], from = "g1", loss = 0.1, duplicate = 0.1, corrupt = 0.1, reorder = 0.1, delay = "2ms" }

[[steps]]
path = { channels = [1], loss = 0.2, burst = 10 }
lasts = "1500ms"

[[steps]]
path = {}

[[steps]]
count = "check"

[[expect]]
figure = "uncounted"
at-most = 0

[[expect]]
figure = "faulty.train_lost"
at-least = 20
"#;
        let outcome = trial::play(faulty, &program(), 5);
        let underlay = &outcome.runs[0].figures["underlay"];
        for kind in ["lost", "duplicated", "corrupted", "reordered"] {
            assert!(underlay[kind].as_u64() > Some(0), "{kind}: {underlay}");
        }
    });
}

#[test]
fn a_wrong_file_or_name_is_a_matter_of_usage_and_is_told_with_its_line() {
    let file = File::new("wrong", "about = \"wrong\"\n[[steps]]\nkill = \"g7\"\n");
    let output = Command::new(PROGRAM).arg("run").arg(&file.0).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(".toml:3:8: there is no gateway \"g7\""), "{said}");
    let output = Command::new(PROGRAM).args(["run", "no-such-one"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("there is no scenario \"no-such-one\": there are blocked-channel"), "{said}");
}

#[test]
fn the_built_in_scenarios_are_listed() {
    let output = Command::new(PROGRAM).args(["run", "--list"]).output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stdout);
    for (name, _) in netns_lab::scenario::BUILT_IN {
        assert!(said.lines().any(|line| line.starts_with(name)), "{said}");
    }
}
