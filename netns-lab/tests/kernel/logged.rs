//! Programs that write a log.

use std::{process::Command, time::Duration};

use netns_lab::{Lab, logged::Logged, trial};

const LIMIT: Duration = Duration::from_secs(5);

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn what_a_program_says_is_waited_for_and_what_it_complains_of_is_told_once() {
    trial::run(|| {
        let mut lab = Lab::new().unwrap();
        let node = lab.add_node("one").unwrap();
        let log = lab.folder().join("one.log");
        let mut program = Logged::start(&node, "it", &log, shell("echo bad >&2; echo ready; exec sleep 60")).unwrap();
        program.wait_for("ready", 1, LIMIT).unwrap();
        assert_eq!(program.wrong(|line| line == "bad"), ["it: bad"]);
        program.forgive();
        assert_eq!(program.wrong(|line| line == "bad"), [""; 0]);
        program.end().unwrap();
        // The log of the next one goes on.
        let mut next = Logged::start(&node, "it", &log, shell("echo ready; exec sleep 60")).unwrap();
        next.wait_for("ready", 2, LIMIT).unwrap();
    });
}

#[test]
fn a_program_that_ended_by_itself_is_told_with_the_end_of_its_log() {
    trial::run(|| {
        let mut lab = Lab::new().unwrap();
        let node = lab.add_node("one").unwrap();
        let mut program =
            Logged::start(&node, "it", &lab.folder().join("one.log"), shell("echo no such key; exit 3")).unwrap();
        let error = program.wait_for("ready", 1, LIMIT).unwrap_err().to_string();
        assert!(error.contains("it ended by itself") && error.contains("no such key"), "{error}");
        assert!(program.wrong(|_| false)[0].contains("ended by itself"));
    });
}
