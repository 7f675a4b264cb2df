//! The validated mesh: what a mesh.toml without errors means.
//!
//! Every default is filled in and every reference resolves, so that nothing here can be wrong
//! any more. The values are comparable, which is what a reload stands on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use crate::hooks::HookTable;
use crate::keys::PublicKey;

/// A validated mesh: all gateways and all links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mesh {
    /// The gateways, in order of their names.
    pub gateways: Vec<Gateway>,
    /// The links, in the order of the file.
    pub links: Vec<Link>,
}

/// One gateway of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gateway {
    /// Its name: the key of its table, `[gateways.NAME]`.
    pub name: String,
    /// Its number, 1..=1023: ports and link-local addresses derive from it.
    pub number: u16,
    /// Its public key, by which a gateway finds itself.
    pub public_key: PublicKey,
    /// The address to bind to: `listen`, else `underlay`, else none (any address).
    pub bind: Option<IpAddr>,
    /// How others reach it: `endpoint`, else `underlay`, else none (it is learned from its packets).
    pub reach: Option<Host>,
    /// IPv4 source address of its own packets into links.
    pub address: Option<Ipv4Addr>,
    /// IPv6 source address of its own packets into links.
    pub address6: Option<Ipv6Addr>,
    /// The prefixes behind it, which others route into their links to it. Never empty.
    pub networks: Vec<IpNet>,
    /// The site whose networks it shares with other gateways, if it names one.
    pub site: Option<String>,
    /// Among the gateways of a site, the lowest with carrier is used. 1..=65535.
    pub priority: u16,
    /// What runs there.
    pub software: Software,
    /// Its hooks, over those of `[defaults]`.
    pub hooks: HookTable,
}

/// What runs on a gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Software {
    /// meshtun, which reads this file.
    #[default]
    Meshtun,
    /// N plain WireGuard interfaces (`peer = "wireguard"`): nothing of our own is said to it.
    WireGuard,
}

/// A host on the underlay.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Host {
    /// A fixed address.
    Address(IpAddr),
    /// A DNS name, to be resolved by whoever connects.
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(address) => address.fmt(f),
            Host::Name(name) => name.fmt(f),
        }
    }
}

/// A link between two gateways. `x[0]` belongs to `between[0]`, `x[1]` to `between[1]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Its name, the stem of its device names at both ends.
    pub name: String,
    /// The names of its two gateways, as the file orders them.
    pub between: [String; 2],
    /// The first UDP port at each end; channel N has the N-th after it.
    pub ports: [u16; 2],
    /// The number of channels, 1..=256.
    pub channels: u16,
    /// The weight of each channel in the multipath route, 1..=256; as many as channels.
    pub weights: Vec<u16>,
    /// The ways over the underlay that the file lists, by number; none: the one between the gateways' own addresses.
    pub paths: Vec<Path>,
    /// Which of the paths each channel takes; as many as channels, or none where there are no paths.
    pub deal: Vec<u16>,
    /// The tun devices' MTU; none: derived from the underlay's.
    pub mtu: Option<u16>,
    /// The tun devices' queue length in packets.
    pub txqueuelen: u32,
    /// The tun devices' root queueing discipline; none: the kernel's default.
    pub qdisc: Option<String>,
    /// The cipher suite, the same at both ends.
    pub cipher: Cipher,
    /// Whether packets pass that are not between the two gateways' networks.
    pub transit: bool,
    /// Whether TCP's maximum segment size is lowered to the MTU.
    pub clamp_mss: bool,
    /// File of the pre-shared key, relative names resolved against the folder of mesh.toml.
    pub preshared_key_file: Option<PathBuf>,
    /// How its channels are probed, unless plain WireGuard stands at an end.
    pub probe: Probe,
    /// Its own hooks, which go over those of the gateway that runs them.
    pub hooks: HookTable,
}

/// A way over the underlay between the ends of a link, in the order of the link's `between`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Path {
    /// Both ends.
    pub ends: [PathEnd; 2],
}

/// A gateway's end of a path. What the file leaves out is filled in from the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PathEnd {
    /// The address to bind to: none for any.
    pub bind: Option<IpAddr>,
    /// How the other end reaches it; none: it is learned from its packets.
    pub reach: Option<Host>,
    /// The network device to bind to, if any.
    pub device: Option<String>,
}

/// How channels are probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// How often each end probes, 10 ms to 60 s.
    pub interval: Duration,
    /// A channel is down when nothing was heard for so many intervals, 1..=255.
    pub down_after: u8,
    /// After a failure it is up again after so many good round trips, 1..=255.
    pub up_after: u8,
    /// The most that a channel is held down which keeps failing, at most an hour; zero: never.
    pub hold_down: Duration,
}

impl Default for Probe {
    /// A failure is detected within 750 ms.
    fn default() -> Self {
        Probe { interval: Duration::from_millis(250), down_after: 3, up_after: 3, hold_down: Duration::from_secs(180) }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Probe { interval, down_after, up_after, hold_down } = self;
        write!(f, "every {interval:?}, down after {down_after}, up after {up_after}, hold-down {hold_down:?}")
    }
}

/// A cipher suite: configured at both ends alike, never negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub enum Cipher {
    /// WireGuard's own.
    #[default]
    #[serde(rename = "chacha20-poly1305")]
    ChaCha20Poly1305,
    /// AES-256-GCM: two to three times as fast where the CPU has AES instructions; meshtun peers only.
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cipher::ChaCha20Poly1305 => "chacha20-poly1305",
            Cipher::Aes256Gcm => "aes-256-gcm",
        })
    }
}

/// What a file is checked against and cannot say itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The kernel's `net.ipv4.ip_local_port_range`.
    pub ephemeral_ports: RangeInclusive<u16>,
    /// The running program's version, which `requires` must not exceed: major, minor, patch.
    pub version: [u64; 3],
}

impl Default for Environment {
    /// Linux's default ephemeral range, 32768..=60999 (Documentation/networking/ip-sysctl.rst), and this version.
    fn default() -> Self {
        let number = |part: &str| part.parse().unwrap_or(0);
        Environment {
            ephemeral_ports: 32768..=60999,
            version: [
                number(env!("CARGO_PKG_VERSION_MAJOR")),
                number(env!("CARGO_PKG_VERSION_MINOR")),
                number(env!("CARGO_PKG_VERSION_PATCH")),
            ],
        }
    }
}

impl Mesh {
    /// The gateway of this name.
    pub fn gateway(&self, name: &str) -> Option<&Gateway> {
        self.gateways.iter().find(|gateway| gateway.name == name)
    }
}
