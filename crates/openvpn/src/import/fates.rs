//! What becomes of a directive in a mesh of meshtun.

use super::{
    Side,
    channel::Channel,
    group::{Link, Mesh},
};
use crate::{directive::Directive, finding::Severity};

/// Where the directive's channel is.
pub(super) struct Context<'a> {
    pub(super) mesh: &'a Mesh,
    pub(super) link: &'a Link,
    pub(super) number: usize,
}

impl Context<'_> {
    /// The name of the channel's own gateway, and of its peer.
    fn gateways(&self, side: Side) -> (&str, &str) {
        let (here, there) = (&self.mesh.gateways[0].name, &self.mesh.gateways[self.link.peer].name);
        if side == Side::Here { (here, there) } else { (there, here) }
    }
}

/// What becomes of one directive, and what is wrong with it.
pub(super) fn of(directive: &Directive, channel: &Channel, context: &Context<'_>) -> String {
    let fate = sound(directive, channel, context);
    let error = channel.parsed.findings.iter().find(|finding| {
        finding.severity == Severity::Error && finding.place.as_ref() == Some(&directive.place) && !channel.parsed.tls
    });
    match error {
        Some(error) if !fate.contains(&error.text) => format!("{fate} (but {})", error.text),
        _ => fate,
    }
}

/// What becomes of a directive that is as it should be.
fn sound(directive: &Directive, channel: &Channel, context: &Context<'_>) -> String {
    let (own, peer) = context.gateways(channel.side);
    let link = &context.link.name;
    match directive.name.as_str() {
        "dev" => format!("device {link}{} of link {link}", context.number),
        "local" => format!("gateways.{own}: where it binds and is reached"),
        "remote" | "connection" if channel.remote().is_some_and(|remote| remote.place != directive.place) => {
            format!("DECIDE: a channel has one peer address; only the first `remote` is gateways.{peer}'s")
        }
        "remote" | "connection" => format!("gateways.{peer}: where it is reached"),
        "port" | "lport" | "rport" => match (context.mesh.keep_ports, context.link.ports) {
            (true, Some(_)) => format!("links.{link}.ports"),
            _ => format!("another port, so that both can run side by side; see links.{link}.ports"),
        },
        "route" if !leads_inside(directive, channel) => "left out: it does not lead into the tunnel".to_owned(),
        "route" | "route-ipv6" => format!("gateways.{peer}.networks"),
        "up" | "down" | "route-up" => script(directive, channel, peer),
        "tun-mtu" => format!("links.{link}.mtu where it fits; else the MTU is found by probing"),
        "bind-dev" => format!("links.{link}.paths: `device`"),
        "txqueuelen" => format!("links.{link}.txqueuelen"),
        "proto" if directive.parameter(0).is_some_and(|proto| proto.starts_with("tcp")) => {
            "DECIDE: meshtun speaks UDP; is UDP let through between both ends?".to_owned()
        }
        "proto" => "UDP".to_owned(),
        "secret" | "tls-auth" | "tls-crypt" | "ca" | "cert" | "key" | "dh" | "pkcs12" | "tls-client" | "tls-server"
        | "remote-cert-tls" => {
            "DECIDE: a key of its own for each gateway (`meshtun keygen`), nothing shared".to_owned()
        }
        name => listed(name).map_or_else(|| unlisted(channel, directive), str::to_owned),
    }
}

/// Whether this `route` is among those that lead to the peer's networks.
fn leads_inside(directive: &Directive, channel: &Channel) -> bool {
    super::group::routes(channel).iter().any(|(_, place)| *place == directive.place)
}

fn script(directive: &Directive, channel: &Channel, peer: &str) -> String {
    let read = channel.scripts.iter().find(|script| script.script.place == directive.place);
    match read.map(|script| &script.facts) {
        Some(Ok((path, facts))) => {
            let networks = match facts.networks.len() {
                0 => "no network could be read in it".to_owned(),
                1 => format!("1 network to gateways.{peer}.networks"),
                many => format!("{many} networks to gateways.{peer}.networks"),
            };
            format!("{path}: {networks}; what else it does belongs into a hook (docs/hooks.md)")
        }
        Some(Err(reason)) => format!("DECIDE: {reason}: which routes does it make?"),
        None => "another one of this name counts".to_owned(),
    }
}

/// Directives without a word about them here are those that OpenVPN does not know, or that are refused.
fn unlisted(channel: &Channel, directive: &Directive) -> String {
    let about = channel.parsed.findings.iter().rfind(|finding| finding.place.as_ref() == Some(&directive.place));
    about.map_or_else(
        || "left out: it has no part in a mesh".to_owned(),
        |finding| format!("left out: {}", finding.text),
    )
}

/// Directives whose fate depends on nothing.
fn listed(name: &str) -> Option<&'static str> {
    const FATES: &[(&[&str], &str)] = &[
        (&["dev-type", "dev-node", "topology", "tun-ipv6", "mode"], "always so: tun devices for IPv4 and IPv6"),
        (
            &["ifconfig", "ifconfig-ipv6", "ifconfig-noexec", "ifconfig-nowarn"],
            "not needed: routes lead to devices, which have link-local addresses of their own",
        ),
        (
            &["ping", "ping-restart", "ping-exit", "ping-timer-rem", "keepalive"],
            "`probe`: a loss is seen after 750 ms unless it says otherwise, in either direction",
        ),
        (
            &["cipher", "auth", "keysize", "key-direction", "prng", "engine", "providers"],
            "ChaCha20-Poly1305, or `cipher = \"aes-256-gcm\"`",
        ),
        (
            &["replay-window", "replay-persist", "mute-replay-warnings", "no-replay", "no-iv"],
            "always so: every session has keys and a window of its own, nothing is kept on disk",
        ),
        (&["script-security"], "not needed: hooks are run because they are named"),
        (&["up-delay", "up-restart", "down-pre"], "not needed: a channel is in the routes exactly while it carries"),
        (
            &["ipchange", "route-pre-down", "setenv", "setenv-safe"],
            "hooks have events and variables of their own (docs/hooks.md)",
        ),
        (
            &["route-gateway", "route-ipv6-gateway", "route-metric", "route-delay", "route-noexec", "route-table"],
            "not needed: routes lead to devices, and come and go with them",
        ),
        (&["redirect-gateway", "redirect-private"], "DECIDE: a default route is never led into a link"),
        (
            &["link-mtu", "udp-mtu", "mssfix", "fragment", "mtu-disc", "mtu-test", "max-packet-size", "tun-mtu-extra"],
            "not needed: what a path takes is found by padded probes, and the device follows",
        ),
        (&["comp-lzo", "compress", "comp-noadapt", "allow-compression"], "nothing is compressed"),
        (
            &["persist-tun", "persist-key", "persist-local-ip", "persist-remote-ip"],
            "always so: devices and routes outlive the process",
        ),
        (&["user", "group", "chroot", "nice", "mlock", "cd"], "the systemd unit (docs/service.md)"),
        (
            &[
                "daemon",
                "log",
                "log-append",
                "syslog",
                "verb",
                "mute",
                "writepid",
                "suppress-timestamps",
                "machine-readable-output",
                "errors-to-stderr",
                "remap-usr1",
            ],
            "the journal and the systemd unit (docs/service.md)",
        ),
        (&["status", "status-version"], "`meshtun status --json`"),
        (&["bind", "nobind"], "ports are always bound, so that both ends can begin"),
        (&["float"], "always so where a gateway has neither `underlay` nor `endpoint`"),
        (
            &["resolv-retry", "connect-retry", "connect-retry-max", "connect-timeout", "remote-random"],
            "always so: attempts go on for ever",
        ),
        (&["sndbuf", "rcvbuf", "fast-io", "tcp-nodelay", "socket-flags"], "sized and batched by itself"),
        (&["inactive", "session-timeout"], "left out: a channel stays"),
        (&["explicit-exit-notify"], "always so: the peer is told (goodbye)"),
        (&["disable-occ", "opt-verify"], "always so: link and channel are compared in the encryption"),
        (&["mark", "passtos", "shaper", "multihome"], "DECIDE: meshtun has no such setting for a channel"),
        (
            &["reneg-sec", "reneg-bytes", "reneg-pkts", "hand-window", "tran-window", "tls-timeout"],
            "always so: session keys are new every two minutes",
        ),
        (&["ignore-unknown-option", "allow-deprecated-insecure-static-crypto", "config"], "only how the file is read"),
    ];
    if name.starts_with("management") {
        return Some("`meshtun status --json` and `meshtun down`, `up`, `reload`");
    }
    FATES.iter().find(|(names, _)| names.contains(&name)).map(|(_, fate)| *fate)
}
