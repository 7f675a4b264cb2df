//! Word from the kernel that an address or a device is there again, which an underlay may need.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures_util::{Stream, StreamExt};
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope};
use rtnetlink::MulticastGroup;

use crate::{ActualDevice, NetworkError, read};

/// Watches the devices and addresses of the network namespace of the thread that made it.
pub struct Underlay {
    messages: Box<dyn Stream<Item = NetlinkPayload<RouteNetlinkMessage>> + Send + Unpin>,
    /// Devices of others by index: their names, and whether they could carry packets when they were told of last.
    devices: BTreeMap<u32, (String, bool)>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnderlayNews {
    /// A device came, went, is called otherwise, or can carry packets again: its name before and now.
    Device(Vec<String>),
    /// This address can be used from here on.
    Address(IpAddr),
    /// The kernel had more to say than the socket could hold: anything.
    Unknown,
}

impl std::fmt::Debug for Underlay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Underlay")
    }
}

impl Underlay {
    /// Begins to watch; the task that reads the socket ends with the value.
    ///
    /// # Errors
    /// If the kernel's word cannot be had.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new() -> Result<Underlay, NetworkError> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (connection, handle, messages) =
            rtnetlink::new_multicast_connection(&groups).map_err(NetworkError::Open)?;
        tokio::spawn(connection);
        // The task lives as long as the handle or the stream.
        drop(handle);
        Ok(Underlay { messages: Box::new(messages.map(|(message, _)| message.payload)), devices: BTreeMap::new() })
    }

    /// Waits for the next news; none when the socket is lost. Cancel safe.
    pub async fn next(&mut self) -> Option<UnderlayNews> {
        loop {
            let news = match self.messages.next().await? {
                NetlinkPayload::InnerMessage(message) => self.news_of(message),
                NetlinkPayload::Overrun(_) => Some(UnderlayNews::Unknown),
                _ => None,
            };
            if news.is_some() {
                return news;
            }
        }
    }

    fn news_of(&mut self, message: RouteNetlinkMessage) -> Option<UnderlayNews> {
        match message {
            RouteNetlinkMessage::NewLink(link) => self.seen(&read::device_of(link)),
            RouteNetlinkMessage::DelLink(link) => {
                let device = read::device_of(link);
                let (name, _) = self.devices.remove(&device.index)?;
                Some(UnderlayNews::Device(vec![name]))
            }
            RouteNetlinkMessage::NewAddress(address) => usable(address).map(UnderlayNews::Address),
            _ => None,
        }
    }

    /// Our own devices are told of whenever their carrier changes, and are no underlay.
    fn seen(&mut self, device: &ActualDevice) -> Option<UnderlayNews> {
        if device.is_ours() {
            return None;
        }
        let runs = device.up && device.carrier;
        let before = self.devices.insert(device.index, (device.name.clone(), runs));
        match before {
            Some((name, ran)) if name == device.name => (runs && !ran).then(|| UnderlayNews::Device(vec![name])),
            Some((name, _)) => Some(UnderlayNews::Device(vec![name, device.name.clone()])),
            None => Some(UnderlayNews::Device(vec![device.name.clone()])),
        }
    }
}

/// An IPv6 address is of no use while the kernel still finds out whether somebody else has it; then it is told anew.
fn usable(message: AddressMessage) -> Option<IpAddr> {
    let busy = AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed;
    if message.header.scope == AddressScope::Link || message.header.flags.intersects(busy) {
        return None;
    }
    let find = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
    // For IPv4 the local one: on a point-to-point device the other is the peer's.
    find(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    })
    .or_else(|| {
        find(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}
