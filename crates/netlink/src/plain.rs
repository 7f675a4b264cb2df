//! Devices, addresses and routes as a person sets them, one at a time: without a mark, a protocol number or a desired state.
//!
//! What a process in OpenVPN's place does to its own device. Nothing here looks at whose the device is.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use crate::apply::{self, Failure, existing, family};
use crate::{ApplyError, Network};

/// An address of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainAddress {
    /// The address, with the length of the prefix that the kernel routes to the device.
    pub local: IpNet,
    /// The other end's address: the prefix is this one's then.
    pub peer: Option<IpAddr>,
}

/// A unicast route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainRoute {
    /// Where to.
    pub prefix: IpNet,
    /// The next gateway.
    pub via: Option<IpAddr>,
    /// The device; the kernel finds it by the gateway otherwise.
    pub device: Option<String>,
    /// The kernel's default otherwise (0, and 1024 for IPv6).
    pub metric: Option<u32>,
    /// The main table otherwise.
    pub table: Option<u32>,
}

impl Network {
    /// Sets a device's MTU in bytes and the length of its queue in packets, and takes it up.
    pub async fn take_up(&self, device: &str, mtu: Option<u32>, txqueuelen: Option<u32>) -> Result<(), ApplyError> {
        let made = apply::configure_device(&self.connection, device, None, mtu, txqueuelen, true).await;
        made.map_err(|failure| failed(&format_args!("ip link set dev {device} up"), &failure))
    }

    /// Gives a device an address; one that it has is no error.
    pub async fn add_plain_address(&self, device: &str, address: PlainAddress) -> Result<(), ApplyError> {
        let add = async {
            let message = address_message(existing(&self.connection, device).await?.index, address);
            let flags = NLM_F_CREATE | NLM_F_REPLACE;
            Ok(self.connection.change(RouteNetlinkMessage::NewAddress(message), flags).await?)
        };
        add.await.map_err(|failure| failed(&format_args!("ip address add {address} dev {device}"), &failure))
    }

    /// Takes an address from a device.
    pub async fn remove_plain_address(&self, device: &str, address: PlainAddress) -> Result<(), ApplyError> {
        let remove = async {
            let message = address_message(existing(&self.connection, device).await?.index, address);
            Ok(self.connection.change(RouteNetlinkMessage::DelAddress(message), 0).await?)
        };
        remove.await.map_err(|failure| failed(&format_args!("ip address del {address} dev {device}"), &failure))
    }

    /// Adds a route; `false` if one with its destination and metric is there.
    pub async fn add_plain_route(&self, route: &PlainRoute) -> Result<bool, ApplyError> {
        let add = async {
            let message = self.route_message(route).await?;
            let flags = NLM_F_CREATE | NLM_F_EXCL;
            Ok(self.connection.change(RouteNetlinkMessage::NewRoute(message), flags).await?)
        };
        match add.await {
            Ok(()) => Ok(true),
            Err(failure) if Failure::is_there_already(&failure) => Ok(false),
            Err(failure) => Err(failed(&format_args!("ip route add {route}"), &failure)),
        }
    }

    /// Deletes a route.
    pub async fn delete_plain_route(&self, route: &PlainRoute) -> Result<(), ApplyError> {
        let delete = async {
            let message = self.route_message(route).await?;
            Ok(self.connection.change(RouteNetlinkMessage::DelRoute(message), 0).await?)
        };
        delete.await.map_err(|failure| failed(&format_args!("ip route del {route}"), &failure))
    }

    async fn route_message(&self, route: &PlainRoute) -> Result<RouteMessage, Failure> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(route.prefix.addr());
        message.header.destination_prefix_length = route.prefix.prefix_len();
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Boot;
        message.header.kind = RouteType::Unicast;
        message.header.scope =
            if route.via.is_none() && route.prefix.addr().is_ipv4() { RouteScope::Link } else { RouteScope::Universe };
        let attributes = &mut message.attributes;
        attributes.push(RouteAttribute::Destination(RouteAddress::from(route.prefix.network())));
        attributes.extend(route.via.map(|via| RouteAttribute::Gateway(via.into())));
        attributes.extend(route.metric.map(RouteAttribute::Priority));
        if let Some(table) = route.table {
            message.header.table = u8::try_from(table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
            attributes.push(RouteAttribute::Table(table));
        }
        if let Some(device) = &route.device {
            attributes.push(RouteAttribute::Oif(existing(&self.connection, device).await?.index));
        }
        Ok(message)
    }
}

fn address_message(index: u32, address: PlainAddress) -> AddressMessage {
    let mut message = AddressMessage::default();
    let local = address.local.addr();
    message.header.family = family(local);
    message.header.prefix_len = address.local.prefix_len();
    message.header.index = index;
    message.attributes.push(AddressAttribute::Local(local));
    message.attributes.push(AddressAttribute::Address(address.peer.unwrap_or(local)));
    if let (IpNet::V4(net), None) = (address.local, address.peer) {
        message.attributes.push(AddressAttribute::Broadcast(net.broadcast()));
    }
    message
}

fn failed(step: &dyn fmt::Display, failure: &Failure) -> ApplyError {
    failure.of(step)
}

impl fmt::Display for PlainAddress {
    /// As iproute2 takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Some(peer) => write!(f, "{} peer {peer}/{}", self.local.addr(), self.local.prefix_len()),
            None => write!(f, "{}", self.local),
        }
    }
}

impl fmt::Display for PlainRoute {
    /// As iproute2 takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.prefix)?;
        self.via.map_or(Ok(()), |via| write!(f, " via {via}"))?;
        self.device.as_ref().map_or(Ok(()), |device| write!(f, " dev {device}"))?;
        self.metric.map_or(Ok(()), |metric| write!(f, " metric {metric}"))?;
        self.table.map_or(Ok(()), |table| write!(f, " table {table}"))
    }
}
