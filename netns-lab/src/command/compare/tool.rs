//! What is compared: the tools, their ciphers, and where the traffic goes.

use std::fmt;

/// A way to carry packets from one site to the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tool {
    /// The underlay itself, routed in clear: what the machine could do at best.
    Bare,
    /// OpenVPN in userspace, a process a channel.
    OpenVpn,
    /// Debian's wireguard-go.
    WireguardGo,
    /// Cloudflare's boringtun.
    BoringTun,
    /// Mullvad's gotatun.
    GotaTun,
    /// This project.
    Meshtun,
    /// This project in OpenVPN's place: its files, its wire.
    MeshtunOpenVpn,
}

/// What protects the packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cipher {
    /// Nothing.
    None,
    /// OpenVPN's static key: AES-256-CBC with HMAC-SHA-256.
    StaticAes256Cbc,
    /// OpenVPN's static key: AES-128-CBC with HMAC-SHA-1.
    StaticAes128Cbc,
    /// OpenVPN's TLS mode: AES-256-GCM.
    TlsAes256Gcm,
    /// WireGuard's.
    ChaCha20Poly1305,
    /// meshtun's second one.
    Aes256Gcm,
}

/// One thing that is measured: a tool as it is set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Subject {
    /// Which tool.
    pub(crate) tool: Tool,
    /// How many channels it has, each a UDP port and a tun device; 1 for what knows none.
    pub(crate) channels: u16,
    /// What protects its packets.
    pub(crate) cipher: Cipher,
}

/// Between whom the traffic is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Path {
    /// Between hosts behind the gateways.
    Routed,
    /// Between the gateways themselves.
    Gateway,
}

/// What the cable between the gateways passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Underlay {
    /// Trains of datagrams as one packet, as a NIC with UDP segmentation and receive offload does.
    Trains,
    /// Each datagram as a packet of its own, as a plain NIC does; the kernel joins what came (GRO in software).
    Datagrams,
    /// Each datagram as a packet of its own, and nothing joins them.
    LoneDatagrams,
}

impl Tool {
    /// Every tool, in the order of the tables.
    pub(crate) const ALL: [Tool; 7] = [
        Tool::Bare,
        Tool::OpenVpn,
        Tool::WireguardGo,
        Tool::BoringTun,
        Tool::GotaTun,
        Tool::Meshtun,
        Tool::MeshtunOpenVpn,
    ];

    /// Those that are compared unless somebody asks for others.
    pub(crate) const USUAL: [Tool; 6] =
        [Tool::Bare, Tool::OpenVpn, Tool::WireguardGo, Tool::BoringTun, Tool::GotaTun, Tool::Meshtun];

    /// Its name on the command line and in the rows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Tool::Bare => "bare",
            Tool::OpenVpn => "openvpn",
            Tool::WireguardGo => "wireguard-go",
            Tool::BoringTun => "boringtun",
            Tool::GotaTun => "gotatun",
            Tool::Meshtun => "meshtun",
            Tool::MeshtunOpenVpn => "meshtun-openvpn",
        }
    }
}

impl Cipher {
    /// Its name in the rows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Cipher::None => "none",
            Cipher::StaticAes256Cbc => "static-aes-256-cbc",
            Cipher::StaticAes128Cbc => "static-aes-128-cbc",
            Cipher::TlsAes256Gcm => "tls-aes-256-gcm",
            Cipher::ChaCha20Poly1305 => "chacha20-poly1305",
            Cipher::Aes256Gcm => "aes-256-gcm",
        }
    }
}

impl Path {
    /// Its name on the command line and in the rows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Path::Routed => "routed",
            Path::Gateway => "gateway",
        }
    }
}

impl Underlay {
    /// All of them.
    pub(crate) const ALL: [Underlay; 3] = [Underlay::Trains, Underlay::Datagrams, Underlay::LoneDatagrams];

    /// Its name on the command line and in the rows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Underlay::Trains => "trains",
            Underlay::Datagrams => "datagrams",
            Underlay::LoneDatagrams => "lone-datagrams",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cipher {
            Cipher::None => write!(f, "{}", self.tool.name()),
            cipher => write!(f, "{} ×{} {}", self.tool.name(), self.channels, cipher.name()),
        }
    }
}
