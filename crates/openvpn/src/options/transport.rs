//! What carries the packets, between whom, and when that counts as broken.

use std::time::Duration;

use crate::directive::Place;

/// `proto`, without the address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP, waiting for the peer.
    TcpServer,
    /// TCP, connecting to the peer (`proto tcp` too, in a point-to-point process).
    TcpClient,
}

/// The address family of `proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `udp`, `tcp-server` …: what the names resolve to; an IPv6 socket for both if nothing says otherwise.
    Any,
    /// `udp4` …
    V4,
    /// `udp6` …
    V6,
}

/// `local HOST|* [PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// A name or address; `None` for `*`.
    pub host: Option<String>,
    /// The directive's place.
    pub place: Place,
}

/// `remote HOST [PORT [PROTO]]`, with what it leaves out filled in from `rport`, `port` and `proto`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// A name or address.
    pub host: String,
    /// 1 to 65535.
    pub port: u16,
    /// What carries the packets.
    pub protocol: Protocol,
    /// The address family.
    pub family: Family,
    /// The directive's place.
    pub place: Place,
}

/// What to do when nothing authenticated was heard for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingTimeout {
    /// `ping-restart`: as SIGUSR1.
    Restart(Duration),
    /// `ping-exit`: as SIGTERM.
    Exit(Duration),
}

/// `inactive SECONDS [BYTES]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inactivity {
    /// Exit when so long too little went through the device.
    pub time: Duration,
    /// What is too little, in bytes; 0 unless given.
    pub bytes: u64,
}

/// `comp-lzo`, `compress`: what stands before each packet (comp.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Nothing.
    #[default]
    None,
    /// `comp-lzo no`, `comp-lzo`: one byte, 0xFA when not compressed; 0x66 announces LZO, which is dropped.
    Lzo,
    /// `compress`, `compress stub`, `compress lz4`: the byte swapped with the last one, 0xFB when not compressed.
    Swap,
    /// `compress stub-v2`, `compress lz4-v2`: 0x50 and one more, only before packets that begin with 0x50.
    V2,
}
