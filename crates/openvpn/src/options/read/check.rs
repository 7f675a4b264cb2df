//! What must fit together (options.c, `options_postprocess_mutate`, `options_postprocess_verify_ce`; helper.c).

use std::fmt::Write;

use super::{
    super::{Cipher, Digest, Family, Ifconfig, PingTimeout, Protocol, Remote, ScriptSecurity, Topology},
    draft::Draft,
    values,
};
use crate::{
    directive::Place,
    finding::{Finding, Severity},
};

/// Works out what depends on something else, and tells what does not fit.
pub(super) fn check(draft: &mut Draft) {
    device(draft);
    addresses(draft);
    keepalive(draft);
    transport(draft);
    draft.work_out_mssfix();
    mtu(draft);
    management(draft);
    draft.put_together();
    keys(draft);
    scripts(draft);
}

fn device(draft: &mut Draft) {
    let Some(name) = draft.dev.clone() else {
        return missing(draft, "dev", "`dev` is missing: add `dev tun`");
    };
    let kind = draft.dev_type.clone();
    let at = if kind.is_some() { "dev-type" } else { "dev" };
    match kind.as_deref().unwrap_or(&name) {
        kind if kind.starts_with("tun") => {}
        kind if kind.starts_with("tap") => draft.error_at(
            at,
            format!("`{at} {kind}`: tap devices, which carry Ethernet frames, cannot be used: change both ends to `dev tun` and route"),
        ),
        "null" => draft.error_at(at, "`null` devices cannot be used: take `dev tun`"),
        _ if at == "dev" => {
            draft.error_at(at, format!("`dev {name}`: what kind of device is it? Add `dev-type tun`"));
        }
        kind => draft.error_at(at, format!("`dev-type {kind}` should be `dev-type tun`")),
    }
    draft.options.device.name = name;
}

/// An error, unless the directive is there and something else is wrong with it, or it may stand where nothing could be read.
fn missing(draft: &mut Draft, name: &str, text: &str) {
    if draft.is_whole && !draft.wrong.iter().any(|wrong| wrong == name) {
        draft.error_at(name, text);
    }
}

fn addresses(draft: &mut Draft) {
    let Some((local, second)) = draft.ifconfig.clone() else { return };
    let parsed = values::ipv4(&local).and_then(|local| match draft.options.topology {
        Topology::Subnet => values::netmask(&second).map(|netmask| Ifconfig::Subnet { local, netmask }),
        Topology::Net30 | Topology::P2p => values::ipv4(&second).map(|remote| Ifconfig::PointToPoint { local, remote }),
    });
    match parsed {
        Ok(_) if local == second => {
            draft
                .error_at("ifconfig", format!("`ifconfig`: both addresses are {local}: the second is the other end's"));
        }
        Ok(ifconfig) => {
            if second.starts_with("255.") && draft.options.topology != Topology::Subnet {
                let text = format!(
                    "`ifconfig`: {second} looks like a mask: without `topology subnet` it is the other end's address"
                );
                draft.findings.push(Finding { severity: Severity::Warning, place: draft.place("ifconfig"), text });
            }
            draft.options.ifconfig = Some(ifconfig);
        }
        Err(text) => draft.error_at("ifconfig", format!("`ifconfig`: {text}")),
    }
}

/// `keepalive A B` is `ping A` and `ping-restart B` (helper.c, `helper_keepalive`).
fn keepalive(draft: &mut Draft) {
    if let Some((ping, restart)) = draft.keepalive {
        if ping * 2 > restart {
            let text = format!(
                "`keepalive`: the second number ({}) must be at least twice the first ({}), better five times",
                restart.as_secs(),
                ping.as_secs()
            );
            draft.error_at("keepalive", text);
        }
        if !draft.ping.is_zero() || draft.ping_timeout.is_some_and(|timeout| !is_off(timeout)) {
            draft.error_at(
                "keepalive",
                "`keepalive` stands for `ping` and `ping-restart`: take these out, and `ping-exit`",
            );
        }
        draft.ping = ping;
        draft.ping_timeout = Some(PingTimeout::Restart(restart));
    }
    draft.options.ping = Some(draft.ping).filter(|ping| !ping.is_zero());
    draft.options.ping_timeout = draft.ping_timeout.filter(|&timeout| !is_off(timeout));
}

fn is_off(timeout: PingTimeout) -> bool {
    match timeout {
        PingTimeout::Restart(time) | PingTimeout::Exit(time) => time.is_zero(),
    }
}

fn transport(draft: &mut Draft) {
    let (protocol, family, port) = (draft.options.protocol, draft.options.family, draft.remote_port);
    if let (Some(_), Some(remote)) = (draft.connections.first(), draft.remotes.first()) {
        let text = "`remote` outside of `connection` blocks counts for nothing where there are such blocks";
        draft.findings.push(Finding::warning(&remote.place, text));
        draft.remotes.clear();
    }
    let remotes = draft.remotes.drain(..).chain(draft.connections.drain(..)).map(|remote| {
        let (protocol, own_family) = remote.transport.unwrap_or((protocol, family));
        // A protocol without a family leaves the family as it is (`connection_entry_load_re`).
        let family = if own_family == Family::Any { family } else { own_family };
        Remote { host: remote.host, port: remote.port.unwrap_or(port), protocol, family, place: remote.place }
    });
    draft.options.remotes = remotes.collect();
    bound(draft);
    distinct(draft);
    over_tcp(draft);
}

/// `bind`, `nobind`, `local`, `lport`.
fn bound(draft: &mut Draft) {
    if draft.nobind {
        for (given, name) in
            [(draft.bind, "bind"), (draft.lport_given, "lport"), (draft.options.local.is_some(), "local")]
        {
            if given {
                draft.error_at("nobind", format!("`nobind` and `{name}` contradict each other: take one out"));
            }
        }
        if draft.options.remotes.is_empty() {
            draft.error_at("nobind", "`nobind` without `remote`: nobody could find this end");
        }
    }
    let connects = !draft.options.remotes.is_empty()
        && draft.options.remotes.iter().all(|remote| remote.protocol == Protocol::TcpClient);
    let asked = draft.bind || draft.lport_given || draft.options.local.is_some();
    let bound = !draft.nobind && (asked || !connects);
    draft.options.local_port = bound.then_some(draft.local_port).filter(|&port| port != 0);
}

/// Addresses that must not be the same.
fn distinct(draft: &mut Draft) {
    let Some((local, second)) = draft.ifconfig.clone() else { return same_ends(draft) };
    let inner = |host: &str| host == local || host == second;
    if let Some(remote) = draft.options.remotes.iter().find(|remote| inner(&remote.host)).cloned() {
        let text = format!("`remote`: {} is an address inside the tunnel (`ifconfig`)", remote.host);
        draft.findings.push(Finding::error(&remote.place, text));
    }
    if let Some(bound) = draft.options.local.clone().filter(|bound| bound.host.as_deref().is_some_and(inner)) {
        let text = "`local`: this is an address inside the tunnel (`ifconfig`)";
        draft.findings.push(Finding::error(&bound.place, text));
    }
    same_ends(draft);
}

fn same_ends(draft: &mut Draft) {
    let Some(local) = draft.options.local.clone() else { return };
    let same =
        |remote: &&Remote| local.host.as_ref() == Some(&remote.host) && draft.options.local_port == Some(remote.port);
    if let Some(remote) = draft.options.remotes.iter().find(same).cloned() {
        let text = "`remote` is the same address and port as `local`";
        draft.findings.push(Finding::error(&remote.place, text));
    }
}

/// What TCP cannot do, or needs.
fn over_tcp(draft: &mut Draft) {
    let protocols: Vec<Protocol> = match draft.options.remotes.as_slice() {
        [] => vec![draft.options.protocol],
        remotes => remotes.iter().map(|remote| remote.protocol).collect(),
    };
    if protocols.iter().all(|&protocol| protocol == Protocol::Udp) {
        return;
    }
    if draft.options.fragment.is_some() {
        draft.error_at("fragment", "`fragment` is for UDP alone: take it out");
    }
    if draft.options.mtu_test {
        draft.error_at("mtu-test", "`mtu-test` is for UDP alone: take it out");
    }
    if draft.options.remotes.is_empty() && protocols.contains(&Protocol::TcpClient) {
        draft.error_at("proto", "`proto tcp-client` needs a `remote` to connect to");
    }
    if draft.options.remotes.len() > 1 && protocols.contains(&Protocol::TcpServer) {
        draft.error_at("remote", "`proto tcp-server` waits for one peer: give one `remote` at most");
    }
    if draft.options.explicit_exit_notify.is_some() && !protocols.contains(&Protocol::Udp) {
        draft.options.explicit_exit_notify = None;
        let text =
            "`explicit-exit-notify` changes nothing over TCP, where the end of the connection says it".to_owned();
        draft.findings.push(Finding { severity: Severity::Note, place: draft.place("explicit-exit-notify"), text });
    }
}

fn mtu(draft: &mut Draft) {
    if draft.tun_mtu_given && draft.options.link_mtu.is_some() {
        draft.error_at("link-mtu", "`link-mtu` and `tun-mtu` contradict each other: keep `tun-mtu`");
    }
}

fn management(draft: &mut Draft) {
    if draft.management.is_none()
        && let Some((name, place)) = draft.management_wants.first()
    {
        let finding = Finding::error(place, format!("`{name}` needs `management ADDRESS PORT`"));
        draft.findings.push(finding);
    }
    let extra = &draft.management_extra;
    let Some(management) = &draft.management else { return };
    let over_tcp = matches!(management.address, super::super::ManagementAddress::Tcp(..));
    if over_tcp && (extra.client_user.is_some() || extra.client_group.is_some()) {
        draft.error_at(
            "management",
            "`management-client-user` and `management-client-group` are for `management PATH unix`",
        );
    }
}

/// What there is to say of a TLS configuration, and nothing else: what is wrong for a static key may be right for TLS.
pub(super) fn tls(draft: &Draft) -> Option<Finding> {
    let (name, place) = draft.tls.first()?;
    Some(Finding::error(place, refuse_tls(name, &draft.tls[1..], draft.server.first())))
}

fn keys(draft: &mut Draft) {
    let secret = draft.secret.take();
    if !draft.tls.is_empty() {
        return;
    }
    for (name, place) in &draft.server {
        let text = format!("`{name}` is for a server with many clients, which meshtun does not replace: take it out");
        draft.findings.push(Finding::error(place, text));
    }
    match secret {
        Some(secret) => draft.options.secret = secret,
        None => missing(
            draft,
            "secret",
            "`secret` is missing: name the static key file; without a key OpenVPN sends everything in clear, which meshtun never does",
        ),
    }
    let (cipher, bits) = (draft.options.cipher, draft.options.cipher.key_len() * 8);
    if draft.keysize.is_some_and(|keysize| usize::try_from(keysize) != Ok(bits)) {
        draft.error_at(
            "keysize",
            format!("`keysize`: keys of {} have {bits} bits: take the line out at both ends", cipher.name()),
        );
    }
    weak(draft);
}

fn weak(draft: &mut Draft) {
    for (weak, name, text) in [
        (
            draft.options.cipher == Cipher::None,
            "cipher",
            "`cipher none`: packets are not encrypted, everybody on the way can read them",
        ),
        (
            draft.options.digest == Digest::None,
            "auth",
            "`auth none`: packets are not authenticated, everybody on the way can forge them",
        ),
        (
            matches!(draft.options.cipher, Cipher::BfCbc | Cipher::DesEde3Cbc),
            "cipher",
            "the cipher has blocks of 64 bits, which give plaintext away after some 32 GB under one key (SWEET32): change both ends to AES-256-CBC",
        ),
    ] {
        if weak {
            draft.findings.push(Finding {
                severity: Severity::Warning,
                place: draft.place(name),
                text: text.to_owned(),
            });
        }
    }
}

fn refuse_tls(first: &str, others: &[(String, Place)], server: Option<&(String, Place)>) -> String {
    let mut text = format!("`{first}` makes this a TLS configuration, which meshtun does not speak");
    let named: Vec<String> = others.iter().take(5).map(|(name, place)| format!("`{name}` ({place})")).collect();
    if !named.is_empty() {
        let more = others.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        write!(text, "; so do {}{more}", named.join(", ")).expect("a string takes all");
    }
    match server {
        Some((name, place)) => write!(
            text,
            "; and `{name}` ({place}) makes it a server with many clients, which meshtun does not replace: leave it to OpenVPN"
        ),
        None => write!(
            text,
            "; between two gateways a meshtun link gives what TLS gives, a key of its own for each end and new session keys every two minutes: `meshtun import` writes one from this file"
        ),
    }
    .expect("a string takes all");
    text
}

/// OpenVPN starts without leave to run scripts, and ends when it comes to `up` or `down` (run_command.c).
fn scripts(draft: &mut Draft) {
    if draft.options.script_security >= ScriptSecurity::Scripts {
        return;
    }
    let options = &draft.options;
    let fatal = [&options.up, &options.down].into_iter().flatten().next().map(|script| script.place.clone());
    let harmless = [&options.ipchange, &options.route_up, &options.route_pre_down]
        .into_iter()
        .flatten()
        .next()
        .map(|s| s.place.clone());
    let text = "scripts are run only after `script-security 2`: add it";
    if let Some(place) = fatal {
        draft.findings.push(Finding::error(&place, text));
    } else if let Some(place) = harmless {
        draft.findings.push(Finding::warning(&place, text));
    }
}
