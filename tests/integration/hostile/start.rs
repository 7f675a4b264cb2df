//! Starts that cannot succeed: one line that says why, the right exit code, and nothing changed, but that the peer's
//! networks are closed to the default route as soon as it is known which they are and the kernel takes it.

use std::{
    fs,
    net::UdpSocket,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use netns_lab::{
    topology::{Options, Shape},
    trial,
};

use crate::{
    bed::{Bed, output, program},
    kernel::{Left, assert_left, everything},
};

/// The machine or the operator's rights are at fault.
const FAILED: Ending = Ending { code: 1, left: Left::Nothing };

/// As [`FAILED`], but the peer's networks are known by then.
const FAILED_CLOSED: Ending = Ending { code: 1, left: Left::Unreachable };

/// A file that the operator wrote is at fault.
const CONFIGURATION: Ending = Ending { code: 78, left: Left::Nothing };

#[test]
fn a_missing_mesh_file_is_named() {
    trial::run_with_tun(|| {
        let start = Start::new();
        fs::remove_file(&start.mesh).expect("it is there");
        start.must_fail(start.up(), CONFIGURATION, &[path(&start.mesh), "No such file"]);
    });
}

#[test]
fn a_missing_key_file_is_named() {
    trial::run_with_tun(|| {
        let start = Start::new();
        fs::remove_file(&start.key).expect("it is there");
        start.must_fail(start.up(), CONFIGURATION, &[path(&start.key), "no such private key file", "meshtun keygen"]);
    });
}

#[test]
fn a_key_file_that_cannot_be_read_is_named() {
    trial::run_with_tun(|| {
        let start = Start::new();
        fs::remove_file(&start.key).expect("it is there");
        fs::create_dir(&start.key).expect("its place is free");
        fs::set_permissions(&start.key, fs::Permissions::from_mode(0o700)).expect("it is ours");
        start.must_fail(start.up(), CONFIGURATION, &[path(&start.key)]);
    });
}

#[test]
fn a_key_file_without_a_key_is_named() {
    trial::run_with_tun(|| {
        let start = Start::new();
        for garbage in ["", "not a key", "dG9vIHNob3J0"] {
            fs::write(&start.key, garbage).expect("it is ours");
            start.must_fail(start.up(), CONFIGURATION, &[path(&start.key)]);
        }
    });
}

#[test]
fn a_key_file_that_others_may_read_is_refused_with_what_to_do() {
    trial::run_with_tun(|| {
        let start = Start::new();
        for mode in [0o644, 0o640, 0o604] {
            fs::set_permissions(&start.key, fs::Permissions::from_mode(mode)).expect("it is ours");
            start.must_fail(start.up(), CONFIGURATION, &[path(&start.key), "chmod 600"]);
        }
    });
}

#[test]
fn a_key_of_no_gateway_of_the_mesh_is_refused() {
    trial::run_with_tun(|| {
        let start = Start::new();
        let stranger = program().keys(1).expect("keys are made").remove(0);
        fs::write(&start.key, stranger.private()).expect("it is ours");
        start.must_fail(start.up(), CONFIGURATION, &[path(&start.key), stranger.public()]);
    });
}

#[test]
fn a_port_that_is_busy_is_named_with_its_channel() {
    trial::run_with_tun(|| {
        let start = Start::new();
        let take = || UdpSocket::bind("198.51.100.1:16417");
        let _taken = start.bed.gateway(0).run(take).expect("the node can be entered").expect("the port is free");
        start.must_fail(start.up(), FAILED_CLOSED, &["cable/1", "198.51.100.1:16417", "in use"]);
    });
}

#[test]
fn a_missing_tun_driver_is_told_with_what_to_do() {
    trial::run_with_tun(|| {
        let start = Start::new();
        // A folder without the device, and a device that is no tun driver, seen by this start alone.
        for cover in ["mount -t tmpfs none /dev/net", "mount --bind /dev/null /dev/net/tun"] {
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-e", "-c", &format!("{cover}; exec \"$0\" \"$@\"")]);
            start.must_fail(start.up_by(command), FAILED_CLOSED, &["/dev/net/tun is missing", "modprobe tun"]);
        }
    });
}

#[test]
fn a_missing_capability_is_named() {
    trial::run_with_tun(|| {
        let start = Start::new();
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]);
        start.must_fail(start.up_by(command), FAILED, &["CAP_NET_ADMIN"]);
    });
}

#[test]
fn a_runtime_directory_that_cannot_be_made_is_named() {
    trial::run_with_tun(|| {
        let start = Start::new();
        fs::write(start.folder.join("run"), "a file in its place").expect("its place is free");
        start.must_fail(start.up(), FAILED_CLOSED, &[path(&start.folder.join("run")), "--runtime-dir"]);
    });
}

/// A lab in which nothing runs, and the files of its first gateway.
struct Start {
    bed: Bed,
    folder: PathBuf,
    mesh: PathBuf,
    key: PathBuf,
}

impl Start {
    fn new() -> Start {
        let bed = Bed::quiet(Shape::TwoGateways, 2, &Options::default());
        let folder = bed.topology.lab.folder().to_owned();
        let [mesh, key] = ["mesh.toml", "private.key"].map(|name| folder.join(name));
        fs::write(&mesh, bed.mesh.to_string()).expect("the folder is ours");
        fs::write(&key, bed.keys[0].private()).expect("the folder is ours");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("it is ours");
        Start { bed, folder, mesh, key }
    }

    fn up(&self) -> Command {
        self.up_by(Command::new("env"))
    }

    /// `meshtun up`, started by another program.
    fn up_by(&self, mut starter: Command) -> Command {
        starter.arg(program().path()).arg("up").arg(&self.mesh).arg("--key").arg(&self.key);
        starter.arg("--runtime-dir").arg(self.folder.join("run")).arg("--state-dir").arg(self.folder.join("state"));
        starter
    }

    /// That it ends so, says all of these words in one line, and leaves the kernel as it was.
    fn must_fail(&self, up: Command, ending: Ending, words: &[&str]) {
        let node = self.bed.gateway(0);
        let before = everything(node);
        let output = output(node, up);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(ending.code), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("meshtun: "), "{said}");
        for word in words {
            assert!(said.contains(word), "{word} in {said}");
        }
        assert_left(node, &before, ending.left);
        assert!(!self.folder.join("run/control.sock").exists());
    }
}

/// How a start fails.
#[derive(Clone, Copy)]
struct Ending {
    code: i32,
    left: Left,
}

fn path(path: &Path) -> &str {
    path.to_str().expect("the lab's folder has a plain name")
}
