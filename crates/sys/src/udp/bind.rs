//! Opening, binding and probing a UDP socket.

use std::{ffi::c_int, io, net::SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use super::UdpOffloads;
use crate::{device, option};

/// How a socket is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpOptions {
    /// Address and port; port 0 lets the kernel choose.
    pub local: SocketAddr,
    /// Bind to this device, too (`SO_BINDTOIFINDEX`, Linux 5.1); see [`Udp::bind_device`](super::Udp::bind_device).
    pub device: Option<String>,
    /// Mark of the packets sent, for policy routing (`SO_MARK`); none: no mark.
    pub mark: Option<u32>,
    /// Receive buffer in bytes; the kernel keeps as much again for its own overhead.
    pub receive_buffer: usize,
    /// Send buffer in bytes.
    pub send_buffer: usize,
    /// Take trains with one call where the kernel can (`UDP_GRO`); without, each datagram comes by itself, as it does to
    /// most programs.
    pub gro: bool,
    /// `[::]` takes no IPv4 (`IPV6_V6ONLY`).
    pub only_v6: bool,
    /// Bind to an address that no interface has yet, or not at the moment (`IP_FREEBIND`): nothing is received there, and
    /// sending fails, until one has it. The same for a device that is not there, until the socket is bound to it anew.
    pub free: bool,
}

impl UdpOptions {
    /// 8 MiB of receive buffer: 7 ms at 10 Gb/s, so that a worker may be away for a while, on a processor that it shares
    /// above all. 1 MiB to send: 16 trains.
    pub fn new(local: SocketAddr) -> UdpOptions {
        UdpOptions {
            local,
            device: None,
            mark: None,
            receive_buffer: 8 << 20,
            send_buffer: 1 << 20,
            gro: true,
            only_v6: false,
            free: false,
        }
    }
}

/// Why a socket could not be bound.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another socket has the port.
    #[error("UDP {0} is in use by another program: stop it (`ss -ulpn` shows it) or choose another port")]
    InUse(SocketAddr),
    /// The address is not one of this machine's.
    #[error("UDP {0}: no interface has this address (yet)")]
    NoAddress(SocketAddr),
    /// There is no such device to bind to.
    #[error("UDP {local}: there is no device {device:?} to bind to")]
    NoDevice {
        /// The address.
        local: SocketAddr,
        /// The device.
        device: String,
    },
    /// A port below 1024, a device or a mark needs a capability.
    #[error("UDP {local}: no permission to set its {what}: run as root or with CAP_NET_ADMIN and CAP_NET_RAW")]
    Permission {
        /// The address.
        local: SocketAddr,
        /// "port", "mark" or "device".
        what: &'static str,
    },
    /// Anything else.
    #[error("UDP {local}: {what}: {source}")]
    Other {
        /// The address.
        local: SocketAddr,
        /// What was being set.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl BindError {
    fn new(options: &UdpOptions, what: &'static str, source: io::Error) -> BindError {
        let local = options.local;
        match (source.raw_os_error(), &options.device) {
            (Some(libc::EADDRINUSE), _) => BindError::InUse(local),
            (Some(libc::EADDRNOTAVAIL), _) => BindError::NoAddress(local),
            (Some(libc::ENODEV), Some(device)) => BindError::NoDevice { local, device: device.clone() },
            (Some(libc::EPERM | libc::EACCES), _) => BindError::Permission { local, what },
            _ => BindError::Other { local, what, source },
        }
    }
}

impl From<BindError> for io::Error {
    fn from(error: BindError) -> io::Error {
        let kind = match &error {
            BindError::InUse(_) => io::ErrorKind::AddrInUse,
            BindError::NoAddress(_) => io::ErrorKind::AddrNotAvailable,
            BindError::NoDevice { .. } => io::ErrorKind::NotFound,
            BindError::Permission { .. } => io::ErrorKind::PermissionDenied,
            BindError::Other { source, .. } => source.kind(),
        };
        io::Error::new(kind, error)
    }
}

/// A socket that is bound and set, without offloads.
pub(super) fn open(options: &UdpOptions) -> Result<Socket, BindError> {
    let domain = Domain::for_address(options.local);
    // socket2 opens every socket close-on-exec.
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP))
        .map_err(|error| BindError::new(options, "socket", error))?;
    set(&socket, options)?;
    // Before the address: another socket may have the same one on another device.
    if index_of(options).is_ok_and(|index| index.is_some()) {
        bind_device(&socket, options)?;
    }
    let bound = socket.bind(&options.local.into());
    bound.map_err(|error| BindError::new(options, "port", error))?;
    // One that is not there after it: IPv6 takes no address on such a device.
    bind_device(&socket, options)?;
    Ok(socket)
}

/// Binds to the device of that name, or to none; its index, or none if there is no device or no such one.
pub(super) fn bind_device(socket: &Socket, options: &UdpOptions) -> Result<Option<u32>, BindError> {
    let failed = |error| BindError::new(options, "device", error);
    let index = index_of(options).map_err(failed)?;
    if options.device.is_some() && index.is_none() && !options.free {
        return Err(failed(io::Error::from_raw_os_error(libc::ENODEV)));
    }
    let to = match (&options.device, index) {
        // A link-local address has bound the socket to its device.
        (None, _) => c_int::try_from(scope(options.local)).unwrap_or(0),
        (Some(_), Some(index)) => c_int::try_from(index).unwrap_or(NO_DEVICE),
        (Some(_), None) => NO_DEVICE,
    };
    match option::get_int(socket, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX) {
        // Whoever is bound already needs a capability to be bound elsewhere.
        Ok(bound) if bound == to => {}
        // Before Linux 5.1 the option is not known, and who wants no device needs none of it.
        Err(_) if options.device.is_none() => {}
        _ => option::set_int(socket, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, to).map_err(failed)?,
    }
    Ok(index)
}

fn scope(local: SocketAddr) -> u32 {
    match local {
        SocketAddr::V6(local) => local.scope_id(),
        SocketAddr::V4(_) => 0,
    }
}

fn index_of(options: &UdpOptions) -> io::Result<Option<u32>> {
    options.device.as_deref().map_or(Ok(None), device::index_of)
}

/// The index of no device: indexes are given in order from 1, and the kernel does not ask whether this one is there
/// (net/core/sock.c, `sock_bindtoindex_locked`). A socket bound to it neither sends nor receives.
const NO_DEVICE: c_int = c_int::MAX;

/// Whether this is a UDP socket that is bound as the options say.
pub(super) fn is_bound(socket: &Socket, options: &UdpOptions) -> bool {
    let is_udp = socket.r#type().is_ok_and(|kind| kind == Type::DGRAM)
        && socket.protocol().is_ok_and(|protocol| protocol == Some(Protocol::UDP));
    is_udp && socket.local_addr().is_ok_and(|local| local.as_socket() == Some(options.local))
}

/// Sets all that is set before a socket is bound, or again when it is taken over.
pub(super) fn set(socket: &Socket, options: &UdpOptions) -> Result<(), BindError> {
    let domain = Domain::for_address(options.local);
    let step = |what, result: io::Result<()>| result.map_err(|error| BindError::new(options, what, error));
    step("O_NONBLOCK", socket.set_nonblocking(true))?;
    let mark = options.mark.unwrap_or(0);
    if socket.mark().ok() != Some(mark) {
        step("mark", socket.set_mark(mark))?;
    }
    step("path MTU discovery", never_fragment(socket, domain))?;
    step("receive buffer", set_buffer(socket, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, options.receive_buffer))?;
    step("send buffer", set_buffer(socket, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, options.send_buffer))?;
    let only_v6 = options.only_v6 || !options.local.ip().is_unspecified();
    if domain == Domain::IPV6 && socket.only_v6().ok() != Some(only_v6) {
        step("IPV6_V6ONLY", socket.set_only_v6(only_v6))?;
    }
    if options.free {
        step("IP_FREEBIND", bind_freely(socket, domain))?;
    }
    Ok(())
}

pub(super) fn local_address(socket: &Socket, options: &UdpOptions) -> Result<SocketAddr, BindError> {
    let local = socket.local_addr().map_err(|error| BindError::new(options, "port", error))?;
    Ok(local.as_socket().unwrap_or(options.local))
}

/// Turns `UDP_GRO` on where it works and is wanted, and finds out whether `UDP_SEGMENT` is known.
///
/// `getsockopt` knows `UDP_GRO` since Linux 5.12; before, its trains could be received damaged.
pub(super) fn probe_offloads(socket: &Socket, options: &UdpOptions) -> UdpOffloads {
    let gro_set = options.gro && option::set_int(socket, libc::SOL_UDP, libc::UDP_GRO, 1).is_ok();
    let gro = gro_set && option::get_int(socket, libc::SOL_UDP, libc::UDP_GRO).is_ok_and(|on| on == 1);
    let gso = option::get_int(socket, libc::SOL_UDP, libc::UDP_SEGMENT).is_ok();
    UdpOffloads { gso, gro }
}

/// `sk_drops` of `SO_MEMINFO`.
pub(super) fn drops(socket: &Socket) -> io::Result<u64> {
    /// `SK_MEMINFO_VARS` of linux/sock_diag.h.
    const VARIABLES: usize = 9;
    let mut memory = [0_u32; VARIABLES];
    // SAFETY: any bits are valid integers.
    unsafe { option::get(socket, libc::SOL_SOCKET, libc::SO_MEMINFO, &mut memory) }?;
    Ok(u64::from(memory[libc::SK_MEMINFO_DROPS as usize]))
}

/// Sets DF and ignores the kernel's path MTU; a dual-stack socket keeps a setting for each family.
fn never_fragment(socket: &Socket, domain: Domain) -> io::Result<()> {
    option::set_int(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)?;
    if domain == Domain::IPV6 {
        option::set_int(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)?;
    }
    Ok(())
}

fn bind_freely(socket: &Socket, domain: Domain) -> io::Result<()> {
    match domain {
        Domain::IPV6 => option::set_int(socket, libc::IPPROTO_IPV6, libc::IPV6_FREEBIND, 1),
        _ => option::set_int(socket, libc::IPPROTO_IP, libc::IP_FREEBIND, 1),
    }
}

/// With `CAP_NET_ADMIN` beyond the machine's limit, otherwise up to it.
fn set_buffer(socket: &Socket, forced: c_int, limited: c_int, bytes: usize) -> io::Result<()> {
    let bytes = c_int::try_from(bytes).unwrap_or(c_int::MAX);
    option::set_int(socket, libc::SOL_SOCKET, forced, bytes)
        .or_else(|_| option::set_int(socket, libc::SOL_SOCKET, limited, bytes))
}
