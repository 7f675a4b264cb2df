//! What the channels count.

use std::time::Duration;

use netns_lab::{
    load::{Direction, TcpLoad, UdpTrain},
    topology::Family,
    trial,
};
use serde_json::Value;

use crate::bed::{Bed, eventually};

/// Why a receiving end drops a packet that the other end counted as sent.
const DROPPED_ON_ARRIVAL: [&str; 6] =
    ["not-admitted", "bad-inner", "bad-source", "bad-destination", "device-down", "device-error"];

/// Under [`FULL`] the kernel counts what it dropped as one, which may be a train of so many packets.
const LONGEST_TRAIN: u64 = 64;

const FULL: &str = "receive-buffer-full";

#[test]
fn sixteen_flows_spread_over_at_least_three_of_four_channels() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(4, Family::V4);
        let before = sent(&bed);
        load(&bed, 16, Direction::ToServer);
        let carried: Vec<_> = sent(&bed).iter().zip(before).map(|(after, before)| after - before).collect();
        let all: u64 = carried.iter().sum();
        let busy = carried.iter().filter(|bytes| **bytes * 20 > all).count();
        assert!(busy >= 3, "bytes carried by each channel: {carried:?}");
    });
}

#[test]
fn what_one_end_counts_as_sent_the_other_counts_as_received_or_dropped() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(4, Family::V4);
        // Super-packets in both directions, single packets, and what the kernel says by itself into a new device, which
        // goes to everybody there and is dropped on arrival.
        load(&bed, 2, Direction::Both);
        for to in bed.addresses(1) {
            let train = UdpTrain { flows: 8, rate: 100, ..UdpTrain::new(bed.host(0), bed.host(1), to) };
            train.run().unwrap_or_else(|error| panic!("{error}"));
        }
        eventually("both ends' counters agree", || {
            let [one, other] = [0, 1].map(|site| bed.channels(site));
            one.iter().zip(&other).all(|(one, other)| agree(one, other) && agree(other, one))
        });
    });
}

/// Whether what `from` sent is what `to` received and dropped.
fn agree(from: &Value, to: &Value) -> bool {
    let dropped = |reason: &str| to["dropped"][reason].as_u64().unwrap_or(0);
    let arrived = count(to, "rx_packets") + DROPPED_ON_ARRIVAL.iter().map(|reason| dropped(reason)).sum::<u64>();
    let lost = count(from, "tx_packets").checked_sub(arrived);
    lost.is_some_and(|lost| lost <= dropped(FULL) * LONGEST_TRAIN)
}

/// TCP between the hosts for a while.
fn load(bed: &Bed, flows: usize, direction: Direction) {
    let load = TcpLoad {
        flows,
        direction,
        duration: Duration::from_secs(1),
        patience: Duration::from_secs(20),
        ..TcpLoad::new(bed.host(0), bed.host(1), bed.addresses(1)[0])
    };
    load.run(|_| {}).unwrap_or_else(|error| panic!("{error}"));
}

fn sent(bed: &Bed) -> Vec<u64> {
    bed.channels(0).iter().map(|channel| count(channel, "tx_bytes")).collect()
}

fn count(channel: &Value, key: &str) -> u64 {
    channel[key].as_u64().unwrap_or_else(|| panic!("{key} in {channel}"))
}
