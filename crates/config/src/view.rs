//! The mesh as one gateway sees it, with all that derives from numbers: devices, ports, addresses.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Serialize;

use crate::hooks::Hooks;
use crate::keys::PublicKey;
use crate::model::{Cipher, Gateway, Host, Link, Mesh, Path, PathEnd, Probe, Software};

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
    /// The programs that it runs for what concerns it as a whole.
    pub hooks: Hooks,
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
    /// Whether TCP's maximum segment size is lowered to the MTU.
    pub clamp_mss: bool,
    /// The tun devices' queue length in packets.
    pub txqueuelen: u32,
    /// The tun devices' root queueing discipline; none: the kernel's default.
    pub qdisc: Option<String>,
    /// How the channels are probed, unless plain WireGuard runs at the other end.
    pub probe: Probe,
    /// The programs that this gateway runs for the link and its channels.
    pub hooks: Hooks,
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
    /// Which of the link's paths it takes; none where the file lists no paths.
    pub path: Option<u16>,
    /// The network device that its UDP socket is bound to, besides the address.
    pub underlay_device: Option<String>,
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
        let own = self.gateways.iter().find(|gateway| gateway.public_key == *own_public_key);
        let own = own.ok_or_else(|| self.unknown_key(own_public_key))?;
        if own.software == Software::WireGuard {
            return Err(ViewError::PlainWireGuard { gateway: own.name.clone() });
        }
        let by_name: HashMap<&str, &Gateway> = self.gateways.iter().map(|it| (it.name.as_str(), it)).collect();
        let links = self.links.iter().filter_map(|link| link_view(link, own, &by_name)).collect();
        Ok(View {
            gateway: own.name.clone(),
            number: own.number,
            public_key: own.public_key,
            address: own.address,
            address6: own.address6,
            site: own.site.clone(),
            local_networks: own.networks.clone(),
            links,
            hooks: own.hooks.programs(true),
        })
    }

    fn unknown_key(&self, public_key: &PublicKey) -> ViewError {
        let names: Vec<_> = self.gateways.iter().take(NAMED).map(|gateway| gateway.name.as_str()).collect();
        let more = if self.gateways.len() > NAMED { " and more" } else { "" };
        ViewError::UnknownKey { public_key: *public_key, gateways: names.join(", ") + more }
    }
}

/// As many gateways as one line of an error message bears.
const NAMED: usize = 8;

/// The link-local address of one end of a channel: `fe80::NUMBER:CHANNEL` with the gateway's number
/// and the channel's written in decimal digits.
///
/// So channel 12 of gateway 207 is `fe80::207:12` for people to read, which as a value is
/// 0xfe80…0207_0012. Both ends and every version of meshtun derive it alike. The address is
/// unique on its device, which has two ends; all links of a gateway use the same ones.
///
/// # Panics
/// If a number has more than four digits; a validated mesh has none.
pub fn link_local(gateway: u16, channel: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, decimal_digits(gateway), decimal_digits(channel))
}

/// The number that reads in hexadecimal as this one does in decimal.
fn decimal_digits(number: u16) -> u16 {
    assert!(number <= 9999, "{number} has more than four decimal digits");
    [1000, 100, 10, 1].iter().fold(0, |digits, unit| (digits << 4) | (number / unit % 10))
}

/// The link from `own`'s end; none if it is not at either end.
fn link_view(link: &Link, own: &Gateway, by_name: &HashMap<&str, &Gateway>) -> Option<LinkView> {
    let here = link.between.iter().position(|name| *name == own.name)?;
    let there = 1 - here;
    let peer = by_name.get(link.between[there].as_str())?;
    let end = End { own, peer, ports: [link.ports[here], link.ports[there]], here };
    Some(LinkView {
        name: link.name.clone(),
        peer: peer_view(peer),
        channels: (0..link.channels).map(|number| end.channel(link, number)).collect(),
        preshared_key_file: link.preshared_key_file.clone(),
        mtu: link.mtu,
        cipher: link.cipher,
        transit: link.transit,
        clamp_mss: link.clamp_mss,
        txqueuelen: link.txqueuelen,
        qdisc: link.qdisc.clone(),
        probe: link.probe,
        hooks: link.hooks.over(&own.hooks).programs(false),
    })
}

fn peer_view(peer: &Gateway) -> PeerView {
    PeerView {
        name: peer.name.clone(),
        number: peer.number,
        public_key: peer.public_key,
        networks: peer.networks.clone(),
        address: peer.address,
        address6: peer.address6,
        site: peer.site.clone(),
        priority: peer.priority,
        is_wireguard: peer.software == Software::WireGuard,
    }
}

/// One end of a link: this gateway, the other, the first port of each, and this one's place in `between`.
struct End<'a> {
    own: &'a Gateway,
    peer: &'a Gateway,
    ports: [u16; 2],
    here: usize,
}

impl End<'_> {
    fn channel(&self, link: &Link, number: u16) -> ChannelView {
        let path = link.deal.get(usize::from(number)).copied();
        let [here, there] = self.way(path.and_then(|path| link.paths.get(usize::from(path))));
        ChannelView {
            number,
            device: format!("{}{number}", link.name),
            path,
            local: SocketAddr::new(bind(&here, &there), self.ports[0] + number),
            underlay_device: here.device,
            remote: there.reach.map(|host| RemoteEndpoint { host, port: self.ports[1] + number }),
            link_local: link_local(self.own.number, number),
            peer_link_local: link_local(self.peer.number, number),
            weight: link.weights.get(usize::from(number)).copied().unwrap_or(1),
        }
    }

    /// This end of the path and the other; without a path, the gateways' own places.
    fn way(&self, path: Option<&Path>) -> [PathEnd; 2] {
        let own = |gateway: &Gateway| PathEnd { bind: gateway.bind, reach: gateway.reach.clone(), device: None };
        match path {
            Some(path) => [self.here, 1 - self.here].map(|end| path.ends[end].clone()),
            None => [own(self.own), own(self.peer)],
        }
    }
}

fn bind(here: &PathEnd, there: &PathEnd) -> IpAddr {
    match (here.bind, &there.reach) {
        (Some(bind), _) => bind,
        (None, Some(Host::Address(IpAddr::V4(_)))) => Ipv4Addr::UNSPECIFIED.into(),
        (None, _) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests;
