//! The mesh as one gateway sees it, with all that derives from numbers: devices, ports, addresses.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Serialize;

use crate::keys::PublicKey;
use crate::model::{Cipher, Host, Mesh};

/// One gateway's view of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    /// The gateway's own name.
    pub gateway: String,
    /// Its number.
    pub number: u16,
    /// Its public key.
    pub public_key: PublicKey,
    /// IPv4 source address of its own packets into links.
    pub address: Option<Ipv4Addr>,
    /// IPv6 source address of its own packets into links.
    pub address6: Option<Ipv6Addr>,
    /// Its site, if it names one.
    pub site: Option<String>,
    /// The prefixes behind it.
    pub local_networks: Vec<IpNet>,
    /// Its links, in the order of the file.
    pub links: Vec<LinkView>,
}

/// A link from one of its ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkView {
    /// The link's name.
    pub name: String,
    /// The gateway at the other end.
    pub peer: PeerView,
    /// The channels, by number.
    pub channels: Vec<ChannelView>,
    /// File of the pre-shared key.
    pub preshared_key_file: Option<PathBuf>,
    /// The tun devices' MTU; none: derived from the underlay's.
    pub mtu: Option<u16>,
    /// The cipher suite.
    pub cipher: Cipher,
    /// Whether packets pass that are not between the two gateways' networks.
    pub transit: bool,
    /// The tun devices' queue length in packets.
    pub txqueuelen: u32,
    /// The tun devices' root queueing discipline; none: the kernel's default.
    pub qdisc: Option<String>,
}

/// The gateway at the other end of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeerView {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: u16,
    /// Its public key.
    pub public_key: PublicKey,
    /// The prefixes to route into the link.
    pub networks: Vec<IpNet>,
    /// Its IPv4 address inside the mesh.
    pub address: Option<Ipv4Addr>,
    /// Its IPv6 address inside the mesh.
    pub address6: Option<Ipv6Addr>,
    /// Its site, if it names one.
    pub site: Option<String>,
    /// Lower is preferred among the gateways of a site; the route's metric follows from it.
    pub priority: u16,
    /// Whether plain WireGuard runs there: say nothing of our own.
    pub is_wireguard: bool,
}

/// A channel from one of its ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChannelView {
    /// Its number, from 0.
    pub number: u16,
    /// Its tun device, at most 15 bytes.
    pub device: String,
    /// What to bind its UDP socket to.
    ///
    /// The unspecified address if the gateway names none: `0.0.0.0` towards an IPv4 address, else `[::]`, which serves both families.
    pub local: SocketAddr,
    /// Where the peer is; none: learned, and this side cannot initiate until it is.
    pub remote: Option<RemoteEndpoint>,
    /// Link-local address of this end's device.
    pub link_local: Ipv6Addr,
    /// Link-local address of the peer's device: the `via` of IPv6 multipath routes.
    pub peer_link_local: Ipv6Addr,
    /// Weight in the multipath route, 1..=256 (the kernel keeps it as `rtnh_hops` = weight - 1).
    pub weight: u16,
}

/// Where a peer's channel is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct RemoteEndpoint {
    /// Address or name.
    pub host: Host,
    /// UDP port.
    pub port: u16,
}

impl fmt::Display for RemoteEndpoint {
    /// `192.0.2.1:6011`, `[2001:db8::1]:6011` or `gw.example.net:6011`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(address) => SocketAddr::new(*address, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Why a mesh has no view for a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// No gateway has this public key.
    #[error(
        "no gateway of the mesh has the public key {public_key} (gateways: {gateways}); put it as `public_key` into this gateway's table, or give the private key that belongs to one of them"
    )]
    UnknownKey {
        /// The key looked for.
        public_key: PublicKey,
        /// The names of the gateways there are.
        gateways: String,
    },
    /// The key is that of a gateway with `peer = "wireguard"`.
    #[error(
        "gateway `{gateway}` has `peer = \"wireguard\"`: plain WireGuard runs there; remove that line to run meshtun on it"
    )]
    PlainWireGuard {
        /// The gateway's name.
        gateway: String,
    },
}

impl Mesh {
    /// The mesh as the gateway with this public key sees it.
    ///
    /// # Errors
    /// [`ViewError`] if no gateway has this key, or plain WireGuard runs there.
    pub fn view(&self, own_public_key: &PublicKey) -> Result<View, ViewError> {
        let gateways = self.gateways.iter().map(|gateway| gateway.name.as_str()).collect::<Vec<_>>().join(", ");
        Err(ViewError::UnknownKey { public_key: *own_public_key, gateways })
    }
}
