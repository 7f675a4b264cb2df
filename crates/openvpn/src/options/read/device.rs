//! The device, its addresses and its MTU.

use super::{
    super::{IfconfigV6, Mssfix, MssfixCounts, Topology},
    draft::{Draft, MssfixDraft},
    entry::{Entry, set},
    values,
};
use crate::directive::Directive;

/// Smallest `mssfix`, from `TLS_CHANNEL_MTU_MIN` (common.h).
const LEAST_MSSFIX: u16 = 154;

pub(super) const ENTRIES: &[Entry] = &[
    set("dev", 1, 1, dev),
    set("dev-type", 1, 1, |draft, d| {
        draft.dev_type = Some(d.parameters[0].clone());
        Ok(())
    }),
    set("dev-node", 1, 1, dev_node),
    set("topology", 1, 1, topology),
    set("ifconfig", 2, 2, |draft, d| {
        draft.ifconfig = Some((d.parameters[0].clone(), d.parameters[1].clone()));
        Ok(())
    }),
    set("ifconfig-ipv6", 2, 2, ifconfig_ipv6),
    set("ifconfig-noexec", 0, 0, |draft, _| {
        draft.options.ifconfig_noexec = true;
        Ok(())
    }),
    set("ifconfig-nowarn", 0, 0, |draft, _| {
        draft.options.ifconfig_nowarn = true;
        Ok(())
    }),
    set("persist-tun", 0, 0, |draft, _| {
        draft.options.persist_tun = true;
        Ok(())
    }),
    set("txqueuelen", 1, 1, |draft, d| {
        draft.options.txqueuelen = values::count_or_none(&d.parameters[0])?;
        Ok(())
    }),
    set("tun-mtu", 1, 2, tun_mtu),
    set("link-mtu", 1, 1, link_mtu),
    set("udp-mtu", 1, 1, link_mtu),
    set("mssfix", 0, 2, mssfix),
    set("max-packet-size", 1, 1, |draft, d| {
        let bytes = values::short(&d.parameters[0], LEAST_MSSFIX..=u16::MAX)?;
        draft.mssfix = MssfixDraft::Given(Mssfix { bytes, counts: MssfixCounts::Packet });
        Ok(())
    }),
    set("fragment", 1, 2, fragment),
];

fn dev(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    let name = &directive.parameters[0];
    if name.len() > 15 {
        return Err(format!("`{name}` is longer than 15 bytes, the most that a device's name may have"));
    }
    draft.dev = Some(name.clone());
    Ok(())
}

fn dev_node(_: &mut Draft, directive: &Directive) -> Result<(), String> {
    match directive.parameters[0].as_str() {
        "/dev/net/tun" => Ok(()),
        other => Err(format!("`{other}` cannot be used: meshtun opens /dev/net/tun; leave the line out")),
    }
}

fn topology(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    draft.options.topology = match directive.parameters[0].as_str() {
        "net30" => Topology::Net30,
        "p2p" => Topology::P2p,
        "subnet" => Topology::Subnet,
        other => return Err(format!("`{other}` should be net30, p2p or subnet")),
    };
    Ok(())
}

fn ifconfig_ipv6(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    let net = values::ipv6_net(&directive.parameters[0])?;
    if !(64..=124).contains(&net.prefix_len()) {
        return Err(format!("the prefix should be from /64 to /124, not /{}", net.prefix_len()));
    }
    let remote = values::ipv6(&directive.parameters[1])?;
    draft.options.ifconfig_ipv6 = Some(IfconfigV6 { local: net.addr(), prefix_len: net.prefix_len(), remote });
    Ok(())
}

/// 65536 is allowed by OpenVPN, but no packet is that long.
fn tun_mtu(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    draft.options.tun_mtu = values::short(&directive.parameters[0], 100..=u16::MAX)?;
    draft.options.occ_mtu = directive.parameter(1).map(|text| values::short(text, 100..=u16::MAX)).transpose()?;
    draft.tun_mtu_given = true;
    Ok(())
}

fn link_mtu(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    draft.options.link_mtu = Some(values::short(&directive.parameters[0], 100..=u16::MAX)?);
    Ok(())
}

fn mssfix(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    let Some(number) = directive.parameter(0) else {
        draft.mssfix = MssfixDraft::Default;
        return Ok(());
    };
    let bytes = values::short(number, 0..=u16::MAX)?;
    if bytes != 0 && bytes < LEAST_MSSFIX {
        return Err(format!("`{bytes}` should be 0 (off) or at least {LEAST_MSSFIX}"));
    }
    let counts = match directive.parameter(1) {
        None => MssfixCounts::Payload,
        Some("mtu") => MssfixCounts::Packet,
        Some("fixed") => MssfixCounts::Inner,
        Some(other) => return Err(format!("`{other}` should be mtu or fixed")),
    };
    draft.mssfix = MssfixDraft::Given(Mssfix { bytes, counts });
    Ok(())
}

fn fragment(draft: &mut Draft, directive: &Directive) -> Result<(), String> {
    draft.options.fragment = Some(values::short(&directive.parameters[0], 68..=u16::MAX)?);
    draft.options.fragment_counts_packet = match directive.parameter(1) {
        None => false,
        Some("mtu") => true,
        Some(other) => return Err(format!("`{other}` should be mtu, or left out")),
    };
    Ok(())
}
