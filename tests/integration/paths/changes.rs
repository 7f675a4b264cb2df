//! A new file with other paths.

use netns_lab::trial;

use super::{ON_SECOND, SECOND, paths, set_paths, two_paths};
use crate::bed::{Bed, eventually, ping, run};

/// The sessions of all channels of the first gateway so far, by channel.
fn sessions(bed: &Bed) -> Vec<u64> {
    bed.channels(0).iter().map(|channel| channel["sessions"].as_u64().expect("a number")).collect()
}

fn reload(bed: &mut Bed, paths: &str) -> String {
    set_paths(&mut bed.mesh, paths);
    let mesh = bed.mesh.clone();
    let said = bed.gateways.iter_mut().map(|gateway| {
        gateway.rewrite(&mesh).unwrap_or_else(|error| panic!("{error}"));
        gateway.ask(&["reload"]).unwrap_or_else(|error| panic!("{error}"))
    });
    said.collect()
}

#[test]
fn another_address_of_a_path_touches_only_its_channels() {
    trial::run_with_tun(|| {
        let mut bed = two_paths();
        bed.start_all();
        let others = ["fd00:ff::11", "fd00:ff::12"];
        for (site, address) in others.iter().enumerate() {
            run(bed.gateway(site), &format!("ip address add {address}/64 dev {SECOND} nodad"));
        }
        let before = sessions(&bed);
        let new = paths(&bed, others);
        let said = reload(&mut bed, &new);
        assert!(said.contains("channel cable/1: bound to: [fd00:ff::1]:16417 -> [fd00:ff::11]:16417"), "{said}");
        assert!(!said.contains("cable/0") && !said.contains("cable/2"), "{said}");
        for (site, address) in ON_SECOND.iter().enumerate() {
            run(bed.gateway(site), &format!("ip address del {address}/64 dev {SECOND}"));
        }
        bed.wait_until_up();
        let after = sessions(&bed);
        assert_eq!((after[0], after[2]), (before[0], before[2]), "the other path's sessions go on");
        bed.addresses(1).into_iter().for_each(|to| ping(bed.host(0), to));
    });
}

#[test]
fn a_device_that_a_path_is_bound_to_is_another_without_a_new_session() {
    trial::run_with_tun(|| {
        let mut bed = two_paths();
        bed.start_all();
        let before = sessions(&bed);
        let unbound = paths(&bed, ON_SECOND).replace(&format!(", device = \"{SECOND}\""), "");
        let said = reload(&mut bed, &unbound);
        assert!(said.contains("channel cable/1: bound to device: second -> none"), "{said}");
        assert!(bed.channels(0)[1]["underlay_device"].is_null());
        let bound = paths(&bed, ON_SECOND);
        reload(&mut bed, &bound);
        assert_eq!(sessions(&bed), before);
        let nowhere = bound.replace(SECOND, "nowhere");
        reload(&mut bed, &nowhere);
        eventually("bound to what is not there it carries nothing", || bed.channels(0)[1]["carrier"] == false);
        reload(&mut bed, &bound);
        bed.wait_until_up();
        assert_eq!(sessions(&bed)[0], before[0]);
    });
}

#[test]
fn a_link_gets_paths_and_loses_them_while_it_runs() {
    trial::run_with_tun(|| {
        let mut bed = two_paths();
        let all = paths(&bed, ON_SECOND);
        bed.mesh.links[0].options.retain(|(key, _)| key != "paths");
        bed.start_all();
        let before = sessions(&bed);
        reload(&mut bed, &all);
        bed.wait_until_up();
        let after = sessions(&bed);
        assert_eq!((after[0], after[2]), (before[0], before[2]), "where the address is the same nothing ends");
        assert_eq!(bed.channels(0)[3]["path"], 1);
        bed.mesh.links[0].options.clear();
        let mesh = bed.mesh.clone();
        for gateway in &mut bed.gateways {
            gateway.rewrite(&mesh).unwrap_or_else(|error| panic!("{error}"));
            gateway.ask(&["reload"]).unwrap_or_else(|error| panic!("{error}"));
        }
        bed.wait_until_up();
        assert!(bed.channels(0).iter().all(|channel| channel["path"].is_null()));
        bed.addresses(1).into_iter().for_each(|to| ping(bed.host(0), to));
    });
}
