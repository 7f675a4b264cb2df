//! `user`, `group`, `chroot`: what is done after they have taken effect, over restarts.

use std::{fs, os::unix::fs::PermissionsExt};

use meshtun_sys::process::Signal;
use netns_lab::trial;

use super::{COMPLETED, END, Ends, Kind, PEER};
use crate::bed::{attempt, eventually, run};

/// `Uid:`, `CapEff:` … of a process.
fn status(pid: u32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

#[test]
fn without_rights_and_locked_in_a_restart_keeps_device_route_and_status_file() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        ends.open_to_all();
        let jail = ends.folder.join("jail");
        fs::create_dir_all(jail.join("tmp")).unwrap();
        fs::set_permissions(jail.join("tmp"), fs::Permissions::from_mode(0o777)).unwrap();
        let configuration = format!(
            "{END}ping 1\nchroot jail\nuser nobody\ngroup nogroup\npersist-tun\npersist-key\nwritepid pid\nstatus status 1\n\
             route 10.207.0.0 255.255.0.0\n"
        );
        for kind in [Kind::OpenVpn, Kind::Meshtun] {
            let mut running = ends.start(kind, &configuration);
            running.wait_for(COMPLETED, 1);
            let pid = running.child.id();
            assert_eq!(fs::read_to_string(ends.folder.join("pid")).unwrap(), format!("{pid}\n"));
            let index = || run(&ends.left, "ip -o link show tun0").split(':').next().unwrap().to_owned();
            let first = index();
            running.signal(Signal::User1);
            running.wait_for(COMPLETED, 2);
            assert_eq!(index(), first, "{kind:?}: the device is another");
            assert_eq!(fs::read_link(format!("/proc/{pid}/root")).unwrap(), jail, "{kind:?}");
            assert_eq!(status(pid, "Uid:"), "65534 65534 65534 65534", "{kind:?}");
            assert_eq!(status(pid, "CapEff:"), "0000000000001000", "{kind:?}: CAP_NET_ADMIN and nothing else");
            // It was opened before, and is written on.
            let path = ends.folder.join("status");
            let before = fs::read_to_string(&path).unwrap();
            eventually("the status file is written after the restart", || fs::read_to_string(&path).unwrap() != before);
            assert!(!running.log().contains("cannot open"), "{kind:?}: {}", running.log());
            running.end();
            let (device_is_there, _) = attempt(&ends.left, "ip link show tun0");
            assert!(!device_is_there, "{kind:?}");
            assert!(!run(&ends.left, "ip route").contains("10.207.0.0"), "{kind:?}");
            assert!(ends.folder.join("pid").exists(), "{kind:?}: it is out of reach, and stays");
        }
    });
}

#[test]
fn a_file_that_cannot_be_used_after_sighup_changes_nothing_and_packets_go_on() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        let mut running = ends.start(Kind::Meshtun, END);
        running.wait_for(COMPLETED, 1);
        fs::write(ends.folder.join("nq1.conf"), format!("{END}frobnicate\n")).unwrap();
        running.signal(Signal::Hangup);
        running.wait_for("SIGHUP: the configuration cannot be used: going on as before", 1);
        assert!(running.log().contains("nq1.conf:14: `frobnicate` is unknown"), "{}", running.log());
        run(&ends.left, "ping -n -c 2 -i 0.2 -W 20 10.7.0.2");
        assert!(!running.log().contains("process restarting"), "{}", running.log());
        fs::write(ends.folder.join("nq1.conf"), format!("{END}verb 4\n")).unwrap();
        running.signal(Signal::Hangup);
        running.wait_for("SIGHUP[hard,] received, process restarting", 1);
        running.wait_for(COMPLETED, 2);
        running.end();
    });
}
