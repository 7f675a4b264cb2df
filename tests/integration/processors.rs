//! Where the threads that carry packets run.

use std::{collections::BTreeMap, fs};

use meshtun_sys::thread::available_cpus;
use netns_lab::{
    gateway::Gateway,
    topology::{Options, Shape},
    trial,
};

use crate::bed::{Bed, PATIENCE, eventually};

/// A gateway without a peer, started with `--cpus`.
fn started(bed: &Bed, cpus: &str) -> Gateway {
    let mut setup = bed.setup(0, &bed.mesh);
    setup.arguments = vec!["--cpus".into(), cpus.into()];
    Gateway::start(&bed.topology.lab, bed.gateway(0), setup).expect("it can be started")
}

/// The processors of each worker, by its thread's name.
fn workers(gateway: &Gateway) -> BTreeMap<String, String> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", gateway.id())) else { return BTreeMap::new() };
    let worker = |status: String| {
        let of =
            |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(|value| value.trim().to_owned());
        Some((of("Name:")?, of("Cpus_allowed_list:")?)).filter(|(name, _)| name.starts_with("meshtun-w"))
    };
    tasks.flatten().filter_map(|task| worker(fs::read_to_string(task.path().join("status")).ok()?)).collect()
}

#[test]
fn each_worker_runs_on_the_processor_that_was_named_for_it() {
    trial::run_with_tun(|| {
        let bed = Bed::quiet(Shape::TwoGateways, 4, &Options::default());
        let cpus = available_cpus();
        let [first, last] = [cpus[0], cpus[cpus.len() - 1]];
        let gateway = started(&bed, &format!("{last},{first},{last}"));
        let wanted = [("meshtun-w0", last), ("meshtun-w1", first), ("meshtun-w2", last)];
        let wanted = wanted.map(|(name, cpu)| (name.to_owned(), cpu.to_string())).into();
        eventually("every worker is pinned as asked", || workers(&gateway) == wanted);
    });
}

#[test]
fn a_processor_that_is_not_there_ends_the_start_before_anything_is_changed() {
    trial::run_with_tun(|| {
        let bed = Bed::quiet(Shape::TwoGateways, 1, &Options::default());
        let error =
            started(&bed, "0,1023").wait_until_up(PATIENCE).expect_err("there is no such processor").to_string();
        assert!(error.contains("processor 1023") && error.contains("--cpus"), "{error}");
        let devices = bed.gateway(0).links().expect("they can be listed");
        assert!(devices.iter().all(|device| !device.name.starts_with("cable")), "{devices:?}");
    });
}
