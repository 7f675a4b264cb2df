use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use meshtun_sys::process;
use netns_lab::{
    gateway::{Gateway, GatewayError, Setup},
    program::Program,
    topology::{Options, Shape, Topology},
    trial,
};

use crate::{stand_in, wait_until};

const SOON: Duration = Duration::from_secs(5);

/// A topology, and how a gateway is started in it: the stand-in behaves as `mode` says, and the devices to wait for are
/// `devices`.
fn prepare(mode: &str, devices: &[&str]) -> (Topology, Setup) {
    let topology = Topology::build(Shape::TwoGateways, &Options::default()).unwrap();
    let program = Program::find(Some(&stand_in())).unwrap();
    let keys = program.keys(2).unwrap();
    let mut setup = Setup::new(&program, &topology.mesh(&keys, 1), "g1", &keys[0]);
    setup.devices = devices.iter().map(ToString::to_string).collect();
    setup.environment.push(("MODE".into(), mode.into()));
    (topology, setup)
}

fn start(topology: &Topology, setup: Setup) -> Gateway {
    Gateway::start(&topology.lab, &topology.sites[0].gateway, setup).unwrap()
}

/// It has come as far as it goes.
fn wait_until_started(gateway: &Gateway) {
    wait_until("the stand-in has started", || gateway.folder().join("run/pid").exists());
}

#[test]
fn keys_are_made_by_the_program() {
    let keys = Program::find(Some(&stand_in())).unwrap().keys(2).unwrap();
    assert_eq!((keys[1].private(), keys[1].public()), ("private", "public of private"));
}

#[test]
fn a_gateway_gets_its_files_its_folders_and_its_log() {
    trial::run(|| {
        let (topology, setup) = prepare("", &["lan", "underlay"]);
        let mut gateway = start(&topology, setup);
        gateway.wait_until_up(SOON).unwrap();
        wait_until_started(&gateway);
        let folder = gateway.folder();
        assert!(fs::read_to_string(folder.join("mesh.toml")).unwrap().contains("[gateways.g2]"));
        let key = folder.join("private.key");
        assert_eq!(fs::read_to_string(&key).unwrap(), "private\n");
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let expected = format!("up with up {0}/mesh.toml --key {0}/private.key\n", folder.display());
        assert_eq!(gateway.log(), expected);
        let status = gateway.status().unwrap();
        assert_eq!(status["runtime"], folder.join("run").to_str().unwrap());
    });
}

#[test]
fn one_that_fails_is_reported_with_its_status_and_the_end_of_its_log() {
    trial::run(|| {
        let (topology, setup) = prepare("fails", &["nowhere0"]);
        let error = start(&topology, setup).wait_until_up(SOON).unwrap_err();
        let text = error.to_string();
        assert!(matches!(&error, GatewayError::Ended { status, .. } if status.code() == Some(78)), "{text}");
        assert!(text.contains("g1") && text.contains("the file is wrong"), "{text}");
    });
}

#[test]
fn devices_without_carrier_are_named_when_the_time_is_over() {
    trial::run(|| {
        let (topology, setup) = prepare("", &["lan", "cable0", "cable1"]);
        let mut gateway = start(&topology, setup);
        wait_until_started(&gateway);
        let error = gateway.wait_until_up(Duration::from_millis(50)).unwrap_err();
        assert!(matches!(&error, GatewayError::NotUp { missing, .. } if *missing == ["cable0", "cable1"]), "{error}");
        assert!(error.to_string().contains("up with"), "{error}");
    });
}

#[test]
fn it_can_be_stopped_killed_and_started_again() {
    trial::run(|| {
        let (topology, setup) = prepare("", &["lan"]);
        let mut gateway = start(&topology, setup);
        wait_until_started(&gateway);
        assert_eq!(gateway.stop(SOON).unwrap().code(), None);
        assert!(!process::exists(gateway.id()));
        gateway.restart().unwrap();
        gateway.wait_until_up(SOON).unwrap();
        wait_until("it has written again", || gateway.log().lines().count() == 2);
        let first = gateway.id();
        gateway.kill().unwrap();
        assert!(!process::exists(first));
        gateway.restart().unwrap();
        let second = gateway.id();
        assert!(process::exists(second));
        drop(gateway);
        assert!(!process::exists(second));
    });
}

#[test]
fn one_that_does_not_heed_sigterm_is_an_error_and_still_ends_with_the_lab() {
    trial::run(|| {
        let (topology, setup) = prepare("stubborn", &["lan"]);
        let mut gateway = start(&topology, setup);
        wait_until_started(&gateway);
        let error = gateway.stop(Duration::from_millis(100)).unwrap_err();
        assert!(matches!(error, GatewayError::RunsOn { .. }), "{error}");
        let begun = Instant::now();
        drop((topology, gateway));
        assert!(begun.elapsed() < SOON);
    });
}

#[test]
fn a_command_that_fails_is_told_with_its_words() {
    trial::run(|| {
        let (topology, setup) = prepare("", &["lan"]);
        let error = start(&topology, setup).ask(&["dance"]).unwrap_err();
        assert!(matches!(&error, GatewayError::Command { command, .. } if command == "dance"), "{error}");
    });
}
