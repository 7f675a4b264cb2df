//! A link over two underlays: one of IPv4, one of IPv6, a cable each.
//!
//! ```text
//!           ┌── underlay: IPv4 ──┐
//!  host1 ── g1                  g2 ── host2
//!           └── second: IPv6 ────┘
//! ```
//! Channels 0 and 2 take the first, 1 and 3 the second.

mod changes;
mod loss;
mod trouble;

use netns_lab::{
    lab::End,
    mesh::MeshFile,
    topology::{Options, Shape, UNDERLAY},
    trial,
};

use crate::bed::{Bed, ping, run};

/// The second underlay's device in both gateways.
const SECOND: &str = "second";

/// The gateways' addresses there.
const ON_SECOND: [&str; 2] = ["fd00:ff::1", "fd00:ff::2"];

/// What nftables counts and drops by.
const RULES: &str = "inet paths";

/// A bed whose link has two paths, not started.
fn two_paths() -> Bed {
    let mut bed = Bed::quiet(Shape::TwoGateways, 4, &Options { internet: true, ..Options::default() });
    connect_second(&bed);
    for site in 0..2 {
        give_address(&bed, site);
    }
    let paths = paths(&bed, ON_SECOND);
    set_paths(&mut bed.mesh, &paths);
    bed
}

fn connect_second(bed: &Bed) {
    let [one, other] = [0, 1].map(|site| End { node: bed.gateway(site), device: SECOND });
    bed.topology.lab.connect(one, other, 1500).expect("the second cable is laid");
}

fn give_address(bed: &Bed, site: usize) {
    let address = format!("{}/64", ON_SECOND[site]).parse().expect("an address");
    bed.gateway(site).add_address(SECOND, address).expect("the second underlay gets its address");
}

/// `paths` as the file has it: both ends bound to their devices.
fn paths(bed: &Bed, second: [&str; 2]) -> String {
    let end = |address: &str, device: &str| format!("{{ underlay = \"{address}\", device = \"{device}\" }}");
    let first = [0, 1].map(|site| end(&bed.topology.sites[site].underlay.to_string(), UNDERLAY));
    let second = second.map(|address| end(address, SECOND));
    let path = |[one, two]: [String; 2]| format!("{{ g1 = {one}, g2 = {two} }}");
    format!("[{}, {}]", path(first), path(second))
}

fn set_paths(mesh: &mut MeshFile, paths: &str) {
    let options = &mut mesh.links[0].options;
    options.retain(|(key, _)| key != "paths");
    options.push(("paths".into(), paths.into()));
}

/// Counts what leaves a gateway by the wrong device for its port, and drops it.
fn forbid_detours(bed: &Bed, site: usize) {
    let gateway = bed.gateway(site);
    run(gateway, &format!("nft add table {RULES}"));
    run(gateway, &format!("nft add chain {RULES} out {{ type filter hook output priority 0 ; }}"));
    for channel in bed.channels(site) {
        let port = channel["local"].as_str().and_then(|local| local.rsplit(':').next()).expect("a local address");
        let device = channel["underlay_device"].as_str().expect("it is bound to a device");
        run(gateway, &format!("nft add rule {RULES} out udp sport {port} oifname != {device} counter drop"));
    }
}

fn detours(bed: &Bed, site: usize) -> u64 {
    let rules = run(bed.gateway(site), &format!("nft list table {RULES}"));
    let counts = rules.split("packets ").skip(1).filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    counts.sum()
}

#[test]
fn channels_of_one_link_go_over_ipv4_and_ipv6_each_by_its_own_device_whatever_the_routes_say() {
    trial::run_with_tun(|| {
        let mut bed = two_paths();
        // The way to the other end of the second path leads over the first, for whoever is not bound.
        run(bed.gateway(0), &format!("ip -6 route add {}/128 dev {UNDERLAY} metric 1", ON_SECOND[1]));
        bed.start_all();
        for site in 0..2 {
            forbid_detours(&bed, site);
        }
        for to in bed.addresses(1) {
            (0..8).for_each(|_| ping(bed.host(0), to));
        }
        let channels = bed.channels(0);
        let facts = |key: &str| -> Vec<String> { channels.iter().map(|it| it[key].to_string()).collect() };
        assert_eq!(facts("path"), ["0", "1", "0", "1"]);
        assert_eq!(facts("underlay_device"), ["\"underlay\"", "\"second\"", "\"underlay\"", "\"second\""]);
        for channel in channels.iter().filter(|channel| channel["path"] == 1) {
            let endpoint = channel["endpoint"].as_str().expect("an endpoint");
            assert!(endpoint.starts_with(&format!("[{}]", ON_SECOND[1])), "{endpoint}");
        }
        assert_eq!([0, 1].map(|site| detours(&bed, site)), [0, 0], "probes and packets went by another device");
        let table = bed.gateways[0].ask(&["status"]).expect("status answers");
        assert!(table.contains("path 1, fd00:ff::1 on second: 2 of 2 channels up (cable1, cable3)"), "{table}");
    });
}
