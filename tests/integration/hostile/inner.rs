//! Inner packets that a peer's host should not have sent.

use std::{
    net::{IpAddr, UdpSocket},
    time::Duration,
};

use netns_lab::{
    Node,
    topology::{Family, Options, Shape},
    trial,
};

use crate::bed::{Bed, PATIENCE, eventually, run};

/// Addresses that are none of the second site's: nobody's, and one of the first site's own.
const OUTSIDE: [&str; 4] = ["10.99.0.9", "10.1.0.77", "fd00:99::9", "fd00:1::77"];

#[test]
fn a_packet_from_outside_the_peers_networks_is_dropped_and_counted() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(2, Family::V4);
        for (sent, source) in (1..).zip(OUTSIDE) {
            let source = spoof(&bed, source);
            let receiver = receiver(bed.host(0), bed.addresses(0)[usize::from(source.is_ipv6())]);
            send(bed.host(1), source, &receiver, b"spoofed");
            eventually("it is counted", || bed.dropped(0, "bad-source") == sent);
            // Whatever arrives first, it is what was sent last.
            send(bed.host(1), bed.addresses(1)[usize::from(source.is_ipv6())], &receiver, b"honest");
            assert_eq!(receive(&receiver), b"honest");
        }
    });
}

#[test]
fn a_packet_to_outside_our_networks_is_dropped_and_counted() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(1, Family::V4);
        // The second gateway's operator sends us what is for the internet, to our cost.
        run(bed.gateway(1), "ip route add 192.0.2.0/24 dev cable0");
        let before = bed.dropped(0, "bad-destination");
        let send = || {
            let socket = UdpSocket::bind((bed.addresses(1)[0], 0)).expect("the host has that address");
            socket.send_to(b"for the internet", ("192.0.2.1", 9)).expect("it has a default route");
        };
        bed.host(1).run(send).expect("the node can be entered");
        eventually("it is counted", || bed.dropped(0, "bad-destination") > before);
    });
}

#[test]
fn a_transit_link_lets_packets_of_all_sources_pass() {
    trial::run_with_tun(|| {
        let mut bed = Bed::quiet(Shape::TwoGateways, 2, &Options { internet: true, ..Options::default() });
        bed.mesh.links[0].options.push(("transit".into(), "true".into()));
        bed.start_all();
        for source in ["10.99.0.9", "fd00:99::9"] {
            let source = spoof(&bed, source);
            let receiver = receiver(bed.host(0), bed.addresses(0)[usize::from(source.is_ipv6())]);
            send(bed.host(1), source, &receiver, b"in transit");
            assert_eq!(receive(&receiver), b"in transit");
        }
        assert_eq!(bed.dropped(0, "bad-source"), 0);
    });
}

/// Gives the second host an address that it should not have.
fn spoof(bed: &Bed, address: &str) -> IpAddr {
    let address: IpAddr = address.parse().expect("an address");
    let length = if address.is_ipv4() { 32 } else { 128 };
    let prefix = format!("{address}/{length}").parse().expect("a prefix");
    bed.host(1).add_address("lo", prefix).unwrap_or_else(|error| panic!("{error}"));
    address
}

fn receiver(node: &Node, address: IpAddr) -> UdpSocket {
    let socket = node.run(|| UdpSocket::bind((address, 0))).expect("the node can be entered").expect("a port is free");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time above zero");
    socket
}

fn send(node: &Node, from: IpAddr, to: &UdpSocket, what: &[u8]) {
    let to = to.local_addr().expect("it is bound");
    let socket = node.run(|| UdpSocket::bind((from, 0))).expect("the node can be entered").expect("a port is free");
    socket.set_write_timeout(Some(Duration::from_secs(1))).expect("a time above zero");
    socket.send_to(what, to).expect("there is a way");
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).expect("something arrives");
    buffer[..length].to_vec()
}
