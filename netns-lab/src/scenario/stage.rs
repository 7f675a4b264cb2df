//! The stage of one run: the lab, the tool that joins its sites, and what can be done to them.

mod faults;
mod flows;
mod orders;
mod second;

use std::time::{Duration, Instant};

pub(crate) use self::flows::train_in;
use serde_json::{Value, json};

use super::{
    Figures, ScenarioError,
    action::Place,
    file::{CableKind, ToolKind},
    ledger::{Books, Direction},
    steps::{RunSetup, Scenario},
    tools::{Meshtun, OpenVpn},
};
use crate::{
    Node,
    faults::{Counts, Faults, Key},
    firewall::Firewall,
    load::Marker,
    mesh::BASE_PORT,
    program::Program,
    topology::{LAN, Options, Shape, Site, Topology, UNDERLAY, WAN},
    watch::{self, Watch},
    whereabouts::Whereabouts,
};

/// How long all channels may take to come up before the load begins.
const PATIENCE: Duration = Duration::from_secs(30);

/// Channels for which ports are set aside: the most that a scenario has.
const PORTS: u16 = 16;

/// A lab with a tool in it.
pub(super) struct Stage {
    // Before the topology: programs end before their namespaces go.
    tool: Tool,
    watches: Vec<(String, Watch)>,
    followers: Vec<Whereabouts>,
    firewalls: Vec<Firewall>,
    channels: u16,
    /// Commands that failed and should not.
    pub(super) failures: Vec<String>,
    /// Random faults so far.
    pub(super) faults: u64,
    pub(super) topology: Topology,
}

enum Tool {
    Meshtun(Meshtun),
    OpenVpn(OpenVpn),
}

impl Stage {
    /// Builds the lab; nothing runs yet.
    pub(super) fn build(
        scenario: &Scenario,
        run: &RunSetup,
        program: &Program,
        marker: Marker,
        seed: u64,
    ) -> Result<Stage, ScenarioError> {
        let shape = if scenario.sites == 2 { Shape::TwoGateways } else { Shape::ThreeSites };
        let faults = Some(seed).filter(|_| scenario.cable == CableKind::Faulty);
        let topology = Topology::build(shape, &Options { internet: true, faults, ..Options::default() })?;
        let firewalls = topology.sites.iter().map(|site| Firewall::new(&site.gateway, UNDERLAY));
        let firewalls = firewalls.collect::<Result<_, _>>()?;
        for site in &topology.sites {
            hash_by_ports(&site.gateway)?;
        }
        let tool = match run.tool {
            ToolKind::Meshtun => {
                let defaults = &run.defaults;
                let paths = scenario.has_second.then(|| second::lay(&topology)).transpose()?;
                let (channels, roams) = (scenario.channels, scenario.roams);
                Tool::Meshtun(Meshtun::new(&topology, program, channels, defaults, roams, paths)?)
            }
            ToolKind::Openvpn => Tool::OpenVpn(OpenVpn::new(scenario.channels)),
        };
        let channels = scenario.channels;
        let mut stage = Stage {
            tool,
            watches: Vec::new(),
            followers: Vec::new(),
            firewalls,
            channels,
            failures: Vec::new(),
            faults: 0,
            topology,
        };
        stage.watch(marker, scenario.has_second)?;
        Ok(stage)
    }

    /// Starts the tool at every gateway and waits until all channels carry.
    pub(super) fn start_all(&mut self) -> Result<(), ScenarioError> {
        match &mut self.tool {
            Tool::Meshtun(meshtun) => {
                for at in 0..self.topology.sites.len() {
                    meshtun.start(&self.topology, at)?;
                }
                meshtun.wait_until_up(PATIENCE)
            }
            Tool::OpenVpn(openvpn) => openvpn.start(&self.topology),
        }
    }

    /// Whether every channel carries, as the kernels of the gateways that run see it.
    pub(super) fn is_up(&mut self) -> Result<bool, ScenarioError> {
        match &mut self.tool {
            Tool::Meshtun(meshtun) => meshtun.is_up(),
            Tool::OpenVpn(openvpn) => openvpn.is_up(&self.topology),
        }
    }

    /// Starts the tool while nothing passes between the gateways, and waits until every program answers.
    pub(super) fn start_blocked(&mut self) -> Result<(), ScenarioError> {
        let sites = self.topology.sites.len();
        let ways = (0..sites).flat_map(|from| (0..sites).map(move |to| (from, to))).filter(|(from, to)| from != to);
        self.block(&Place { channels: None, ways: ways.collect() }, true)?;
        for at in 0..sites {
            self.start(at)?;
        }
        let meshtun = self.meshtun_only()?;
        let answered = eventually(PATIENCE, || Ok((0..sites).all(|at| meshtun.status(at).is_ok())))?;
        let silent = || ScenarioError::Stage(format!("not every gateway answers after {PATIENCE:?}"));
        answered.map(drop).ok_or_else(silent)
    }

    /// The channels that are not up, with what their gateways say of them.
    pub(super) fn missing(&mut self) -> Vec<String> {
        let mut missing = Vec::new();
        for at in 0..self.topology.sites.len() {
            let Ok(Ok(status)) = self.meshtun_only().map(|meshtun| meshtun.status(at)) else { continue };
            let links = status["links"].as_array().into_iter().flatten();
            let channels = links.flat_map(|link| link["channels"].as_array().into_iter().flatten());
            for channel in channels.filter(|channel| channel["carrier"] != true || channel["state"] != "up") {
                let (device, state, problem) = (&channel["device"], &channel["state"], &channel["problem"]);
                missing.push(format!("g{}: {device} is {state}, carrier {}: {problem}", at + 1, channel["carrier"]));
            }
        }
        missing
    }

    /// Channels of each link at first.
    pub(super) fn channels(&self) -> u16 {
        self.channels
    }

    /// A link of a gateway, and the device of one of its channels.
    pub(super) fn some_device(&self, at: usize, channel: u16) -> (String, String) {
        let [here, there] = [at, (at + 1) % self.topology.sites.len()].map(|at| &self.topology.sites[at]);
        let device = self.device(here, there, channel);
        (device.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned(), device)
    }

    /// An IPv4 network that a gateway routes into a link.
    pub(super) fn some_network(&self, at: usize) -> String {
        let there = &self.topology.sites[(at + 1) % self.topology.sites.len()];
        let network = there.networks.iter().find(|prefix| prefix.addr().is_ipv4());
        network.map_or_else(String::new, ToString::to_string)
    }

    /// A gateway's address on the underlay, with its prefix.
    pub(super) fn underlay_address(&self, at: usize) -> String {
        format!("{}/24", self.topology.sites[at].underlay)
    }

    /// Descriptors and threads of every gateway's program that runs.
    pub(super) fn resources(&mut self) -> Vec<super::resources::Resources> {
        let Tool::Meshtun(meshtun) = &mut self.tool else { return Vec::new() };
        meshtun.pids().into_iter().map(super::resources::Resources::of).collect()
    }

    /// How often any tun device has gained or lost carrier since it was made. Asking may make the kernel act on a change
    /// that waits, so it is not for times in which something is measured.
    pub(super) fn carrier_changes(&self) -> Result<u64, ScenarioError> {
        let mut changes = 0;
        for site in &self.topology.sites {
            let ours = |name: &str| ![LAN, UNDERLAY, WAN, "lo", second::SECOND, second::TRUNK].contains(&name);
            let links = site.gateway.links()?;
            changes +=
                links.iter().filter(|link| ours(&link.name)).map(|link| u64::from(link.carrier_changes)).sum::<u64>();
        }
        Ok(changes)
    }

    /// Handshake messages that came to the underlay so far; none with a plain cable, where nobody counts them.
    pub(super) fn handshakes(&self) -> Option<u64> {
        let counts = self.topology.faults.as_ref()?.counts();
        Some(counts.into_iter().filter(|(key, _)| key.handshake).map(|(_, counts)| counts.sent).sum())
    }

    /// What the watches saw, and what was dropped on the way.
    pub(super) fn close(&mut self, figures: &mut Figures) -> Result<Vec<String>, ScenarioError> {
        let (mut clear, mut seen, mut blocked) = (0, Vec::new(), 0);
        for (name, watch) in self.watches.drain(..) {
            let report = watch.stop()?;
            clear += report.clear_packets;
            seen.extend(report.clear.iter().map(|packet| format!("{name}: {packet}")));
        }
        for firewall in &self.firewalls {
            blocked += firewall.dropped()?;
        }
        if let Some(faults) = &self.topology.faults {
            let mut all = Counts::default();
            faults.counts().into_iter().for_each(|(_, counts)| all += counts);
            figures.insert("underlay".into(), json!(all));
            figures.insert("faults".into(), self.faults.into());
        }
        figures.insert("clear_packets".into(), clear.into());
        figures.insert("blocked_packets".into(), blocked.into());
        Ok(seen)
    }

    /// The ends of the programs' logs, for a run that failed.
    pub(super) fn logs(&self) -> String {
        match &self.tool {
            Tool::Meshtun(meshtun) => meshtun.logs(),
            Tool::OpenVpn(openvpn) => openvpn.logs(),
        }
    }

    fn watch(&mut self, marker: Marker, has_second: bool) -> Result<(), ScenarioError> {
        let ports =
            (0..self.topology.sites.len()).map(|from| self.first_port(from)..=self.first_port(from) + PORTS - 1);
        let options = watch::Options { marker: Some(marker), ..watch::Options::new(ports.collect()) };
        let sites = &self.topology.sites;
        let usual = sites.iter().flat_map(|site| [UNDERLAY, WAN].map(|device| (site, device)));
        let second = sites.iter().zip(second::WATCHED).filter(|_| has_second);
        for (site, device) in usual.chain(second) {
            let watch = Watch::start(&site.gateway, device, options.clone())?;
            self.watches.push((format!("{} {device}", site.name()), watch));
        }
        Ok(())
    }

    /// Where the datagrams of channel 0 from a gateway arrive at any other.
    fn first_port(&self, from: usize) -> u16 {
        match &self.tool {
            Tool::Meshtun(_) => BASE_PORT + 16 * u16::from(self.topology.sites[from].number),
            Tool::OpenVpn(_) => super::tools::OPENVPN_PORT,
        }
    }

    fn device(&self, from: &Site, to: &Site, channel: u16) -> String {
        match &self.tool {
            Tool::Meshtun(meshtun) => meshtun.device(from.name(), to.name(), channel),
            Tool::OpenVpn(_) => OpenVpn::device(channel),
        }
    }

    fn has_ipv6(&self) -> bool {
        matches!(self.tool, Tool::Meshtun(_))
    }

    fn pairs(&self) -> impl Iterator<Item = (&Site, &Site)> {
        let sites = &self.topology.sites;
        let all = sites.iter().flat_map(move |from| sites.iter().map(move |to| (from, to)));
        all.filter(|(from, to)| from.number != to.number)
    }

    fn meshtun_only(&mut self) -> Result<&mut Meshtun, ScenarioError> {
        match &mut self.tool {
            Tool::Meshtun(meshtun) => Ok(meshtun),
            Tool::OpenVpn(_) => Err(not_with_openvpn()),
        }
    }
}

impl Books for Stage {
    fn statuses(&mut self) -> Result<Vec<Value>, ScenarioError> {
        let sites = self.topology.sites.len();
        let meshtun = self.meshtun_only()?;
        (0..sites).map(|at| meshtun.status(at)).collect()
    }

    fn underlay(&self) -> Vec<(Key, Counts)> {
        self.topology.faults.as_ref().map(Faults::counts).unwrap_or_default()
    }

    fn port(&self, (from, _, channel): Direction) -> u16 {
        self.first_port(from) + channel
    }
}

fn not_with_openvpn() -> ScenarioError {
    ScenarioError::Stage("OpenVPN knows no such step: leave the run out of this scenario".into())
}

/// A flow's channel follows from its addresses, protocol and ports alone: with policy 1 the kernel takes the hash of the
/// sending socket, where it sees one, and TCP rolls that anew after a timeout (fib_multipath_hash, skb->l4_hash).
pub(crate) fn hash_by_ports(gateway: &Node) -> Result<(), ScenarioError> {
    /// Addresses, protocol, ports (ip-sysctl.rst): 0x37.
    const FIVE: &str = "55";
    for family in ["ipv4", "ipv6"] {
        gateway.set_sysctl(&format!("net.{family}.fib_multipath_hash_policy"), "3")?;
        gateway.set_sysctl(&format!("net.{family}.fib_multipath_hash_fields"), FIVE)?;
    }
    Ok(())
}

/// Polls until it holds, and tells how long that took; `None` if it does not in time.
pub(super) fn eventually(
    limit: Duration,
    mut holds: impl FnMut() -> Result<bool, ScenarioError>,
) -> Result<Option<Duration>, ScenarioError> {
    let begun = Instant::now();
    while !holds()? {
        if begun.elapsed() >= limit {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(Some(begun.elapsed()))
}
