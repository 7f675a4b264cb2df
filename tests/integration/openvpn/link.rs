//! The link to the peer: addresses, ports, marks, devices, several remotes, and how it ends.

use netns_lab::trial;

use super::{COMPLETED, END, Ends, Kind, PEER};
use crate::bed::run;

/// [`END`] without its addresses.
fn without_link() -> String {
    let own = |line: &&str| !["local", "lport", "remote", "rport", "ping"].iter().any(|name| line.starts_with(name));
    END.lines().filter(own).map(|line| format!("{line}\n")).collect::<String>() + "ping 1\nping-restart 3\n"
}

#[test]
fn datagrams_are_marked_and_the_socket_is_bound_to_its_device() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        run(&ends.left, "nft add table inet t");
        run(&ends.left, "nft add chain inet t out { type filter hook output priority 0 ; }");
        run(&ends.left, "nft add rule inet t out udp dport 6001 meta mark != 77 counter drop");
        let mut running = ends.start(Kind::Meshtun, &format!("{END}mark 77\nbind-dev wire\n"));
        running.wait_for(COMPLETED, 1);
        run(&ends.left, "ping -n -c 2 -i 0.2 -W 20 10.7.0.2");
        assert!(run(&ends.left, "ss -uan").contains("10.99.0.1%wire:6011"), "{}", run(&ends.left, "ss -uan"));
        running.end();
        let mut running = ends.start(Kind::Meshtun, &format!("{END}bind-dev gone\n"));
        running.ends_with(1);
        assert!(running.log().contains("there is no device \"gone\""), "{}", running.log());
    });
}

#[test]
fn remotes_are_tried_in_their_order_as_by_openvpn_and_the_one_that_answered_again() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        let configuration = format!(
            "{}local 10.99.0.1\nlport 6011\nremote 10.99.0.2 6002\n<connection>\nremote 10.99.0.2 6003 udp4\n</connection>\n\
             <connection>\nremote 10.99.0.2 6001\n</connection>\n<connection>\nremote 10.99.0.2 6004\n</connection>\n",
            without_link()
        );
        let tried = [Kind::OpenVpn, Kind::Meshtun].map(|kind| {
            let mut running = ends.start(kind, &configuration);
            running.wait_for(COMPLETED, 1);
            running.signal(meshtun_sys::process::Signal::User1);
            running.wait_for(COMPLETED, 2);
            let log = running.log();
            running.end();
            log.lines().filter_map(|line| Some(line.split_once("link remote: ")?.1.to_owned())).collect::<Vec<_>>()
        });
        let expected = ["6003", "6001", "6001"].map(|port| format!("[AF_INET]10.99.0.2:{port}"));
        assert_eq!(tried, [expected.clone(), expected]);
    });
}

#[test]
fn a_peer_elsewhere_is_refused_unless_it_may_float() {
    trial::run_with_tun(|| {
        let ends = Ends::new(&PEER.replace("local 10.99.0.2\nlport 6001", "local 10.99.0.2\nlport 6009"));
        let mut running = ends.start(Kind::Meshtun, &format!("{END}ping 1\n"));
        running.wait_for("Incoming packet rejected from [AF_INET]10.99.0.2:6009", 1);
        assert!(!running.log().contains("Peer Connection Initiated"), "{}", running.log());
        running.end();
        let mut running = ends.start(Kind::Meshtun, &format!("{END}ping 1\nfloat\n"));
        running.wait_for("Peer Connection Initiated with [AF_INET]10.99.0.2:6009", 1);
        run(&ends.left, "ping -n -c 2 -i 0.2 -W 20 10.7.0.2");
        running.end();
    });
}

#[test]
fn ports_are_chosen_named_or_left_to_the_kernel_as_by_openvpn() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        for (lines, bound, remote) in [
            ("nobind\nremote 10.99.0.2 6001\n", "(not bound)", "[AF_INET]10.99.0.2:6001"),
            ("port 7001\nremote 10.99.0.2\n", "(bound): [AF_INET][undef]:7001", "[AF_INET]10.99.0.2:7001"),
            ("lport 7001\nrport 7002\nremote 10.99.0.2\n", "(bound): [AF_INET][undef]:7001", "[AF_INET]10.99.0.2:7002"),
            ("lport openvpn\nremote 10.99.0.2 isakmp\n", "(bound): [AF_INET][undef]:1194", "[AF_INET]10.99.0.2:500"),
            ("proto udp6\nbind ipv6only\nlport 7001\n", "(bound): [AF_INET6][undef]:7001", "[AF_UNSPEC]"),
        ] {
            for kind in [Kind::OpenVpn, Kind::Meshtun] {
                let mut running = ends.start(kind, &format!("{}{lines}", without_link()));
                running.wait_for(&format!("link remote: {remote}"), 1);
                let log = running.log();
                let local = log.lines().find(|line| line.contains("link local")).unwrap();
                assert!(local.ends_with(bound), "{kind:?}: {lines}: {local}");
                let sockets = run(&ends.left, "ss -uan");
                assert_eq!(sockets.contains("[::]:7001"), lines.contains("ipv6only"), "{kind:?}: {sockets}");
                running.end();
            }
        }
    });
}

#[test]
fn silence_ends_the_process_and_a_peer_that_is_told_restarts_at_once() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        let mut running = ends.start(
            Kind::Meshtun,
            &format!(
                "{}{}",
                without_link().replace("ping-restart", "ping-exit"),
                "local 10.99.0.1\nlport 6011\nremote 10.99.0.2 6001\nexplicit-exit-notify 2\n"
            ),
        );
        running.wait_for(COMPLETED, 1);
        run(&ends.left, "ip link set wire down");
        running.ends_with(0);
        assert!(running.log().contains("SIGTERM[soft,ping-exit] received, process exiting"), "{}", running.log());
        run(&ends.left, "ip link set wire up");
        let mut running = ends.start(Kind::Meshtun, &format!("{END}ping 1\nexplicit-exit-notify 2\n"));
        running.wait_for(COMPLETED, 1);
        running.end();
        crate::bed::eventually("the peer has heard", || {
            ends.peers_log().contains("SIGUSR1[soft,remote-exit] received")
        });
        // Of what goes through the device in two seconds there is never so much.
        let mut running = ends.start(Kind::Meshtun, &format!("{END}ping 1\ninactive 2 100000000\n"));
        running.ends_with(0);
        assert!(running.log().contains("SIGTERM[soft,inactive] received, process exiting"), "{}", running.log());
        assert!(running.log().contains("Timers: ping 1, ping-restart 30, inactive 2 100000000"), "{}", running.log());
    });
}

#[test]
fn a_name_that_does_not_resolve_ends_the_process_only_if_it_shall_not_be_tried_again() {
    trial::run_with_tun(|| {
        let ends = Ends::new(PEER);
        let configuration = format!("{}lport 6011\nremote no.such.name.invalid 6001\n", without_link());
        for kind in [Kind::OpenVpn, Kind::Meshtun] {
            let mut running = ends.start(kind, &format!("{configuration}resolv-retry 0\n"));
            running.ends_with(1);
            let log = running.log();
            assert!(log.contains("specified the --resolv-retry option.)"), "{kind:?}: {log}");
            assert!(!log.contains("TUN/TAP device"), "{kind:?}: before anything is touched: {log}");
            let mut running = ends.start(kind, &configuration);
            running.wait_for("SIGUSR1[soft,Could not determine IPv4/IPv6 protocol] received, process restarting", 2);
            running.end();
        }
    });
}
