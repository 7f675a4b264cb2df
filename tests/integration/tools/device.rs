//! `ip link` on the tun devices.

use std::time::Duration;

use netns_lab::{
    load::{UdpReport, UdpTrain},
    topology::{Family, Options, Shape, UNDERLAY, WAN},
    trial,
    watch::{self, Watch},
};

use crate::bed::{Bed, eventually, json, ping, run};

#[test]
fn ip_link_shows_a_device_like_any_other_and_its_counters_move() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(1, Family::V4);
        let statistics = || {
            let link = &json(bed.gateway(0), "ip -j -s link show dev cable0")[0];
            let count = |way: &str, what: &str| link["stats64"][way][what].as_u64().expect("ip counts");
            ["rx", "tx"].map(|way| [count(way, "packets"), count(way, "bytes")])
        };
        let before = statistics();
        run(bed.host(0), "ping -n -c 10 -i 0.01 -W 20 -s 1000 10.2.0.2");
        // The kernel counts a packet after it has passed it on.
        eventually("packets and bytes are counted both ways", || {
            let mut ways = before.iter().zip(statistics());
            ways.all(|(before, after)| after[0] >= before[0] + 10 && after[1] >= before[1] + 10 * 1028)
        });

        let link = &json(bed.gateway(0), "ip -j -d link show dev cable0")[0];
        assert_eq!((&link["mtu"], &link["operstate"]), (&1420.into(), &"UP".into()), "{link}");
        assert_eq!(link["linkinfo"]["info_kind"], "tun", "{link}");
        assert_eq!(link["ifalias"], "meshtun cable/0", "{link}");
    });
}

#[test]
fn a_device_that_a_person_takes_down_leaves_its_flows_to_the_others_and_carries_again_when_it_is_up() {
    trial::run_with_tun(|| {
        let mut bed = Bed::quiet(Shape::TwoGateways, 2, &Options { internet: true, ..Options::default() });
        bed.start_all();
        let watches = [UNDERLAY, WAN].map(|device| {
            let options = watch::Options::new(bed.mesh.ports());
            Watch::start(bed.gateway(0), device, options).expect("the device can be watched")
        });
        run(bed.gateway(0), "ip link set cable0 down");

        // This end's kernel sees it, and nothing is lost; the other end's does not, and what it sends there is counted.
        let there = send(&bed, 0, 1);
        assert_eq!(there.total().lost(), 0, "{:?}", there.total());
        let back = send(&bed, 1, 0).total();
        eventually("what did not arrive is counted", || back.lost() <= bed.dropped(0, "device-down"));

        run(bed.gateway(0), "ip link set cable0 up");
        bed.wait_until_up();
        for (from, to) in [(0, 1), (1, 0)] {
            let report = send(&bed, from, to);
            assert_eq!(report.total().lost(), 0, "{:?}", report.flows);
            ping(bed.host(from), bed.addresses(to)[1]);
        }
        for watch in watches {
            let report = watch.stop().expect("nothing was missed");
            assert_eq!(report.clear_packets, 0, "{report:?}");
        }
    });
}

/// A few datagrams of each of many flows, so that every channel is chosen.
fn send(bed: &Bed, from: usize, to: usize) -> UdpReport {
    let train = UdpTrain {
        flows: 32,
        rate: 20,
        duration: Duration::from_millis(250),
        ..UdpTrain::new(bed.host(from), bed.host(to), bed.addresses(to)[0])
    };
    train.run().unwrap_or_else(|error| panic!("{error}"))
}
