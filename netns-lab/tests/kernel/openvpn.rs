//! `netns-lab run openvpn-…`: with OpenVPN at both ends, and what is wrong to ask.

use std::process::{Command, Stdio};

use netns_lab::{program::Program, trial};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_netns-lab");

/// Whether OpenVPN is there, and a line that says if it is not.
fn has_openvpn() -> bool {
    let version = Command::new("openvpn").arg("--version").stdout(Stdio::null()).status();
    let is_there = version.is_ok();
    if !is_there {
        trial::skip("there is no openvpn; Debian's package of that name has it");
    }
    is_there
}

fn run(scenario: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let program = Program::find(None).or_else(|_| Program::find_or_build(None)).unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["run", scenario]).args(arguments).arg("--program").arg(program.path());
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn two_of_openvpn_pass_a_case_of_the_matrix_and_its_restart() {
    trial::run_with_tun(|| {
        if !has_openvpn() {
            return;
        }
        let (code, said) = run("openvpn-interop", &["--only", "openvpn-openvpn", "--case", "restart-b"]);
        assert_eq!(code, Some(0), "{said}");
        let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        assert_eq!((&last["scenario"], &last["pass"]), (&"openvpn-interop".into(), &true.into()));
        let run = &last["runs"]["openvpn-openvpn"];
        assert!(run["passed"].as_u64() >= Some(2), "{run}");
        assert!(run["phases"]["restart-b"]["mss"].as_u64() > Some(1000), "{run}");
    });
}

#[test]
fn a_pair_or_a_case_that_is_not_there_is_a_matter_of_usage() {
    for arguments in [["--only", "openvpn-racoon"], ["--case", "no such case"]] {
        assert_eq!(run("openvpn-interop", &arguments).0, Some(2));
    }
    for scenario in ["openvpn-scripts", "openvpn-replace"] {
        assert_eq!(run(scenario, &["--only", "racoon"]).0, Some(2));
    }
}
