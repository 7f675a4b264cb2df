use std::collections::BTreeMap;

use meshtun_daemon::status::{Change, ChannelState, Gateway, Probes};

use super::*;

const NOW: u64 = 1_800_000_000;

fn channel(number: u16, state: ChannelState, endpoint: Option<&str>) -> Channel {
    let up = state == ChannelState::Up;
    Channel {
        channel: number,
        device: format!("nq{number}"),
        state,
        since: NOW - 11_520,
        carrier: up,
        path: None,
        underlay_device: None,
        local: "198.51.100.7:6011".parse().unwrap(),
        endpoint: endpoint.map(|endpoint| endpoint.parse().unwrap()),
        last_handshake: up.then_some(NOW - 62),
        handshake_ms: up.then_some(1.25),
        session_age: up.then_some(62),
        sessions: 97,
        taken_down: false,
        withdrawn: false,
        probes: Some(probes(up)),
        problem: (!up).then(|| {
            "no answer from nvpn1 at 203.0.113.200:16384 for 75 s: check that its daemon runs, and that UDP port 6012 \
             here and the one there are let through"
                .into()
        }),
        tx_packets: 1_000_000,
        tx_bytes: 123_456_789_012,
        rx_packets: 900,
        rx_bytes: 64_000,
        tx_messages: 0,
        rx_messages: 0,
        icmp_errors: 0,
        dropped: BTreeMap::from([("replayed".into(), 3), ("forged".into(), 9)]),
    }
}

fn probes(answered: bool) -> Probes {
    Probes {
        interval_ms: 250.0,
        detection_ms: 750.0,
        heard_ms: answered.then_some(12.5),
        held_s: None,
        answered: 97,
        lost: 3,
        loss: answered.then_some(0.03),
        rtt_ms: answered.then_some(33.0),
        rtt_smoothed_ms: answered.then_some(23.456),
        rtt_variation_ms: answered.then_some(0.25),
        rtt_least_ms: answered.then_some(0.75),
        jitter_ms: answered.then_some(0.125),
        delay_variation_out_ms: answered.then_some(0.0625),
        delay_variation_in_ms: None,
    }
}

fn status(endpoint: &str) -> Status {
    Status {
        change: None,
        control: Default::default(),
        version: "0.1.0".into(),
        pid: 4711,
        hooks: None,
        alarms: Vec::new(),
        started: NOW - 200_000,
        workers: 2,
        gateway: Gateway {
            name: "qvpn1".into(),
            number: 1,
            public_key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=".into(),
            address: None,
            address6: None,
            networks: Vec::new(),
        },
        links: vec![Link {
            name: "nq".into(),
            peer: "nvpn1".into(),
            peer_kind: "meshtun".into(),
            peer_public_key: "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=".into(),
            cipher: "chacha20-poly1305".into(),
            preshared_key: true,
            networks: vec!["10.202.0.0/16".parse().unwrap(), "fd00:202::/48".parse().unwrap()],
            mtu: 1420,
            channels_up: 1,
            since: NOW - 60,
            metric: 101,
            shares_site: true,
            in_use: true,
            hooks: None,
            channels: vec![channel(0, ChannelState::Up, Some(endpoint)), channel(1, ChannelState::Handshaking, None)],
        }],
        dropped: BTreeMap::new(),
    }
}

#[test]
fn the_table_reads_as_in_the_manual() {
    insta::assert_snapshot!(render(&status("203.0.113.200:16384"), NOW));
}

#[test]
fn the_table_fits_80_columns_over_ipv4_and_120_over_ipv6() {
    let widest = |endpoint| {
        let text = render(&status(endpoint), NOW);
        text.lines().map(|line| line.chars().count()).max().unwrap()
    };
    assert!(widest("203.0.113.200:16384") <= 80, "{}", render(&status("203.0.113.200:16384"), NOW));
    assert!(widest("[2001:db8:1111:2222:3333:4444:5555:6666]:16384") <= 120);
}

#[test]
fn paths_are_told_with_what_is_up_on_each() {
    let mut status = status("203.0.113.200:16384");
    for channel in &mut status.links[0].channels {
        channel.path = Some(channel.channel);
    }
    status.links[0].channels[1].local = "[::]:6012".parse().unwrap();
    status.links[0].channels[0].underlay_device = Some("eth0".into());
    let text = render(&status, NOW);
    assert!(
        text.contains(
            "\n  path 0, 198.51.100.7 on eth0: 1 of 1 channels up (nq0)\n  path 1: 0 of 1 channels up (nq1)\n"
        ),
        "{text}"
    );
}

#[test]
fn a_change_that_goes_on_is_told_with_its_age_and_what_it_waits_for() {
    let mut status = status("203.0.113.200:16384");
    let (what, stage) = ("down nq/2".into(), "the last packets are sent".into());
    status.change = Some(Change { what, stage, since: NOW - 65, waiting: 2 });
    let text = render(&status, NOW);
    let line = "\n  `down nq/2` has gone on for 1m05s: the last packets are sent; 2 others wait\n    for its end\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn bytes_have_three_digits_and_a_unit() {
    for (n, text) in [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (9_996, "10.0 kB"),
        (99_960, "100 kB"),
        (999_400, "999 kB"),
        (999_600, "1.00 MB"),
        (123_456_789_012, "123 GB"),
        (u64::MAX, "18.4 EB"),
    ] {
        assert_eq!(bytes(n), text, "{n}");
    }
}

#[test]
fn milliseconds_have_three_digits_and_a_unit() {
    for (n, text) in [(0.0, "0us"), (0.35, "350us"), (0.9996, "1.00ms"), (9.996, "10.0ms"), (99.96, "100ms")] {
        assert_eq!(milliseconds(n), text, "{n}");
    }
}

#[test]
fn ages_have_their_two_largest_units() {
    for (seconds, text) in [(0, "0s"), (61, "1m01s"), (11_520, "3h12m"), (200_000, "2d07h")] {
        assert_eq!(age(seconds), text);
    }
}
