//! `[[links]]`.

use std::{collections::BTreeSet, fmt::Write, net::IpAddr};

use super::{
    super::{
        channel::Channel,
        group::{Link, Mesh},
        names,
    },
    Page, key, quoted,
};
use crate::{directive::Place, options::Protocol};

/// Largest MTU of the devices on an underlay of 1500 bytes.
const USUAL_MTU: u16 = 1420;

/// Most channels of a link with derived ports (crates/config).
const DERIVED_CHANNELS: usize = 16;

/// The table of a link.
pub(super) fn write(page: &mut Page<'_>, mesh: &Mesh, link: &Link) {
    let peer = &mesh.gateways[link.peer];
    page.text.push('\n');
    let files = link.channels.iter().map(|pair| names::base(&pair.here.file)).collect::<Vec<_>>().join(", ");
    page.comment("", &format!("Channel by channel: {files}"));
    page.text.push_str("[[links]]\n");
    writeln!(page.text, "between = [{}, {}]", quoted(&mesh.gateways[0].name), quoted(&peer.name))
        .expect("a string takes all");
    if !link.devices.is_empty() {
        let devices = link.devices.iter().cloned().collect::<Vec<_>>().join(", ");
        let devices = match link.devices.len() {
            1 => format!("OpenVPN's device is {devices}: this name keeps clear of it while both run"),
            _ => format!("OpenVPN's devices are {devices}: this name keeps clear of them while both run"),
        };
        page.comment("", &devices);
    }
    page.line("name", quoted(&link.name));
    page.line("channels", link.channels.len());
    write_ports(page, mesh, link);
    write_paths(page, mesh, link);
    write_device(page, link);
    write_timing(page, link);
    write_cautions(page, link);
}

fn write_ports(page: &mut Page<'_>, mesh: &Mesh, link: &Link) {
    let channels = link.channels.len();
    match (mesh.keep_ports, link.ports) {
        (true, Some((here, there))) => {
            page.comment("", "OpenVPN's own: it must be stopped at both ends before meshtun can have them");
            return page.line("ports", format!("[{here}, {there}]"));
        }
        (true, None) => page.decide(
            link.channels.iter().map(|pair| pair.here.place("lport")),
            "OpenVPN's ports cannot be kept: they do not follow each other in the same order at both ends",
        ),
        (false, Some((here, there))) => page.comment(
            "",
            &format!("OpenVPN's ports begin at {here} here and {there} there: `ports = [{here}, {there}]` takes them over once it is gone"),
        ),
        (false, None) => {}
    }
    if channels > DERIVED_CHANNELS {
        page.decide([], "which ports at each end? More than 16 channels need ports of their own");
        page.line("ports", "[28672, 28672]");
    } else {
        let text = "let UDP through the firewall: at each gateway from port 16384 + 16 × the other's number on, one for each channel";
        page.decide([], &format!("{text}; here {}", ports(16384 + 16 * (link.peer + 1), channels)));
    }
}

/// `16416`, or `16416 to 16419`.
fn ports(first: usize, count: usize) -> String {
    if count == 1 { first.to_string() } else { format!("{first} to {}", first + count - 1) }
}

/// `paths` and `deal`, where channels are bound to different addresses or devices here.
fn write_paths(page: &mut Page<'_>, mesh: &Mesh, link: &Link) {
    let way = |channel: &Channel| {
        let address = channel.local_host().filter(|host| host.parse::<IpAddr>().is_ok());
        (address.map(str::to_owned), channel.options().bind_dev.clone())
    };
    let ways: Vec<_> = link.channels.iter().map(|pair| way(&pair.here)).collect();
    let mut paths = Vec::new();
    for way in &ways {
        if !paths.contains(way) {
            paths.push(way.clone());
        }
    }
    if paths.len() < 2 && paths.iter().all(|(_, device)| device.is_none()) {
        return;
    }
    let (here, there) = (key(&mesh.gateways[0].name), key(&mesh.gateways[link.peer].name));
    page.text.push_str("paths = [\n");
    for (address, device) in &paths {
        let address = address.as_ref().map(|address| format!("underlay = {}", quoted(address)));
        let device = device.as_ref().map(|device| format!("device = {}", quoted(device)));
        let keys = [address, device].into_iter().flatten().collect::<Vec<_>>().join(", ");
        let keys = if keys.is_empty() { "{}".to_owned() } else { format!("{{ {keys} }}") };
        writeln!(page.text, "    {{ {here} = {keys}, {there} = {{}} }},").expect("a string takes all");
    }
    page.text.push_str("]\n");
    let deal: Vec<_> = ways.iter().map(|way| paths.iter().position(|path| path == way).unwrap_or_default()).collect();
    page.line("deal", format!("{deal:?}"));
}

fn write_device(page: &mut Page<'_>, link: &Link) {
    let here = || link.channels.iter().map(|pair| &pair.here);
    let mtus: BTreeSet<u16> = here().filter(|c| c.has("tun-mtu")).map(|c| c.options().tun_mtu).collect();
    if let Some(mtu) = mtus.first().filter(|mtu| (1280..USUAL_MTU).contains(*mtu)) {
        page.comment("", "`tun-mtu`; left out, what the paths take is found by probing");
        page.line("mtu", mtu);
    }
    if let Some(packets) = here().filter_map(|c| c.options().txqueuelen).max().filter(|packets| *packets <= 100_000) {
        page.line("txqueuelen", packets);
    }
    let facts = || here().flat_map(|c| &c.scripts).filter_map(|script| script.facts.as_ref().ok());
    if let Some((path, found)) = facts().find_map(|(path, facts)| Some((path, facts.qdisc.clone()?))) {
        let text = format!(
            "{path}:{} sets the queueing discipline {}: not needed, each channel queues by flow itself; `qdisc` would set one all the same",
            found.line, found.what
        );
        page.comment("", &text);
    }
    let weights: Vec<u16> = link.channels.iter().map(|pair| weight(&pair.here, link)).collect();
    if weights.iter().any(|weight| *weight != 1) {
        page.line("weight", format!("{weights:?}"));
    }
}

/// The weight that a channel has in the routes of any of the link's scripts, 1 where it has none.
fn weight(channel: &Channel, link: &Link) -> u16 {
    let names = [channel.inner_remote().map(|address| address.to_string()), channel.device().map(str::to_owned)];
    let scripts = link.channels.iter().flat_map(|pair| &pair.here.scripts);
    let mut weights = scripts.filter_map(|script| script.facts.as_ref().ok()).flat_map(|(_, facts)| &facts.weights);
    let found = weights.find(|found| names.iter().flatten().any(|name| *name == found.what.nexthop));
    found.map_or(1, |found| found.what.weight.clamp(1, 256))
}

fn write_timing(page: &mut Page<'_>, link: &Link) {
    let slowest =
        link.channels.iter().filter_map(|pair| pair.here.options().ping_timeout).map(|timeout| match timeout {
            crate::options::PingTimeout::Restart(time) | crate::options::PingTimeout::Exit(time) => time.as_secs(),
        });
    if let Some(seconds) = slowest.max() {
        page.comment(
            "",
            &format!(
                "OpenVPN saw a loss after {seconds} s; this is after three intervals, and what stands if it is left out"
            ),
        );
        page.line("probe", "{ interval = \"250ms\" }");
    }
    page.comment("", "On processors with AES instructions (grep aes /proc/cpuinfo), the same at both ends:");
    page.text.push_str("# cipher = \"aes-256-gcm\"\n");
}

/// What the files do that a link does not.
fn write_cautions(page: &mut Page<'_>, link: &Link) {
    let here = || link.channels.iter().map(|pair| &pair.here);
    let tcp: Vec<Place> = here().filter(|c| over_tcp(c)).map(|c| c.place("proto")).collect();
    if !tcp.is_empty() {
        page.decide(
            tcp,
            "these run over TCP, and meshtun over UDP: does UDP pass between both ends, and at which rate?",
        );
    }
    let given = |name: &str| here().filter(|c| c.has(name)).map(|c| c.place(name)).collect::<Vec<_>>();
    for (name, text) in [
        ("redirect-gateway", "a default route is never led into a link: name the networks"),
        ("mark", "packets on the underlay carry no mark: does policy routing need it?"),
        ("passtos", "packets on the underlay carry no copy of the inner type of service"),
        ("shaper", "channels have no rate limit: set `qdisc`, or limit the underlay"),
        ("multihome", "sockets are bound to one address: give `listen`"),
    ] {
        let places = given(name);
        if !places.is_empty() {
            page.decide(places, &format!("`{name}`: {text}"));
        }
    }
    let more: Vec<Place> =
        here().filter(|c| c.options().remotes.len() > 1).map(|c| c.options().remotes[1].place.clone()).collect();
    if !more.is_empty() {
        page.decide(more, "a channel has one peer address: only the first `remote` was taken; `paths` has several ways between two gateways");
    }
    let mut others: Vec<(String, Place)> = Vec::new();
    for (path, facts) in here().flat_map(|c| &c.scripts).filter_map(|script| script.facts.as_ref().ok()) {
        for found in &facts.other {
            let place = Place { file: Some(path.as_str().into()), line: found.line };
            if !others.iter().any(|(_, other)| *other == place) {
                others.push((found.what.clone(), place));
            }
        }
    }
    if !others.is_empty() {
        let names: BTreeSet<&str> = others.iter().map(|(name, _)| names::base(name)).collect();
        let list = names.into_iter().collect::<Vec<_>>().join(", ");
        let text = format!(
            "the scripts run {list} too: is it still needed, and for these devices? Then `hooks` can run it (docs/hooks.md)"
        );
        page.decide(others.iter().map(|(_, place)| place.clone()), &text);
    }
}

fn over_tcp(channel: &Channel) -> bool {
    let options = channel.options();
    options.remotes.first().map_or(options.protocol, |remote| remote.protocol) != Protocol::Udp
}
