//! TCP between hosts that no router can tell of the MTU.

use std::{
    io::{Read, Write},
    net::{IpAddr, TcpListener, TcpStream},
    thread::{self, JoinHandle},
    time::Duration,
};

use netns_lab::{Node, topology::Family, trial};
use serde_json::Value;

use crate::bed::{Bed, PATIENCE, eventually, json, run};

#[test]
fn with_clamped_sizes_tcp_crosses_between_hosts_that_hear_no_icmp() {
    trial::run_with_tun(|| {
        let mut bed = Bed::two_gateways(2, Family::V4);
        [bed.host(0), bed.host(1)].into_iter().for_each(deafen);
        for to in bed.addresses(1) {
            let before = unheard(bed.host(0));
            let stuck = send(&bed, to, 1 << 20);
            eventually("a router tells in vain that a packet is too long", || unheard(bed.host(0)) > before);
            drop(stuck);
        }
        // At one end: it sees the SYN go and the answer come.
        let mut mesh = bed.mesh.clone();
        mesh.links[0].options.push(("clamp_mss".into(), "true".into()));
        bed.gateways[0].rewrite(&mesh).unwrap_or_else(|error| panic!("{error}"));
        let said = bed.gateways[0].ask(&["reload"]).unwrap_or_else(|error| panic!("{error}"));
        assert!(said.contains("clamp_mss: false -> true"), "{said}");
        for to in bed.addresses(1) {
            let sent = send(&bed, to, 4 << 20);
            assert_eq!(sent.join().expect("the flow ends").expect("it crosses, and its answer comes back"), 4 << 20);
        }
    });
}

/// Drops what tells a host that a packet was too long, and counts it.
fn deafen(host: &Node) {
    run(host, "nft add table inet deaf");
    run(host, "nft add chain inet deaf in { type filter hook input priority 0 ; }");
    run(host, "nft add rule inet deaf in icmp type destination-unreachable counter drop");
    run(host, "nft add rule inet deaf in icmpv6 type packet-too-big counter drop");
}

fn unheard(host: &Node) -> u64 {
    let table: Value = json(host, "nft -j list table inet deaf");
    let rules = table["nftables"].as_array().expect("a table has items");
    let expressions = rules.iter().filter_map(|item| item["rule"]["expr"].as_array()).flatten();
    expressions.filter_map(|expression| expression["counter"]["packets"].as_u64()).sum()
}

/// A flow from the first host to the second, and as much back; tells how many bytes came back.
fn send(bed: &Bed, to: IpAddr, bytes: usize) -> JoinHandle<std::io::Result<usize>> {
    let listener =
        bed.host(1).run(|| TcpListener::bind((to, 0)).expect("a free port")).expect("the node can be entered");
    let address = listener.local_addr().expect("it is bound");
    let connect = || TcpStream::connect_timeout(&address, PATIENCE).expect("short packets pass");
    let mut stream = bed.host(0).run(connect).expect("the node can be entered");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("not zero");
    stream.set_write_timeout(Some(Duration::from_secs(60))).expect("not zero");
    thread::spawn(move || {
        let mut echo = listener.accept()?.0;
        echo.set_read_timeout(Some(Duration::from_secs(60)))?;
        let answers = thread::spawn(move || {
            let mut received = vec![0; bytes];
            echo.read_exact(&mut received)?;
            echo.write_all(&received)
        });
        stream.write_all(&vec![0xA5; bytes])?;
        let mut back = vec![0; bytes];
        stream.read_exact(&mut back)?;
        answers.join().expect("it does not panic")?;
        Ok(back.iter().filter(|byte| **byte == 0xA5).count())
    })
}
