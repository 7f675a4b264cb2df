use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::{
        fs::PermissionsExt as _,
        process::{CommandExt as _, ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use meshtun_sys::process::{Signal, effective_uid, exists, signal};
use netns_lab::{Lab, trial};

use crate::{has_ended, names_of, own_name, stand_in, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_netns-lab");

/// A lab opened by the program, without a shell.
struct Opened {
    name: String,
    child: process::Child,
    text: String,
}

impl Opened {
    /// Waits until it has said all that it says.
    fn start(name: &str, arguments: &[&str]) -> Opened {
        let name = own_name(name);
        let mut child = Command::new(PROGRAM)
            .args(["shell", "--no-shell", "--name", &name])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut text = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        while !text.contains("Everything is gone after") {
            assert_ne!(output.read_line(&mut text).unwrap(), 0, "it ended early:\n{text}");
        }
        Opened { name, child, text }
    }

    fn folder(&self) -> PathBuf {
        std::env::temp_dir().join(format!("netns-lab-{}-0", self.child.id()))
    }

    /// Sends a signal, waits for the end and gives the exit code.
    fn end(&mut self, how: Signal) -> Option<i32> {
        signal(self.child.id(), how).unwrap();
        self.child.wait().unwrap().code()
    }

    fn assert_gone(&self) {
        assert!(names_of(&self.name).is_empty(), "{:?}", names_of(&self.name));
        assert!(!self.folder().exists());
        assert!(!Path::new(&format!("/run/netns-lab/{}.made", self.name)).exists());
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        // A killed lab is cleaned up by the next one.
        let _swept = Lab::named(&self.name);
    }
}

#[test]
fn ctrl_c_and_sigterm_close_a_lab_and_leave_nothing() {
    trial::run(|| {
        for (how, arguments) in [
            (Signal::Interrupt, ["--bare", "--topology", "three-sites", "--underlay", "v6"].as_slice()),
            (Signal::Terminate, &["--bare", "--internet"]),
        ] {
            let mut lab = Opened::start("closed", arguments);
            assert!(lab.text.contains("host1 ───"), "{}", lab.text);
            assert!(lab.text.contains("ip netns exec") || effective_uid() != 0, "{}", lab.text);
            assert!(lab.folder().exists());
            assert_eq!(lab.end(how), Some(0));
            lab.assert_gone();
        }
    });
}

#[test]
fn the_scripts_of_a_lab_run_programs_in_its_nodes() {
    trial::run(|| {
        let lab = Opened::start("scripts", &["--bare"]);
        let output = Command::new(lab.folder().join("bin/g2")).args(["cat", "/proc/self/net/dev"]).output().unwrap();
        let devices = String::from_utf8_lossy(&output.stdout);
        assert!(devices.contains("underlay:") && devices.contains("lan:"), "{output:?}");
    });
}

#[test]
fn what_a_killed_lab_left_is_taken_away_by_the_next_of_its_name() {
    trial::run(|| {
        let mut lab = Opened::start("killed", &["--bare"]);
        let nodes = names_of(&lab.name).len();
        lab.end(Signal::Kill);
        assert_eq!(names_of(&lab.name).len(), nodes, "nobody has cleaned up yet");
        assert!(lab.folder().exists());
        drop(Lab::named(&lab.name).unwrap());
        lab.assert_gone();
    });
}

#[test]
fn gateways_end_when_the_lab_is_killed() {
    trial::run(|| {
        let name = own_name("orphans");
        let stand_in = stand_in();
        let arguments = ["shell", "--no-shell", "--name", &name, "--program", stand_in.to_str().unwrap()];
        let mut child = Command::new(PROGRAM).args(arguments).stdout(Stdio::null()).spawn().unwrap();
        let folder = std::env::temp_dir().join(format!("netns-lab-{}-0", child.id()));
        let pid_of = |gateway: &str| fs::read_to_string(folder.join(gateway).join("run/pid")).ok();
        let pids = || ["g1", "g2"].map(|gateway| pid_of(gateway).and_then(|pid| pid.trim().parse::<u32>().ok()));
        wait_until("both gateways run", || pids().iter().all(Option::is_some));
        let pids = pids().map(Option::unwrap);
        assert!(pids.iter().all(|pid| exists(*pid)));
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        wait_until("no gateway runs", || pids.iter().all(|pid| has_ended(*pid)));
        drop(Lab::named(&name).unwrap());
        assert!(names_of(&name).is_empty() && !folder.exists());
    });
}

#[test]
fn a_lab_that_cannot_be_opened_says_why_and_leaves_nothing() {
    trial::run(|| {
        let name = own_name("refused");
        let run = |program: &str| {
            Command::new(PROGRAM).args(["shell", "--no-shell", "--name", &name, "--program", program]).output().unwrap()
        };
        let output = run("/nowhere/meshtun");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains("/nowhere/meshtun") && said.contains("MESHTUN_BIN"), "{said}");
        let output = run("/bin/ls");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains("`/bin/ls keygen`"), "{said}");
        assert!(names_of(&name).is_empty());
    });
}

#[test]
fn this_machine_passes_the_check() {
    trial::run(|| {
        let output = Command::new(PROGRAM).args(["check", "--seconds", "0.1"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("clear packets") && said.contains("nothing is left"), "{said}");
    });
}

#[test]
fn an_ordinary_user_passes_the_check_in_a_user_namespace() {
    let copy = (effective_uid() == 0).then(Copy::for_nobody);
    let mut command = Command::new(copy.as_ref().map_or(PROGRAM.into(), Copy::program));
    command.args(["check", "--seconds", "0.1"]).current_dir("/");
    if copy.is_some() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("lets ordinary users make no user namespaces") {
        return trial::skip(said.trim());
    }
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("user namespace") && said.contains("nothing is left"), "{said}");
}

const NOBODY: u32 = 65534;

/// A copy of the program where everybody may read it.
struct Copy(PathBuf);

impl Copy {
    fn for_nobody() -> Copy {
        let copy = Copy(std::env::temp_dir().join(own_name("netns-lab-nobody")));
        fs::create_dir(&copy.0).unwrap();
        fs::set_permissions(&copy.0, fs::Permissions::from_mode(0o755)).unwrap();
        // Not by this process: a file that is open for writing in a child that another test forks cannot be run.
        assert!(Command::new("cp").arg(PROGRAM).arg(copy.program()).status().unwrap().success());
        copy
    }

    fn program(&self) -> PathBuf {
        self.0.join("netns-lab")
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}
