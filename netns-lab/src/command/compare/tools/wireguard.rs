//! WireGuard in userspace: one interface a gateway, whose program spreads over the processors by itself.

use std::net::SocketAddr;

use netns_lab::{
    topology::Topology,
    wireguard::{Implementation, Setup, WireGuard},
};

use super::Running;
use crate::command::compare::{
    install::Programs,
    tool::{Subject, Tool},
};

/// The custom for WireGuard's first interface.
const PORT: u16 = 51820;

/// 1500 bytes less 60 for IPv4, UDP and WireGuard, and 20 more so that IPv6 could carry it: `wg-quick`'s value.
const MTU: u16 = 1420;

struct Peers {
    program: &'static str,
    ends: [WireGuard; 2],
}

pub(super) fn start(subject: Subject, topology: &Topology, programs: &Programs) -> anyhow::Result<Box<dyn Running>> {
    let implementation = match subject.tool {
        Tool::BoringTun => Implementation::BoringTun(programs.path(subject.tool)?.to_owned()),
        Tool::GotaTun => Implementation::GotaTun(programs.path(subject.tool)?.to_owned()),
        _ => Implementation::WireguardGo,
    };
    let program = implementation.name();
    let keys = programs.meshtun.keys(2)?;
    let start = |at: usize| {
        let [here, there] = [at, 1 - at].map(|at| &topology.sites[at]);
        let setup = Setup {
            implementation: implementation.clone(),
            verbose: false,
            keys: keys[at].clone(),
            peer_key: keys[1 - at].public().to_owned(),
            preshared_key: None,
            channels: subject.channels,
            port: PORT,
            endpoint: Some(SocketAddr::new(there.underlay, PORT)),
            keepalive: None,
            numbers: [here.number, there.number],
            mtu: MTU,
            networks: there.networks.iter().copied().filter(|prefix| prefix.addr().is_ipv4()).collect(),
            source: Some(here.gateway_v4),
        };
        WireGuard::start(&topology.lab, &here.gateway, &setup)
    };
    Ok(Box::new(Peers { program, ends: [start(0)?, start(1)?] }))
}

impl Running for Peers {
    fn processes(&self) -> [Vec<u32>; 2] {
        [0, 1].map(|at| self.ends[at].processes())
    }

    fn logs(&self) -> Vec<String> {
        self.ends.iter().map(WireGuard::log).collect()
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<Vec<String>> {
        let mut wrong = Vec::new();
        for (end, gateway) in self.ends.iter_mut().zip(["g1", "g2"]) {
            let name = format!("{} at {gateway}", self.program);
            let log = end.log();
            wrong.extend(log.lines().filter(|line| is_error(line)).map(|line| format!("{name}: {line}")));
            let ended = end.ended()?;
            wrong.extend(
                ended.into_iter().map(|(device, status)| format!("{name} ({device}) ended by itself with {status}")),
            );
        }
        Ok(wrong)
    }
}

/// `ERROR: (wg0) …` of wireguard-go; ` ERROR ` of the two Rust programs, and a panic of any of them.
fn is_error(line: &str) -> bool {
    line.contains("ERROR") || line.contains("panic")
}
