//! One change to the kernel, and the command that a person would type for it.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;

use ipnet::IpNet;

use crate::desired::protocol_of;
use crate::{Nexthop, QDISC_HANDLE, Route, RouteKind, Sysctl};

/// One change. `Display` is one line for a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make a persistent tun device with our alias.
    CreateDevice {
        /// Its name.
        name: String,
        /// Its mark.
        alias: String,
    },
    /// Delete a device of ours.
    DeleteDevice {
        /// Its name.
        name: String,
    },
    /// Set what differs, in one request.
    ConfigureDevice {
        /// Its name.
        name: String,
        /// New alias.
        alias: Option<String>,
        /// New MTU, bytes.
        mtu: Option<u32>,
        /// New transmit queue length, packets.
        txqueuelen: Option<u32>,
        /// Whether to take it up.
        up: bool,
    },
    /// Add a link-local address.
    AddAddress {
        /// To which device.
        device: String,
        /// With prefix length 64.
        address: Ipv6Addr,
    },
    /// Remove a link-local address.
    RemoveAddress {
        /// From which device.
        device: String,
        /// The address.
        address: Ipv6Addr,
        /// Its prefix length.
        prefix_len: u8,
    },
    /// Set the root queueing discipline.
    SetQdisc {
        /// Of which device.
        device: String,
        /// Its kind.
        kind: String,
    },
    /// Remove the root queueing discipline that we set: the kernel's default returns.
    RemoveQdisc {
        /// From which device.
        device: String,
    },
    /// Make a route that is not there. Printed as `replace`, so that the line can be typed again, but applied so that
    /// it fails if anything has taken its place meanwhile.
    AddRoute(Route),
    /// Replace a route of ours that has the same prefix and metric.
    ReplaceRoute(Route),
    /// Delete a route of ours, of whatever kind.
    DeleteRoute {
        /// Its destination.
        prefix: IpNet,
        /// Its metric.
        metric: u32,
    },
    /// Delete a route of somebody else's that has taken the place of one of ours.
    DeleteUsurper {
        /// Its destination.
        prefix: IpNet,
        /// Its metric, which is one of ours.
        metric: u32,
        /// Its protocol number.
        protocol: u8,
    },
    /// Give a device of ours back the name that somebody took from it.
    RenameDevice {
        /// What it is called.
        from: String,
        /// What it shall be called.
        to: String,
    },
    /// Write a sysctl; a machine-wide one is recorded first.
    SetSysctl(Sysctl),
    /// Put back the recorded value, if the present one is still ours.
    RestoreSysctl {
        /// Which.
        key: String,
        /// What it was before us.
        before: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::CreateDevice { name, .. } => write!(f, "ip tuntap add dev {name} mode tun vnet_hdr"),
            Step::DeleteDevice { name } => write!(f, "ip link delete dev {name}"),
            Step::ConfigureDevice { name, alias, mtu, txqueuelen, up } => {
                write!(f, "ip link set dev {name}")?;
                option(f, "alias", alias.as_deref().map(quoted))?;
                option(f, "mtu", *mtu)?;
                option(f, "txqueuelen", *txqueuelen)?;
                f.write_str(if *up { " up" } else { "" })
            }
            Step::AddAddress { device, address } => write!(f, "ip address add {address}/64 dev {device} nodad"),
            Step::RemoveAddress { device, address, prefix_len } => {
                write!(f, "ip address del {address}/{prefix_len} dev {device}")
            }
            Step::SetQdisc { device, kind } => {
                write!(f, "tc qdisc replace dev {device} root handle {QDISC_HANDLE:x}: {kind}")
            }
            Step::RemoveQdisc { device } => write!(f, "tc qdisc del dev {device} root"),
            Step::AddRoute(route) | Step::ReplaceRoute(route) => replace_route(f, route),
            Step::DeleteRoute { prefix, metric } => {
                write!(f, "{} del {prefix} proto {} metric {metric}", ip_route(prefix), protocol_of(*metric))
            }
            Step::DeleteUsurper { prefix, metric, protocol } => {
                write!(f, "{} del {prefix} proto {protocol} metric {metric}", ip_route(prefix))
            }
            Step::RenameDevice { from, to } => write!(f, "ip link set dev {from} name {to}"),
            Step::SetSysctl(sysctl) => write!(f, "sysctl -w {}={}", sysctl.key, quoted(&sysctl.value)),
            Step::RestoreSysctl { key, before } => write!(f, "sysctl -w {key}={}", quoted(before)),
        }
    }
}

fn option(f: &mut fmt::Formatter<'_>, word: &str, value: Option<impl fmt::Display>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, " {word} {value}"))
}

fn replace_route(f: &mut fmt::Formatter<'_>, route: &Route) -> fmt::Result {
    let Route { prefix, metric, kind } = route;
    write!(f, "{} replace ", ip_route(prefix))?;
    if *kind == RouteKind::Unreachable {
        f.write_str("unreachable ")?;
    }
    write!(f, "{prefix} proto {} metric {metric}", protocol_of(*metric))?;
    if let RouteKind::Multipath { nexthops, src } = kind {
        option(f, "src", *src)?;
        nexthops.iter().try_for_each(|nexthop| write_nexthop(f, nexthop))?;
    }
    Ok(())
}

fn write_nexthop(f: &mut fmt::Formatter<'_>, nexthop: &Nexthop) -> fmt::Result {
    f.write_str(" nexthop")?;
    option(f, "via", nexthop.via)?;
    write!(f, " dev {} weight {}", nexthop.device, nexthop.weight.max(1))
}

fn ip_route(prefix: &IpNet) -> &'static str {
    match prefix {
        IpNet::V4(_) => "ip route",
        IpNet::V6(_) => "ip -6 route",
    }
}

/// One word of a POSIX shell: as it is where nothing in it is special, else in single quotes.
fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@%+=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use crate::{Step, Sysctl};

    #[test]
    fn a_value_that_the_shell_would_split_or_expand_is_quoted() {
        let line = |value: &str| {
            let value = value.to_owned();
            let sysctl = Sysctl { key: "net.x".to_owned(), value, tolerated: Vec::new(), machine_wide: true };
            Step::SetSysctl(sysctl).to_string()
        };
        assert_eq!(line("1"), "sysctl -w net.x=1");
        assert_eq!(line("4096 87380"), "sysctl -w net.x='4096 87380'");
        assert_eq!(line("it's; $(x)"), r"sysctl -w net.x='it'\''s; $(x)'");
        assert_eq!(line(""), "sysctl -w net.x=''");
    }
}
