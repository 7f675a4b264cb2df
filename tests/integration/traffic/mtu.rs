//! Packets that just fit, and those that just do not.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use netns_lab::{
    Node,
    load::TcpLoad,
    topology::{Family, Options, Shape},
    trial,
};

use crate::bed::{Bed, attempt, eventually, run};

#[test]
fn a_packet_of_the_mtu_passes_and_one_byte_more_is_told_to_its_sender_over_ipv4() {
    trial::run_with_tun(|| just_fits(&Bed::two_gateways(2, Family::V4)));
}

#[test]
fn a_packet_of_the_mtu_passes_and_one_byte_more_is_told_to_its_sender_over_ipv6() {
    trial::run_with_tun(|| just_fits(&Bed::two_gateways(2, Family::V6)));
}

#[test]
fn a_wider_underlay_makes_a_wider_link() {
    trial::run_with_tun(|| {
        let mut bed =
            Bed::quiet(Shape::TwoGateways, 2, &Options { mtu: 9000, underlay: Family::V6, ..Options::default() });
        bed.start_all();
        assert_eq!(bed.status(0)["links"][0]["mtu"], 8920);
        // The hosts' own cables are narrower, so the gateways speak.
        at_the_edge(bed.gateway(0), "10.2.0.1", 8920, 28);
        at_the_edge(bed.gateway(0), "fd00:2::1", 8920, 48);
    });
}

#[test]
fn a_packet_that_may_be_cut_passes_in_pieces() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(2, Family::V4);
        run(bed.host(0), "ping -n -c 1 -W 20 -M dont -s 4000 10.2.0.2");
        // IPv6 is cut by the sender alone: each end loses a packet and is told the size.
        run(bed.host(0), "ping -n -c 5 -i 0.2 -W 20 -M dont -s 4000 fd00:2::2");
    });
}

/// A router on the way that drops what is too long and does not say so.
#[test]
fn a_path_that_becomes_narrower_is_found_out_and_the_channels_stay_up() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(2, Family::V4);
        at_the_edge(bed.host(0), "10.2.0.2", 1420, 28);
        // Two, where both ends initiated at once.
        let sessions =
            || [0, 1].map(|site| bed.channels(site).into_iter().map(|it| it["sessions"].clone()).collect::<Vec<_>>());
        let before = sessions();
        narrow(&bed);
        let mtu = |site: usize| bed.status(site)["links"][0]["mtu"].as_u64().expect("status has an mtu");
        // What passes is 1400 less 20 of IPv4, 8 of UDP and 32 of the message, found to within a step of 16.
        for site in [0, 1] {
            eventually("the search ends", || (1325..=1340).contains(&mtu(site)));
        }
        let mtu = mtu(0).min(mtu(1)) as usize;
        run(bed.host(0), &format!("ping -n -c 1 -W 20 -M do -s {} 10.2.0.2", mtu - 28));
        // The hosts are told: their kernels cut what they may.
        run(bed.host(0), "ping -n -c 5 -i 0.2 -W 20 -M want -s 1392 10.2.0.2");
        assert!([0, 1].iter().flat_map(|site| bed.channels(*site)).all(|channel| channel["state"] == "up"));
        assert_eq!(sessions(), before);
    });
}

/// TCP that is under way while the path becomes narrower: it fills its segments, and its kernel is told of the new MTU by
/// the gateway alone.
#[test]
fn tcp_that_is_under_way_goes_on_over_a_path_that_becomes_narrower() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(2, Family::V4);
        let (latest, is_over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
        let load = TcpLoad {
            flows: 4,
            duration: Duration::from_secs(20),
            ..TcpLoad::new(bed.host(0), bed.host(1), bed.addresses(1)[0])
        };
        thread::scope(|scope| {
            let running = scope.spawn(|| {
                let report = load.run(|progress| {
                    *latest.lock().expect("nobody panics") = progress.flows.iter().map(|flow| flow.to_server).collect();
                });
                is_over.store(true, Ordering::Relaxed);
                report
            });
            let bytes = || -> Vec<u64> { latest.lock().expect("nobody panics").clone() };
            eventually("bytes flow", || bytes().len() == 4 && bytes().iter().all(|bytes| *bytes > 0));
            narrow(&bed);
            eventually("both ends have noticed", || {
                [0, 1].iter().all(|site| bed.status(*site)["links"][0]["mtu"].as_u64().is_some_and(|mtu| mtu <= 1340))
            });
            let then = bytes();
            eventually("every flow goes on", || {
                assert!(!is_over.load(Ordering::Relaxed), "its time was over before it went on");
                bytes().iter().zip(&then).all(|(now, then)| now > then)
            });
            let report = running.join().expect("a load does not panic").unwrap_or_else(|error| panic!("{error}"));
            assert!(report.flows.iter().all(|flow| flow.corrupt == 0), "{report:?}");
        });
        assert!([0, 1].iter().flat_map(|site| bed.channels(*site)).all(|channel| channel["state"] == "up"));
    });
}

/// From here on both gateways hear nothing that is longer than 1400 bytes, and nobody is told.
fn narrow(bed: &Bed) {
    for gateway in [bed.gateway(0), bed.gateway(1)] {
        // Or the length of a whole train would be judged.
        run(gateway, "ethtool -K underlay tx-udp-segmentation off");
        run(gateway, "nft add table inet narrow");
        run(gateway, "nft add chain inet narrow in { type filter hook input priority 0 ; }");
        run(gateway, "nft add rule inet narrow in meta l4proto udp meta length > 1400 drop");
    }
}

fn just_fits(bed: &Bed) {
    assert_eq!(bed.status(0)["links"][0]["mtu"], 1420);
    at_the_edge(bed.host(0), "10.2.0.2", 1420, 28);
    at_the_edge(bed.host(0), "fd00:2::2", 1420, 48);
    at_the_edge(bed.gateway(1), "10.1.0.2", 1420, 28);
    at_the_edge(bed.gateway(1), "fd00:1::2", 1420, 48);
}

/// Sends packets that may not be cut: one of `mtu` bytes, one of a byte more. `headers`: IP's and ICMP's.
fn at_the_edge(from: &Node, to: &str, mtu: usize, headers: usize) {
    let send = |size: usize| attempt(from, &format!("ping -n -c 1 -W 20 -M do -s {} {to}", size - headers));
    let (passed, said) = send(mtu);
    assert!(passed, "{mtu} bytes to {to}: {said}");
    let (passed, said) = send(mtu + 1);
    assert!(!passed, "{} bytes passed to {to}: {said}", mtu + 1);
    // Of a router: "Frag needed and DF set (mtu = 1420)", "Packet too big: mtu=1420"; of the own kernel: "message too
    // long, mtu=1420" or "mtu: 1420".
    let said = said.replace([' ', ':'], "");
    assert!(said.contains(&format!("mtu={mtu}")) || said.contains(&format!("mtu{mtu}")), "{to}: {said}");
}
