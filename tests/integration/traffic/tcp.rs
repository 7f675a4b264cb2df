//! TCP flows whose every byte is known.

use std::{fs, net::IpAddr, os::unix::fs::PermissionsExt, process::Command, time::Duration};

use netns_lab::{
    load::{Direction, TcpLoad, TcpReport},
    topology::{Family, Shape},
    trial,
};

use crate::bed::Bed;

/// Payload of a segment through a link over Ethernet: 1420 less IPv4's and TCP's headers with a timestamp.
pub(super) const SEGMENT: u64 = 1420 - 52;

#[test]
fn tcp_over_ipv4_arrives_intact_in_either_direction_and_both_at_once() {
    trial::run_with_tun(|| every_direction(&Bed::two_gateways(4, Family::V4), 0));
}

#[test]
fn tcp_over_ipv6_arrives_intact_in_either_direction_and_both_at_once() {
    trial::run_with_tun(|| every_direction(&Bed::two_gateways(4, Family::V6), 1));
}

#[test]
fn a_link_with_aes_256_gcm_carries_and_says_so() {
    trial::run_with_tun(|| {
        let bed = Bed::new(Shape::TwoGateways, 2, Family::V4, |mesh| {
            mesh.links[0].options.push(("cipher".into(), "\"aes-256-gcm\"".into()));
        });
        carry(&bed, bed.addresses(1)[0], 4, Direction::Both);
        assert_eq!(bed.status(0)["links"][0]["cipher"], "aes-256-gcm");
    });
}

#[test]
fn a_link_with_a_preshared_key_carries_and_says_so() {
    trial::run_with_tun(|| {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let file = folder.path().join("cable.psk");
        let key = Command::new("wg").arg("genpsk").output().expect("tests/prepare installs wg").stdout;
        fs::write(&file, key).expect("the key can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
        let bed = Bed::new(Shape::TwoGateways, 2, Family::V4, |mesh| {
            mesh.links[0].options.push(("preshared_key_file".into(), format!("{file:?}")));
        });
        carry(&bed, bed.addresses(1)[1], 4, Direction::Both);
        assert_eq!(bed.status(1)["links"][0]["preshared_key"], true);
    });
}

/// `family`: 0 for IPv4, 1 for IPv6.
fn every_direction(bed: &Bed, family: usize) {
    for flows in [1, 16] {
        for direction in [Direction::ToServer, Direction::ToClient, Direction::Both] {
            carry(bed, bed.addresses(1)[family], flows, direction);
        }
    }
}

/// From host1 to an address of host2: each flow must carry, nothing may be corrupt, and little be sent twice.
fn carry(bed: &Bed, to: IpAddr, flows: usize, direction: Direction) -> TcpReport {
    let load = TcpLoad {
        flows,
        direction,
        duration: Duration::from_millis(800),
        patience: Duration::from_secs(20),
        ..TcpLoad::new(bed.host(0), bed.host(1), to)
    };
    let report = load.run(|_| {}).unwrap_or_else(|error| panic!("{error}"));
    for flow in &report.flows {
        assert_eq!(flow.corrupt, 0, "{direction:?}: {flow:?}");
        assert_eq!(flow.to_server > 0, direction != Direction::ToClient, "{direction:?}: {flow:?}");
        assert_eq!(flow.to_client > 0, direction != Direction::ToServer, "{direction:?}: {flow:?}");
    }
    assert_no_storm(report.retransmitted, report.bytes() / SEGMENT);
    report
}

/// TCP loses some packets wherever queues are finite; a path that reorders, doubles or drops by itself makes it send a
/// great part again.
pub(super) fn assert_no_storm(retransmitted: u64, segments: u64) {
    assert!(retransmitted <= 200 + segments / 20, "{retransmitted} of about {segments} segments were sent again");
}
