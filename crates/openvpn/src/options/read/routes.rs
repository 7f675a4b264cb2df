//! Routes.

use std::{net::Ipv4Addr, time::Duration};

use ipnet::Ipv4Net;

use super::{
    super::{Destination, Route, RouteDelay, RouteGateway, RouteV6},
    draft::Draft,
    entry::{Entry, set},
    values,
};
use crate::directive::Directive;

pub(super) const ENTRIES: &[Entry] = &[
    set("route", 1, 4, route),
    set("route-ipv6", 1, 3, route_ipv6),
    set("route-gateway", 1, 1, route_gateway),
    set("route-ipv6-gateway", 1, 1, |draft, d| {
        draft.options.route_ipv6_gateway = Some(values::ipv6(&d.parameters[0])?);
        Ok(())
    }),
    set("route-metric", 1, 1, |draft, d| {
        draft.options.route_metric = Some(values::count(&d.parameters[0])?);
        Ok(())
    }),
    set("route-table", 1, 1, |draft, d| {
        draft.options.route_table = values::count_or_none(&d.parameters[0])?;
        Ok(())
    }),
    set("route-delay", 0, 2, route_delay),
    set("route-noexec", 0, 0, |draft, _| {
        draft.options.route_noexec = true;
        Ok(())
    }),
];

/// A parameter that is there and is not `default` (route.c, `is_route_parm_defined`).
fn given(directive: &Directive, number: usize) -> Option<&str> {
    directive.parameter(number).filter(|&text| text != "default")
}

fn destination(text: &str) -> Destination {
    match text {
        "vpn_gateway" => Destination::VpnGateway,
        "net_gateway" => Destination::NetGateway,
        "remote_host" => Destination::RemoteHost,
        _ => text.parse().map_or_else(|_| Destination::Name(text.to_owned()), Destination::Address),
    }
}

fn route(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    let network = given(directive, 0).ok_or("a network is missing: `default` stands for nothing here")?;
    if network.contains('/') {
        return Err(format!("`{network}`: the mask is a parameter of its own, as in `route 10.0.0.0 255.0.0.0`"));
    }
    let route = Route {
        network: destination(network),
        netmask: given(directive, 1).map_or(Ok(Ipv4Addr::BROADCAST), values::netmask)?,
        gateway: given(directive, 2).map(destination),
        metric: given(directive, 3).map(values::count).transpose()?,
        place: directive.place.clone(),
    };
    if let Destination::Address(address) = route.network
        && let Ok(net) = Ipv4Net::with_netmask(address, route.netmask)
        && net.network() != address
    {
        let text = format!("`{directive}`: the network of this mask is {}, which is not {address}", net.trunc());
        draft.warn(directive, text);
    }
    draft.options.routes.push(route);
    Ok(())
}

fn route_ipv6(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    let network = given(directive, 0).ok_or("a network is missing: `default` stands for nothing here")?;
    draft.options.routes_ipv6.push(RouteV6 {
        network: values::ipv6_net(network)?,
        gateway: given(directive, 1).map(values::ipv6).transpose()?,
        metric: given(directive, 2).map(values::count).transpose()?,
        place: directive.place.clone(),
    });
    Ok(())
}

fn route_gateway(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    match directive.parameters[0].as_str() {
        "dhcp" => Err("`dhcp` is for tap devices: give the address".to_owned()),
        text => {
            draft.options.route_gateway = Some(RouteGateway(destination(text)));
            Ok(())
        }
    }
}

fn route_delay(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    let delay = directive.parameter(0).map_or(Ok(Duration::ZERO), values::seconds)?;
    let window = directive.parameter(1).map_or(Ok(Duration::from_secs(30)), values::seconds)?;
    draft.options.route_delay = Some(RouteDelay { delay, window });
    Ok(())
}
