use std::{
    net::{IpAddr, UdpSocket},
    num::NonZeroU32,
    time::Duration,
};

use netns_lab::{
    load::{Marker, TcpLoad, UdpTrain},
    topology::{Family, Options, Shape, Topology, UNDERLAY, WAN},
    trial,
    watch::{self, Report, Watch},
};

use crate::{reaches, routed, wait_until};

const PORTS: std::ops::RangeInclusive<u16> = 16384..=16400;
const EVERY: NonZeroU32 = NonZeroU32::MIN;

fn watch(topology: &Topology, marker: Option<Marker>) -> Watch {
    let options = watch::Options { marker, one_in: EVERY, ..watch::Options::new(vec![PORTS]) };
    Watch::start(&topology.sites[0].gateway, UNDERLAY, options).unwrap()
}

/// Datagrams between the gateways, from a port of the link to one.
fn send(topology: &Topology, datagrams: &[&[u8]]) {
    let [one, two] = [&topology.sites[0], &topology.sites[1]];
    let bind = |address: IpAddr, port| move || UdpSocket::bind((address, port)).unwrap();
    let receiver = two.gateway.run(bind(two.underlay, 16385)).unwrap();
    let sender = one.gateway.run(bind(one.underlay, 16384)).unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    for datagram in datagrams {
        sender.send_to(datagram, receiver.local_addr().unwrap()).unwrap();
        receiver.recv(&mut [0; 2048]).unwrap();
    }
}

fn message(kind: u8, len: usize) -> Vec<u8> {
    let mut message: Vec<u8> = (0..len).map(|at| (at * 7 + 3) as u8).collect();
    message[..4].copy_from_slice(&[kind, 0, 0, 0]);
    message
}

#[test]
fn clear_traffic_is_seen_counted_described_and_recognised() {
    trial::run(|| {
        let topology = routed();
        let [one, two] = [&topology.sites[0], &topology.sites[1]];
        let marker = Marker::random().unwrap();
        let watch = watch(&topology, Some(marker));
        let load = TcpLoad::new(&one.host, &two.host, two.host_v4.into());
        let load = TcpLoad { flows: 2, duration: Duration::from_millis(200), marker: Some(marker), ..load };
        let report = load.run(|_| {}).unwrap();
        let seen = watch.stop().unwrap();
        assert!(seen.clear_packets >= report.bytes() / 65536, "{seen:?}");
        assert!(seen.marked > 0 && seen.sampled == 0, "{seen:?}");
        assert_eq!(seen.clear.len(), 8);
        assert!(seen.clear.iter().all(|line| line.contains("TCP 10.")), "{seen:?}");
        assert!(seen.clear.iter().any(|line| line.ends_with("out")), "{seen:?}");
        assert!(seen.clear.iter().any(|line| line.ends_with("in")), "{seen:?}");
        assert!(!seen.is_clean());
    });
}

#[test]
fn udp_outside_the_links_ports_is_clear_traffic_too() {
    trial::run(|| {
        let topology = routed();
        let [one, two] = [&topology.sites[0], &topology.sites[1]];
        let watch = watch(&topology, None);
        let train = UdpTrain::new(&one.host, &two.host, two.host_v4.into());
        let duration = Duration::from_millis(50);
        let sent = UdpTrain { duration, patience: duration, ..train }.run().unwrap().total().sent;
        let seen = watch.stop().unwrap();
        assert_eq!(seen.clear_packets, sent, "{seen:?}");
    });
}

#[test]
fn what_looks_like_wireguard_on_the_links_ports_is_clean() {
    trial::run(|| {
        for underlay in [Family::V4, Family::V6] {
            let options = Options { underlay, ..Options::default() };
            let topology = Topology::build(Shape::TwoGateways, &options).unwrap();
            let watch = watch(&topology, Some(Marker::random().unwrap()));
            let [initiation, response, cookie] = [(1, 148), (2, 92), (3, 64)].map(|(kind, len)| message(kind, len));
            let [keepalive, transport] = [32, 1452].map(|len| message(4, len));
            send(&topology, &[&initiation, &response, &cookie, &keepalive, &transport]);
            let seen = watch.stop().unwrap();
            assert_eq!(seen.sampled, 5, "{underlay:?} {seen:?}");
            assert!(seen.is_clean(), "{underlay:?} {seen:?}");
        }
    });
}

#[test]
fn anything_else_on_the_links_ports_is_noticed() {
    trial::run(|| {
        let topology = routed();
        let marker = Marker::random().unwrap();
        let watch = watch(&topology, Some(marker));
        let mut reserved = message(4, 100);
        reserved[2] = 1;
        let mut transport = message(4, 100);
        transport[50..66].copy_from_slice(marker.bytes());
        send(&topology, &[&reserved, &message(5, 100), &message(1, 149), &message(4, 31), b"", &transport]);
        let seen = watch.stop().unwrap();
        assert_eq!((seen.sampled, seen.not_wireguard, seen.marked), (6, 5, 1), "{seen:?}");
        assert!(!seen.is_clean());
    });
}

#[test]
fn a_refusal_of_the_links_own_datagrams_is_no_clear_packet() {
    trial::run(|| {
        for underlay in [Family::V4, Family::V6] {
            let options = Options { underlay, ..Options::default() };
            let topology = Topology::build(Shape::TwoGateways, &options).unwrap();
            let [one, two] = [&topology.sites[0], &topology.sites[1]];
            let watch = watch(&topology, None);
            let sender = one.gateway.run(|| UdpSocket::bind((one.underlay, 16384)).unwrap()).unwrap();
            sender.send_to(&message(1, 148), (two.underlay, 16385)).unwrap();
            wait_until("the refusal is seen", || watch.report().icmp_errors == 1);
            let seen = watch.stop().unwrap();
            assert_eq!((seen.clear_packets, seen.icmp_errors), (0, 1), "{underlay:?} {seen:?}");
        }
    });
}

#[test]
fn a_leak_by_the_default_route_is_seen_there() {
    trial::run(|| {
        let options = Options { internet: true, ..Options::default() };
        let topology = Topology::build(Shape::TwoGateways, &options).unwrap();
        let [one, two] = [&topology.sites[0], &topology.sites[1]];
        let underlay = watch(&topology, None);
        let wan = Watch::start(&one.gateway, WAN, watch::Options::new(vec![PORTS])).unwrap();
        assert!(reaches(&one.host, &two.host, two.host_v4));
        let [underlay, wan] = [underlay, wan].map(|watch| watch.stop().unwrap());
        assert_eq!(underlay, Report::default());
        assert!(wan.clear_packets >= 3, "a handshake at least: {wan:?}");
    });
}

#[test]
fn a_device_that_is_not_there_is_named() {
    trial::run(|| {
        let topology = routed();
        let error = Watch::start(&topology.sites[0].gateway, "nowhere", watch::Options::new(vec![PORTS])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("nowhere") && text.contains("g1"), "{text}");
    });
}
