use super::*;

fn channel(number: u16, state: ChannelState) -> Channel {
    let up = state == ChannelState::Up;
    Channel {
        channel: number,
        device: format!("nq{number}"),
        state,
        since: 1_800_000_000,
        carrier: up,
        path: Some(1),
        underlay_device: Some("eth0".into()),
        local: "198.51.100.7:6011".parse().unwrap(),
        endpoint: up.then(|| "203.0.113.2:6001".parse().unwrap()),
        last_handshake: up.then_some(1_800_000_060),
        handshake_ms: up.then_some(1.25),
        session_age: up.then_some(17),
        sessions: 2,
        taken_down: false,
        withdrawn: false,
        probes: up.then_some(Probes {
            interval_ms: 250.0,
            detection_ms: 750.0,
            heard_ms: Some(12.5),
            held_s: None,
            answered: 997,
            lost: 3,
            loss: Some(0.01),
            rtt_ms: Some(1.5),
            rtt_smoothed_ms: Some(1.25),
            rtt_variation_ms: Some(0.25),
            rtt_least_ms: Some(0.75),
            jitter_ms: Some(0.125),
            delay_variation_out_ms: Some(0.0625),
            delay_variation_in_ms: None,
        }),
        problem: (!up).then(|| "no answer from 203.0.113.2:6002 for 5 s".into()),
        tx_packets: 10,
        tx_bytes: 14_200,
        rx_packets: 9,
        rx_bytes: 640,
        tx_messages: 14,
        rx_messages: 12,
        icmp_errors: 0,
        dropped: BTreeMap::from([("replayed".into(), 3)]),
    }
}

fn sample() -> Status {
    Status {
        version: "0.1.0".into(),
        pid: 4711,
        hooks: Some(Hooks {
            waiting: 1,
            runs: 7,
            failures: 1,
            last_failure: Some("up: /usr/local/sbin/tell: exit status: 3".into()),
            last_failure_at: Some(1_800_000_070),
        }),
        alarms: vec!["no interface has this gateway's `address` 10.207.0.1".into()],
        change: Some(super::Change {
            what: "reload".into(),
            stage: "the files are being read".into(),
            since: 1_800_000_080,
            waiting: 2,
        }),
        control: Control { late_ms: 12.5, late_ms_of_late: 0.25 },
        started: 1_799_999_990,
        workers: 2,
        gateway: Gateway {
            name: "qvpn1".into(),
            number: 1,
            public_key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=".into(),
            address: Some("10.207.0.1".parse().unwrap()),
            address6: None,
            networks: vec!["10.207.0.0/16".parse().unwrap(), "fd00:207::/48".parse().unwrap()],
        },
        links: vec![Link {
            name: "nq".into(),
            peer: "nvpn1".into(),
            peer_kind: "meshtun".into(),
            peer_public_key: "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=".into(),
            cipher: "chacha20-poly1305".into(),
            preshared_key: true,
            networks: vec!["10.202.0.0/16".parse().unwrap()],
            mtu: 1420,
            channels_up: 1,
            since: 1_800_000_060,
            metric: 101,
            shares_site: true,
            in_use: true,
            hooks: None,
            channels: vec![channel(0, ChannelState::Up), channel(1, ChannelState::Handshaking)],
        }],
        dropped: BTreeMap::from([("replayed".into(), 6)]),
    }
}

#[test]
fn the_json_of_a_status_is_what_programs_were_promised() {
    insta::assert_json_snapshot!(sample());
}

#[test]
fn a_status_survives_its_json() {
    let text = serde_json::to_string(&sample()).unwrap();
    assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), sample());
}

#[test]
fn a_state_is_the_same_word_in_json_and_in_tables() {
    use ChannelState::*;
    for state in [Down, Handshaking, Greeting, Probing, Held, Up, Unmatched, Failed] {
        assert_eq!(serde_json::to_value(state).unwrap(), state.word());
    }
}

#[test]
fn a_status_of_a_later_version_is_understood() {
    let mut value = serde_json::to_value(sample()).unwrap();
    value["links"][0]["channels"][0]["of_a_later_version"] = 0.25.into();
    assert_eq!(serde_json::from_value::<Status>(value).unwrap(), sample());
}
