//! The device with its routes and scripts, opened and closed in OpenVPN's order (init.c, `do_open_tun`, `do_close_tun`).

use std::net::IpAddr;

use meshtun_openvpn::text::{Ending, Signal};

use super::{Process, scripts::Call};
use crate::{
    device::{Device, routes::Routes},
    environment::{self, Environment},
    fatal::Fatal,
    management::{Ends, State},
    path::Path,
};

/// What a restart is called after which the device, deleted by somebody else, is made anew (forward.c, `read_incoming_tun`).
pub(super) const DEVICE_GONE: &str = "tun-abort";

/// An open device and the routes through it.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub(super) device: Device,
    pub(super) routes: Routes,
}

impl Process {
    /// Opens the device, gives it its addresses, runs `up`, adds routes; or, if it is there still, tells scripts of it.
    /// Whether all routes are there.
    pub(super) async fn open_tunnel(
        &mut self,
        remote: Option<IpAddr>,
        environment: &mut Environment,
    ) -> Result<bool, Fatal> {
        if self.tunnel.as_ref().is_some_and(|tunnel| tunnel.device.is_gone()) {
            self.close_tunnel(DEVICE_GONE, true, None, environment).await?;
        }
        if let Some(tunnel) = &self.tunnel {
            if self.options.up_delay {
                // Since the last session ended nobody has read it: what waits there is too old.
                tunnel.device.discard();
            }
            let device = tunnel.device.name().to_owned();
            self.log.info(format_args!("Preserving previous TUN/TAP instance: {device}"));
            environment::set_ifconfig(environment, &self.options);
            if self.options.up_restart {
                let call = Call { kind: "up", device: &device, restart: true, signal: None };
                self.run_up_down(call, environment).await?;
            }
            return Ok(true);
        }
        environment::set_ifconfig(environment, &self.options);
        let routes = Routes::resolve(&self.options, remote, &self.network, &self.log).await;
        routes.tell(&self.options, environment);
        let mut device = Device::open(&self.options, &self.log)?;
        if !self.options.ifconfig_noexec {
            let ends = Ends { remote: None, local: None, ..self.tunnel_ends() };
            self.tell_state(State::AssignIp, "", &ends);
            device.configure(&self.options, &self.network, &self.log).await?;
        }
        let name = device.name().to_owned();
        let call = Call { kind: "up", device: &name, restart: false, signal: None };
        self.run_up_down(call, environment).await?;
        self.tunnel = Some(Tunnel { device, routes });
        if self.options.route_delay.is_none() { self.add_routes(environment).await } else { Ok(true) }
    }

    /// Adds the routes and runs `route-up`. Whether all routes are there.
    pub(super) async fn add_routes(&mut self, environment: &mut Environment) -> Result<bool, Fatal> {
        let Some(mut tunnel) = self.tunnel.take() else { return Ok(true) };
        let mut all = true;
        if !self.options.route_noexec {
            if !tunnel.routes.are_none() {
                self.tell_state(State::AddRoutes, "", &Ends::default());
            }
            let device = tunnel.device.name().to_owned();
            all = tunnel.routes.add(&self.options, &device, &self.network, &self.log).await;
            environment.set("redirect_gateway", 0);
        }
        self.tunnel = Some(tunnel);
        self.run_route_up(environment).await?;
        Ok(all)
    }

    /// What becomes of the device at the end of a session.
    pub(super) async fn close(
        &mut self,
        ending: Ending,
        path: Option<Path>,
        environment: &mut Environment,
    ) -> Result<(), Fatal> {
        let is_gone = self.tunnel.as_ref().is_some_and(|tunnel| tunnel.device.is_gone());
        let keep = ending.signal == Signal::Usr1 && self.options.persist_tun && !is_gone;
        self.close_tunnel(ending.description(), !keep, path, environment).await
    }

    /// Runs `route-pre-down`, deletes routes, closes the device and runs `down`, in the order that `down-pre` says; of a device
    /// that is kept only the script is told, with `up-restart`.
    pub(super) async fn close_tunnel(
        &mut self,
        signal: &'static str,
        for_good: bool,
        path: Option<Path>,
        environment: &mut Environment,
    ) -> Result<(), Fatal> {
        let Some(tunnel) = self.tunnel.take() else {
            self.keep(path);
            return Ok(());
        };
        let name = tunnel.device.name().to_owned();
        let down = Call { kind: "down", device: &name, restart: !for_good, signal: Some(signal) };
        if !for_good {
            self.keep(path);
            self.tunnel = Some(tunnel);
            return if self.options.up_restart { self.run_up_down(down, environment).await } else { Ok(()) };
        }
        let Tunnel { device, mut routes } = tunnel;
        let pre_down = Call { kind: "route-pre-down", ..down };
        let told = self.run_up_down(pre_down, environment).await;
        routes.delete(&self.options, &name, &self.network, &self.log).await;
        if self.options.down_pre {
            // Packets go on until the script has taken the device out of its routes.
            let ran = self.run_up_down(down, environment).await;
            self.keep(path);
            device.close(&self.network, &self.log).await;
            return told.and(ran);
        }
        self.keep(path);
        device.close(&self.network, &self.log).await;
        let ran = self.run_up_down(down, environment).await;
        told.and(ran)
    }

    /// The device's addresses.
    pub(super) fn tunnel_ends(&self) -> Ends {
        Ends {
            tun: self.options.ifconfig.map(|ifconfig| ifconfig.local()),
            tun_ipv6: self.options.ifconfig_ipv6.map(|six| six.local),
            remote: None,
            local: None,
        }
    }
}
