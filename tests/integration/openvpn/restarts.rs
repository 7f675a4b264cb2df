//! What becomes of device, address, memory and what waits, when the peer or something under us goes away and comes back.

use std::{
    fs::{self, File},
    process::{Command, Stdio},
};

use meshtun_sys::process::Signal;
use netns_lab::trial;

use super::{COMPLETED, END, Ends, Kind, PEER, Running, calls};
use crate::bed::{attempt, eventually, run};

/// Starts the program under test behind these words, such as `prlimit …`.
pub(super) fn start_behind<'a>(ends: &'a Ends, words: &[&str], configuration: &str) -> Running<'a> {
    fs::write(ends.folder.join("nq1.conf"), configuration).unwrap();
    let all = [words, &[env!("CARGO_BIN_EXE_meshtun"), "openvpn", "--config", "nq1.conf"]].concat();
    let mut command = Command::new(all[0]);
    command.args(&all[1..]).current_dir(&ends.folder);
    let log = ends.folder.join("behind.log");
    let out = File::create(&log).unwrap();
    command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
    Running { child: ends.left.start(command).unwrap(), log, left: &ends.left }
}

/// The number in the last line of statistics that begins so.
fn counted(log: &str, name: &str) -> Option<u64> {
    let line = log.lines().rfind(|line| line.contains(name))?;
    line.rsplit(',').next()?.parse().ok()
}

#[test]
fn what_waited_in_the_device_while_the_peer_was_away_is_not_sent_when_it_is_back() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        let configuration = format!("{END}ping 1\nping-restart 3\nup-delay\npersist-tun\n");
        ends.trace(Kind::Meshtun, &configuration, |running| {
            run(running.left, "ip link set wire down");
            running.wait_for("(--ping-restart), restarting", 1);
            running.wait_for("UDPv4 link remote", 2);
            let (answered, _) = attempt(running.left, "ping -n -c 30 -i 0.01 -W 1 10.7.0.2");
            assert!(!answered);
            run(running.left, "ip link set wire up");
            running.wait_for(COMPLETED, 2);
            running.signal(Signal::User2);
            running.wait_for("TUN/TAP read bytes,", 1);
            // Thirty requests are 2520 bytes; the kernel may say something of its own over IPv6.
            let read = counted(&running.log(), "TUN/TAP read bytes,").unwrap();
            assert!(read < 1000, "{read} bytes were read from the device: {}", running.log());
            run(running.left, "ping -n -c 2 -i 0.2 -W 20 10.7.0.2");
        });
    });
}

#[test]
fn a_device_that_somebody_deletes_is_made_anew_although_it_was_to_stay() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        let configuration = format!("{END}ping 1\npersist-tun\nup RECORD\ndown RECORD\n");
        let trace = ends.trace(Kind::Meshtun, &configuration, |running| {
            run(running.left, "ip link del tun0");
            running.wait_for("the device tun0 was deleted by somebody else", 1);
            running.wait_for(COMPLETED, 2);
            run(running.left, "ping -n -c 2 -i 0.2 -W 20 10.7.0.2");
        });
        assert_eq!(calls(&trace), ["up", "down", "up", "down"].map(|kind| format!("script_type={kind}")), "{trace}");
    });
}

#[test]
fn a_device_that_is_deleted_while_the_peer_is_away_is_made_anew_when_it_is_back() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        let configuration = format!("{END}ping 1\nping-restart 3\nup-delay\npersist-tun\n");
        ends.trace(Kind::Meshtun, &configuration, |running| {
            run(running.left, "ip link set wire down");
            running.wait_for("UDPv4 link remote", 2);
            run(running.left, "ip link del tun0");
            run(running.left, "ip link set wire up");
            running.wait_for(COMPLETED, 2);
            run(running.left, "ping -n -c 2 -i 0.2 -W 20 10.7.0.2");
        });
    });
}

#[test]
fn what_the_kernel_does_not_send_is_told_in_openvpns_words_and_ends_nothing() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        ends.trace(Kind::Meshtun, &format!("{END}ping 1\nmtu-disc yes\n"), |running| {
            run(running.left, "ip link set wire down");
            running.wait_for("write UDPv4 []: Network is unreachable (fd=-1,code=101)", 1);
            run(running.left, "ip link set wire up");
            run(running.left, "ip link set wire mtu 1300");
            let (answered, _) = attempt(running.left, "ping -n -c 2 -i 0.2 -W 1 -s 1400 10.7.0.2");
            assert!(!answered);
            running.wait_for("write UDPv4 [EMSGSIZE Path-MTU=1300]: Message too long (fd=-1,code=90)", 1);
            run(running.left, "ping -n -c 2 -i 0.2 -W 20 10.7.0.2");
            assert!(!running.log().contains("process restarting"), "{}", running.log());
        });
    });
}

#[test]
fn the_status_file_is_there_at_once() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        // The next time is longer away than a test waits.
        ends.trace(Kind::Meshtun, &format!("{END}status status 3600\n"), |_| {
            eventually("the status file is written", || {
                fs::read_to_string(ends.folder.join("status")).is_ok_and(|text| text.ends_with("END\n"))
            });
        });
    });
}

#[test]
fn a_local_address_that_goes_for_a_while_is_waited_for() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        ends.trace(Kind::Meshtun, &format!("{END}ping 1\n"), |running| {
            run(running.left, "ip address del 10.99.0.1/24 dev wire");
            running.signal(Signal::User1);
            running.wait_for("Cannot assign requested address (errno=99)", 1);
            run(running.left, "ip address add 10.99.0.1/24 dev wire");
            running.wait_for(COMPLETED, 2);
        });
    });
}

#[test]
fn with_locked_memory_and_without_rights_a_restart_is_survived() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        let configuration = format!("{END}ping 1\nmlock\nuser nobody\ngroup nogroup\npersist-tun\n");
        // Whoever may not lift the limit must not come under it.
        let mut running = start_behind(&ends, &["prlimit", "--memlock=8388608:8388608"], &configuration);
        for times in 2..4 {
            running.wait_for(COMPLETED, times - 1);
            running.signal(Signal::User1);
            running.wait_for(COMPLETED, times);
        }
        let limits = fs::read_to_string(format!("/proc/{}/limits", running.child.id())).unwrap();
        let limit = limits.lines().find(|line| line.starts_with("Max locked memory")).unwrap();
        let is_left_out = running.log().contains("WARNING: mlock is left out");
        assert_ne!(limit.contains("unlimited"), is_left_out, "{limit}: {}", running.log());
        running.signal(Signal::Terminate);
        assert!(running.child.wait().unwrap().success(), "{}", running.log());
    });
}

#[test]
fn a_peer_is_heard_from_any_address_of_its_name_and_answered_there() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        // Nobody has the first one.
        fs::write(ends.folder.join("hosts"), "10.99.0.3 twin\n10.99.0.2 twin\n").unwrap();
        let words = ["unshare", "--mount", "sh", "-c", "mount --bind hosts /etc/hosts; exec \"$@\"", "sh"];
        let mut running = start_behind(&ends, &words, &END.replace("remote 10.99.0.2", "remote twin"));
        running.wait_for(COMPLETED, 1);
        let log = running.log();
        assert!(log.contains("link remote: [AF_INET]10.99.0.3:6001"), "{log}");
        assert!(!log.contains("Incoming packet rejected") && !log.contains("process restarting"), "{log}");
        run(&ends.left, "ping -n -c 2 -i 0.2 -W 20 10.7.0.2");
        running.signal(Signal::Terminate);
        assert!(running.child.wait().unwrap().success(), "{}", running.log());
    });
}
