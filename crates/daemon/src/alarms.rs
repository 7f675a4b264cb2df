//! What on this machine is likely not meant, and hurts the links: told at the start and whenever it comes or goes.

use std::{collections::BTreeMap, net::IpAddr};

use meshtun_config::View;
use meshtun_netlink::{Actual, ActualRoute, ActualRouteKind, Network, NetworkError};

use crate::{prefixes::prefixes, view};

mod rights;
mod ways;

pub use self::rights::problems as right_problems;

/// Everything of that kind in words; `actual` was read for the view's networks.
///
/// # Errors
/// If the kernel cannot be asked, or a setting cannot be read.
pub(crate) async fn all(network: &Network, view: &View, actual: &Actual) -> Result<Vec<String>, NetworkError> {
    let mut alarms = bystanders(view, actual);
    alarms.extend(missing_addresses(view, actual));
    alarms.extend(missing_underlay(view, actual));
    alarms.extend(missing_devices(view, actual));
    alarms.extend(ways::without_route(network, view, actual).await?);
    alarms.extend(right_problems(view));
    alarms.extend(not_forwarding(network, view)?);
    alarms.extend(checks_sources(network)?);
    Ok(alarms)
}

/// Routes of others that take packets past the links: at once, or as soon as no channel is up and only our `unreachable`
/// route would hold them.
fn bystanders(view: &View, actual: &Actual) -> Vec<String> {
    let routed: Vec<_> = view.links.iter().flat_map(|link| prefixes(&link.peer)).collect();
    let least = view.links.iter().map(|link| link.peer.priority).min().unwrap_or_default();
    let ours = meshtun_netlink::multipath_metric(least.into());
    let foreign = actual.foreign_inside(&routed, meshtun_netlink::UNREACHABLE_METRIC);
    let leads_on = |route: &&&ActualRoute| matches!(route.kind, ActualRouteKind::Unicast { .. });
    let tell = |route: &ActualRoute| {
        let (prefix, metric) = (route.prefix, route.metric);
        let beneath = routed.contains(&prefix) && metric >= ours;
        let when = if beneath { " as soon as no channel is up" } else { "" };
        format!(
            "the route {prefix} metric {metric} is not of meshtun and takes packets past its links{when}, unencrypted"
        )
    };
    foreign.iter().filter(leads_on).map(|route| tell(route)).collect()
}

/// The gateway's addresses that no interface has.
fn missing_addresses(view: &View, actual: &Actual) -> Vec<String> {
    let configured = [view.address.map(IpAddr::V4), view.address6.map(IpAddr::V6)];
    let missing = configured.into_iter().flatten().filter(|address| !actual.addresses.contains(address));
    let tell = |address| {
        format!(
            "no interface has this gateway's `address` {address}: its own packets into links get another source address, \
             which the other side may drop; add it, for example with `ip address add {address} dev lo`"
        )
    };
    missing.map(tell).collect()
}

/// Underlay addresses that no interface has.
fn missing_underlay(view: &View, actual: &Actual) -> Vec<String> {
    let mut channels = BTreeMap::<IpAddr, Vec<String>>::new();
    for (link, channel) in view::channels(view) {
        let local = channel.local.ip();
        if !local.is_unspecified() && !actual.addresses.contains(&local) {
            channels.entry(local).or_default().push(format!("{}/{}", link.name, channel.number));
        }
    }
    let tell = |(address, channels): (IpAddr, Vec<String>)| {
        let which = first_and_more(&channels);
        format!("no interface has the underlay address {address} at the moment: channel {which} cannot be up before")
    };
    channels.into_iter().map(tell).collect()
}

/// Network devices that channels are bound to and that are not there.
fn missing_devices(view: &View, actual: &Actual) -> Vec<String> {
    let mut channels = BTreeMap::<&str, Vec<String>>::new();
    for (link, channel) in view::channels(view) {
        let device = channel.underlay_device.as_deref().filter(|device| !actual.devices.contains_key(*device));
        if let Some(device) = device {
            channels.entry(device).or_default().push(format!("{}/{}", link.name, channel.number));
        }
    }
    let tell = |(device, channels): (&str, Vec<String>)| {
        let which = first_and_more(&channels);
        format!("there is no network device {device} at the moment: channel {which} cannot be up before")
    };
    channels.into_iter().map(tell).collect()
}

fn first_and_more(channels: &[String]) -> String {
    match channels {
        [] => String::new(),
        [first] => first.clone(),
        [first, more @ ..] => format!("{first} and {} more", more.len()),
    }
}

/// Families of which this gateway has networks behind it and which the kernel does not forward.
fn not_forwarding(network: &Network, view: &View) -> Result<Vec<String>, NetworkError> {
    let mut warnings = Vec::new();
    for (ipv6, key) in [(false, "net.ipv4.ip_forward"), (true, "net.ipv6.conf.all.forwarding")] {
        let is_network =
            |prefix: &&ipnet::IpNet| prefix.addr().is_ipv6() == ipv6 && prefix.prefix_len() < prefix.max_prefix_len();
        let Some(prefix) = view.local_networks.iter().find(is_network) else { continue };
        if !network.forwards(ipv6)? {
            warnings.push(format!(
                "this machine does not forward packets between its links and {prefix}: set it with `sysctl -w {key}=1`"
            ));
        }
    }
    Ok(warnings)
}

/// The kernel's check of source addresses, switched on for all devices at once: the greater of `all` and a device's own
/// value counts (Documentation/networking/ip-sysctl.rst), so that ours being 0 is of no use.
fn checks_sources(network: &Network) -> Result<Option<String>, NetworkError> {
    const KEY: &str = "net.ipv4.conf.all.rp_filter";
    let value = network.setting(KEY)?.filter(|value| value != "0");
    Ok(value.map(|value| {
        format!(
            "{KEY} is {value}, which goes for the devices of links, too: ICMP errors of routers on the way and what a \
             transit link brings may be dropped; set it to 0 with `sysctl -w {KEY}=0`, and the devices that need the \
             check one by one"
        )
    }))
}
