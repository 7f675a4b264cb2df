//! Numbered datagrams: nothing doubled, nothing out of order within a flow, nothing lost where there is room.

use std::{net::IpAddr, time::Duration};

use meshtun_sys::thread::{available_cpus, pin_current};
use netns_lab::{
    load::{UdpReport, UdpTrain},
    topology::Family,
    trial,
};

use crate::bed::Bed;

#[test]
fn a_flow_is_neither_reordered_nor_doubled_and_loses_nothing_at_a_modest_rate() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(4, Family::V4);
        for to in bed.addresses(1) {
            let report = send(&bed, to, 100, 256);
            let total = report.total();
            assert_in_order(&report);
            assert_eq!((total.lost(), total.refused, report.overrun), (0, 0, 0), "{total:?}");
        }
    });
}

#[test]
fn a_flow_is_neither_reordered_nor_doubled_when_its_datagrams_travel_in_trains() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(4, Family::V6);
        for to in bed.addresses(1) {
            let report = send(&bed, to, 2000, 1200);
            assert_in_order(&report);
            assert!(report.flows.iter().all(|flow| flow.received > 0), "{:?}", report.flows);
        }
    });
}

/// 16 flows from host1, each of `rate` datagrams a second.
fn send(bed: &Bed, to: IpAddr, rate: u32, size: usize) -> UdpReport {
    // A sender that moves to another processor overtakes what the first one has not handed on yet: that is reordering
    // in the sender's own kernel. The sending thread inherits this.
    pin_current(available_cpus()[0]).expect("this thread may run there");
    let train = UdpTrain {
        flows: 16,
        rate,
        size,
        patience: Duration::from_secs(1),
        ..UdpTrain::new(bed.host(0), bed.host(1), to)
    };
    train.run().unwrap_or_else(|error| panic!("{error}"))
}

fn assert_in_order(report: &UdpReport) {
    for flow in &report.flows {
        assert_eq!((flow.reordered, flow.duplicates), (0, 0), "{flow:?}");
    }
}
