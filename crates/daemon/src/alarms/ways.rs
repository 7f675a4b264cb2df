//! Ways to peers on which no route leads.

use std::{collections::BTreeMap, net::IpAddr};

use meshtun_config::{ChannelView, Host, LinkView, View};
use meshtun_netlink::{Actual, Network, NetworkError, Way};

use super::first_and_more;
use crate::{view, way::way};

/// The way of a path, or of a link without paths, and the channels that take it.
#[derive(Debug)]
struct Taken<'a> {
    link: &'a LinkView,
    path: Option<u16>,
    way: Way,
    channels: Vec<&'a ChannelView>,
}

/// Paths by whose device, and from whose address, no route leads to the peer.
///
/// Peers by name, and those that are learned, are not looked for. A way on which a channel is up needs no route; and one
/// whose address or device is missing has an alarm of its own.
///
/// # Errors
/// If the kernel cannot be asked.
pub(super) async fn without_route(
    network: &Network,
    view: &View,
    actual: &Actual,
) -> Result<Vec<String>, NetworkError> {
    let mut alarms = Vec::new();
    for taken in ways(view).into_iter().filter(|taken| is_in_doubt(taken, actual)) {
        if !network.leads(&taken.way).await? {
            alarms.push(tell(&taken, actual));
        }
    }
    Ok(alarms)
}

fn ways(view: &View) -> Vec<Taken<'_>> {
    let mut ways = BTreeMap::<(&str, Option<u16>, Way), Taken<'_>>::new();
    for (link, channel) in view::channels(view) {
        let Some(Host::Address(to)) = channel.remote.as_ref().map(|remote| &remote.host) else { continue };
        let way = way(channel, *to);
        let path = channel.path;
        let taken = ways.entry((&link.name, path, way.clone()));
        taken.or_insert(Taken { link, path, way, channels: Vec::new() }).channels.push(channel);
    }
    ways.into_values().collect()
}

fn is_in_doubt(taken: &Taken<'_>, actual: &Actual) -> bool {
    let is_up = |channel: &&ChannelView| actual.devices.get(&channel.device).is_some_and(|device| device.carrier);
    let has = |address: &IpAddr| actual.addresses.contains(address);
    !taken.channels.iter().any(is_up)
        && taken.way.from.as_ref().is_none_or(has)
        && taken.way.device.as_ref().is_none_or(|device| actual.devices.contains_key(device))
}

fn tell(taken: &Taken<'_>, actual: &Actual) -> String {
    let Taken { link, path, way, channels } = taken;
    let numbers: Vec<String> = channels.iter().map(|channel| format!("{}/{}", link.name, channel.number)).collect();
    let which = first_and_more(&numbers);
    let place = path.map_or_else(|| format!("link {}", link.name), |path| format!("path {path} of link {}", link.name));
    let from = way.from.map(|from| format!(" from {from}")).unwrap_or_default();
    let is_down = |name: &String| actual.devices.get(name).is_some_and(|device| !device.up);
    let (by, dev) = match &way.device {
        Some(device) if is_down(device) => (format!(" by the network device {device}, which is down"), device.as_str()),
        Some(device) => (format!(" by the network device {device}"), device.as_str()),
        None => (String::new(), "DEVICE"),
    };
    format!(
        "{place}: no route leads to {}{from}{by}: channel {which} cannot be up before there is one, as by `ip route add {} \
         via ROUTER dev {dev}`",
        way.to, way.to
    )
}

#[cfg(test)]
mod tests {
    use meshtun_config::Mesh;
    use meshtun_netlink::ActualDevice;

    use super::*;
    use crate::fixtures;

    const PATHS: &str = r#"channels = 4
        paths = [
            { qvpn1 = { underlay = "198.51.100.7", device = "eth0" }, nvpn1 = { underlay = "203.0.113.2" } },
            { qvpn1 = { underlay = "198.51.100.8", device = "eth1" }, nvpn1 = { underlay = "203.0.113.4" } },
        ]"#;

    fn device(name: &str, up: bool, carrier: bool) -> (String, ActualDevice) {
        let device = ActualDevice {
            name: name.into(),
            index: 1,
            tun: None,
            alias: None,
            mtu: 1500,
            txqueuelen: 500,
            up,
            carrier,
            addresses: Vec::new(),
            qdisc: None,
            own_qdisc: false,
        };
        (name.into(), device)
    }

    /// Of which paths it would be asked whether they lead anywhere.
    fn in_doubt(devices: &[(&str, bool)], addresses: &[&str]) -> Vec<Option<u16>> {
        let view = fixtures::view(&Mesh::parse("mesh.toml", &fixtures::mesh(PATHS)).unwrap());
        let actual = Actual {
            devices: devices.iter().map(|(name, carrier)| device(name, true, *carrier)).collect(),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            ..Actual::default()
        };
        let ways = ways(&view).into_iter().filter(|taken| taken.link.name == "nq" && is_in_doubt(taken, &actual));
        ways.map(|taken| taken.path).collect()
    }

    #[test]
    fn a_way_is_in_doubt_while_nothing_of_it_is_up_and_nothing_else_is_missing() {
        let both = ["198.51.100.7", "198.51.100.8"];
        assert_eq!(in_doubt(&[("eth0", true), ("eth1", true)], &both), [Some(0), Some(1)]);
        assert_eq!(in_doubt(&[("eth0", true), ("eth1", true), ("nq0", true), ("nq1", false)], &both), [Some(1)]);
        assert_eq!(in_doubt(&[("eth0", true), ("eth1", true), ("nq2", true), ("nq3", false)], &both), [Some(1)]);
        assert_eq!(in_doubt(&[("eth1", true)], &both), [Some(1)]);
        assert_eq!(in_doubt(&[("eth0", true), ("eth1", true)], &both[..1]), [Some(0)]);
    }

    #[test]
    fn an_alarm_names_path_device_remote_and_channels_and_what_to_do() {
        let view = fixtures::view(&Mesh::parse("mesh.toml", &fixtures::mesh(PATHS)).unwrap());
        let actual = Actual { devices: [device("eth1", false, false)].into(), ..Actual::default() };
        let told: Vec<String> = ways(&view).iter().map(|taken| tell(taken, &actual)).collect();
        assert_eq!(
            told[2],
            "path 1 of link nq: no route leads to 203.0.113.4 from 198.51.100.8 by the network device eth1, which is down: \
             channel nq/1 and 1 more cannot be up before there is one, as by `ip route add 203.0.113.4 via ROUTER dev eth1`"
        );
        assert!(told[0].starts_with("link mq: no route leads to 203.0.113.3"), "{told:?}");
    }
}
