//! Whoever starts the process: sd_notify, syslog and the background, the log file, exit codes, replay-persist.

use std::{fs, os::unix::net::UnixDatagram, time::Duration};

use meshtun_sys::process::Signal;
use netns_lab::trial;

use super::{COMPLETED, END, Ends, Kind, PEER};
use crate::bed::{eventually, run};

#[test]
fn the_service_runner_is_told_the_same_as_by_openvpn_and_nothing_goes_into_the_background() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        let path = ends.folder.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let told = [Kind::OpenVpn, Kind::Meshtun].map(|kind| {
            // As systemd starts a unit of `Type=notify`.
            let configuration = format!("{END}ping 1\ndaemon nq1\nlog log\n");
            let _none_yet = fs::remove_file(ends.folder.join("log"));
            let notify = [("NOTIFY_SOCKET", path.to_str().unwrap())];
            let mut running = ends.start_in(kind, &configuration, &notify);
            running.log = ends.folder.join("log");
            running.wait_for(COMPLETED, 1);
            running.signal(Signal::User1);
            running.wait_for(COMPLETED, 2);
            let pid = running.child.id();
            running.end();
            let mut told = Vec::new();
            let mut room = [0; 4096];
            while let Ok(length) = socket.recv(&mut room) {
                let text = String::from_utf8_lossy(&room[..length]).into_owned();
                told.push(text.replace(&format!("MAINPID={pid}"), "MAINPID=…"));
            }
            told
        });
        assert_eq!(told[1], told[0], "left: meshtun, right: openvpn");
        assert!(told[1].contains(&"STATUS=Initialization Sequence Completed".to_owned()), "{told:?}");
    });
}

/// A `/dev` of its own for a program, in which the log's socket is ours.
const WITH_LOG: &str = r#"set -e
mkdir -p "$FOLDER/dev"
mount --rbind /dev "$FOLDER/dev"
mount -t tmpfs none /dev
for name in null zero random urandom net; do ln -s "$FOLDER/dev/$name" /dev/; done
ln -s "$FOLDER/syslog" /dev/log
exec "$@"
"#;

#[test]
fn in_the_background_the_log_goes_to_syslog_under_the_name_given_and_the_pid_file_leads_there() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        let socket = UnixDatagram::bind(ends.folder.join("syslog")).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let down = ends.folder.join("down");
        fs::write(&down, "#!/bin/sh\npwd > \"${0%/*}/where\"\n").unwrap();
        fs::set_permissions(&down, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        for kind in [Kind::OpenVpn, Kind::Meshtun] {
            let (program, first) = match kind {
                Kind::OpenVpn => (super::OPENVPN, None),
                Kind::Meshtun => (env!("CARGO_BIN_EXE_meshtun"), Some("openvpn")),
            };
            let configuration = format!("{END}ping 1\ndown {}\n", down.display());
            fs::write(ends.folder.join("nq1.conf"), configuration).unwrap();
            let pid_file = ends.folder.join("pid");
            let mut command = std::process::Command::new("unshare");
            command.args(["--mount", "sh", "-c", WITH_LOG, "sh", program]).args(first).env("FOLDER", &ends.folder);
            command.args(["--config", "nq1.conf", "--daemon", "ovpn-nq1", "--writepid"]).arg(&pid_file);
            command.current_dir(&ends.folder).stdin(std::process::Stdio::null());
            let mut starter = ends.left.start(command).unwrap();
            let ended = starter.wait_for(crate::bed::PATIENCE).unwrap();
            assert!(ended.is_some_and(|ended| ended.success()), "{kind:?}: whoever started it may go on: {ended:?}");
            let mut lines = Vec::new();
            let mut hear = |words: &str| {
                eventually(&format!("{kind:?}: {words:?} is in the system's log"), || {
                    let mut room = [0; 4096];
                    while let Ok(length) = socket.recv(&mut room) {
                        lines.push(String::from_utf8_lossy(&room[..length]).into_owned());
                    }
                    lines.iter().any(|line| line.contains(words))
                });
            };
            hear(COMPLETED);
            let pid: u32 = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
            run(&ends.left, &format!("kill -TERM {pid}"));
            hear("SIGTERM[hard,] received, process exiting");
            let wanted = format!(" ovpn-nq1[{pid}]: {COMPLETED}");
            let line = lines.iter().find(|line| line.contains(&wanted));
            assert!(line.is_some_and(|line| line.starts_with("<29>")), "{kind:?}: {lines:?}");
            eventually("it has ended", || !fs::exists(format!("/proc/{pid}/root/")).unwrap_or(false));
            assert_eq!(fs::read_to_string(ends.folder.join("where")).unwrap(), "/\n", "{kind:?}: where scripts run");
        }
    });
}

#[test]
fn a_log_file_is_begun_anew_or_gone_on_with_and_scripts_write_into_it_too() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        let script = ends.folder.join("says");
        fs::write(&script, "#!/bin/sh\necho said by a script\n").unwrap();
        fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let log = ends.folder.join("log");
        let life = |option: &str| {
            let configuration = format!("{END}ping 1\n{option} log\nup {}\n", script.display());
            let up = || fs::read_to_string(&log).unwrap_or_default().matches(COMPLETED).count();
            let before = if option == "log" { 0 } else { up() };
            let running = ends.start(Kind::Meshtun, &configuration);
            eventually("it is up", || up() > before);
            running.end();
            fs::read_to_string(&log).unwrap()
        };
        fs::write(&log, "from before\n").unwrap();
        let first = life("log");
        assert!(!first.contains("from before"), "{first}");
        assert!(first.contains("said by a script") && first.contains("process exiting"), "{first}");
        let both = life("log-append");
        assert!(both.starts_with(&first) && both.matches("said by a script").count() == 2, "{both}");
    });
}

#[test]
fn what_was_received_is_known_after_a_restart_of_either_program() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        let ids = ends.folder.join("ids");
        // OpenVPN's file: seconds in eight bytes, then the number in four.
        let newest = || {
            let bytes = fs::read(&ids).unwrap();
            let seconds = u64::from_le_bytes(bytes[..8].try_into().unwrap());
            (seconds, u32::from_le_bytes(bytes[8..12].try_into().unwrap()))
        };
        let configuration = format!("{END}ping 1\nreplay-persist ids\n");
        let mut before = (0, 0);
        for kind in [Kind::OpenVpn, Kind::Meshtun, Kind::Meshtun, Kind::OpenVpn] {
            let mut running = ends.start(kind, &configuration);
            running.wait_for(COMPLETED, 1);
            running.end();
            let now = newest();
            assert!(now > before && now.0 > 1_700_000_000, "{kind:?}: {now:?} after {before:?}");
            before = now;
        }
        // All that the peer sends from here on is older: as good as a replay.
        let mut bytes = fs::read(&ids).unwrap();
        bytes[..8].copy_from_slice(&(before.0 + 1_000_000).to_le_bytes());
        fs::write(&ids, bytes).unwrap();
        let mut running = ends.start(Kind::Meshtun, &configuration);
        running.wait_for("bad packet ID (may be a replay)", 1);
        assert!(!running.log().contains("Peer Connection Initiated"), "{}", running.log());
        running.end();
    });
}
