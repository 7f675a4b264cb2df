//! meshtun: a process a gateway.

use std::time::Duration;

use crate::{
    child::last_lines,
    gateway::{Gateway, GatewayError, Setup},
    mesh::{MeshFile, Pairs},
    program::{Keys, Program},
    scenario::ScenarioError,
    topology::Topology,
};

/// How many of a log's last lines are told of a run that failed.
const LOG_LINES: usize = 60;

/// The gateways of a stage; those that were never started are not there.
pub(in crate::scenario) struct Meshtun {
    gateways: Vec<Option<Gateway>>,
    program: Program,
    keys: Vec<Keys>,
    mesh: MeshFile,
    /// The file of each gateway, which a reload may have changed.
    files: Vec<MeshFile>,
}

impl Meshtun {
    pub(in crate::scenario) fn new(
        topology: &Topology,
        program: &Program,
        channels: u16,
        defaults: &Pairs,
        roams: Option<usize>,
        paths: Option<String>,
    ) -> Result<Meshtun, ScenarioError> {
        let keys = program.keys(topology.sites.len())?;
        let mut mesh = topology.mesh(&keys, channels);
        if let Some(roams) = roams {
            mesh.gateways[roams].underlay = None;
        }
        if let (Some(paths), Some(link)) = (paths, mesh.links.first_mut()) {
            link.options.push(("paths".into(), paths));
        }
        mesh.defaults.extend(defaults.iter().cloned());
        let sites = topology.sites.len();
        let (gateways, files) = ((0..sites).map(|_| None).collect(), vec![mesh.clone(); sites]);
        Ok(Meshtun { gateways, program: program.clone(), keys, mesh, files })
    }

    /// Starts a gateway, for the first time or again; does not wait.
    pub(in crate::scenario) fn start(&mut self, topology: &Topology, at: usize) -> Result<(), ScenarioError> {
        if let Some(gateway) = &mut self.gateways[at] {
            return Ok(gateway.restart()?);
        }
        let site = &topology.sites[at];
        let setup = Setup::new(&self.program, &self.files[at], site.name(), &self.keys[at]);
        self.gateways[at] = Some(Gateway::start(&topology.lab, &site.gateway, setup)?);
        Ok(())
    }

    pub(in crate::scenario) fn wait_until_up(&mut self, limit: Duration) -> Result<(), ScenarioError> {
        for gateway in self.gateways.iter_mut().flatten() {
            gateway.wait_until_up(limit)?;
        }
        Ok(())
    }

    /// Whether every device of every gateway has carrier.
    pub(in crate::scenario) fn is_up(&mut self) -> Result<bool, ScenarioError> {
        for gateway in &mut self.gateways {
            let Some(gateway) = gateway else { return Ok(false) };
            if gateway.ended()?.is_some() || !gateway.devices_without_carrier()?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(in crate::scenario) fn gateway(&mut self, at: usize) -> Result<&mut Gateway, ScenarioError> {
        let missing = || ScenarioError::Stage(format!("g{} was never started", at + 1));
        self.gateways[at].as_mut().ok_or_else(missing)
    }

    /// Runs a meshtun command; the words are separated by white space.
    pub(in crate::scenario) fn ask(&mut self, at: usize, command: &str) -> Result<String, ScenarioError> {
        let words: Vec<_> = command.split_ascii_whitespace().collect();
        self.gateway(at)?.ask(&words).map_err(told)
    }

    /// What a gateway says of itself.
    pub(in crate::scenario) fn status(&mut self, at: usize) -> Result<serde_json::Value, ScenarioError> {
        self.gateway(at)?.status().map_err(told)
    }

    /// Changes the file of a gateway and has it read again.
    pub(in crate::scenario) fn reload(
        &mut self,
        at: usize,
        channels: Option<u16>,
        defaults: &Pairs,
    ) -> Result<String, ScenarioError> {
        let mut file = self.files[at].clone();
        if let Some(channels) = channels {
            file.links.iter_mut().for_each(|link| link.channels = channels);
        }
        for (key, value) in defaults {
            file.defaults.retain(|(known, _)| known != key);
            file.defaults.push((key.clone(), value.clone()));
        }
        self.files[at] = file.clone();
        let gateway = self.gateway(at)?;
        gateway.rewrite(&file)?;
        gateway.ask(&["reload"]).map_err(told)
    }

    /// The tun device of a channel towards another gateway.
    pub(in crate::scenario) fn device(&self, from: &str, to: &str, channel: u16) -> String {
        let joins = |between: &[String; 2]| between.iter().all(|end| end == from || end == to);
        let link = self.mesh.links.iter().find(|link| joins(&link.between));
        link.map_or_else(String::new, |link| format!("{}{channel}", link.name))
    }

    /// Process numbers of the gateways that were started.
    pub(in crate::scenario) fn pids(&mut self) -> Vec<u32> {
        self.gateways.iter().flatten().map(Gateway::id).collect()
    }

    pub(in crate::scenario) fn logs(&self) -> String {
        let log = |gateway: &Gateway| format!("{}:\n{}", gateway.node().name(), last_lines(&gateway.log(), LOG_LINES));
        self.gateways.iter().flatten().map(log).collect::<Vec<_>>().join("\n--\n")
    }
}

/// That meshtun does not do something is a figure of the scenario, and not its end.
fn told(error: GatewayError) -> ScenarioError {
    match error {
        GatewayError::Command { gateway, command, said } => {
            ScenarioError::Command { node: gateway, command: format!("meshtun {command}"), said }
        }
        other => other.into(),
    }
}
