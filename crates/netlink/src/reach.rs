//! Whether a way leads anywhere.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteAttribute, RouteFlags, RouteMessage, RouteType};

use crate::lookup::question;
use crate::network::reading;
use crate::read;
use crate::{Network, NetworkError, Way};

impl Network {
    /// Whether there is a route for this way. A device that is not there leads nowhere.
    ///
    /// Where a socket is bound to a device by which no route leads to an IPv4 address, the kernel takes the address for one
    /// of that device's own network (net/ipv4/route.c, `ip_route_output_key_hash_rcu`): that is no route here.
    ///
    /// # Errors
    /// If the kernel cannot be asked at all; that it knows no way is no error.
    pub async fn leads(&self, way: &Way) -> Result<bool, NetworkError> {
        let device = match &way.device {
            None => None,
            Some(name) => match self.device_index(name).await? {
                None => return Ok(false),
                index => index,
            },
        };
        // IPv6 keeps to the device only if no source is given (net/ipv6/route.c, `ip6_route_output_flags_noref`).
        Ok(self.has_route(way, device).await?
            || (way.to.is_ipv6() && way.from.is_some() && device.is_some())
                && self.has_route(&Way { from: None, ..way.clone() }, device).await?)
    }

    async fn has_route(&self, way: &Way, device: Option<u32>) -> Result<bool, NetworkError> {
        let mut question = question(way.to, way.from);
        // The entry of the table that was found, or an error; Linux 4.13.
        question.header.flags |= RouteFlags::FibMatch;
        question.attributes.extend(device.map(RouteAttribute::Oif));
        match self.connection.get(RouteNetlinkMessage::GetRoute(question)).await {
            Ok(Some(RouteNetlinkMessage::NewRoute(answer))) => Ok(is_way(&answer, device)),
            Ok(_) => Ok(false),
            // The kernel's words for no way are many.
            Err(error) if error.errno() != 0 => Ok(false),
            Err(error) => Err(reading("the route to an address")(error)),
        }
    }
}

fn is_way(answer: &RouteMessage, device: Option<u32>) -> bool {
    let refuses = matches!(
        answer.header.kind,
        RouteType::Unreachable | RouteType::BlackHole | RouteType::Prohibit | RouteType::Throw
    );
    // A route of several nexthops names no device of its own, and was found by its nexthop.
    let elsewhere = device.is_some() && read::output(answer).is_some_and(|output| Some(output) != device);
    !refuses && !elsewhere
}
