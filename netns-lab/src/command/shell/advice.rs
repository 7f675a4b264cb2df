//! What to type in a lab.

use std::net::IpAddr;

use netns_lab::{Node, gateway::Gateway, privilege::Privilege, topology::Topology};

use super::{is_public, scripts::Scripts};

pub(crate) fn text(
    topology: &Topology,
    gateways: &[Gateway],
    privilege: Privilege,
    scripts: &Scripts,
    no_shell: bool,
) -> String {
    let mut lines = Vec::new();
    if no_shell {
        lines.push("In another terminal:".to_owned());
        lines.push(format!("  {}", entry(privilege, scripts)));
    } else {
        lines.push(format!("This shell is in {}; `NODE PROGRAM…` runs a program in another node:", host(topology)));
    }
    lines.extend(examples(topology, gateways, privilege, no_shell).into_iter().map(|line| format!("  {line}")));
    if !no_shell {
        lines.push("In another terminal, to have the same:".to_owned());
        lines.push(format!("  {}", entry(privilege, scripts)));
    }
    if is_public(privilege) {
        let names: Vec<_> = topology.lab.nodes().iter().filter_map(name).collect();
        lines.push("or by the namespaces' names:".to_owned());
        lines.push(format!("  ip netns exec NAME PROGRAM…    # {}", names.join(" ")));
    }
    lines.push(format!("\nEverything is gone after {}.", if no_shell { "Ctrl-C" } else { "`exit`" }));
    lines.join("\n")
}

/// The command that gives another terminal the scripts.
fn entry(privilege: Privilege, scripts: &Scripts) -> String {
    let path = format!("PATH={}:$PATH", scripts.folder.display());
    if is_public(privilege) {
        return format!("export {path}    # as root");
    }
    let pid = std::process::id();
    format!("nsenter -t {pid} -U -m --preserve-credentials env {path} ${{SHELL:-sh}}")
}

fn examples(topology: &Topology, gateways: &[Gateway], privilege: Privilege, no_shell: bool) -> Vec<String> {
    let [one, two] = [&topology.sites[0], &topology.sites[1]];
    let prefix = if no_shell { format!("{} ", host(topology)) } else { String::new() };
    let there = two.host.name();
    // In clear only the networks of the underlay's own family are routed.
    let [first, second] = match (gateways.is_empty(), two.underlay.is_ipv4()) {
        (false, _) => [two.host_v4.into(), two.host_v6.into()],
        (true, true) => [IpAddr::from(two.host_v4); 2],
        (true, false) => [IpAddr::from(two.host_v6); 2],
    };
    let mut lines = vec![
        format!("{prefix}ping -c 3 {first}"),
        format!("{there} iperf3 -s -D; {prefix}iperf3 -c {first} -P 16 -C cubic"),
        format!("{prefix}iperf3 -c {second} -u -b 1G"),
    ];
    if is_public(privilege) {
        // In a user namespace it cannot drop its privileges, which it insists on.
        lines.push(format!("{} tcpdump -c 10 -ni underlay", one.name()));
    }
    if let Some(gateway) = gateways.first() {
        let device = gateway.devices().first().map_or("", String::as_str);
        lines.push(format!("{} meshtun status", one.name()));
        lines.push(format!("{} ip link set {device} down", one.name()));
        lines.push(format!("cat {}", gateway.folder().join("log").display()));
    }
    lines
}

fn name(node: &Node) -> Option<&str> {
    node.pinned()?.file_name()?.to_str()
}

fn host(topology: &Topology) -> &str {
    topology.sites[0].host.name()
}
