//! A peer whose underlay address the file gives by name.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use netns_lab::{
    program::Program,
    topology::{Options, Shape, UNDERLAY},
    trial,
};

use crate::bed::{Bed, comes_true, eventually, ping, program, run};

const NAME: &str = "second.gateway.test";

/// The program, in a mount namespace in which the machine's list of hosts is this one.
fn program_with_hosts(folder: &Path, hosts: &Path) -> Program {
    let script = folder.join("meshtun");
    let line = format!(
        "#!/bin/sh\nexec unshare --mount sh -c 'mount --bind {} /etc/hosts && exec {} \"$@\"' meshtun \"$@\"\n",
        hosts.display(),
        program().path().display(),
    );
    fs::write(&script, line).unwrap();
    fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    Program::find(Some(&script)).unwrap()
}

#[test]
fn a_peer_that_comes_back_at_another_address_is_found_when_its_name_leads_there() {
    trial::run_with_tun(|| {
        let mut bed = Bed::quiet(Shape::TwoGateways, 2, &Options::default());
        let folder = bed.topology.lab.folder().to_owned();
        let hosts = folder.join("hosts");
        let (old, new) = (bed.topology.sites[1].underlay, "198.51.100.77");
        fs::write(&hosts, format!("{old} {NAME}\n")).unwrap();

        bed.mesh.gateways[1].underlay = None;
        bed.mesh.gateways[1].options.push(("endpoint".into(), format!("{NAME:?}")));
        // The second gateway knows nobody's address: it cannot make itself heard first.
        let mut theirs = bed.mesh.clone();
        theirs.gateways[0].underlay = None;
        let mut setup = bed.setup(0, &bed.mesh);
        setup.program = program_with_hosts(&folder, &hosts);
        bed.start_with(setup);
        bed.start(1, theirs);
        bed.wait_until_up();
        let remotes = |bed: &Bed| -> Vec<String> {
            bed.channels(0).iter().map(|channel| channel["endpoint"].to_string()).collect()
        };
        assert!(remotes(&bed).iter().all(|remote| remote.contains(&old.to_string())), "{:?}", remotes(&bed));

        bed.gateways[1].kill().unwrap();
        eventually("the first gateway sees that the second is gone", || {
            bed.channels(0).iter().all(|channel| channel["state"] != "up")
        });
        run(bed.gateway(1), &format!("ip address del {old}/24 dev {UNDERLAY}"));
        run(bed.gateway(1), &format!("ip address add {new}/24 dev {UNDERLAY}"));
        bed.gateways[1].restart().unwrap();
        // In place: what is mounted is the file and not its name.
        fs::write(&hosts, format!("{new} {NAME}\n")).unwrap();

        let found = comes_true(|| remotes(&bed).iter().all(|remote| remote.contains(new)));
        assert!(found, "{:?}\n{}", remotes(&bed), bed.gateways[0].log());
        bed.wait_until_up();
        bed.addresses(1).into_iter().for_each(|to| ping(bed.host(0), to));
    });
}
