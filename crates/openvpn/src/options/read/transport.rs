//! What carries the packets, and between whom.

use std::time::Duration;

use super::{
    super::{Compression, Family, Local, MtuDiscovery, Protocol},
    draft::{Draft, RemoteDraft},
    entry::{Entry, set, set_inline},
    values,
};
use crate::directive::{Directive, cut_block};

pub(super) const ENTRIES: &[Entry] = &[
    set("proto", 1, 1, |draft, d| {
        (draft.options.protocol, draft.options.family) = protocol(&d.parameters[0])?;
        Ok(())
    }),
    set("local", 1, 3, local),
    set("remote", 1, 3, remote),
    set_inline("connection", 1, 1, connection),
    set("port", 1, 1, |draft, d| {
        draft.local_port = values::port(&d.parameters[0], draft.services)?;
        draft.remote_port = draft.local_port;
        Ok(())
    }),
    set("lport", 1, 1, |draft, d| {
        draft.lport_given = d.parameters[0] != "0";
        draft.local_port = if draft.lport_given { values::port(&d.parameters[0], draft.services)? } else { 0 };
        Ok(())
    }),
    set("rport", 1, 1, |draft, d| {
        draft.remote_port = values::port(&d.parameters[0], draft.services)?;
        Ok(())
    }),
    set("bind", 0, 1, bind),
    set("nobind", 0, 0, |draft, _| {
        draft.nobind = true;
        Ok(())
    }),
    set("bind-dev", 1, 1, |draft, d| {
        draft.options.bind_dev = Some(d.parameters[0].clone());
        Ok(())
    }),
    set("float", 0, 0, |draft, _| {
        draft.options.float = true;
        Ok(())
    }),
    set("remote-random", 0, 0, |draft, _| {
        draft.options.remote_random = true;
        Ok(())
    }),
    set("multihome", 0, 1, |draft, d| {
        draft.options.multihome = true;
        match d.parameter(0) {
            None | Some("same-interface") => Ok(()),
            Some(other) => Err(format!("`{other}` should be same-interface, or left out")),
        }
    }),
    set("resolv-retry", 1, 1, |draft, d| {
        draft.options.resolv_retry = match d.parameters[0].as_str() {
            "infinite" => None,
            text => Some(values::seconds(text)?),
        };
        Ok(())
    }),
    set("connect-retry", 1, 2, connect_retry),
    set("connect-retry-max", 1, 1, |draft, d| {
        draft.options.connect_attempts = values::count_or_none(&d.parameters[0])?;
        Ok(())
    }),
    set("connect-timeout", 1, 1, connect_timeout),
    set("server-poll-timeout", 1, 1, connect_timeout),
    set("persist-local-ip", 0, 0, |draft, _| {
        draft.options.persist_local_ip = true;
        Ok(())
    }),
    set("persist-remote-ip", 0, 0, |draft, _| {
        draft.options.persist_remote_ip = true;
        Ok(())
    }),
    set("sndbuf", 1, 1, |draft, d| {
        draft.options.sndbuf = values::count_or_none(&d.parameters[0])?;
        Ok(())
    }),
    set("rcvbuf", 1, 1, |draft, d| {
        draft.options.rcvbuf = values::count_or_none(&d.parameters[0])?;
        Ok(())
    }),
    set("mark", 1, 1, |draft, d| {
        draft.options.mark = values::count_or_none(&d.parameters[0])?;
        Ok(())
    }),
    set("passtos", 0, 0, |draft, _| {
        draft.options.passtos = true;
        Ok(())
    }),
    set("mtu-disc", 1, 1, mtu_disc),
    set("mtu-test", 0, 0, |draft, _| {
        draft.options.mtu_test = true;
        Ok(())
    }),
    set("shaper", 1, 1, |draft, d| {
        let rate = values::number(&d.parameters[0], 100..=100_000_000)?;
        draft.options.shaper = Some(u32::try_from(rate).expect("the range allows no other"));
        Ok(())
    }),
    set("socket-flags", 1, 15, socket_flags),
    set("comp-lzo", 0, 1, comp_lzo),
    set("compress", 0, 1, compress),
    set("allow-compression", 1, 1, |_, d| match d.parameters[0].as_str() {
        "yes" | "no" | "asym" => Ok(()),
        other => Err(format!("`{other}` should be yes, no or asym")),
    }),
];

/// `udp`, `udp4`, `tcp6-server` … (socket_util.c, `proto_names`). `tcp` connects, as a process without a server does.
fn protocol(text: &str) -> Result<(Protocol, Family), String> {
    let (kind, role) = text.split_once('-').unwrap_or((text, ""));
    let (kind, family) = match kind.strip_suffix(['4', '6']) {
        Some(bare) if kind.ends_with('4') => (bare, Family::V4),
        Some(bare) => (bare, Family::V6),
        None => (kind, Family::Any),
    };
    match (kind, role) {
        ("udp", "") => Ok((Protocol::Udp, family)),
        ("tcp", "" | "client") => Ok((Protocol::TcpClient, family)),
        ("tcp", "server") => Ok((Protocol::TcpServer, family)),
        _ => Err(format!(
            "`{text}` should be udp, tcp-server or tcp-client, or one of them for one address family: udp4, udp6, tcp4-server …"
        )),
    }
}

/// The third parameter is for servers alone.
fn local(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    if draft.options.local.is_some() {
        draft.warn(directive, "`local` is given more than once: the last one counts");
    }
    let host = Some(directive.parameters[0].clone()).filter(|host| host != "*");
    draft.options.local = Some(Local { host, place: directive.place.clone() });
    if let Some(text) = directive.parameter(1) {
        draft.local_port = values::port(text, draft.services)?;
    }
    Ok(())
}

fn remote(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    draft.remotes.push(RemoteDraft {
        host: directive.parameters[0].clone(),
        port: directive.parameter(1).map(|text| values::port(text, draft.services)).transpose()?,
        transport: directive.parameter(2).map(protocol).transpose()?,
        place: directive.place.clone(),
    });
    Ok(())
}

/// `<connection>`: a remote with what is its own. What the block leaves out is as it was said above it.
fn connection(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    let Some(text) = &directive.inline else {
        return Err("it stands around lines: `<connection>`, `remote` …, `</connection>`".to_owned());
    };
    let (mut port, mut transport) = (draft.remote_port, (draft.options.protocol, draft.options.family));
    let mut named = None;
    for inner in cut_block(&directive.place, text, &mut draft.findings) {
        let place = &inner.place;
        match (inner.name.as_str(), inner.parameters.as_slice()) {
            ("remote", [_] | [_, _] | [_, _, _]) => named = Some(inner),
            ("rport", [text]) => {
                port = values::port(text, draft.services).map_err(|error| format!("{place}: {error}"))?
            }
            ("proto", [text]) => transport = protocol(text).map_err(|error| format!("{place}: {error}"))?,
            (name, _) => {
                return Err(format!(
                    "{place}: `{inner}`: only `remote`, `rport` and `proto` can differ from connection to connection: write `{name}` outside of the blocks, once for all"
                ));
            }
        }
    }
    let Some(named) = named else { return Err("there is no `remote` in it".to_owned()) };
    let own = |error| format!("{}: {error}", named.place);
    let own_port = named.parameter(1).map(|text| values::port(text, draft.services)).transpose().map_err(own)?;
    let own_transport = named.parameter(2).map(protocol).transpose().map_err(own)?;
    let transport = match (own_transport, transport) {
        (Some((protocol, Family::Any)), (_, family)) => (protocol, family),
        (own, outer) => own.unwrap_or(outer),
    };
    let host = named.parameters[0].clone();
    let place = directive.place.clone();
    draft.connections.push(RemoteDraft { host, port: own_port.or(Some(port)), transport: Some(transport), place });
    Ok(())
}

fn bind(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    draft.bind = true;
    draft.options.bind_ipv6_only = match directive.parameter(0) {
        None => false,
        Some("ipv6only") => true,
        Some(other) => return Err(format!("`{other}` should be ipv6only, or left out")),
    };
    Ok(())
}

/// The first is at most 65535 s; the longest pause is never shorter than the first.
fn connect_retry(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    let first = values::seconds(&directive.parameters[0])?.min(Duration::from_secs(0xffff));
    draft.options.connect_retry = first;
    if let Some(text) = directive.parameter(1) {
        draft.options.connect_retry_max = values::seconds(text)?.max(first);
    }
    Ok(())
}

fn connect_timeout(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    draft.options.connect_timeout = values::seconds(&directive.parameters[0])?;
    Ok(())
}

fn mtu_disc(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    draft.options.mtu_disc = Some(match directive.parameters[0].as_str() {
        "no" => MtuDiscovery::No,
        "maybe" => MtuDiscovery::Maybe,
        "yes" => MtuDiscovery::Yes,
        other => return Err(format!("`{other}` should be yes, maybe or no")),
    });
    Ok(())
}

fn socket_flags(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    if let Some(other) = directive.parameters.iter().find(|flag| *flag != "TCP_NODELAY") {
        return Err(format!("`{other}` should be TCP_NODELAY"));
    }
    draft.note(directive, "`socket-flags TCP_NODELAY` changes nothing: it is always set on TCP");
    Ok(())
}

fn comp_lzo(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    match directive.parameter(0) {
        Some("no") => {}
        None | Some("yes" | "adaptive") => warn_of_compression(draft, directive),
        Some(other) => return Err(format!("`{other}` should be yes, no or adaptive")),
    }
    draft.options.compression = Compression::Lzo;
    Ok(())
}

fn compress(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    draft.options.compression = match directive.parameter(0).unwrap_or("stub") {
        "stub" => Compression::Swap,
        "stub-v2" => Compression::V2,
        "migrate" => Compression::None,
        "lzo" => Compression::Lzo,
        "lz4" => Compression::Swap,
        "lz4-v2" => Compression::V2,
        other => return Err(format!("`{other}` should be stub, stub-v2, migrate, lzo, lz4 or lz4-v2")),
    };
    if matches!(directive.parameter(0), Some("lzo" | "lz4" | "lz4-v2")) {
        warn_of_compression(draft, directive);
    }
    Ok(())
}

fn warn_of_compression(draft: &mut Draft, directive: &Directive) {
    draft.warn(
        directive,
        format!(
            "`{directive}`: the framing is kept, nothing is ever compressed, and packets that the peer compresses are dropped: \
             set `comp-lzo no` or `compress` there (OpenVPN compresses nothing since 2.7)"
        ),
    );
}
