//! Two gateways that are not configured for each other: neither gets carrier, and log and status say why.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use netns_lab::{
    mesh::MeshFile,
    topology::{Options, Shape},
    trial,
};

use crate::bed::{Bed, assert_unreachable, eventually, program};

#[test]
fn another_key_than_the_file_says_brings_no_channel_up_and_is_told() {
    trial::run_with_tun(|| {
        let stranger = program().keys(1).expect("keys are made").remove(0);
        let ours = |_: &Bed, mesh: &mut MeshFile| mesh.gateways[1].public_key = stranger.public().to_owned();
        let bed = mismatched(ours, |_, _| {});
        assert_told(&bed, 0, "another gateway's key than the configured one");
        assert_logged(&bed, 1, "does not know this gateway's public key");
    });
}

#[test]
fn different_preshared_keys_bring_no_channel_up_and_are_told() {
    trial::run_with_tun(|| {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let bed = mismatched(with_key(folder.path(), "one"), with_key(folder.path(), "other"));
        assert_told(&bed, 0, "pre-shared key");
        assert_told(&bed, 1, "pre-shared key");
    });
}

#[test]
fn a_preshared_key_at_one_end_only_brings_no_channel_up_and_is_told() {
    trial::run_with_tun(|| {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let bed = mismatched(with_key(folder.path(), "one"), |_, _| {});
        assert_told(&bed, 0, "pre-shared key");
        assert_told(&bed, 1, "pre-shared key");
    });
}

#[test]
fn different_ciphers_bring_no_channel_up_and_both_are_named() {
    trial::run_with_tun(|| {
        let aes = |_: &Bed, mesh: &mut MeshFile| {
            mesh.links[0].options.push(("cipher".into(), "\"aes-256-gcm\"".into()));
        };
        let bed = mismatched(aes, |_, _| {});
        for (site, theirs, ours) in [(0, "chacha20-poly1305", "aes-256-gcm"), (1, "aes-256-gcm", "chacha20-poly1305")] {
            assert_told(&bed, site, &format!("the other end uses the cipher {theirs}, this end {ours}"));
        }
    });
}

#[test]
fn links_of_different_names_bring_no_channel_up_and_both_are_named() {
    trial::run_with_tun(|| {
        let bed = mismatched(|_, mesh| mesh.links[0].name = "kabel".into(), |_, _| {});
        for site in [0, 1] {
            assert_told(&bed, site, "kabel");
            assert_told(&bed, site, "cable");
            assert!(bed.channels(site).iter().all(|channel| channel["state"] == "unmatched"));
        }
    });
}

/// Two gateways, each with the lab's file after a change of its own.
fn mismatched(one: impl FnOnce(&Bed, &mut MeshFile), other: impl FnOnce(&Bed, &mut MeshFile)) -> Bed {
    let mut bed = Bed::quiet(Shape::TwoGateways, 2, &Options { internet: true, ..Options::default() });
    let mut meshes = [bed.mesh.clone(), bed.mesh.clone()];
    one(&bed, &mut meshes[0]);
    other(&bed, &mut meshes[1]);
    for (site, mesh) in meshes.into_iter().enumerate() {
        bed.start(site, mesh);
    }
    eventually("both daemons answer", || bed.gateways.iter().all(|gateway| gateway.status().is_ok()));
    bed
}

/// A file with a fresh pre-shared key.
fn with_key(folder: &Path, name: &str) -> impl FnOnce(&Bed, &mut MeshFile) {
    let file = folder.join(name);
    let key = program().keys(1).expect("keys are made").remove(0);
    fs::write(&file, key.private()).expect("it can be written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    move |_, mesh| mesh.links[0].options.push(("preshared_key_file".into(), format!("{file:?}")))
}

/// That the gateway's log and its status name the fault, that no channel has carrier, and that nothing leaves.
fn assert_told(bed: &Bed, site: usize, fault: &str) {
    assert_logged(bed, site, fault);
    eventually(&format!("the status of each channel of g{} says {fault:?}", site + 1), || {
        bed.channels(site).iter().all(|channel| channel["problem"].as_str().is_some_and(|said| said.contains(fault)))
    });
    let gateway = &bed.gateways[site];
    for device in gateway.devices() {
        assert!(!gateway.node().is_running(device).expect("the node can be entered"), "{device} has carrier");
    }
    assert_unreachable(bed.host(site), bed.addresses(1 - site)[0]);
}

fn assert_logged(bed: &Bed, site: usize, fault: &str) {
    let gateway = &bed.gateways[site];
    eventually(&format!("the log of g{} says {fault:?}", site + 1), || {
        gateway.log().lines().any(|line| line.contains("WARN cable/") || line.contains("WARN kabel/"))
            && gateway.log().contains(fault)
    });
}
