//! Channels and links that come and go with the file, and what stays.

use std::{thread, time::Duration};

use netns_lab::{mesh::MeshFile, topology::Family, trial};

use crate::{
    bed::{Bed, assert_unreachable, eventually, ping},
    going::trains::{assert_nothing_lost, patient, under_trains},
    kernel::our_devices,
};

/// Gives both gateways a new file and has them reload it.
pub(super) fn reload(bed: &mut Bed, change: impl FnOnce(&mut MeshFile)) -> Vec<String> {
    change(&mut bed.mesh);
    let mesh = bed.mesh.clone();
    let said = bed.gateways.iter_mut().map(|gateway| {
        gateway.rewrite(&mesh).unwrap_or_else(|error| panic!("{error}"));
        gateway.ask(&["reload"]).unwrap_or_else(|error| panic!("{error}"))
    });
    said.collect()
}

/// Whether all channels of both gateways are up, and there are so many.
pub(super) fn all_up(bed: &Bed, channels: usize) -> bool {
    (0..2).all(|site| {
        let all = bed.channels(site);
        all.len() == channels && all.iter().all(|channel| channel["state"] == "up")
    })
}

#[test]
fn two_more_channels_come_and_go_under_load_and_no_packet_is_lost_and_the_others_notice_nothing() {
    trial::run_with_tun(|| {
        let mut bed = patient(2);
        let before = bed.channels(0);
        let (mesh, link) = (bed.mesh.clone(), bed.mesh.links[0].name.clone());
        for channels in [4, 2] {
            let mut mesh = mesh.clone();
            mesh.links[0].channels = channels;
            for gateway in &mut bed.gateways {
                gateway.rewrite(&mesh).unwrap_or_else(|error| panic!("{error}"));
            }
            let (reports, said) = under_trains(&bed, Duration::from_secs(3), || {
                let said: Vec<String> = bed
                    .gateways
                    .iter()
                    .map(|gateway| gateway.ask(&["reload"]).unwrap_or_else(|error| panic!("{error}")))
                    .collect();
                eventually("all channels of the file are up", || all_up(&bed, channels.into()));
                said
            });
            assert_nothing_lost(&format!("{channels} channels"), &reports);
            let word = if channels == 4 { "added" } else { "removed" };
            assert!(said[0].contains(&format!("# channel {link}/3: {word}")), "{}", said[0]);
            assert_eq!(our_devices(bed.gateway(0)).len(), usize::from(channels));
        }
        for (before, after) in before.iter().zip(bed.channels(0)) {
            assert_eq!(after["sessions"], before["sessions"], "the session goes on");
            assert!(after["tx_packets"].as_u64() >= before["tx_packets"].as_u64(), "the counters go on");
        }
        assert_eq!(bed.gateways[0].ask(&["reload"]).unwrap().lines().count(), 1, "nothing differs");
    });
}

#[test]
fn a_link_is_removed_and_made_again_and_its_networks_stay_protected_meanwhile() {
    trial::run_with_tun(|| {
        let mut bed = Bed::two_gateways(2, Family::V4);
        let link = bed.mesh.links[0].clone();
        reload(&mut bed, |mesh| mesh.links.clear());
        assert!(our_devices(bed.gateway(0)).is_empty());
        for to in bed.addresses(1) {
            assert_unreachable(bed.host(0), to);
        }
        reload(&mut bed, |mesh| mesh.links.push(link));
        eventually("the link is up again", || all_up(&bed, 2));
        bed.addresses(1).into_iter().for_each(|to| ping(bed.host(0), to));
    });
}

#[test]
fn a_weight_an_mtu_and_a_network_change_without_a_packet_lost_and_without_a_new_session() {
    trial::run_with_tun(|| {
        let mut bed = patient(4);
        let before = bed.channels(0);
        let mut mesh = bed.mesh.clone();
        mesh.links[0].options.extend([("weight".into(), "[1, 2, 3, 4]".into()), ("mtu".into(), "1400".into())]);
        mesh.gateways[1].networks.push("10.99.0.0/16".parse().expect("a prefix"));
        for gateway in &mut bed.gateways {
            gateway.rewrite(&mesh).unwrap_or_else(|error| panic!("{error}"));
        }
        let (reports, said) = under_trains(&bed, Duration::from_secs(3), || {
            bed.gateways[1].ask(&["reload"]).unwrap_or_else(|error| panic!("{error}"));
            bed.gateways[0].ask(&["reload"]).unwrap_or_else(|error| panic!("{error}"))
        });
        assert_nothing_lost("new weights, MTU and networks", &reports);
        for line in ["weight: 1 -> 4", "mtu: none -> 1400", "10.99.0.0/16", "weight 4"] {
            assert!(said.contains(line), "{line}: {said}");
        }
        let after = bed.status(0);
        assert_eq!(after["links"][0]["mtu"], 1400);
        for (before, after) in before.iter().zip(bed.channels(0)) {
            assert_eq!(after["sessions"], before["sessions"]);
        }
        reload(&mut bed, |_| {});
        eventually("without the key the MTU is what the path takes", || bed.status(0)["links"][0]["mtu"] == 1420);
        assert_eq!(bed.channels(0)[0]["sessions"], before[0]["sessions"]);
    });
}

#[test]
fn a_cipher_that_changes_at_both_ends_begins_new_sessions() {
    trial::run_with_tun(|| {
        let mut bed = Bed::two_gateways(2, Family::V4);
        reload(&mut bed, |mesh| mesh.links[0].options.push(("cipher".into(), "\"aes-256-gcm\"".into())));
        eventually("all channels are up under the new cipher", || all_up(&bed, 2));
        assert_eq!(bed.status(0)["links"][0]["cipher"], "aes-256-gcm");
        bed.addresses(1).into_iter().for_each(|to| ping(bed.host(0), to));
    });
}

#[test]
fn a_link_that_is_renamed_keeps_its_ports_and_carries_under_its_new_name() {
    trial::run_with_tun(|| {
        let mut bed = Bed::two_gateways(2, Family::V4);
        reload(&mut bed, |mesh| mesh.links[0].name = "rope".into());
        eventually("all channels are up", || all_up(&bed, 2));
        let devices: Vec<String> = our_devices(bed.gateway(0)).into_keys().collect();
        assert_eq!(devices, ["rope0", "rope1"]);
        bed.addresses(1).into_iter().for_each(|to| ping(bed.host(0), to));
    });
}

#[test]
fn many_who_change_things_at_once_each_get_their_turn() {
    trial::run_with_tun(|| {
        let mut bed = Bed::two_gateways(4, Family::V4);
        let link = bed.mesh.links[0].name.clone();
        let mut mesh = bed.mesh.clone();
        mesh.links[0].channels = 3;
        bed.gateways[0].rewrite(&mesh).unwrap_or_else(|error| panic!("{error}"));
        let channel = |number: u16| format!("{link}/{number}");
        let (one, two) = (channel(1), channel(2));
        let calls = [
            vec!["reload"],
            vec!["down", &one],
            vec!["up", &one],
            vec!["down", &two],
            vec!["reload"],
            vec!["down", &one],
        ];
        thread::scope(|scope| {
            for call in &calls {
                let gateway = &bed.gateways[0];
                scope.spawn(move || gateway.ask(call).unwrap_or_else(|error| panic!("{error}")));
            }
        });
        let channels = bed.channels(0);
        assert_eq!(channels.len(), 3);
        assert_eq!((&channels[0]["state"], &channels[2]["taken_down"]), (&"up".into(), &true.into()));
        for number in [1, 2] {
            bed.gateways[0].ask(&["up", &channel(number)]).unwrap_or_else(|error| panic!("{error}"));
        }
        bed.gateways[1].rewrite(&mesh).unwrap_or_else(|error| panic!("{error}"));
        bed.gateways[1].ask(&["reload"]).unwrap_or_else(|error| panic!("{error}"));
        eventually("all are up in the end", || all_up(&bed, 3));
        bed.addresses(1).into_iter().for_each(|to| ping(bed.host(0), to));
    });
}

#[test]
fn what_was_taken_down_stays_down_when_a_reload_makes_it_anew() {
    trial::run_with_tun(|| {
        let mut bed = Bed::two_gateways(2, Family::V4);
        let one = format!("{}/1", bed.mesh.links[0].name);
        bed.gateways[0].ask(&["down", &one]).unwrap_or_else(|error| panic!("{error}"));
        reload(&mut bed, |mesh| mesh.links[0].ports = Some([6011, 6001]));
        eventually("the other channel is up on its new port", || bed.channels(0)[0]["state"] == "up");
        assert_eq!((&bed.channels(0)[1]["taken_down"], &bed.channels(0)[1]["carrier"]), (&true.into(), &false.into()));
        bed.gateways[0].ask(&["up", &one]).unwrap_or_else(|error| panic!("{error}"));
        eventually("all channels are up", || all_up(&bed, 2));
    });
}

#[test]
fn ports_that_change_move_the_channels_there() {
    trial::run_with_tun(|| {
        let mut bed = Bed::two_gateways(2, Family::V4);
        reload(&mut bed, |mesh| mesh.links[0].ports = Some([6011, 6001]));
        eventually("all channels are up on the new ports", || all_up(&bed, 2));
        let local = bed.channels(0)[1]["local"].as_str().expect("an address").to_owned();
        assert!(local.ends_with(":6012"), "{local}");
        bed.addresses(1).into_iter().for_each(|to| ping(bed.host(0), to));
    });
}
