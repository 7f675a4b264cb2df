//! tcpdump inside and outside, and the lab's own watch.

use std::{io::Read as _, net::IpAddr, process::Stdio, time::Duration};

use netns_lab::{
    Node,
    load::{Direction, Marker, TcpLoad},
    topology::{Family, UNDERLAY},
    trial,
    watch::{self, Watch},
};

use crate::bed::{Bed, eventually, ping, run, words};

#[test]
fn tcpdump_on_a_tun_device_shows_the_inner_packets_in_clear_with_their_lengths() {
    trial::run_with_tun(|| {
        if !may_change_groups() {
            return trial::skip("tcpdump started by root changes its groups, which this user namespace does not allow");
        }
        let bed = Bed::two_gateways(1, Family::V4);
        // IPv4 tells the whole packet's length, IPv6 the payload's.
        for (from, to, filter, size, length) in [
            ("10.1.0.2", "10.2.0.2", "icmp", 1200, " length 1228)"),
            ("fd00:1::2", "fd00:2::2", "icmp6 and ip6[40] & 0xfe == 128", 1001, " payload length: 1009)"),
        ] {
            let said = tcpdump(bed.gateway(0), "cable0", 4, filter, || {
                run(bed.host(0), &format!("ping -n -c 1 -W 20 -s {size} {to}"));
            });
            for way in [format!("{from} > {to}: "), format!("{to} > {from}: ")] {
                assert!(said.contains(&way), "{way} in {said}");
            }
            assert_eq!(said.matches(length).count(), 4, "{length} in {said}");
            assert!(!said.contains("bad"), "checksums: {said}");
        }
    });
}

#[test]
fn tcpdump_on_the_underlay_shows_only_datagrams_of_the_links_ports() {
    trial::run_with_tun(|| {
        if !may_change_groups() {
            return trial::skip("tcpdump started by root changes its groups, which this user namespace does not allow");
        }
        // Without the neighbours' talk: ICMPv6, and multicast listener reports behind a hop-by-hop header.
        for (family, filter) in [(Family::V4, "ip"), (Family::V6, "ip6 and ip6[6] != 58 and ip6[6] != 0")] {
            let bed = Bed::two_gateways(1, family);
            let said = tcpdump(bed.gateway(0), UNDERLAY, 8, filter, || {
                run(bed.host(0), "ping -n -c 1 -W 20 -s 1200 10.2.0.2");
            });
            let [one, two] = [0, 1].map(|site| bed.topology.sites[site].underlay);
            for line in said.lines().filter(|line| line.contains(" > ")) {
                let ours = [way(one, 16416, two, 16400), way(two, 16400, one, 16416)];
                assert!(ours.iter().any(|way| line.contains(way)), "{line}");
                assert!(line.contains("UDP, length "), "{line}");
            }
            // 1228 bytes of inner packet, padded to 1232, and 32 around it.
            assert!(said.contains("UDP, length 1264"), "{said}");
            assert!(!said.contains("10.2.0.2"), "{said}");
        }
    });
}

#[test]
fn nothing_of_the_payload_shows_on_the_underlay() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(4, Family::V4);
        let marker = Marker::random().expect("the kernel has randomness");
        let options = watch::Options { marker: Some(marker), ..watch::Options::new(bed.mesh.ports()) };
        let watch = Watch::start(bed.gateway(1), UNDERLAY, options).expect("the underlay can be watched");
        let load = TcpLoad {
            flows: 8,
            direction: Direction::Both,
            duration: Duration::from_secs(1),
            marker: Some(marker),
            patience: Duration::from_secs(20),
            ..TcpLoad::new(bed.host(0), bed.host(1), bed.addresses(1)[1])
        };
        load.run(|_| {}).unwrap_or_else(|error| panic!("{error}"));
        bed.addresses(1).into_iter().for_each(|to| ping(bed.host(0), to));
        let report = watch.stop().expect("nothing was missed");
        assert!(report.is_clean(), "{report:?}");
    });
}

/// What tcpdump says of so many packets, while `act` is done again and again.
fn tcpdump(node: &Node, device: &str, packets: usize, filter: &str, mut act: impl FnMut()) -> String {
    // As root: in a user namespace there is nobody else. Unbuffered in both senses.
    let line = format!("tcpdump -Z root -n -v -l --immediate-mode -c {packets} -i {device} {filter}");
    let mut command = words(&line);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = node.start(command).unwrap_or_else(|error| panic!("{error}; tests/prepare installs it"));
    eventually("tcpdump has seen enough", || {
        act();
        child.ended().expect("it can be waited for").is_some()
    });
    let mut said = String::new();
    let pipes = child.pipes();
    pipes.stdout.take().expect("it was asked for").read_to_string(&mut said).expect("tcpdump writes text");
    let status = pipes.wait().expect("it has ended");
    assert!(status.success(), "tcpdump: {status}");
    said
}

/// Whether a program of root's may give up root's groups (user_namespaces(7)).
fn may_change_groups() -> bool {
    std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|said| said.trim() == "allow")
}

/// As tcpdump writes it.
fn way(from: IpAddr, from_port: u16, to: IpAddr, to_port: u16) -> String {
    format!("{from}.{from_port} > {to}.{to_port}: ")
}
