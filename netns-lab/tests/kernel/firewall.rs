use std::{
    net::{IpAddr, UdpSocket},
    time::Duration,
};

use netns_lab::{
    firewall::Firewall,
    topology::{Options, Shape, Site, Topology, UNDERLAY},
    trial,
};

/// Whether a datagram from one gateway gets to a port of the other.
fn passes(from: &Site, to: &Site, port: u16) -> bool {
    let bind = |address: IpAddr, port| move || UdpSocket::bind((address, port)).unwrap();
    let receiver = to.gateway.run(bind(to.underlay, port)).unwrap();
    receiver.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let sender = from.gateway.run(bind(from.underlay, 0)).unwrap();
    // What is blocked is lost, and the sender is not told.
    sender.send_to(b"hello", receiver.local_addr().unwrap()).unwrap();
    receiver.recv(&mut [0; 16]).is_ok()
}

#[test]
fn a_channel_is_blocked_in_one_direction_and_the_others_pass() {
    trial::run(|| {
        let topology = Topology::build(Shape::TwoGateways, &Options::default()).unwrap();
        let [one, two] = [&topology.sites[0], &topology.sites[1]];
        let firewall = Firewall::new(&two.gateway, UNDERLAY).unwrap();
        firewall.block_ports(&[16401, 16402], true).unwrap();
        firewall.block_ports(&[16401], true).unwrap();
        assert!(!passes(one, two, 16401) && !passes(one, two, 16402));
        assert!(passes(one, two, 16400) && passes(two, one, 16401));
        assert_eq!(firewall.dropped().unwrap(), 2);
        firewall.block_ports(&[16401], false).unwrap();
        firewall.block_ports(&[16401], false).unwrap();
        assert!(passes(one, two, 16401) && !passes(one, two, 16402));
    });
}

#[test]
fn the_whole_path_is_blocked_in_one_direction() {
    trial::run(|| {
        let topology = Topology::build(Shape::TwoGateways, &Options::default()).unwrap();
        let [one, two] = [&topology.sites[0], &topology.sites[1]];
        let firewall = Firewall::new(&two.gateway, UNDERLAY).unwrap();
        assert!(passes(one, two, 7));
        firewall.block_all(true).unwrap();
        assert!(!passes(one, two, 7) && passes(two, one, 7));
        firewall.block_all(false).unwrap();
        assert!(passes(one, two, 7));
    });
}
