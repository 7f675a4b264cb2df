//! iperf3, as people measure with it.

use std::{net::IpAddr, process::Stdio};

use netns_lab::{topology::Family, trial};
use serde_json::Value;

use super::tcp::{SEGMENT, assert_no_storm};
use crate::bed::{Bed, eventually, listens, output, words};

/// iperf3's own default.
const PORT: u16 = 5201;

#[test]
fn iperf3_tcp_runs_over_ipv4_with_one_and_sixteen_streams_one_way_and_both() {
    trial::run_with_tun(|| tcp(&Bed::two_gateways(4, Family::V4), 0));
}

#[test]
fn iperf3_tcp_runs_over_ipv6_with_one_and_sixteen_streams_one_way_and_both() {
    trial::run_with_tun(|| tcp(&Bed::two_gateways(4, Family::V4), 1));
}

#[test]
fn iperf3_udp_runs_over_ipv4_and_ipv6_without_a_datagram_out_of_order() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(4, Family::V4);
        for to in bed.addresses(1) {
            let report = iperf3(&bed, to, "-u -b 3M -l 1200 -P 4");
            let sum = &report["end"]["sum"];
            assert!(sum["packets"].as_u64() > Some(300), "{sum}");
            assert!(sum["lost_percent"].as_f64() < Some(1.0), "{sum}");
            for stream in report["end"]["streams"].as_array().expect("streams are a list") {
                assert_eq!(stream["udp"]["out_of_order"], 0, "{stream}");
            }
        }
    });
}

/// `family`: 0 for IPv4, 1 for IPv6.
fn tcp(bed: &Bed, family: usize) {
    for streams in [1, 16] {
        for directions in ["", " --bidir"] {
            let report = iperf3(bed, bed.addresses(1)[family], &format!("-C cubic -P {streams}{directions}"));
            let end = &report["end"];
            let ways = if directions.is_empty() { &[""][..] } else { &["", "_bidir_reverse"] };
            let count = |what: &str, way: &str, key: &str| end[format!("{what}{way}")][key].as_u64().expect("a count");
            // Together: iperf3 has one thread for all, and on a busy machine one direction may wait for the other.
            let received: u64 = ways.iter().map(|way| count("sum_received", way, "bytes")).sum();
            assert!(received > 0, "{streams} streams{directions}: {end}");
            for way in ways {
                assert_no_storm(count("sum_sent", way, "retransmits"), count("sum_sent", way, "bytes") / SEGMENT);
            }
        }
    }
}

/// From host1 to host2 for a second.
fn iperf3(bed: &Bed, to: IpAddr, options: &str) -> Value {
    let mut server = words(&format!("iperf3 --server --port {PORT}"));
    server.stdout(Stdio::null());
    let mut server = bed.host(1).start(server).unwrap_or_else(|error| panic!("{error}; tests/prepare installs it"));
    eventually("iperf3 listens", || listens(bed.host(1), PORT));
    let command = words(&format!("iperf3 --client {to} --port {PORT} --json --time 1 {options}"));
    let output = output(bed.host(0), command);
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(output.status.success() && report["error"].is_null(), "iperf3 {options}: {}", report["error"]);
    server.kill().expect("it can be ended");
    report
}
