//! Word from the kernel that something which concerns us may have changed.

use std::collections::BTreeMap;

use futures_util::{FutureExt, Stream, StreamExt};
use ipnet::IpNet;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressScope;
use rtnetlink::MulticastGroup;
use rtnetlink::sys::SocketAddr;

use crate::{ActualDevice, ActualRoute, NetworkError, read};

/// Watches devices, addresses and routes of the network namespace of the thread that made it.
///
/// The kernel says nothing of an IPv4 route that it drops with a device or an address, so those count too. What we do
/// ourselves is reported like everything else: converge until nothing is left to do, and wait a little before, because
/// changes come in crowds. Of sysctls and queueing disciplines nothing is told: look from time to time.
pub struct Changes {
    messages: Box<dyn Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)> + Send + Unpin>,
    /// Devices of ours by index, as they were told of last.
    devices: BTreeMap<u32, Traits>,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Changes")
    }
}

/// What may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Something of ours may be gone, or may be possible that was not: converge.
    Ours,
    /// Somebody else made or deleted a route in the main table: check it against the routed networks.
    Foreign(ForeignRoute),
}

/// A route of somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForeignRoute {
    /// Destination.
    pub prefix: IpNet,
    /// Priority.
    pub metric: u32,
    /// Who made it.
    pub protocol: u8,
    /// Whether it was made (or took the place of another) and not deleted.
    pub is_there: bool,
}

impl ForeignRoute {
    fn of(route: ActualRoute, is_there: bool) -> ForeignRoute {
        let ActualRoute { prefix, metric, protocol, .. } = route;
        ForeignRoute { prefix, metric, protocol, is_there }
    }
}

/// What of a device is ours to set. Carrier comes and goes all the time and changes nothing that we would put right.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Traits {
    name: String,
    alias: Option<String>,
    mtu: u32,
    txqueuelen: u32,
    up: bool,
}

impl Changes {
    /// Begins to watch; the task that reads the socket ends with the value.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new() -> Result<Changes, NetworkError> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ];
        let (connection, handle, messages) =
            rtnetlink::new_multicast_connection(&groups).map_err(NetworkError::Open)?;
        tokio::spawn(connection);
        // The task lives as long as the handle or the stream.
        drop(handle);
        Ok(Changes { messages: Box::new(messages), devices: BTreeMap::new() })
    }

    /// What is known of our devices, so that only what differs from it is a change.
    pub fn know<'a>(&mut self, devices: impl Iterator<Item = &'a ActualDevice>) {
        self.devices = devices.map(|device| (device.index, Traits::of(device))).collect();
    }

    /// Waits for the next change; none when the socket is lost. Cancel safe.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            let (message, _) = self.messages.next().await?;
            let change = match message.payload {
                NetlinkPayload::InnerMessage(message) => self.change_of(message),
                // The kernel had more to say than the socket could hold.
                NetlinkPayload::Overrun(_) => Some(Change::Ours),
                _ => None,
            };
            if change.is_some() {
                return change;
            }
        }
    }

    /// The next change that has been told already; none if there is none, or the socket is lost.
    pub fn told(&mut self) -> Option<Change> {
        self.next().now_or_never().flatten()
    }

    fn change_of(&mut self, message: RouteNetlinkMessage) -> Option<Change> {
        use RouteNetlinkMessage::{DelAddress, DelLink, DelRoute, NewAddress, NewLink, NewRoute};
        match message {
            DelLink(link) => {
                let device = read::device_of(link);
                let was_known = self.devices.remove(&device.index).is_some();
                (was_known || device.is_ours()).then_some(Change::Ours)
            }
            NewLink(link) => {
                let device = read::device_of(link);
                self.is_change(&device).then_some(Change::Ours)
            }
            // It may be the source of our routes, or a channel's link-local one.
            DelAddress(_) => Some(Change::Ours),
            // The source's return makes routes possible again; link-local ones are told anew whenever carrier comes.
            NewAddress(address) => (address.header.scope != AddressScope::Link).then_some(Change::Ours),
            DelRoute(route) => {
                let route = read::route_of(&route, &Default::default())?;
                Some(if route.is_ours() { Change::Ours } else { Change::Foreign(ForeignRoute::of(route, false)) })
            }
            NewRoute(route) => {
                let route = read::route_of(&route, &Default::default())?;
                (!route.is_ours()).then(|| Change::Foreign(ForeignRoute::of(route, true)))
            }
            _ => None,
        }
    }

    fn is_change(&mut self, device: &ActualDevice) -> bool {
        let traits = Traits::of(device);
        match self.devices.get_mut(&device.index) {
            Some(known) => std::mem::replace(known, traits.clone()) != traits,
            None if device.is_ours() => {
                self.devices.insert(device.index, traits);
                !device.up
            }
            None => false,
        }
    }
}

impl Traits {
    fn of(device: &ActualDevice) -> Traits {
        let ActualDevice { name, alias, mtu, txqueuelen, up, .. } = device.clone();
        Traits { name, alias, mtu, txqueuelen, up }
    }
}
