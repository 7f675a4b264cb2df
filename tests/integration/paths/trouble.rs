//! What a path lacks is told by its name, with what to do.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use netns_lab::{program::Program, trial};

use super::{ON_SECOND, SECOND, two_paths};
use crate::bed::{Bed, eventually, run};

fn alarms(bed: &Bed) -> Vec<String> {
    let alarms = bed.status(0)["alarms"].as_array().cloned().unwrap_or_default();
    alarms.iter().filter_map(|alarm| Some(alarm.as_str()?.to_owned())).collect()
}

#[test]
fn a_path_whose_device_has_no_route_to_the_peer_is_told_until_it_has_one() {
    trial::run_with_tun(|| {
        let mut bed = two_paths();
        bed.start_all();
        let network = format!("fd00:ff::/64 dev {SECOND}");
        run(bed.gateway(0), &format!("ip -6 route del {network}"));
        let told = format!("path 1 of link cable: no route leads to {} from {}", ON_SECOND[1], ON_SECOND[0]);
        eventually("it is told", || alarms(&bed).iter().any(|alarm| alarm.starts_with(&told)));
        let alarms_then = alarms(&bed);
        assert!(
            alarms_then[0].contains("device second") && alarms_then[0].contains("cable/1 and 1 more"),
            "{alarms_then:?}"
        );
        assert_eq!(alarms_then.len(), 1, "the other path lacks nothing: {alarms_then:?}");
        run(bed.gateway(0), &format!("ip -6 route add {network}"));
        bed.wait_until_up();
        eventually("it is over", || alarms(&bed).is_empty());
        let log = bed.gateways[0].log();
        assert!(log.contains(&told) && log.contains(&format!("no longer: {told}")), "{log}");
    });
}

#[test]
fn paths_with_devices_are_told_by_name_where_cap_net_raw_is_missing() {
    trial::run_with_tun(|| {
        let mut bed = two_paths();
        let mut setup = bed.setup(0, &bed.mesh);
        let [full, lacking] = [setup.program.path().to_owned(), bed.topology.lab.folder().join("lacking")];
        let script = format!("#!/bin/sh\nexec setpriv --bounding-set=-net_raw {} \"$@\"\n", full.display());
        fs::write(&lacking, script).expect("the folder is ours");
        fs::set_permissions(&lacking, fs::Permissions::from_mode(0o755)).expect("it is ours");
        setup.program = Program::find(Some(Path::new(&lacking))).expect("it was made");
        let node = bed.gateway(0).clone();
        let gateway = netns_lab::gateway::Gateway::start(&bed.topology.lab, &node, setup);
        bed.gateways.push(gateway.unwrap_or_else(|error| panic!("{error}")));
        bed.start(1, bed.mesh.clone());
        bed.wait_until_up();
        let told = |text: &str| {
            ["underlay", SECOND].iter().enumerate().all(|(path, device)| {
                text.contains(&format!("path {path} of link cable is bound to the network device {device}"))
            }) && text.contains("CAP_NET_RAW")
        };
        assert!(told(&bed.gateways[0].log()), "{}", bed.gateways[0].log());
        eventually("the status tells, too", || told(&alarms(&bed).concat()));
        let [mesh, key] = ["mesh.toml", "private.key"].map(|name| bed.gateways[0].folder().join(name));
        let [mesh, key] = [&mesh, &key].map(|path| path.to_str().expect("a plain name"));
        let output = crate::bed::output(bed.gateway(0), bed.gateways[0].command(&["check", mesh, "--key", key]));
        assert!(output.status.success() && told(&String::from_utf8_lossy(&output.stderr)), "{output:?}");
        let whole = crate::bed::output(bed.gateway(1), bed.gateways[1].command(&["check", mesh, "--key", key]));
        let said = String::from_utf8_lossy(&whole.stderr).into_owned();
        assert!(whole.status.success() && !said.contains("CAP_NET_RAW"), "{said}");
    });
}
