//! `up`, `down` and their like: what they are told and when (init.c, `run_up_down`, `do_route`).

use std::net::SocketAddr;

use meshtun_openvpn::{mtu, options::Script, text::ip_and_port};

use super::Process;
use crate::{
    environment::Environment,
    fatal::Fatal,
    script::{OnFailure, command_line},
};

/// One call of `up`, `down` or `route-pre-down`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    /// `up`, `down` or `route-pre-down`.
    pub(super) kind: &'static str,
    pub(super) device: &'a str,
    /// The device is kept over a restart.
    pub(super) restart: bool,
    /// Why it is called, for those that are called at the end.
    pub(super) signal: Option<&'static str>,
}

impl Process {
    /// Sets the variables of the call and runs the script, if there is one. One that fails ends the process.
    pub(super) async fn run_up_down(&mut self, call: Call<'_>, environment: &mut Environment) -> Result<(), Fatal> {
        let Call { kind, device, restart, signal } = call;
        let context = if restart { "restart" } else { "init" };
        environment.set_some("signal", signal);
        environment.set("script_context", context);
        let mtu = mtu::tun_mtu(&self.options, self.options.protocol);
        environment.set("tun_mtu", mtu);
        environment.set("dev", device);
        if kind == "up" {
            environment.set("dev_type", "tun");
        }
        let Some(script) = self.script(kind).cloned() else { return Ok(()) };
        environment.set("script_type", kind);
        let ifconfig = self.options.ifconfig;
        let arguments = [
            device.to_owned(),
            mtu.to_string(),
            "0".to_owned(),
            ifconfig.map_or_else(String::new, |ifconfig| ifconfig.local().to_string()),
            ifconfig.map_or_else(String::new, |ifconfig| ifconfig.second().to_string()),
            context.to_owned(),
        ];
        self.log.info(command_line(&script, &arguments));
        self.scripts.run(&script, &arguments, environment, "--up/--down", OnFailure::End).await
    }

    /// Runs `route-up`, if there is one.
    pub(super) async fn run_route_up(&mut self, environment: &mut Environment) -> Result<(), Fatal> {
        let Some(script) = self.options.route_up.clone() else { return Ok(()) };
        environment.set("script_type", "route-up");
        self.scripts.run(&script, &[], environment, "--route-up", OnFailure::GoOn).await
    }

    /// Tells scripts of the peer's address, and runs `ipchange`, if there is one.
    pub(super) async fn run_ipchange(&mut self, from: SocketAddr, environment: &mut Environment) -> Result<(), Fatal> {
        environment.set_address("trusted", from);
        let Some(script) = self.options.ipchange.clone() else { return Ok(()) };
        environment.set("script_type", "ipchange");
        self.scripts.run(&script, &[ip_and_port(from)], environment, "--ipchange", OnFailure::GoOn).await
    }

    fn script(&self, kind: &str) -> Option<&Script> {
        match kind {
            "up" => self.options.up.as_ref(),
            "down" => self.options.down.as_ref(),
            _ => self.options.route_pre_down.as_ref(),
        }
    }

    /// Whether the configuration names any program.
    pub(super) fn has_scripts(&self) -> bool {
        let Self { options, .. } = self;
        [&options.up, &options.down, &options.ipchange, &options.route_up, &options.route_pre_down]
            .iter()
            .any(|script| script.is_some())
    }
}
