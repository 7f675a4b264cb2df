//! What to type in a lab.

use netns_lab::{gateway::Gateway, privilege::Privilege, topology::Topology};

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
    lines.extend(examples(topology, gateways, no_shell).into_iter().map(|line| format!("  {line}")));
    if !no_shell {
        lines.push("In another terminal, to have the same:".to_owned());
        lines.push(format!("  {}", entry(privilege, scripts)));
    }
    if is_public(privilege) {
        lines.push("or by the namespaces' names:".to_owned());
        lines.extend(topology.lab.nodes().iter().filter_map(by_name).map(|line| format!("  {line}")));
    }
    lines.push(format!("\nEverything is gone after {}.", if no_shell { "Ctrl-C" } else { "`exit`" }));
    lines.join("\n")
}

/// The command that gives another terminal the scripts.
fn entry(privilege: Privilege, scripts: &Scripts) -> String {
    let path = format!("PATH={}:$PATH", scripts.folder.display());
    if is_public(privilege) {
        return format!("{path}    # as root");
    }
    let pid = std::process::id();
    format!("nsenter -t {pid} -U -m --preserve-credentials env {path} ${{SHELL:-sh}}")
}

fn examples(topology: &Topology, gateways: &[Gateway], no_shell: bool) -> Vec<String> {
    let [one, two] = [&topology.sites[0], &topology.sites[1]];
    let prefix = if no_shell { format!("{} ", host(topology)) } else { String::new() };
    let there = two.host.name();
    let mut lines = vec![
        format!("{prefix}ping -c 3 {}", two.host_v4),
        format!("{there} iperf3 -s -D; {prefix}iperf3 -c {} -P 16 -C cubic", two.host_v4),
        format!("{prefix}iperf3 -c {} -u -b 1G", two.host_v6),
        format!("{} tcpdump -Z root -c 10 -ni underlay", one.name()),
    ];
    if let Some(gateway) = gateways.first() {
        let device = gateway.devices().first().map_or("", String::as_str);
        lines.push(format!("{} meshtun status", one.name()));
        lines.push(format!("{} ip link set {device} down", one.name()));
        lines.push(format!("cat {}", gateway.folder().join("log").display()));
    }
    lines
}

fn by_name(node: &netns_lab::Node) -> Option<String> {
    let name = node.pinned()?.file_name()?.to_str()?;
    Some(format!("ip netns exec {name} PROGRAM…"))
}

fn host(topology: &Topology) -> &str {
    topology.sites[0].host.name()
}
