//! meshtun: a process a gateway.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use netns_lab::{
    gateway::{Gateway, Setup},
    topology::{Site, Topology},
};

use super::Running;
use crate::command::compare::{install::Programs, tool::Subject};

/// How long all channels may take to come up.
const PATIENCE: Duration = Duration::from_secs(15);

struct Meshtun {
    gateways: Vec<Gateway>,
}

pub(super) fn start(subject: Subject, topology: &Topology, programs: &Programs) -> anyhow::Result<Box<dyn Running>> {
    let keys = programs.meshtun.keys(topology.sites.len())?;
    let mut mesh = topology.mesh(&keys, subject.channels);
    mesh.defaults.push(("cipher".into(), format!("{:?}", subject.cipher.name())));
    let start = |(at, site): (usize, &Site)| {
        let mut setup = Setup::new(&programs.meshtun, &mesh, site.name(), &keys[at]);
        let cpus: Vec<_> = programs.pinning.workers(at, subject.channels).iter().map(ToString::to_string).collect();
        setup.arguments = vec!["--cpus".into(), cpus.join(",")];
        Gateway::start(&topology.lab, &site.gateway, setup)
    };
    let gateways = topology.sites.iter().enumerate().map(start).collect::<Result<Vec<_>, _>>()?;
    let mut running = Meshtun { gateways };
    let begun = Instant::now();
    for gateway in &mut running.gateways {
        gateway.wait_until_up(PATIENCE.saturating_sub(begun.elapsed()))?;
    }
    Ok(Box::new(running))
}

impl Running for Meshtun {
    fn processes(&self) -> [Vec<u32>; 2] {
        [0, 1].map(|at| vec![self.gateways[at].id()])
    }

    fn logs(&self) -> Vec<String> {
        self.gateways.iter().map(Gateway::log).collect()
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<Vec<String>> {
        let mut wrong = Vec::new();
        for gateway in &mut self.gateways {
            let name = gateway.node().name().to_owned();
            if let Some(status) = gateway.ended()? {
                wrong.push(format!("meshtun at {name} ended by itself with {status}"));
            } else {
                gateway.stop(Duration::from_secs(3)).with_context(|| format!("meshtun at {name}"))?;
            }
            let log = gateway.log();
            let errors = log.lines().filter(|line| line.contains(" ERROR ") || line.contains("panicked"));
            wrong.extend(errors.map(|line| format!("meshtun at {name}: {line}")));
        }
        Ok(wrong)
    }
}
