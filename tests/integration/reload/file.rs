//! The file itself: wrong, the same, or asked for by a signal.

use std::fs;

use meshtun_sys::process::Signal;
use netns_lab::{topology::Family, trial};

use super::links::all_up;
use crate::{
    bed::{Bed, eventually, output, ping},
    kernel::{NONE, differences, everything},
};

#[test]
fn a_bad_file_changes_nothing_and_is_told_with_its_line_and_exit_code_78() {
    trial::run_with_tun(|| {
        let bed = Bed::two_gateways(2, Family::V4);
        let (before, sessions) = (everything(bed.gateway(0)), bed.channels(0));
        let file = bed.gateways[0].folder().join("mesh.toml");
        let good = fs::read_to_string(&file).expect("it can be read");
        for (bad, said) in [
            (format!("{good}\nchanels = 5\n"), "chanels"),
            (good.replace("number = 2", "number = 1"), "number"),
            (good.replace("number = 1\n", "number = 9\n"), "restart meshtun"),
        ] {
            fs::write(&file, &bad).expect("it can be written");
            let output = output(bed.gateway(0), bed.gateways[0].command(&["reload"]));
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(78), "{complaint}");
            assert!(complaint.contains(said) && complaint.contains("mesh.toml"), "{complaint}");
        }
        assert!(bed.gateways[0].log().contains("nothing was changed"), "{}", bed.gateways[0].log());
        assert_eq!(differences(&before, &everything(bed.gateway(0))), NONE);
        for (before, after) in sessions.iter().zip(bed.channels(0)) {
            assert_eq!((&after["sessions"], &after["state"]), (&before["sessions"], &before["state"]));
        }
    });
}

#[test]
fn sighup_reloads() {
    trial::run_with_tun(|| {
        let mut bed = Bed::two_gateways(1, Family::V4);
        let mut mesh = bed.mesh.clone();
        mesh.links[0].channels = 2;
        for gateway in &mut bed.gateways {
            gateway.rewrite(&mesh).unwrap_or_else(|error| panic!("{error}"));
            gateway.signal(Signal::Hangup).unwrap_or_else(|error| panic!("{error}"));
        }
        eventually("the second channel is up", || all_up(&bed, 2));
        ping(bed.host(0), bed.addresses(1)[0]);
        assert!(bed.gateways[0].log().contains("reloaded: channel"), "{}", bed.gateways[0].log());
    });
}

#[test]
fn a_reload_without_a_daemon_ends_with_exit_code_69() {
    trial::run_with_tun(|| {
        let mut bed = Bed::two_gateways(1, Family::V4);
        bed.gateways[0].kill().unwrap_or_else(|error| panic!("{error}"));
        let output = output(bed.gateway(0), bed.gateways[0].command(&["reload"]));
        assert_eq!(output.status.code(), Some(69));
    });
}

#[test]
fn a_device_of_the_new_links_name_that_is_not_ours_stops_the_reload_before_anything_changes() {
    trial::run_with_tun(|| {
        let mut bed = Bed::two_gateways(1, Family::V4);
        let link = bed.mesh.links[0].name.clone();
        crate::bed::run(bed.gateway(0), &format!("ip tuntap add dev {link}1 mode tun"));
        let before = everything(bed.gateway(0));
        let mut mesh = bed.mesh.clone();
        mesh.links[0].channels = 2;
        bed.gateways[0].rewrite(&mesh).unwrap_or_else(|error| panic!("{error}"));
        let error = bed.gateways[0].ask(&["reload"]).expect_err("the name is taken").to_string();
        assert!(error.contains(&format!("{link}1")), "{error}");
        assert_eq!(differences(&before, &everything(bed.gateway(0))), NONE);
        assert_eq!(bed.channels(0).len(), 1);
        ping(bed.host(0), bed.addresses(1)[0]);
    });
}
