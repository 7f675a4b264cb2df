//! Routes through the device (route.c).

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use meshtun_netlink::{Network, PlainRoute, Reach};
use meshtun_openvpn::{
    options::{Destination, Ifconfig, Options, Route, RouteV6},
    text::Level,
};

use crate::{environment::Environment, log::Log};

/// The routes of a session, with every name resolved.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Routes {
    /// `route`.
    v4: Vec<Resolved>,
    /// `route-ipv6`.
    v6: Vec<Resolved>,
    /// The gateway of the machine's default route.
    net_gateway: Option<Ipv4Addr>,
    /// The other end.
    vpn_gateway: Option<Ipv4Addr>,
    /// Those that we added.
    added: Vec<PlainRoute>,
}

/// A route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Resolved {
    prefix: IpNet,
    gateway: IpAddr,
    metric: Option<u32>,
}

impl Routes {
    /// Resolves what the options say. What cannot be resolved is told and left out, as OpenVPN does.
    pub(crate) async fn resolve(options: &Options, remote: Option<IpAddr>, network: &Network, log: &Log) -> Routes {
        if options.routes.is_empty() && options.routes_ipv6.is_empty() {
            return Routes::default();
        }
        let mut routes = Routes::default();
        if !options.routes.is_empty() {
            routes.net_gateway = default_gateway(network).await;
        }
        let words = Words { net_gateway: routes.net_gateway, vpn_gateway: None, remote };
        routes.vpn_gateway = match &options.route_gateway {
            Some(gateway) => words.address(&gateway.0).await,
            None => other_end(options),
        };
        let words = Words { vpn_gateway: routes.vpn_gateway, ..words };
        for route in &options.routes {
            match words.resolve(route, options).await {
                Ok(resolved) => routes.v4.push(resolved),
                Err(why) => log.warning(format_args!("OpenVPN ROUTE: {}: {why}", route.place)),
            }
        }
        for route in &options.routes_ipv6 {
            match resolve_v6(route, options) {
                Some(resolved) => routes.v6.push(resolved),
                None => log.warning(format_args!(
                    "OpenVPN ROUTE6: {}: OpenVPN needs a gateway parameter for a --route-ipv6 option and no default was \
                     specified by either --route-ipv6-gateway or --ifconfig-ipv6 options",
                    route.place
                )),
            }
        }
        routes
    }

    pub(crate) fn are_none(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// The variables that scripts get (route.c, `setenv_routes`).
    pub(crate) fn tell(&self, options: &Options, environment: &mut Environment) {
        if !options.routes.is_empty() {
            environment.set("route_net_gateway", self.net_gateway.unwrap_or(Ipv4Addr::UNSPECIFIED));
            environment.set_some("route_vpn_gateway", self.vpn_gateway);
        }
        for (number, route) in (1..).zip(&self.v4) {
            environment.set(&format!("route_network_{number}"), route.prefix.network());
            environment.set(&format!("route_netmask_{number}"), route.prefix.netmask());
            environment.set(&format!("route_gateway_{number}"), route.gateway);
            environment.set_some(&format!("route_metric_{number}"), route.metric);
        }
        for (number, route) in (1..).zip(&self.v6) {
            environment.set(&format!("route_ipv6_network_{number}"), route.prefix);
            environment.set(&format!("route_ipv6_gateway_{number}"), route.gateway);
            environment.set_some(&format!("route_ipv6_metric_{number}"), route.metric);
        }
    }

    /// Adds them, and tells whether all are there.
    pub(crate) async fn add(&mut self, options: &Options, device: &str, network: &Network, log: &Log) -> bool {
        let mut all = true;
        for route in self.v4.iter().chain(&self.v6) {
            log.say(Level::ROUTE, route.told("add", device, options.route_table));
            let plain = route.plain(device, options.route_table);
            match network.add_plain_route(&plain).await {
                Ok(true) => self.added.push(plain),
                Ok(false) => log.warning("NOTE: Linux route add command failed because route exists"),
                Err(error) => {
                    log.warning(format_args!("ERROR: Linux route add command failed: {error}"));
                    all = false;
                }
            }
        }
        all
    }

    /// Deletes those that were added, in the order in which they were.
    pub(crate) async fn delete(&mut self, options: &Options, device: &str, network: &Network, log: &Log) {
        let known: Vec<Resolved> = self.v4.iter().chain(&self.v6).copied().collect();
        for plain in std::mem::take(&mut self.added) {
            if let Some(route) = known.iter().find(|route| route.plain(device, options.route_table) == plain) {
                log.say(Level::ROUTE, route.told("del", device, options.route_table));
            }
            if let Err(error) = network.delete_plain_route(&plain).await {
                log.warning(format_args!("ERROR: Linux route delete command failed: {error}"));
            }
        }
    }
}

impl Resolved {
    /// By its gateway, wherever that is, for IPv4; by the device for IPv6, as there the gateway is not used.
    fn plain(&self, device: &str, table: Option<u32>) -> PlainRoute {
        let Resolved { prefix, gateway, metric } = *self;
        match gateway {
            IpAddr::V4(_) => PlainRoute { prefix, via: Some(gateway), device: None, metric, table },
            IpAddr::V6(_) => PlainRoute { prefix, via: None, device: Some(device.to_owned()), metric, table },
        }
    }

    /// The line that OpenVPN logs (networking_sitnl.c).
    fn told(&self, what: &str, device: &str, table: Option<u32>) -> String {
        let metric = self.metric.map_or(-1, i64::from);
        let (prefix, table) = (self.prefix, table.unwrap_or(0));
        match self.gateway {
            IpAddr::V4(gateway) => {
                format!("net_route_v4_{what}: {prefix} via {gateway} dev [NULL] table {table} metric {metric}")
            }
            IpAddr::V6(_) => format!("net_route_v6_{what}: {prefix} via :: dev {device} table {table} metric {metric}"),
        }
    }
}

/// What OpenVPN's own words in a route stand for.
#[derive(Clone, Copy)]
struct Words {
    net_gateway: Option<Ipv4Addr>,
    vpn_gateway: Option<Ipv4Addr>,
    remote: Option<IpAddr>,
}

impl Words {
    async fn address(self, destination: &Destination) -> Option<Ipv4Addr> {
        match destination {
            Destination::Address(address) => Some(*address),
            Destination::VpnGateway => self.vpn_gateway,
            Destination::NetGateway => self.net_gateway,
            Destination::RemoteHost => match self.remote {
                Some(IpAddr::V4(remote)) => Some(remote),
                _ => None,
            },
            Destination::Name(name) => {
                let mut found = tokio::net::lookup_host((name.as_str(), 0)).await.ok()?;
                found.find_map(|address| match address.ip() {
                    IpAddr::V4(address) => Some(address),
                    IpAddr::V6(_) => None,
                })
            }
        }
    }

    async fn resolve(self, route: &Route, options: &Options) -> Result<Resolved, &'static str> {
        let network = self.address(&route.network).await.ok_or("failed to parse/resolve route for host/network")?;
        let gateway = match &route.gateway {
            Some(gateway) => self.address(gateway).await.ok_or("the gateway is not known")?,
            None => self.vpn_gateway.ok_or(
                "OpenVPN needs a gateway parameter for a --route option and no default was specified by either \
                 --route-gateway or --ifconfig options",
            )?,
        };
        let prefix = Ipv4Net::with_netmask(network, route.netmask).map_err(|_| "the netmask is not contiguous")?;
        Ok(Resolved {
            prefix: prefix.trunc().into(),
            gateway: gateway.into(),
            metric: route.metric.or(options.route_metric),
        })
    }
}

fn resolve_v6(route: &RouteV6, options: &Options) -> Option<Resolved> {
    let gateway = route.gateway.or(options.route_ipv6_gateway).or(options.ifconfig_ipv6.map(|six| six.remote))?;
    let metric = route.metric.or(options.route_metric);
    Some(Resolved { prefix: route.network.trunc().into(), gateway: gateway.into(), metric })
}

fn other_end(options: &Options) -> Option<Ipv4Addr> {
    match options.ifconfig {
        Some(Ifconfig::PointToPoint { remote, .. }) => Some(remote),
        _ => None,
    }
}

async fn default_gateway(network: &Network) -> Option<Ipv4Addr> {
    match network.route_to(Ipv4Addr::UNSPECIFIED.into(), None).await {
        Ok(Reach::Device { gateway: Some(IpAddr::V4(gateway)), .. }) => Some(gateway),
        _ => None,
    }
}
