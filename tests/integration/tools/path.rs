//! ping, traceroute, and ICMP errors on their way back.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, UdpSocket},
};

use netns_lab::{
    Node,
    topology::{Family, Options, Shape},
    trial,
};

use crate::bed::{Bed, PATIENCE, attempt, eventually, run};

#[test]
fn each_gateway_takes_one_from_the_time_to_live_and_tells_who_used_it_up() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(2, Family::V4);
        for (to, first, second) in [("10.2.0.2", "10.1.0.1", "10.2.0.1"), ("fd00:2::2", "fd00:1::1", "fd00:2::1")] {
            let ping = |hops: u8| attempt(bed.host(0), &format!("ping -n -c 1 -W 20 -t {hops} {to}"));
            for (hops, router) in [(1, first), (2, second)] {
                let (answered, said) = ping(hops);
                assert!(!answered && said.contains(&format!("From {router}")), "{said}");
                assert!(said.contains("exceeded"), "{said}");
            }
            let (answered, said) = ping(3);
            assert!(answered, "{said}");
            // The answer passes two gateways, too.
            assert!(said.contains("ttl=62"), "{said}");
        }
    });
}

#[test]
fn traceroute_shows_both_gateways_as_hops() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(4, Family::V4);
        for probes in ["", "-I ", "-T "] {
            assert_eq!(hops(bed.host(0), probes, "10.2.0.2"), ["10.1.0.1", "10.2.0.1", "10.2.0.2"], "{probes}");
            assert_eq!(hops(bed.host(0), probes, "fd00:2::2"), ["fd00:1::1", "fd00:2::1", "fd00:2::2"], "{probes}");
        }
    });
}

#[test]
fn a_closed_port_is_told_across_the_link() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(2, Family::V4);
        for to in bed.addresses(1) {
            let from = bed.addresses(0)[usize::from(to.is_ipv6())];
            eventually("the sender hears that the port is closed", || {
                hear(bed.host(0), from, to).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
            });
        }
    });
}

#[test]
fn an_icmp_error_of_a_router_outside_the_peers_networks_comes_back() {
    trial::run_with_tun(|| {
        // With default routes, as gateways have.
        let mut bed = Bed::quiet(Shape::TwoGateways, 2, &Options { internet: true, ..Options::default() });
        bed.start_all();
        // host2 becomes a router with an address of nobody's, which knows no way to 10.2.0.200.
        run(bed.host(1), "ip address add 192.0.2.77/32 dev lo");
        run(bed.host(1), "ip route replace default via 10.2.0.1 src 192.0.2.77");
        run(bed.host(1), "ip route add unreachable 10.2.0.200/32");
        bed.host(1).set_sysctl("net.ipv4.ip_forward", "1").expect("a namespace may forward");
        run(bed.gateway(1), "ip route add 10.2.0.200/32 via 10.2.0.2");

        let (_, said) = attempt(bed.host(0), "ping -n -c 1 -W 20 10.2.0.200");
        assert!(said.contains("From 192.0.2.77") && said.contains("Host Unreachable"), "{said}");
        let passed: u64 = bed.channels(0).iter().filter_map(|channel| channel["icmp_errors"].as_u64()).sum();
        assert!(passed > 0, "it is counted apart");
        // Only errors: an answer from there is somebody else's.
        let (answered, said) = attempt(bed.host(0), "ping -n -c 1 -W 1 192.0.2.77");
        assert!(!answered, "{said}");
    });
}

/// The routers on the way, as traceroute finds them with one probe a hop, one after the other: hosts answer only so many
/// in a second.
fn hops(from: &Node, probes: &str, to: &str) -> Vec<String> {
    let said = run(from, &format!("traceroute -n -q 1 -N 1 -w 20 {probes}{to}"));
    let hop = |line: &str| line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    said.lines().skip(1).map(hop).collect()
}

/// Sends a datagram to a port on which nobody listens, and waits for what comes of it.
fn hear(node: &Node, from: IpAddr, to: IpAddr) -> io::Result<usize> {
    let ask = || {
        let socket = UdpSocket::bind((from, 0))?;
        socket.set_read_timeout(Some(PATIENCE / 10))?;
        socket.connect((to, 9))?;
        socket.send(b"anybody?")?;
        socket.recv(&mut [0; 16])
    };
    node.run(ask).expect("the node can be entered")
}
