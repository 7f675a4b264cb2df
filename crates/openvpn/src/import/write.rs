//! `mesh.toml` as text, with what is to be decided where it belongs.

use std::{collections::BTreeSet, fmt::Write, net::IpAddr};

use super::{
    Decision,
    channel::Channel,
    group::{Gateway, Link, Mesh},
    left_out::LeftOut,
    names,
};
use crate::{directive::Place, options::Protocol};

/// Columns of a comment.
const COLUMNS: usize = 110;

/// Largest MTU of the devices on an underlay of 1500 bytes.
const USUAL_MTU: u16 = 1420;

/// Most channels of a link with derived ports (crates/config).
const DERIVED_CHANNELS: usize = 16;

pub(super) fn write(mesh: &Mesh, here: &[LeftOut], there: &[LeftOut], decisions: &mut Vec<Decision>) -> String {
    let mut page = Page { text: String::new(), decisions };
    page.comment("", "Made by `meshtun import` from OpenVPN's files. The same file goes to every gateway, except for the key files that each keeps for itself. Lines with DECIDE want a person.");
    page.text.push_str("requires = \"0.1\"\n");
    for (number, gateway) in mesh.gateways.iter().enumerate() {
        write_gateway(&mut page, mesh, number, gateway);
    }
    for link in &mesh.links {
        write_link(&mut page, mesh, link);
    }
    write_left_out(&mut page, here, there);
    page.text
}

struct Page<'a> {
    text: String,
    decisions: &'a mut Vec<Decision>,
}

impl Page<'_> {
    /// A comment, broken into lines.
    fn comment(&mut self, mark: &str, text: &str) {
        let mut line = String::from("#");
        for word in mark.split_whitespace().chain(text.split_whitespace()) {
            if line.len() > 2 && line.len() + 1 + word.len() > COLUMNS {
                self.text.push_str(&line);
                line = String::from("\n#");
            }
            line.push(' ');
            line.push_str(word);
        }
        self.text.push_str(&line);
        self.text.push('\n');
    }

    fn decide(&mut self, places: impl IntoIterator<Item = Place>, text: &str) {
        let decision = Decision::new(places, text);
        self.comment("DECIDE:", &decision.to_string());
        self.decisions.push(decision);
    }

    fn line(&mut self, key: &str, value: impl std::fmt::Display) {
        writeln!(self.text, "{key} = {value}").expect("a string takes all");
    }
}

/// A name as a TOML key or string. Names are made of letters, digits, dashes and the like, hosts of what files hold.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => write!(quoted, "\\u{:04X}", u32::from(c)).expect("a string takes all"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}

fn write_gateway(page: &mut Page<'_>, mesh: &Mesh, number: usize, gateway: &Gateway) {
    writeln!(page.text, "\n[gateways.{}]", key(&gateway.name)).expect("a string takes all");
    if number == 0 {
        page.decide([], "numbers of gateways are small, unique in the mesh, and for ever: ports derive from them");
    }
    page.line("number", number + 1);
    let text = format!(
        "on {}: `(umask 077; meshtun keygen > /etc/meshtun/private.key)`, and here what `meshtun pubkey --key /etc/meshtun/private.key` prints there",
        gateway.name
    );
    page.decide([], &text);
    page.line("public_key", quoted(&format!("PUBLIC KEY OF {}", gateway.name)));
    write_reach(page, gateway);
    write_address(page, gateway);
    write_networks(page, mesh, number, gateway);
}

fn write_reach(page: &mut Page<'_>, gateway: &Gateway) {
    match &gateway.host {
        Some(host) if host.parse::<IpAddr>().is_ok() => page.line("underlay", quoted(host)),
        Some(host) => page.line("endpoint", quoted(host)),
        None => {
            let text = format!(
                "no file says where {} is reached: `underlay = \"ADDRESS\"`, or leave it out if it is the one that begins",
                gateway.name
            );
            page.decide([], &text);
        }
    }
}

fn write_address(page: &mut Page<'_>, gateway: &Gateway) {
    for (name, is_ours) in [("address", IpAddr::is_ipv4 as fn(&IpAddr) -> bool), ("address6", IpAddr::is_ipv6)] {
        let found: Vec<_> = gateway.addresses.iter().filter(|(address, _)| is_ours(address)).collect();
        match found.as_slice() {
            [] => {}
            [(address, place)] => {
                page.comment("", &format!("`src` of its routes ({place})"));
                page.line(name, quoted(&address.to_string()));
            }
            several => {
                let list = several.iter().map(|(address, _)| address.to_string()).collect::<Vec<_>>().join(", ");
                let text =
                    format!("routes have different source addresses: which of {list} is `{name}` of {}?", gateway.name);
                page.decide(several.iter().map(|(_, place)| place.clone()), &text);
            }
        }
    }
}

fn write_networks(page: &mut Page<'_>, mesh: &Mesh, number: usize, gateway: &Gateway) {
    let name = &gateway.name;
    let uncertain: Vec<_> =
        gateway.perhaps.iter().filter(|(net, _)| !gateway.networks.iter().any(|(n, _)| n == net)).collect();
    if !uncertain.is_empty() {
        let list = uncertain.iter().map(|(net, _)| net.to_string()).collect::<Vec<_>>().join(", ");
        let text = format!("the script serves several links: which of these are behind {name}? {list}");
        page.decide(uncertain.iter().map(|(_, place)| place.clone()), &text);
    }
    for (text, places) in unread(mesh, number) {
        page.decide(places, &text);
    }
    if gateway.networks.is_empty() {
        let whose = if number == 0 {
            "the other end's files tell: name them with --other-end"
        } else {
            "no `route` and no script tells"
        };
        page.decide([], &format!("which networks are behind {name}? {whose}; `meshtun check` wants one at least"));
        page.line("networks", "[]");
        return;
    }
    page.text.push_str("networks = [\n");
    for (net, place) in &gateway.networks {
        writeln!(page.text, "    {}, # {place}", quoted(&net.to_string())).expect("a string takes all");
    }
    page.text.push_str("]\n");
    covers(page, mesh, gateway);
}

/// A network that has a gateway's own address on the underlay in it would lead the tunnel into itself.
fn covers(page: &mut Page<'_>, mesh: &Mesh, gateway: &Gateway) {
    let hosts = mesh.gateways.iter().filter_map(|other| other.host.as_ref()?.parse::<IpAddr>().ok());
    let inside: BTreeSet<IpAddr> =
        hosts.filter(|host| gateway.networks.iter().any(|(net, _)| net.contains(host))).collect();
    for host in inside {
        let net = gateway.networks.iter().find(|(net, _)| net.contains(&host));
        let text = format!(
            "{host}, where a gateway is reached, lies in this network: the tunnel would run inside itself; give parts of it that leave {host} out"
        );
        page.decide(net.map(|(_, place)| place.clone()), &text);
    }
}

/// What could not be read of the routes that lead to a gateway.
fn unread(mesh: &Mesh, number: usize) -> Vec<(String, Vec<Place>)> {
    let mut told: Vec<(String, Vec<Place>)> = Vec::new();
    for link in mesh.links.iter().filter(|link| number == 0 || link.peer == number) {
        let channels =
            link.channels.iter().filter_map(|pair| if number == 0 { pair.there.as_ref() } else { Some(&pair.here) });
        for script in channels.flat_map(|channel| &channel.scripts).filter(|script| script.directive != "down") {
            let (text, places) = match &script.facts {
                Err(reason) => (
                    format!("{reason}: add the networks that it routes to {}", mesh.gateways[number].name),
                    vec![script.script.place.clone()],
                ),
                Ok((_, facts)) if facts.unread.is_empty() => continue,
                Ok((path, facts)) => {
                    let words =
                        facts.unread.iter().map(|found| format!("`{}`", found.what)).collect::<Vec<_>>().join(", ");
                    let known: Vec<String> = facts.prefixes.iter().map(|found| found.what.to_string()).collect();
                    let hint = if known.is_empty() {
                        String::new()
                    } else {
                        format!(" (prefixes in the script: {})", known.join(", "))
                    };
                    let places =
                        facts.unread.iter().map(|found| Place { file: Some(path.as_str().into()), line: found.line });
                    (
                        format!(
                            "the script works out {words} while it runs: add what it routes to {}{hint}",
                            mesh.gateways[number].name
                        ),
                        places.collect(),
                    )
                }
            };
            match told.iter_mut().find(|(other, _)| *other == text) {
                Some((_, others)) => {
                    others.extend(places.into_iter().filter(|place| !others.contains(place)).collect::<Vec<_>>())
                }
                None => told.push((text, places)),
            }
        }
    }
    told
}

fn write_link(page: &mut Page<'_>, mesh: &Mesh, link: &Link) {
    let peer = &mesh.gateways[link.peer];
    page.text.push('\n');
    let files = link.channels.iter().map(|pair| names::base(&pair.here.file)).collect::<Vec<_>>().join(", ");
    page.comment("", &format!("Channel by channel: {files}"));
    page.text.push_str("[[links]]\n");
    writeln!(page.text, "between = [{}, {}]", quoted(&mesh.gateways[0].name), quoted(&peer.name))
        .expect("a string takes all");
    if !link.devices.is_empty() {
        let devices = link.devices.iter().cloned().collect::<Vec<_>>().join(", ");
        page.comment("", &format!("OpenVPN's devices are {devices}: this name keeps clear of them while both run"));
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
        page.decide(
            [],
            &format!(
                "{text}; here {} to {}",
                16384 + 16 * (link.peer + 1),
                16384 + 16 * (link.peer + 1) + channels - 1
            ),
        );
    }
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

fn write_left_out(page: &mut Page<'_>, here: &[LeftOut], there: &[LeftOut]) {
    if here.is_empty() && there.is_empty() {
        return;
    }
    page.text.push_str("\n# Left out:\n");
    for out in here.iter().chain(there) {
        page.comment("-", &format!("{}: {}", out.channel.file, out.reason));
    }
}
