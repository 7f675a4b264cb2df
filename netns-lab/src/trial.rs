//! Tests in labs: as root, or as an ordinary user in a user namespace, and never skipped in silence.

use std::{
    any,
    cell::RefCell,
    env,
    ffi::OsStr,
    io::{self, ErrorKind, Write as _},
    process::{Command, Output},
    thread,
};

use meshtun_sys::netns::{UserNamespaceError, command_in_user_namespace, cover_folder};

use crate::{
    Lab, privilege,
    program::Program,
    scenario::{Options, Outcome, Scenario},
};

/// If set (to anything but 0 or nothing), a test that cannot run fails instead of being skipped.
pub const REQUIRE: &str = "MESHTUN_REQUIRE_NETNS";

/// Set in a test program that was started again inside a user namespace.
const INSIDE: &str = "NETNS_LAB_INSIDE";

/// What the line of a test that cannot run begins with.
const SKIPPED: &str = "SKIPPED";

/// Runs a test that needs namespaces.
///
/// Without the right to make them, the test program is started again inside a user namespace, for this test alone: so
/// `body` must be a closure written in the test function itself, by whose name the test is found. Where that cannot be
/// either, a line says why, and the test passes, unless [`REQUIRE`] is set.
///
/// # Panics
/// As the test does.
pub fn run<F: FnOnce()>(body: F) {
    if privilege::is_privileged() {
        if env::var_os(INSIDE).is_some() {
            cover_folder("/run").expect("root of its mount namespace may mount there");
        }
        let possible = Lab::new().and_then(|mut lab| lab.add_node("probe"));
        return possible.map_or_else(|error| skip(&error.to_string()), |_| body());
    }
    assert!(env::var_os(INSIDE).is_none(), "inside a user namespace without its capabilities");
    match run_again(name_of::<F>()) {
        Ok(output) if output.status.success() => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains("1 passed"), "the test program found no test {}:\n{said}", name_of::<F>());
            String::from_utf8_lossy(&output.stderr).lines().filter(|line| line.starts_with(SKIPPED)).for_each(say);
        }
        Ok(output) => panic!("inside a user namespace:\n{}", text_of(&output)),
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::StorageFull) => {
            skip(&UserNamespaceError::Forbidden.to_string());
        }
        Err(error) => skip(&format!("no user namespace can be entered: {error}")),
    }
}

/// As [`run`], for a test that needs tun devices, too.
///
/// # Panics
/// As the test does.
pub fn run_with_tun<F: FnOnce()>(body: F) {
    match privilege::tun_device() {
        Err(error) => skip(&error.to_string()),
        Ok(()) => run(body),
    }
}

/// Plays a scenario from its text, with faults from a seed, and gives what came of it.
///
/// # Panics
/// If the text is no scenario, or it does not pass: with all that it told.
pub fn play(text: &str, program: &Program, seed: u64) -> Outcome {
    let scenario = Scenario::parse("test", "test.toml", text).unwrap_or_else(|problem| panic!("{problem}"));
    let told = RefCell::new(String::new());
    let narrate = |line: &str| told.borrow_mut().extend([line, "\n"]);
    let outcome = scenario.play(&Options { program, seed, narrate: &narrate });
    assert!(outcome.pass(), "{}", told.borrow());
    outcome
}

/// Says that a test cannot run, and why; panics if [`REQUIRE`] is set.
pub fn skip(why: &str) {
    assert!(!is_set(env::var_os(REQUIRE).as_deref()), "{REQUIRE} is set, but {why}");
    say(&format!("{SKIPPED} {}: {why}", thread::current().name().unwrap_or("a test")));
}

/// Past the test harness, which keeps what `eprintln!` says of a test that passes to itself.
fn say(line: &str) {
    // Where standard error is closed there is nobody to tell.
    let _unheard = writeln!(io::stderr(), "{line}");
}

fn is_set(value: Option<&OsStr>) -> bool {
    value.is_some_and(|value| !value.is_empty() && value != "0")
}

fn run_again(test: &str) -> io::Result<Output> {
    let mut command = Command::new(env::current_exe()?);
    command.args([test, "--exact", "--nocapture", "--include-ignored"]).env(INSIDE, "1");
    command_in_user_namespace(&mut command);
    command.output()
}

/// The path of the test function in which a closure stands, as the test harness calls it: without the crate.
fn name_of<F>() -> &'static str {
    let path = any::type_name::<F>();
    let path = path.strip_suffix("::{{closure}}").unwrap_or(path);
    path.split_once("::").map_or(path, |(_crate, test)| test)
}

fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of<F: FnOnce()>(_: F) -> &'static str {
        name_of::<F>()
    }

    #[test]
    fn a_test_is_found_by_the_closure_that_stands_in_it() {
        assert_eq!(path_of(|| {}), "trial::tests::a_test_is_found_by_the_closure_that_stands_in_it");
    }

    #[test]
    fn only_a_value_that_says_so_requires_the_tests() {
        let set = [Some("1"), Some("yes"), Some("0"), Some(""), None].map(|value| is_set(value.map(OsStr::new)));
        assert_eq!(set, [true, true, false, false, false]);
    }
}
