//! Steps, made in the kernel.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteNextHop, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use tun_rs::DeviceBuilder;

use crate::connection::Connection;
use crate::desired::protocol_of;
use crate::read::{self, Which};
use crate::{ActualDevice, KernelError, Nexthop, QDISC_HANDLE, Route, RouteKind};

const TUN: &str = "/dev/net/tun";

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    Network(#[from] crate::NetworkError),
    #[error("there is no device {0}")]
    NoDevice(String),
    #[error("a device {0} has turned up that meshtun did not make: rename the link or delete the device")]
    Foreign(String),
    #[error("{TUN} is missing: load the kernel module with `modprobe tun`, or give the container the device")]
    NoTun,
    #[error("{path}: {source}")]
    Write { path: String, source: io::Error },
    #[error("no record file was given, so its value could not be restored by `down`")]
    NoRecord,
    #[error("{cause}: {src} is not an address of this machine; add it to a device, or correct the gateway's address")]
    NoSource { src: IpAddr, cause: KernelError },
}

impl Failure {
    pub(crate) fn is_there_already(&self) -> bool {
        const EEXIST: i32 = 17;
        matches!(self, Failure::Kernel(error) if error.errno() == EEXIST)
    }

    /// As the failure of a step.
    pub(crate) fn of(&self, step: &dyn std::fmt::Display) -> crate::ApplyError {
        crate::ApplyError { step: step.to_string(), reason: self.to_string(), is_taken: self.is_there_already() }
    }
}

/// Makes a persistent tun device that carries our alias.
///
/// It becomes persistent last: if we are killed before, it vanishes with our descriptor, and never is there a
/// persistent device without our mark, which the next run would take for somebody else's.
pub(crate) async fn create_device(connection: &Connection, name: &str, alias: &str) -> Result<(), Failure> {
    if read::device(connection, Which::Name(name)).await?.is_some() {
        // To open a tun device that exists is to attach to it.
        return Err(Failure::Foreign(name.to_owned()));
    }
    if !Path::new(TUN).exists() {
        return Err(Failure::NoTun);
    }
    let builder = DeviceBuilder::new().name(name).offload(true).multi_queue(false).inherit_enable_state();
    let device = builder.build_sync().map_err(tun_failure)?;
    configure_device(connection, name, Some(alias), None, None, false).await?;
    device.persist().map_err(tun_failure)
}

fn tun_failure(error: io::Error) -> Failure {
    const ENODEV: i32 = 19;
    const ENXIO: i32 = 6;
    match error.raw_os_error() {
        Some(ENODEV | ENXIO) => Failure::NoTun,
        _ => Failure::Kernel(error.into()),
    }
}

/// Deletes a device after another look at whose it is.
pub(crate) async fn delete_device(connection: &Connection, name: &str) -> Result<(), Failure> {
    let device = existing(connection, name).await?;
    if !device.is_ours() {
        return Err(Failure::Foreign(name.to_owned()));
    }
    let mut message = LinkMessage::default();
    message.header.index = device.index;
    Ok(connection.change(RouteNetlinkMessage::DelLink(message), 0).await?)
}

pub(crate) async fn configure_device(
    connection: &Connection,
    name: &str,
    alias: Option<&str>,
    mtu: Option<u32>,
    txqueuelen: Option<u32>,
    up: bool,
) -> Result<(), Failure> {
    let mut message = LinkMessage::default();
    message.header.index = existing(connection, name).await?.index;
    if up {
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
    }
    message.attributes.extend(alias.map(|alias| LinkAttribute::IfAlias(alias.to_owned())));
    message.attributes.extend(mtu.map(LinkAttribute::Mtu));
    message.attributes.extend(txqueuelen.map(LinkAttribute::TxQueueLen));
    Ok(connection.change(RouteNetlinkMessage::SetLink(message), 0).await?)
}

/// Renames a device of ours: as it is, or on kernels that do not rename a device that is up (before Linux 6.2), down.
pub(crate) async fn rename_device(connection: &Connection, from: &str, to: &str) -> Result<(), Failure> {
    const EBUSY: i32 = 16;
    let device = existing(connection, from).await?;
    if !device.is_ours() {
        return Err(Failure::Foreign(from.to_owned()));
    }
    let set = |up: Option<bool>| {
        let mut message = LinkMessage::default();
        message.header.index = device.index;
        match up {
            Some(up) => {
                message.header.change_mask = LinkFlags::Up;
                message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
            }
            None => message.attributes.push(LinkAttribute::IfName(to.to_owned())),
        }
        connection.change(RouteNetlinkMessage::SetLink(message), 0)
    };
    match set(None).await {
        Err(error) if error.errno() == EBUSY => {
            set(Some(false)).await?;
            let renamed = set(None).await;
            set(Some(true)).await?;
            Ok(renamed?)
        }
        result => Ok(result?),
    }
}

pub(crate) async fn add_address(connection: &Connection, device: &str, address: Ipv6Addr) -> Result<(), Failure> {
    let message = address_message(existing(connection, device).await?.index, address, 64);
    Ok(connection.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE).await?)
}

pub(crate) async fn remove_address(
    connection: &Connection,
    device: &str,
    address: Ipv6Addr,
    prefix_len: u8,
) -> Result<(), Failure> {
    let message = address_message(existing(connection, device).await?.index, address, prefix_len);
    Ok(connection.change(RouteNetlinkMessage::DelAddress(message), 0).await?)
}

fn address_message(index: u32, address: Ipv6Addr, prefix_len: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet6;
    message.header.prefix_len = prefix_len;
    message.header.scope = AddressScope::Link;
    message.header.index = index;
    // Nobody else is on a tun device, so there is nothing to detect and nothing to wait for.
    message.header.flags = AddressHeaderFlags::Nodad;
    message.attributes.push(AddressAttribute::Local(IpAddr::V6(address)));
    message.attributes.push(AddressAttribute::Address(IpAddr::V6(address)));
    message
}

/// Sets the root queueing discipline; `false` if the kernel has none of that kind.
pub(crate) async fn set_qdisc(connection: &Connection, device: &str, kind: &str) -> Result<bool, Failure> {
    const ENOENT: i32 = 2;
    let index = existing(connection, device).await?.index;
    let mut message = TcMessage::with_index(index.cast_signed());
    message.header.parent = TcHandle::ROOT;
    message.header.handle = TcHandle { major: QDISC_HANDLE, minor: 0 };
    message.attributes.push(TcAttribute::Kind(kind.to_owned()));
    let request = RouteNetlinkMessage::NewQueueDiscipline(message);
    match connection.change(request, NLM_F_CREATE | NLM_F_REPLACE).await {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == ENOENT => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Removes the root queueing discipline; none is there that could be removed once the kernel's default is back.
pub(crate) async fn remove_qdisc(connection: &Connection, device: &str) -> Result<(), Failure> {
    const ENOENT: i32 = 2;
    let mut message = TcMessage::with_index(existing(connection, device).await?.index.cast_signed());
    message.header.parent = TcHandle::ROOT;
    match connection.change(RouteNetlinkMessage::DelQueueDiscipline(message), 0).await {
        Err(error) if error.errno() != ENOENT => Err(error.into()),
        _ => Ok(()),
    }
}

/// Makes a route; it fails if one with this prefix and metric is there, but for an `unreachable` one, which the
/// [sentry](crate::Sentry) may have put there since the kernel was looked at.
pub(crate) async fn add_route(connection: &Connection, route: &Route) -> Result<(), Failure> {
    match put_route(connection, route, NLM_F_CREATE | NLM_F_EXCL).await {
        Err(failure) if route.kind == RouteKind::Unreachable && failure.is_there_already() => Ok(()),
        result => result,
    }
}

/// Makes an `unreachable` route; `false` if one with this prefix and metric is there.
pub(crate) async fn restore_route(connection: &Connection, route: &Route) -> Result<bool, Failure> {
    match put_route(connection, route, NLM_F_CREATE | NLM_F_EXCL).await {
        Err(failure) if failure.is_there_already() => Ok(false),
        result => result.map(|()| true),
    }
}

/// Replaces a route in one request: atomic for IPv4, nexthop by nexthop for IPv6.
pub(crate) async fn replace_route(connection: &Connection, route: &Route) -> Result<(), Failure> {
    put_route(connection, route, NLM_F_CREATE | NLM_F_REPLACE).await
}

async fn put_route(connection: &Connection, route: &Route, flags: u16) -> Result<(), Failure> {
    let mut message = route_message(route.prefix, route.metric);
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unreachable;
    let mut source = None;
    if let RouteKind::Multipath { nexthops, src } = &route.kind {
        message.header.kind = RouteType::Unicast;
        message.attributes.push(RouteAttribute::MultiPath(legs(connection, nexthops).await?));
        message.attributes.extend(src.map(|src| RouteAttribute::PrefSource(src.into())));
        source = *src;
    }
    match connection.change(RouteNetlinkMessage::NewRoute(message), flags).await {
        Ok(()) => Ok(()),
        Err(error) => Err(route_failure(connection, source, error).await),
    }
}

/// The kernel says "invalid argument" where the source address is not there; we say which.
async fn route_failure(connection: &Connection, source: Option<IpAddr>, cause: KernelError) -> Failure {
    let addresses = read::addresses(connection).await.unwrap_or_default();
    match source {
        Some(src) if !addresses.iter().any(|local| local.address.addr() == src) => Failure::NoSource { src, cause },
        _ => Failure::Kernel(cause),
    }
}

async fn legs(connection: &Connection, nexthops: &[Nexthop]) -> Result<Vec<RouteNextHop>, Failure> {
    let mut legs = Vec::with_capacity(nexthops.len());
    for nexthop in nexthops {
        let mut leg = RouteNextHop::default();
        leg.interface_index = existing(connection, &nexthop.device).await?.index;
        // The wire has one less.
        leg.hops = nexthop.weight.saturating_sub(1);
        leg.attributes.extend(nexthop.via.map(|via| RouteAttribute::Gateway(via.into())));
        legs.push(leg);
    }
    Ok(legs)
}

/// Deletes a route of this protocol, of any type: the kernel compares the number and spares all others.
pub(crate) async fn delete_route(
    connection: &Connection,
    prefix: ipnet::IpNet,
    metric: u32,
    protocol: u8,
) -> Result<(), Failure> {
    let mut message = route_message(prefix, metric);
    message.header.protocol = RouteProtocol::from(protocol);
    message.header.scope = RouteScope::NoWhere;
    Ok(connection.change(RouteNetlinkMessage::DelRoute(message), 0).await?)
}

fn route_message(prefix: ipnet::IpNet, metric: u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(prefix.addr());
    message.header.destination_prefix_length = prefix.prefix_len();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::from(protocol_of(metric));
    message.attributes.push(RouteAttribute::Destination(RouteAddress::from(prefix.network())));
    message.attributes.push(RouteAttribute::Priority(metric));
    message
}

pub(crate) fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

pub(crate) async fn existing(connection: &Connection, name: &str) -> Result<ActualDevice, Failure> {
    let device = read::device(connection, Which::Name(name)).await?;
    device.ok_or_else(|| Failure::NoDevice(name.to_owned()))
}
