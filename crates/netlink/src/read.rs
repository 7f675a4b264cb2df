//! The kernel's messages, read into our types.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::Nla;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoTun, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop, RouteType,
};
use netlink_packet_route::tc::{TcHandle, TcHeader, TcMessage};

use crate::connection::Connection;
use crate::{ActualDevice, ActualRoute, ActualRouteKind, KernelError, LocalAddress, Nexthop, QDISC_HANDLE, TunFlags};

// linux/if_link.h: the attributes of a tun device. linux/if_tun.h: its types.
const IFLA_TUN_TYPE: u16 = 3;
const IFLA_TUN_PERSIST: u16 = 6;
const IFLA_TUN_MULTI_QUEUE: u16 = 7;
const IFF_TUN: u8 = 1;

/// All devices of the namespace, without addresses.
pub(crate) async fn devices(connection: &Connection) -> Result<Vec<ActualDevice>, KernelError> {
    let request = RouteNetlinkMessage::GetLink(link_request());
    connection
        .dump(request, |message| match message {
            RouteNetlinkMessage::NewLink(link) => Some(device_of(link)),
            _ => None,
        })
        .await
}

/// The devices, by index, whose root queueing disciplines have our handle.
pub(crate) async fn own_qdiscs(connection: &Connection) -> Result<BTreeSet<u32>, KernelError> {
    let request = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default());
    let ours = |header: &TcHeader| header.parent == TcHandle::ROOT && header.handle.major == QDISC_HANDLE;
    let devices = connection
        .dump(request, |message| match message {
            RouteNetlinkMessage::NewQueueDiscipline(qdisc) if ours(&qdisc.header) => {
                Some(qdisc.header.index.cast_unsigned())
            }
            _ => None,
        })
        .await?;
    Ok(devices.into_iter().collect())
}

/// One device by its name or its index; none if there is none.
pub(crate) async fn device(connection: &Connection, which: Which<'_>) -> Result<Option<ActualDevice>, KernelError> {
    const ENODEV: i32 = 19;
    /// A name of more than 15 bytes.
    const ERANGE: i32 = 34;
    let mut request = link_request();
    match which {
        Which::Name(name) => request.attributes.push(LinkAttribute::IfName(name.to_owned())),
        Which::Index(index) => request.header.index = index,
    }
    match connection.get(RouteNetlinkMessage::GetLink(request)).await {
        Ok(Some(RouteNetlinkMessage::NewLink(link))) => Ok(Some(device_of(link))),
        Ok(_) => Ok(None),
        Err(error) if matches!(error.errno(), ENODEV | ERANGE) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How a device is looked up.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which<'a> {
    Name(&'a str),
    Index(u32),
}

fn link_request() -> LinkMessage {
    let mut request = LinkMessage::default();
    request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    request
}

pub(crate) fn device_of(link: LinkMessage) -> ActualDevice {
    let mut device = ActualDevice {
        name: String::new(),
        index: link.header.index,
        tun: None,
        alias: None,
        mtu: 0,
        txqueuelen: 0,
        up: link.header.flags.contains(LinkFlags::Up),
        carrier: link.header.flags.contains(LinkFlags::LowerUp),
        addresses: Vec::new(),
        qdisc: None,
        own_qdisc: false,
    };
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => device.name = name,
            LinkAttribute::IfAlias(alias) => device.alias = Some(alias),
            LinkAttribute::Mtu(mtu) => device.mtu = mtu,
            LinkAttribute::TxQueueLen(packets) => device.txqueuelen = packets,
            LinkAttribute::Qdisc(kind) => device.qdisc = Some(kind),
            LinkAttribute::LinkInfo(infos) => device.tun = tun_flags(&infos),
            _ => {}
        }
    }
    device
}

fn tun_flags(infos: &[LinkInfo]) -> Option<TunFlags> {
    if !infos.iter().any(|info| matches!(info, LinkInfo::Kind(InfoKind::Tun))) {
        return None;
    }
    let mut flags = TunFlags { layer3: false, multi_queue: false, persistent: false };
    let attributes = infos.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Tun(attributes)) => Some(attributes.as_slice()),
        _ => None,
    });
    for attribute in attributes.unwrap_or_default() {
        let value = first_byte(attribute);
        match attribute.kind() {
            IFLA_TUN_TYPE => flags.layer3 = value == IFF_TUN,
            IFLA_TUN_PERSIST => flags.persistent = value != 0,
            IFLA_TUN_MULTI_QUEUE => flags.multi_queue = value != 0,
            _ => {}
        }
    }
    Some(flags)
}

fn first_byte(attribute: &InfoTun) -> u8 {
    let mut value = vec![0; attribute.value_len()];
    attribute.emit_value(&mut value);
    value.first().copied().unwrap_or(0)
}

/// All addresses of the namespace.
pub(crate) async fn addresses(connection: &Connection) -> Result<Vec<LocalAddress>, KernelError> {
    let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    connection
        .dump(request, |message| match message {
            RouteNetlinkMessage::NewAddress(address) => local_address(&address),
            _ => None,
        })
        .await
}

/// On a point-to-point link `IFA_ADDRESS` is the peer's and `IFA_LOCAL` ours; IPv6 sends `IFA_ADDRESS` alone.
fn local_address(message: &AddressMessage) -> Option<LocalAddress> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    });
    let address = IpNet::new(local.or(address)?, message.header.prefix_len).ok()?;
    let is_tentative = message.header.flags.contains(AddressHeaderFlags::Tentative);
    Some(LocalAddress { address, index: message.header.index, is_tentative })
}

/// The routes of one family in the main table that `keep` wants, of one protocol only if one is given; `names` are the
/// devices by index.
///
/// Over a strict connection the kernel leaves out the rest: of a full table of the Internet's routes none is turned into a
/// message then, sent and read here.
pub(crate) async fn routes(
    connection: &Connection,
    family: AddressFamily,
    protocol: Option<u8>,
    names: &BTreeMap<u32, String>,
    keep: impl Fn(&ActualRoute) -> bool,
) -> Result<Vec<ActualRoute>, KernelError> {
    /// The table has never had a route.
    const ENOENT: i32 = 2;
    let mut request = RouteMessage::default();
    request.header.address_family = family;
    if connection.is_strict() {
        request.attributes.push(RouteAttribute::Table(RouteHeader::RT_TABLE_MAIN.into()));
        request.header.protocol = protocol.unwrap_or_default().into();
    }
    let is_asked = |route: &ActualRoute| protocol.is_none_or(|protocol| route.protocol == protocol);
    let dumped = connection.dump(RouteNetlinkMessage::GetRoute(request), |message| match message {
        RouteNetlinkMessage::NewRoute(route) => route_of(&route, names).filter(is_asked).filter(&keep),
        _ => None,
    });
    match dumped.await {
        Err(error) if error.errno() == ENOENT => Ok(Vec::new()),
        dumped => dumped,
    }
}

/// None for what is not in the main table, and for entries of the routing cache.
pub(crate) fn route_of(message: &RouteMessage, names: &BTreeMap<u32, String>) -> Option<ActualRoute> {
    if table(message) != u32::from(RouteHeader::RT_TABLE_MAIN) || message.header.flags.contains(RouteFlags::Cloned) {
        return None;
    }
    let metric = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Priority(metric) => Some(*metric),
        _ => None,
    });
    Some(ActualRoute {
        prefix: destination(message)?,
        metric: metric.unwrap_or(0),
        protocol: message.header.protocol.into(),
        kind: kind(message, names),
    })
}

fn table(message: &RouteMessage) -> u32 {
    let wide = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    wide.unwrap_or(u32::from(message.header.table))
}

/// A default route carries no destination.
fn destination(message: &RouteMessage) -> Option<IpNet> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(address) => ip(address),
        _ => None,
    });
    let unspecified = match message.header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    IpNet::new(address.unwrap_or(unspecified), message.header.destination_prefix_length).ok()
}

fn kind(message: &RouteMessage, names: &BTreeMap<u32, String>) -> ActualRouteKind {
    match message.header.kind {
        RouteType::Unicast => {
            let mut nexthops = nexthops(message, names);
            nexthops.sort();
            ActualRouteKind::Unicast { nexthops, src: preferred_source(message) }
        }
        RouteType::Unreachable => ActualRouteKind::Unreachable,
        other => ActualRouteKind::Other(other.into()),
    }
}

fn nexthops(message: &RouteMessage, names: &BTreeMap<u32, String>) -> Vec<Nexthop> {
    let several = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::MultiPath(nexthops) => Some(nexthops),
        _ => None,
    });
    match several {
        Some(nexthops) => nexthops.iter().map(|nexthop| leg(nexthop, names)).collect(),
        None => output(message)
            .map(|index| Nexthop { device: name(index, names), via: gateway(&message.attributes), weight: 1 })
            .into_iter()
            .collect(),
    }
}

fn leg(nexthop: &RouteNextHop, names: &BTreeMap<u32, String>) -> Nexthop {
    Nexthop {
        device: name(nexthop.interface_index, names),
        via: gateway(&nexthop.attributes),
        // The wire has one less.
        weight: nexthop.hops.saturating_add(1),
    }
}

/// A device that came after the list of devices was read shows as its number.
fn name(index: u32, names: &BTreeMap<u32, String>) -> String {
    names.get(&index).cloned().unwrap_or_else(|| format!("#{index}"))
}

/// The device of a route with a single nexthop, or of a look-up's answer.
pub(crate) fn output(message: &RouteMessage) -> Option<u32> {
    message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })
}

pub(crate) fn gateway(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        _ => None,
    })
}

pub(crate) fn preferred_source(message: &RouteMessage) -> Option<IpAddr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::PrefSource(address) => ip(address),
        _ => None,
    })
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}
