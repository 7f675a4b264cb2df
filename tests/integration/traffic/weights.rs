//! Weights of channels, as flows meet them.

use netns_lab::{
    load::UdpTrain,
    topology::{Family, Shape},
    trial,
};

use crate::bed::Bed;

/// By the kernel's hash of each flow's addresses and ports: with 400 flows the share of one channel of two varies by some
/// 2 % of all.
#[test]
fn a_channel_of_weight_3_gets_three_times_the_flows_of_one_of_weight_1() {
    trial::run_with_tun(|| {
        let bed = Bed::new(Shape::TwoGateways, 2, Family::V4, |mesh| {
            mesh.links[0].options.push(("weight".into(), "[3, 1]".into()));
        });
        for to in bed.addresses(1) {
            let sent = || [0, 1].map(|channel| bed.channels(0)[channel]["tx_packets"].as_u64().expect("a number"));
            let before = sent();
            let train = UdpTrain { flows: 400, rate: 10, ..UdpTrain::new(bed.host(0), bed.host(1), to) };
            let report = train.run().unwrap_or_else(|error| panic!("{error}"));
            let after = sent();
            let [heavy, light] = [0, 1].map(|channel| (after[channel] - before[channel]) as f64);
            assert!(heavy + light >= 0.9 * report.total().sent as f64, "{heavy} and {light} of {report:?}");
            assert!((2.0..4.5).contains(&(heavy / light)), "{to}: {heavy} and {light}");
        }
    });
}
