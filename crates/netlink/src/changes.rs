//! Word from the kernel that something which concerns us may have changed.

use futures_util::{Stream, StreamExt};
use ipnet::IpNet;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressScope;
use rtnetlink::MulticastGroup;
use rtnetlink::sys::SocketAddr;

use crate::{NetworkError, read};

/// Watches devices, addresses and routes of the network namespace of the thread that made it.
///
/// The kernel says nothing of an IPv4 route that it drops with a device or an address, so those count too. What we do
/// ourselves is reported like everything else: converge until nothing is left to do, and wait a little before, because
/// changes come in crowds.
pub struct Changes(Box<dyn Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)> + Send + Unpin>);

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
    /// Somebody else made a route to this prefix in the main table: check it against the routed networks.
    Foreign(IpNet),
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
        Ok(Changes(Box::new(messages)))
    }

    /// Waits for the next change; none when the socket is lost. Cancel safe.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            let (message, _) = self.0.next().await?;
            let change = match message.payload {
                NetlinkPayload::InnerMessage(message) => change_of(message),
                // The kernel had more to say than the socket could hold.
                NetlinkPayload::Overrun(_) => Some(Change::Ours),
                _ => None,
            };
            if change.is_some() {
                return change;
            }
        }
    }
}

fn change_of(message: RouteNetlinkMessage) -> Option<Change> {
    use RouteNetlinkMessage::{DelAddress, DelLink, DelRoute, NewAddress, NewLink, NewRoute};
    match message {
        DelLink(link) => read::device_of(link).is_ours().then_some(Change::Ours),
        // Carrier comes and goes all the time and changes nothing that we would put right.
        NewLink(link) => {
            let device = read::device_of(link);
            (device.is_ours() && !device.up).then_some(Change::Ours)
        }
        // It may be the source of our routes, or a channel's link-local one.
        DelAddress(_) => Some(Change::Ours),
        // The source's return makes routes possible again; link-local ones are told anew whenever carrier comes.
        NewAddress(address) => (address.header.scope != AddressScope::Link).then_some(Change::Ours),
        DelRoute(route) => {
            let route = read::route_of(&route, &Default::default())?;
            route.is_ours().then_some(Change::Ours)
        }
        NewRoute(route) => {
            let route = read::route_of(&route, &Default::default())?;
            (!route.is_ours()).then_some(Change::Foreign(route.prefix))
        }
        _ => None,
    }
}
