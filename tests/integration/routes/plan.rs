//! `plan`: the commands that a person would type.

use netns_lab::{
    gateway::Gateway,
    topology::{Family, Options, Shape},
    trial,
};

use crate::bed::{Bed, PATIENCE, run};
use crate::kernel::{NONE, differences, everything, our_devices};

#[test]
fn the_commands_of_plan_typed_by_hand_make_what_up_makes() {
    trial::run_with_tun(|| {
        let mut bed = Bed::quiet(Shape::TwoGateways, 3, &Options { underlay: Family::V6, ..Options::default() });
        bed.mesh.links[0].options.push(("weight".into(), "[1, 2, 3]".into()));
        let untouched = everything(bed.gateway(0));
        bed.start_all();
        bed.gateways[0].stop(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
        let by_up = everything(bed.gateway(0));
        bed.gateways[0].ask(&["down", "--unprotect"]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(differences(&untouched, &everything(bed.gateway(0))), NONE);

        let commands = plan(&bed.gateways[0]);
        assert_eq!(differences(&untouched, &everything(bed.gateway(0))), NONE, "plan changes nothing");
        for command in commands.lines() {
            // Values in quotes are for a shell.
            let mut shell = std::process::Command::new("sh");
            shell.args(["-e", "-c", command]);
            let output = crate::bed::output(bed.gateway(0), shell);
            assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        }
        assert_eq!(differences(&by_up, &everything(bed.gateway(0))), NONE);
        assert!(plan(&bed.gateways[0]).starts_with("# nothing to do"));

        // And `up` takes it over as it is.
        let devices = our_devices(bed.gateway(0));
        bed.gateways[0].restart().unwrap_or_else(|error| panic!("{error}"));
        bed.wait_until_up();
        assert_eq!(our_devices(bed.gateway(0)), devices);
        run(bed.host(0), "ping -n -c 1 -W 20 fd00:2::2");
    });
}

#[test]
fn plan_tells_only_what_differs() {
    trial::run_with_tun(|| {
        let mut bed = Bed::two_gateways(2, Family::V4);
        assert!(plan(&bed.gateways[0]).starts_with("# nothing to do"));
        // A running gateway would put it back.
        bed.gateways[0].stop(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
        run(bed.gateway(0), "ip link set dev cable1 txqueuelen 77");
        assert_eq!(plan(&bed.gateways[0]), "ip link set dev cable1 txqueuelen 500\n");
        let queue = crate::bed::json(bed.gateway(0), "ip -j link show dev cable1")[0]["txqlen"].as_u64();
        assert_eq!(queue, Some(77), "plan changes nothing");
    });
}

#[test]
fn plan_tells_of_networks_that_are_refused_although_the_file_has_them_no_more() {
    trial::run_with_tun(|| {
        let mut bed = Bed::two_gateways(1, Family::V4);
        bed.gateways[0].stop(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
        run(bed.gateway(0), "ip route add unreachable 172.19.0.0/16 proto 109 metric 4278198272");
        let [mesh, key] = files(&bed.gateways[0]);
        let command = bed.gateways[0].command(&["plan", &mesh, "--key", &key]);
        let said = crate::bed::output(bed.gateway(0), command).stderr;
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("packets for 172.19.0.0/16"), "{said}");
        assert!(said.contains("ip route del 172.19.0.0/16 proto 109 metric 4278198272"), "{said}");
    });
}

fn plan(gateway: &Gateway) -> String {
    let [mesh, key] = files(gateway);
    gateway.ask(&["plan", &mesh, "--key", &key]).unwrap_or_else(|error| panic!("{error}"))
}

fn files(gateway: &Gateway) -> [String; 2] {
    ["mesh.toml", "private.key"].map(|name| gateway.folder().join(name).display().to_string())
}
