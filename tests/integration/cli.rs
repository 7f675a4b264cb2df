//! Arguments, files, error messages and exit codes; no namespaces.

mod files;
mod import;
mod keys;
mod openvpn;
mod texts;

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

/// Every subcommand; `--help` lists no other.
const COMMANDS: [&str; 13] = [
    "keygen",
    "pubkey",
    "check",
    "plan",
    "up",
    "down",
    "reload",
    "status",
    "import",
    "demo",
    "openvpn",
    "completions",
    "man",
];

/// `meshtun` with these arguments, without whatever the environment says of its directories.
fn meshtun(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshtun"));
    command.args(arguments).stdin(Stdio::null());
    for name in ["MESHTUN_RUNTIME_DIR", "MESHTUN_STATE_DIR", "MESHTUN_LOG"] {
        command.env_remove(name);
    }
    command
}

fn run(arguments: &[&str]) -> Output {
    meshtun(arguments).output().expect("cargo built it")
}

/// Runs a program that reads `input`.
fn feed(mut command: Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{error}; tests/prepare installs what is needed"));
    // It may have ended without reading.
    let _heard = child.stdin.take().expect("it was asked for").write_all(input.as_bytes());
    child.wait_with_output().expect("it can be waited for")
}

/// What it printed, which must have succeeded and complained of nothing.
fn printed(output: Output) -> String {
    let [said, complained] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text"));
    assert!(output.status.success() && complained.is_empty(), "{}: {complained}", output.status);
    said
}

/// What it complained of, which must have ended with this code and printed nothing.
fn complaint(output: Output, code: i32) -> String {
    let [said, complained] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text"));
    assert_eq!(output.status.code(), Some(code), "{complained}");
    assert_eq!(said, "");
    complained
}
