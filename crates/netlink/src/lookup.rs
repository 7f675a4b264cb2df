//! Questions to the kernel that the daemon asks.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType};

use crate::apply::family;
use crate::network::reading;
use crate::read::{self, Which};
use crate::{ActualRoute, Desired, KernelError, Network, NetworkError, Route, sysctl};

/// An address of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAddress {
    /// The address with its prefix length.
    pub address: IpNet,
    /// Index of its device.
    pub index: u32,
    /// Whether the kernel still finds out if somebody else has it: until then nothing can be sent from it.
    pub is_tentative: bool,
}

/// The kernel's answer to a route look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Out of a device.
    Device {
        /// Its name.
        name: String,
        /// Its index.
        index: u32,
        /// The gateway on the way.
        gateway: Option<IpAddr>,
        /// The source address that the kernel would choose.
        source: Option<IpAddr>,
    },
    /// An address of this machine.
    Local,
    /// An `unreachable` route (or `blackhole`, `prohibit`).
    Unreachable,
    /// No route at all.
    NoRoute,
}

/// A way that packets of this machine may take.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// Where to.
    pub to: IpAddr,
    /// The address that they bear; rules may choose another route for it.
    pub from: Option<IpAddr>,
    /// The device that they must leave by.
    pub device: Option<String>,
}

impl Way {
    /// The way of packets that bear any address and leave by any device.
    pub fn to(to: IpAddr) -> Way {
        Way { to, from: None, device: None }
    }
}

impl Network {
    /// MTU of a way: its device's, or the route's own `mtu` if that is smaller. None without a route, unless there is a
    /// device that it must take: then that one's.
    ///
    /// While this machine lacks the address `from`, the way is that of packets with any. A path MTU that the kernel learned
    /// from ICMP messages does not count: anyone can send those, and it expires.
    pub async fn underlay_mtu(&self, way: &Way) -> Result<Option<u32>, NetworkError> {
        let given = match &way.device {
            Some(name) => self.device(name).await?,
            None => None,
        };
        if way.device.is_some() && given.is_none() {
            return Ok(None);
        }
        let given = given.map(|device| (device.index, device.mtu));
        let Some(answer) = self.look_up_way(way, given.map(|(index, _)| index)).await? else {
            return Ok(given.map(|(_, mtu)| mtu));
        };
        let Some(index) = read::output(&answer) else { return Ok(None) };
        let device = read::device(&self.connection, Which::Index(index)).await.map_err(reading("a device"))?;
        let of_route = configured_mtu(&answer).unwrap_or(u32::MAX);
        Ok(device.map(|device| device.mtu.min(of_route)))
    }

    async fn look_up_way(&self, way: &Way, device: Option<u32>) -> Result<Option<RouteMessage>, NetworkError> {
        if way.from.is_some()
            && let Ok(Ok(answer)) = self.look_up(way.to, way.from, device).await
        {
            return Ok(Some(answer));
        }
        match self.look_up(way.to, None, device).await {
            // The kernel's words for a device that leads nowhere differ.
            Err(_) if device.is_some() => Ok(None),
            found => Ok(found?.ok()),
        }
    }

    /// How the kernel would send a packet of its own to `to` now, from its address `from` if given.
    /// For an IPv4 `from` that this machine does not have the kernel knows no route, or fails (before Linux 6).
    pub async fn route_to(&self, to: IpAddr, from: Option<IpAddr>) -> Result<Reach, NetworkError> {
        let answer = match self.look_up(to, from, None).await? {
            Ok(answer) => answer,
            Err(reach) => return Ok(reach),
        };
        let index = match (answer.header.kind, read::output(&answer)) {
            (RouteType::Unicast, Some(index)) => index,
            (RouteType::Local, _) => return Ok(Reach::Local),
            (RouteType::Unreachable | RouteType::BlackHole | RouteType::Prohibit, _) => return Ok(Reach::Unreachable),
            _ => return Ok(Reach::NoRoute),
        };
        let device = read::device(&self.connection, Which::Index(index)).await.map_err(reading("a device"))?;
        Ok(device.map_or(Reach::NoRoute, |device| Reach::Device {
            name: device.name,
            index,
            gateway: read::gateway(&answer.attributes),
            // Not repeated in the answer where it was in the question.
            source: read::preferred_source(&answer).or(from),
        }))
    }

    /// IPv4 answers with an error where there is no way, IPv6 mostly with a route that says so.
    async fn look_up(
        &self,
        to: IpAddr,
        from: Option<IpAddr>,
        device: Option<u32>,
    ) -> Result<Result<RouteMessage, Reach>, NetworkError> {
        let mut question = question(to, from);
        question.attributes.extend(device.map(RouteAttribute::Oif));
        match self.connection.get(RouteNetlinkMessage::GetRoute(question)).await {
            Ok(Some(RouteNetlinkMessage::NewRoute(answer))) => Ok(Ok(answer)),
            Ok(_) => Ok(Err(Reach::NoRoute)),
            Err(error) => match refusal(&error, from) {
                Some(reach) => Ok(Err(reach)),
                None => Err(reading("the route to an address")(error)),
            },
        }
    }

    /// Whether this machine has the address, on whichever device.
    pub async fn has_address(&self, address: IpAddr) -> Result<bool, NetworkError> {
        Ok(self.local_addresses().await?.iter().any(|local| local.address.addr() == address))
    }

    /// Every address of this machine.
    pub async fn local_addresses(&self) -> Result<Vec<LocalAddress>, NetworkError> {
        read::addresses(&self.connection).await.map_err(reading("addresses"))
    }

    /// Whether the kernel forwards packets: for IPv4 `net.ipv4.ip_forward`, for IPv6 `net.ipv6.conf.all.forwarding`.
    pub fn forwards(&self, ipv6: bool) -> Result<bool, NetworkError> {
        let key = if ipv6 { "net.ipv6.conf.all.forwarding" } else { "net.ipv4.ip_forward" };
        Ok(sysctl::read(key)?.is_some_and(|value| value != "0"))
    }

    /// The present value of a kernel setting, such as `net.ipv4.conf.all.rp_filter`; none if there is no such key.
    pub fn setting(&self, key: &str) -> Result<Option<String>, NetworkError> {
        sysctl::read(key)
    }

    /// Routes of others that take packets away from `routed` networks: see
    /// [`Actual::foreign_inside`](crate::Actual::foreign_inside).
    pub async fn foreign_routes(&self, routed: &[IpNet], metric: u32) -> Result<Vec<ActualRoute>, NetworkError> {
        let routes = routed.iter().map(|prefix| Route::unreachable(*prefix)).collect();
        let actual = self.actual(&Desired { routes, ..Desired::default() }).await?;
        Ok(actual.foreign_inside(routed, metric).into_iter().cloned().collect())
    }

    /// A device's interface index; none if there is no such device.
    pub async fn device_index(&self, name: &str) -> Result<Option<u32>, NetworkError> {
        Ok(self.device(name).await?.map(|device| device.index))
    }
}

pub(crate) fn question(to: IpAddr, from: Option<IpAddr>) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(to);
    message.header.destination_prefix_length = bits(to);
    message.attributes.push(RouteAttribute::Destination(RouteAddress::from(to)));
    if let Some(from) = from {
        message.header.source_prefix_length = bits(from);
        message.attributes.push(RouteAttribute::Source(RouteAddress::from(from)));
    }
    message
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// What an error says about the way (net/ipv4/fib_semantics.c, `fib_props`). "Invalid" is a blackhole, unless a source
/// was given: older kernels say so of a source that the machine does not have.
fn refusal(error: &KernelError, from: Option<IpAddr>) -> Option<Reach> {
    const EACCES: i32 = 13;
    const EINVAL: i32 = 22;
    const ENETUNREACH: i32 = 101;
    const EHOSTUNREACH: i32 = 113;
    match error.errno() {
        EHOSTUNREACH | EACCES => Some(Reach::Unreachable),
        EINVAL if from.is_none() => Some(Reach::Unreachable),
        ENETUNREACH => Some(Reach::NoRoute),
        _ => None,
    }
}

/// The `mtu` of the route as it was configured: a learned one has an expiry.
fn configured_mtu(answer: &RouteMessage) -> Option<u32> {
    let expires = answer.attributes.iter().any(|attribute| match attribute {
        RouteAttribute::CacheInfo(info) => info.expires != 0,
        _ => false,
    });
    if expires {
        return None;
    }
    answer.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Metrics(metrics) => metrics.iter().find_map(|metric| match metric {
            RouteMetric::Mtu(mtu) => Some(*mtu),
            _ => None,
        }),
        _ => None,
    })
}
