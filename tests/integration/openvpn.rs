//! In OpenVPN's place, beside the program itself: what scripts are told and in which order; and in `openvpn/`, what each option
//! does that shows outside.

mod link;
mod management;
mod rate;
mod rights;
mod runner;

mod restarts;
mod streams;

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use meshtun_sys::process::Signal;
use netns_lab::{
    child::Child,
    lab::{End, Lab},
    node::Node,
    trial,
};

use crate::bed::{PATIENCE, eventually, run};

const OPENVPN: &str = "/usr/sbin/openvpn";

/// What is logged when all is set up.
const COMPLETED: &str = "Initialization Sequence Completed";

/// What the scripts of every configuration write: their arguments, and the environment that they were started with, in its
/// order.
const RECORDER: &str = r#"#!/bin/sh
{
    printf '== %s' "${0##*/}"
    for word in "$@"; do printf ' [%s]' "$word"; done
    echo
    /usr/bin/tr '\0' '\n' < /proc/$$/environ
} >> "${0%/*}/trace"
"#;

/// The other end, which is OpenVPN in every case.
const PEER: &str = "dev tun\nlocal 10.99.0.2\nlport 6001\nremote 10.99.0.1\nrport 6011\nifconfig 10.7.0.2 10.7.0.1\n\
                    ifconfig-ipv6 fd00:7::2/64 fd00:7::1\ncipher AES-256-CBC\nauth SHA256\nsecret key\nping 1\nverb 3\n";

/// The end under test, before what each test adds.
const END: &str = "dev tun\nlocal 10.99.0.1\nlport 6011\nremote 10.99.0.2\nrport 6001\nifconfig 10.7.0.1 10.7.0.2\n\
                   cipher AES-256-CBC\nauth SHA256\nsecret key\nping 5\nping-restart 30\nverb 3\nscript-security 2\n";

/// What the end under test is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    OpenVpn,
    Meshtun,
}

/// Two nodes with a cable between them, and a folder with key, scripts and configurations.
struct Ends {
    // Before the lab: programs end before their namespaces go.
    _peer: Child,
    left: Node,
    folder: PathBuf,
    _lab: Lab,
}

impl Ends {
    /// The peer runs. The scripts are `record` and `record-down`.
    fn new(peer: &str) -> Ends {
        let mut lab = Lab::new().unwrap();
        let (left, right) = (lab.add_node("left").unwrap(), lab.add_node("right").unwrap());
        lab.connect(End { node: &left, device: "wire" }, End { node: &right, device: "wire" }, 1500).unwrap();
        left.add_address("wire", "10.99.0.1/24".parse().unwrap()).unwrap();
        right.add_address("wire", "10.99.0.2/24".parse().unwrap()).unwrap();
        let folder = lab.folder().to_owned();
        run(&left, &format!("{OPENVPN} --genkey secret {}", folder.join("key").display()));
        let script = folder.join("record");
        fs::write(&script, RECORDER).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.join("peer.conf"), peer).unwrap();
        let mut command = Command::new(OPENVPN);
        command.args(["--config", "peer.conf"]).current_dir(&folder);
        let log = File::create(folder.join("peer.log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let peer = right.start(command).unwrap();
        Ends { _peer: peer, left, folder, _lab: lab }
    }

    /// Starts one of the programs with this configuration.
    fn start(&self, kind: Kind, configuration: &str) -> Running<'_> {
        self.start_in(kind, configuration, &[])
    }

    /// As [`Self::start`], with these words before the program's name and a variable in its environment, if there is any.
    fn start_in(&self, kind: Kind, configuration: &str, before: &[(&str, &str)]) -> Running<'_> {
        let configuration = configuration.replace("RECORD", &self.folder.join("record").display().to_string());
        fs::write(self.folder.join("nq1.conf"), configuration).unwrap();
        let mut command = match kind {
            Kind::OpenVpn => Command::new(OPENVPN),
            Kind::Meshtun => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_meshtun"));
                command.arg("openvpn");
                command
            }
        };
        command.args(["--config", "nq1.conf"]).current_dir(&self.folder).envs(before.iter().copied());
        let log = self.folder.join(format!("{kind:?}.log"));
        let out = File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        Running { child: self.left.start(command).unwrap(), log, left: &self.left }
    }

    /// What the peer logged.
    fn peers_log(&self) -> String {
        fs::read_to_string(self.folder.join("peer.log")).unwrap_or_default()
    }

    /// Runs one of the programs with this configuration while `act` lasts, to its end by SIGTERM, and gives what the scripts
    /// recorded.
    fn trace(&self, kind: Kind, configuration: &str, act: impl FnOnce(&mut Running<'_>)) -> String {
        let trace = self.folder.join("trace");
        let _none_yet = fs::remove_file(&trace);
        // Scripts that have lost their rights can write it, too.
        File::create(&trace).unwrap().set_permissions(fs::Permissions::from_mode(0o666)).unwrap();
        self.open_to_all();
        let mut running = self.start(kind, configuration);
        running.wait_for(COMPLETED, 1);
        act(&mut running);
        running.end();
        without_pid_and_time(&fs::read_to_string(&trace).unwrap())
    }

    /// Whoever has lost his rights reaches the folder.
    fn open_to_all(&self) {
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Asserts that the scripts of both programs were told the same in the same order.
    fn assert_same(&self, configuration: &str, act: impl Fn(&mut Running<'_>)) -> String {
        let configuration = format!("{END}{configuration}");
        let theirs = self.trace(Kind::OpenVpn, &configuration, &act);
        let ours = self.trace(Kind::Meshtun, &configuration, &act);
        assert_eq!(ours, theirs, "left: meshtun, right: openvpn");
        theirs
    }
}

/// A program on its way.
struct Running<'a> {
    child: Child,
    log: PathBuf,
    left: &'a Node,
}

impl Running<'_> {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn wait_for(&mut self, words: &str, times: usize) {
        eventually(&format!("{words:?} is logged {times} times"), || {
            if let Some(ended) = self.child.ended().unwrap() {
                panic!("ended with {ended}: {}", self.log());
            }
            self.log().matches(words).count() >= times
        });
    }

    fn signal(&mut self, signal: Signal) {
        self.child.signal(signal).unwrap();
    }

    /// Ends it by SIGTERM.
    fn end(mut self) {
        self.signal(Signal::Terminate);
        self.ends_with(0);
    }

    /// Waits until it ends of itself.
    fn ends_with(&mut self, code: i32) {
        let ended = self.child.wait_for(PATIENCE).unwrap();
        assert!(ended.is_some_and(|ended| ended.code() == Some(code)), "{ended:?}: {}", self.log());
    }
}

fn without_pid_and_time(trace: &str) -> String {
    let changes = |line: &&str| line.starts_with("daemon_pid=") || line.starts_with("daemon_start_time=");
    let lines = trace.lines().map(|line| match line.split_once('=') {
        Some((name, _)) if changes(&line) => format!("{name}=…\n"),
        _ => format!("{line}\n"),
    });
    lines.collect()
}

fn calls(trace: &str) -> Vec<&str> {
    trace.lines().filter(|line| line.starts_with("script_type=")).collect()
}

#[test]
fn scripts_are_told_the_same_as_by_openvpn_over_restarts_that_keep_nothing() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        let configuration = "up \"RECORD own 'two words'\"\ndown RECORD\nroute-up RECORD\nroute-pre-down RECORD\n\
                             ipchange RECORD\nroute 10.207.0.0 255.255.0.0\nroute 10.208.0.0 255.255.0.0 vpn_gateway 7\n\
                             route-metric 3\nsetenv SITE \"new york\"\nsetenv-safe NOTE 1\n\
                             ifconfig-ipv6 fd00:7::1/64 fd00:7::2\nroute-ipv6 fd00:8::/48\n";
        let trace = ends.assert_same(configuration, |running| {
            running.signal(Signal::User1);
            running.wait_for(COMPLETED, 2);
            running.signal(Signal::Hangup);
            running.wait_for(COMPLETED, 3);
        });
        // Five scripts in three sessions.
        assert_eq!(calls(&trace).len(), 15, "{trace}");
    });
}

#[test]
fn scripts_are_told_the_same_as_by_openvpn_when_all_waits_for_the_peer_and_the_device_is_kept() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        let configuration = "up RECORD\ndown RECORD\nipchange RECORD\nup-delay\ndown-pre\nup-restart\npersist-tun\n\
                             persist-key\nuser nobody\ngroup nogroup\n";
        let trace = ends.assert_same(configuration, |running| {
            running.signal(Signal::User1);
            running.wait_for(COMPLETED, 2);
        });
        let up_and_down =
            ["ipchange", "up", "down", "ipchange", "up", "down"].map(|kind| format!("script_type={kind}"));
        assert_eq!(calls(&trace), up_and_down, "{trace}");
    });
}

#[test]
fn packets_cross_between_openvpn_and_its_stand_in() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        let configuration = format!("{END}ifconfig-ipv6 fd00:7::1/64 fd00:7::2\nup RECORD\n");
        ends.trace(Kind::Meshtun, &configuration, |running| {
            for to in ["10.7.0.2", "fd00:7::2"] {
                // Longer than the underlay takes in one piece: the kernel cuts the datagram, as for OpenVPN.
                run(running.left, &format!("ping -n -c 2 -i 0.2 -W 20 -s 1400 {to}"));
            }
        });
    });
}

#[test]
fn a_failing_up_script_ends_the_process_with_code_1_and_a_bad_file_does_with_its_line() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        let attempt = |configuration: &str| {
            fs::write(ends.folder.join("nq1.conf"), configuration).unwrap();
            let mut command = Command::new(env!("CARGO_BIN_EXE_meshtun"));
            command.args(["openvpn", "--config", "nq1.conf"]).current_dir(&ends.folder);
            let output = ends.left.output(command).unwrap();
            (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let (code, said) = attempt(&format!("{END}up /bin/false\n"));
        assert_eq!(code, Some(1), "{said}");
        for line in [
            "/bin/false tun0 1500 0 10.7.0.1 10.7.0.2 init",
            "WARNING: Failed running command (--up/--down): external program exited with error status: 1",
            "Exiting due to fatal error",
        ] {
            assert!(said.contains(line), "{line}: {said}");
        }
        let (code, said) = attempt(&format!("{END}redirect-gateway def1\n"));
        assert!(code == Some(1) && said.contains("Options error: nq1.conf:14: `redirect-gateway`"), "{code:?}: {said}");
        let (code, said) = attempt(&format!("{END}up /etc/openvpn/gone.pl\n"));
        let line = "nq1.conf:14: `up`: '/etc/openvpn/gone.pl' cannot be run: No such file or directory (errno=2)";
        assert!(code == Some(1) && said.contains(line), "{code:?}: {said}");
        let (code, said) = attempt(&format!("{END}frobnicate\n"));
        assert!(code == Some(1) && said.contains("nq1.conf:14: `frobnicate` is unknown"), "{code:?}: {said}");
    });
}
