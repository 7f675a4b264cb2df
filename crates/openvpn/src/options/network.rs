//! The device, its addresses, its MTU, and routes.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use crate::directive::Place;

/// `dev`: the device, always a tun device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// As written: `tun` means the next free `tunN`, anything else is a name of at most 15 bytes.
    pub name: String,
}

impl Default for Device {
    fn default() -> Self {
        Self { name: "tun".to_owned() }
    }
}

impl Device {
    /// Whether the kernel chooses the number (tun.c, `open_tun` for Linux).
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        self.name == "tun"
    }
}

/// `ifconfig`: IPv4 addresses of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ifconfig {
    /// Topology net30 or p2p: `ifconfig LOCAL REMOTE`.
    PointToPoint {
        /// Our address.
        local: Ipv4Addr,
        /// The other end's.
        remote: Ipv4Addr,
    },
    /// Topology subnet: `ifconfig LOCAL NETMASK`.
    Subnet {
        /// Our address.
        local: Ipv4Addr,
        /// The network mask, contiguous.
        netmask: Ipv4Addr,
    },
}

impl Ifconfig {
    /// Our address.
    #[must_use]
    pub fn local(self) -> Ipv4Addr {
        match self {
            Self::PointToPoint { local, .. } | Self::Subnet { local, .. } => local,
        }
    }

    /// The second word: the other end's address, or the mask. The second address that scripts are given.
    #[must_use]
    pub fn second(self) -> Ipv4Addr {
        match self {
            Self::PointToPoint { remote, .. } => remote,
            Self::Subnet { netmask, .. } => netmask,
        }
    }
}

/// `ifconfig-ipv6 LOCAL/BITS REMOTE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IfconfigV6 {
    /// Our address.
    pub local: Ipv6Addr,
    /// 64 to 124.
    pub prefix_len: u8,
    /// The other end's address.
    pub remote: Ipv6Addr,
}

/// `topology`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// Two addresses; the same as [`Topology::P2p`] here.
    Net30,
    /// Two addresses.
    P2p,
    /// An address and a mask.
    Subnet,
}

/// `mssfix`: the upper limit of TCP's segment size, so that datagrams are no longer than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mssfix {
    /// In bytes.
    pub bytes: u16,
    /// What `bytes` counts.
    pub counts: MssfixCounts,
}

/// What the number of `mssfix` counts (mss.c, `frame_calculate_mssfix`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MssfixCounts {
    /// `mssfix N`: the UDP or TCP payload.
    Payload,
    /// `mssfix N mtu`, and the default: the whole IP packet on the underlay.
    Packet,
    /// `mssfix N fixed`: the inner IP packet.
    Inner,
}

impl Mssfix {
    /// 1492 bytes on the underlay (since 2.6).
    pub const DEFAULT: Self = Self { bytes: 1492, counts: MssfixCounts::Packet };
}

/// `mtu-disc`: `IP_MTU_DISCOVER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MtuDiscovery {
    /// `no`: never set don't-fragment.
    No,
    /// `maybe`: as the route says.
    Maybe,
    /// `yes`: always.
    Yes,
}

/// `route NETWORK [NETMASK [GATEWAY [METRIC]]]`. `default` in a place is as if nothing stood there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to: an address, a name or one of OpenVPN's own words.
    pub network: Destination,
    /// 255.255.255.255 unless given.
    pub netmask: Ipv4Addr,
    /// `None`: [`Options::route_gateway`](super::Options::route_gateway).
    pub gateway: Option<Destination>,
    /// `None`: [`Options::route_metric`](super::Options::route_metric).
    pub metric: Option<u32>,
    /// The directive's place.
    pub place: Place,
}

/// An address in a `route` (route.c, `get_special_addr`, `init_route`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An address.
    Address(Ipv4Addr),
    /// `vpn_gateway`: the other end of the device, or `route-gateway`.
    VpnGateway,
    /// `net_gateway`: the gateway of the system's default route.
    NetGateway,
    /// `remote_host`: the peer's address on the underlay.
    RemoteHost,
    /// A name for the resolver.
    Name(String),
}

/// `route-ipv6 NETWORK/BITS [GATEWAY [METRIC]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteV6 {
    /// Where to.
    pub network: ipnet::Ipv6Net,
    /// `None`: the other end of the device.
    pub gateway: Option<Ipv6Addr>,
    /// `None`: [`Options::route_metric`](super::Options::route_metric).
    pub metric: Option<u32>,
    /// The directive's place.
    pub place: Place,
}

/// `route-gateway`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteGateway(pub Destination);

/// `route-delay [N [WINDOW]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteDelay {
    /// How long after the connection is established; zero unless given.
    pub delay: Duration,
    /// How long after that to go on trying, 30 s unless given.
    pub window: Duration,
}

/// `redirect-gateway`, `redirect-private`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the directive")]
pub struct GatewayRedirect {
    /// `redirect-gateway` (`redirect-private` leaves the default route alone).
    pub ipv4: bool,
    /// `ipv6`: the IPv6 default route, too.
    pub ipv6: bool,
    /// `local`: no host route to the peer; both are on one network.
    pub local: bool,
    /// `autolocal`: as `local` if that is so.
    pub autolocal: bool,
    /// `def1`: two halves in place of the default route.
    pub def1: bool,
    /// `block-local`: routes to the local network, too.
    pub block_local: bool,
}
