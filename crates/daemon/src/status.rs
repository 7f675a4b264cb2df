//! What `meshtun status --json` prints: a running gateway at one moment.
//!
//! This is an interface for programs: fields are added, never renamed or removed, and their units never change.
//! Moments are whole Unix seconds. Counters count inner packets and their bytes without padding, start with the
//! channel, and survive its sessions.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

mod probes;

pub use probes::Probes;

/// A running gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the running program.
    pub version: String,
    /// Its process number.
    pub pid: u32,
    /// When it started.
    pub started: u64,
    /// How many data-plane threads it runs.
    pub workers: usize,
    /// Who this gateway is.
    pub gateway: Gateway,
    /// Its links, in the order of the file.
    pub links: Vec<Link>,
    /// What all channels dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// What on this machine is likely not meant, in words: routes of others inside the links' networks, for example.
    #[serde(default)]
    pub alarms: Vec<String>,
    /// The change that goes on; none mostly.
    #[serde(default)]
    pub change: Option<Change>,
    /// Whether the control side keeps up.
    #[serde(default)]
    pub control: Control,
    /// What became of the programs that are run for the gateway; none if the file names none.
    #[serde(default)]
    pub hooks: Option<Hooks>,
}

/// A change that somebody asked for and that is not made yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What was asked for: `reload` or `down LINK[/CHANNEL]`.
    pub what: String,
    /// What it waits for, in words.
    pub stage: String,
    /// When it began.
    pub since: u64,
    /// How many others wait for its end.
    pub waiting: usize,
}

/// Whether the control side, which sends and answers probes, keeps up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// The longest that anything had to wait beyond its time since the start, in milliseconds.
    pub late_ms: f64,
    /// The longest within the last minute or two.
    pub late_ms_of_late: f64,
}

/// Who a gateway is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gateway {
    /// Its name in the file.
    pub name: String,
    /// Its number.
    pub number: u16,
    /// Its public key, base64.
    pub public_key: String,
    /// The IPv4 source address of its own packets into links.
    pub address: Option<Ipv4Addr>,
    /// The IPv6 one.
    pub address6: Option<Ipv6Addr>,
    /// The networks behind it.
    pub networks: Vec<IpNet>,
}

/// A link to one other gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The link's name.
    pub name: String,
    /// The other gateway's name.
    pub peer: String,
    /// `"meshtun"` or `"wireguard"`.
    pub peer_kind: String,
    /// The other gateway's public key, base64.
    pub peer_public_key: String,
    /// `"chacha20-poly1305"` or `"aes-256-gcm"`.
    pub cipher: String,
    /// Whether a pre-shared key is mixed into the handshake.
    pub preshared_key: bool,
    /// The networks behind the other gateway.
    pub networks: Vec<IpNet>,
    /// The MTU of its devices, in bytes.
    pub mtu: u16,
    /// How many of its channels have carrier.
    pub channels_up: usize,
    /// Since when it has had a channel with carrier, or none.
    #[serde(default)]
    pub since: u64,
    /// The metric of its routes: of several links to one site, the kernel uses the lowest that has carrier.
    #[serde(default)]
    pub metric: u32,
    /// Whether another gateway of the same site has a link to here, too.
    #[serde(default)]
    pub shares_site: bool,
    /// Whether packets for its networks go over it now.
    #[serde(default)]
    pub in_use: bool,
    /// What became of the programs that are run for it; none if the file names none.
    #[serde(default)]
    pub hooks: Option<Hooks>,
    /// Its channels, by number.
    pub channels: Vec<Channel>,
}

/// The programs that are run for a link, or for the gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// Events that wait for a program that runs.
    pub waiting: usize,
    /// How often a program was run.
    pub runs: u64,
    /// How often that failed: it could not be started, ended badly, or took too long.
    pub failures: u64,
    /// The last of these, in words.
    pub last_failure: Option<String>,
    /// When that was.
    pub last_failure_at: Option<u64>,
}

/// What a channel is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelState {
    /// Not looking for a session: the peer's endpoint is not known yet, or the channel is closed.
    Down,
    /// Looking for a session.
    Handshaking,
    /// A session is there, and the peer's hello is awaited.
    Greeting,
    /// A session is there, and probes do not tell that both directions carry: see `problem`.
    Probing,
    /// The same, and a channel that kept failing waits for a while before it comes back: see `probes.held_s`.
    Held,
    /// Packets pass both ways.
    Up,
    /// The other end is not this channel's, or has no such channel: see `problem`.
    Unmatched,
    /// Its device or socket is gone: see `problem`.
    Failed,
}

/// One channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Its number in the link.
    pub channel: u16,
    /// Its tun device.
    pub device: String,
    /// What it is doing.
    pub state: ChannelState,
    /// Since when it has been in this state.
    pub since: u64,
    /// Whether its device has carrier, so that the kernel routes into it.
    pub carrier: bool,
    /// Which of the link's paths over the underlay it takes, from 0; none where the file lists no paths.
    #[serde(default)]
    pub path: Option<u16>,
    /// The network device that its socket is bound to, besides the address; none: any.
    #[serde(default)]
    pub underlay_device: Option<String>,
    /// The UDP address that it is bound to.
    pub local: SocketAddr,
    /// The peer's UDP address, if it is known.
    pub endpoint: Option<SocketAddr>,
    /// When the newest session began.
    pub last_handshake: Option<u64>,
    /// How long its handshake took, in milliseconds, from the initiation to the proof that both ends have the keys.
    pub handshake_ms: Option<f64>,
    /// How old the session in use is, in seconds.
    pub session_age: Option<u64>,
    /// How many sessions there were.
    pub sessions: u64,
    /// Whether a person took it down (`meshtun down LINK/CHANNEL`); it stays so until somebody brings it up or the daemon
    /// restarts.
    pub taken_down: bool,
    /// Whether the routes leave its device out: it was taken down here or by the peer, and returns with its carrier.
    pub withdrawn: bool,
    /// What keeps the channel from coming up, in words.
    pub problem: Option<String>,
    /// What its probes tell; none towards plain WireGuard, which answers none.
    #[serde(default)]
    pub probes: Option<Probes>,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Transport messages sealed: packets, keepalives and control frames, handshakes not.
    pub tx_messages: u64,
    /// Transport messages that were authentic, whatever became of what was in them.
    pub rx_messages: u64,
    /// ICMP errors of routers on the way that were let through (part of `rx_packets`).
    pub icmp_errors: u64,
    /// Packets and datagrams dropped, by reason; reasons that never happened are left out.
    pub dropped: BTreeMap<String, u64>,
}

impl ChannelState {
    /// The word that tables and logs use, the same as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            ChannelState::Down => "down",
            ChannelState::Handshaking => "handshaking",
            ChannelState::Greeting => "greeting",
            ChannelState::Probing => "probing",
            ChannelState::Held => "held",
            ChannelState::Up => "up",
            ChannelState::Unmatched => "unmatched",
            ChannelState::Failed => "failed",
        }
    }
}

/// The reason under which datagrams are counted that the kernel dropped because a channel's receive buffer was full.
pub const RECEIVE_BUFFER_FULL: &str = "receive-buffer-full";

#[cfg(test)]
mod tests;
