//! What can be done to the gateways and their programs.

use std::time::Duration;

use super::{Stage, Tool, not_with_openvpn};
use crate::{
    Node,
    mesh::Pairs,
    scenario::{
        ScenarioError,
        action::{self, ask},
    },
};

impl Stage {
    /// Runs a command at a gateway.
    pub(in crate::scenario) fn command(
        &mut self,
        at: usize,
        command: &str,
        may_fail: bool,
    ) -> Result<(), ScenarioError> {
        let result = ask(&self.topology.sites[at].gateway, command);
        action::may_fail_or(result, may_fail, self)
    }

    pub(in crate::scenario) fn each(
        &mut self,
        at: &[usize],
        mut act: impl FnMut(&mut Stage, usize) -> Result<(), ScenarioError>,
    ) -> Result<(), ScenarioError> {
        at.iter().try_for_each(|at| act(self, *at))
    }

    pub(in crate::scenario) fn kill(&mut self, at: usize) -> Result<(), ScenarioError> {
        self.meshtun_only()?.gateway(at)?.kill()?;
        Ok(())
    }

    pub(in crate::scenario) fn stop(&mut self, at: usize) -> Result<(), ScenarioError> {
        self.meshtun_only()?.gateway(at)?.stop(Duration::from_secs(10))?;
        Ok(())
    }

    pub(in crate::scenario) fn start(&mut self, at: usize) -> Result<(), ScenarioError> {
        let Stage { tool: Tool::Meshtun(meshtun), topology, .. } = self else { return Err(not_with_openvpn()) };
        meshtun.start(topology, at)
    }

    pub(in crate::scenario) fn meshtun(
        &mut self,
        at: usize,
        command: &str,
        may_fail: bool,
    ) -> Result<(), ScenarioError> {
        let result = self.meshtun_only()?.ask(at, command);
        action::may_fail_or(result, may_fail, self)
    }

    pub(in crate::scenario) fn reload(
        &mut self,
        at: usize,
        channels: Option<u16>,
        defaults: &Pairs,
    ) -> Result<(), ScenarioError> {
        let result = self.meshtun_only()?.reload(at, channels, defaults);
        action::may_fail_or(result, false, self)
    }

    pub(in crate::scenario) fn node(&self, name: &str) -> Result<Node, ScenarioError> {
        let found = self.topology.lab.nodes().iter().find(|node| node.name() == name);
        found.cloned().ok_or_else(|| ScenarioError::Stage(format!("there is no node {name}")))
    }
}
