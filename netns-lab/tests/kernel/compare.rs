use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use meshtun_sys::process::{Signal, signal};
use netns_lab::{program::Program, trial};
use serde_json::Value;

use crate::own_name;

const PROGRAM: &str = env!("CARGO_BIN_EXE_netns-lab");

/// A folder for a report, gone with this.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let folder = Folder(std::env::temp_dir().join(own_name(test)));
        fs::create_dir(&folder.0).unwrap();
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

/// The real one, as the tests of the whole workspace have built it.
fn meshtun() -> Program {
    Program::find(None).or_else(|_| Program::find_or_build(None)).unwrap()
}

/// One round of bare and of meshtun with two channels, a second a test.
fn compare(program: &Path, out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(["compare", "--tools", "bare,meshtun", "--channels", "2", "--rounds", "1", "--seconds", "1"]);
    command.args(["--underlay", "trains", "--no-install", "--json", "--program"]).arg(program);
    command.arg("--out").arg(out).args(more).output().unwrap()
}

fn rows(output: &Output) -> Vec<Value> {
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().unwrap_or_else(|| panic!("{output:?}"));
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"))
}

/// The problems that it told at the end.
fn problems(output: &Output) -> Vec<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    let (_course, end) = said.split_once("\n## ").unwrap_or_else(|| panic!("there is no table: {output:?}"));
    end.lines().filter(|line| line.starts_with("Problem: ")).map(str::to_owned).collect()
}

#[test]
fn a_comparison_gives_a_row_for_each_subject_and_figure() {
    trial::run_with_tun(|| {
        let (program, folder) = (meshtun(), Folder::new("compare"));
        let output = compare(program.path(), &folder.0, &["--path", "routed", "--tests", "tcp-1,rtt-idle,memory"]);
        // A busy machine may keep a worker from its socket for so long that the socket overflows.
        let problems = problems(&output);
        assert!(problems.iter().all(|problem| problem.contains("the kernel counted")), "{problems:#?}");
        assert_eq!(output.status.code(), Some(i32::from(!problems.is_empty())), "{output:?}");
        let rows = rows(&output);
        for (tool, cipher) in [("bare", "none"), ("meshtun", "chacha20-poly1305"), ("meshtun", "aes-256-gcm")] {
            let row = rows.iter().find(|row| row["tool"] == tool && row["cipher"] == cipher && row["test"] == "tcp-1");
            let row = row.unwrap_or_else(|| panic!("no row for {tool} {cipher}: {rows:#?}"));
            assert_eq!(
                (&row["path"], &row["underlay"], &row["unit"]),
                (&"routed".into(), &"trains".into(), &"Gb/s".into())
            );
            assert_eq!(row["channels"], if tool == "bare" { 1 } else { 2 });
            let [value, min, max] = ["value", "min", "max"].map(|key| row[key].as_f64().unwrap());
            assert!(0.0 < min && min <= value && value <= max, "{row}");
            assert!(row["cpu_seconds_per_gb"].as_f64().unwrap() > 0.0, "{row}");
        }
        assert!(rows.iter().any(|row| row["tool"] == "meshtun" && row["test"] == "memory"), "{rows:#?}");
        let kept: Vec<Value> = serde_json::from_slice(&fs::read(folder.0.join("rows.json")).unwrap()).unwrap();
        assert_eq!(kept, rows);
    });
}

#[test]
fn a_tool_that_does_not_start_is_reported_with_its_log_and_the_others_are_measured() {
    trial::run_with_tun(|| {
        let (program, folder) = (meshtun(), Folder::new("compare-unstarted"));
        let wrapper = wrapper(&folder, program.path(), "echo 'the machine is wrong' >&2; exit 7");
        let output = compare(&wrapper, &folder.0, &["--path", "routed", "--tests", "rtt-idle"]);
        let problems = problems(&output);
        assert_eq!((output.status.code(), problems.len()), (Some(1), 2), "{output:?}");
        for problem in problems {
            assert!(problem.contains("did not start") && problem.contains("exit status: 7"), "{problem}");
        }
        assert!(String::from_utf8_lossy(&output.stderr).contains("the machine is wrong"), "{output:?}");
        let rows = rows(&output);
        assert!(!rows.is_empty() && rows.iter().all(|row| row["tool"] == "bare"), "{rows:#?}");
    });
}

#[test]
fn a_tool_that_dies_under_load_is_reported_and_the_others_are_measured() {
    trial::run_with_tun(|| {
        let (program, folder) = (meshtun(), Folder::new("compare-dead"));
        // Between the gateways iperf3's server is in the namespace of the second: port 5201 is 0x1451.
        let dies = "trap 'kill $!' TERM\n\"$MESHTUN\" \"$@\" &\n\
                    while kill -0 $!; do grep -q ':1451 00000000:0000 0A' /proc/net/tcp && kill -9 $!; sleep 0.02; done";
        let wrapper = wrapper(&folder, program.path(), dies);
        let output = compare(&wrapper, &folder.0, &["--path", "gateway", "--tests", "tcp-1"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let problems = problems(&output);
        assert!(problems.iter().any(|problem| problem.contains("meshtun at g2 ended by itself")), "{problems:#?}");
        assert!(rows(&output).iter().any(|row| row["tool"] == "bare"), "{output:?}");
    });
}

#[test]
fn ctrl_c_ends_a_comparison_and_leaves_nothing() {
    trial::run_with_tun(|| {
        let (program, folder) = (meshtun(), Folder::new("compare-ended"));
        let arguments = ["compare", "--tools", "meshtun", "--seconds", "600", "--tests", "tcp-1", "--program"];
        let mut command = Command::new(PROGRAM);
        command.args(arguments).arg(program.path()).arg("--out").arg(folder.0.join("report"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let running = lines.map(Result::unwrap).find(|line| line.contains("tcp-1"));
        assert!(running.is_some(), "it ended early");
        signal(child.id(), Signal::Interrupt).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let labs = format!("netns-lab-{}-", child.id());
        let left = fs::read_dir(std::env::temp_dir()).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with(&labs)).collect();
        assert!(left.is_empty() && !folder.0.join("report").exists(), "{left:?}");
    });
}

/// A program that is meshtun but for `up`, which does this.
fn wrapper(folder: &Folder, meshtun: &Path, up: &str) -> PathBuf {
    let path = folder.0.join("meshtun");
    let meshtun = meshtun.display();
    let text = format!("#!/bin/sh\nMESHTUN='{meshtun}'\n[ \"$1\" = up ] || exec \"$MESHTUN\" \"$@\"\n{up}\n");
    // Not by this process: a file that is open for writing in a child that another test forks cannot be run.
    let written = Command::new("sh").args(["-c", "printf %s \"$1\" >\"$2\"", "sh", &text]).arg(&path).status().unwrap();
    assert!(written.success());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}
