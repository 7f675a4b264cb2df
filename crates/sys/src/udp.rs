//! A UDP socket that sends and receives trains: many datagrams of equal size in one system call.
//!
//! Follows Documentation/networking/ip-sysctl.rst, net/ipv4/udp.c and net/ipv4/udp_offload.c. Sending and receiving
//! allocate nothing.
//!
//! **Pending errors.** The socket is not connected and `IP_RECVERR` is off, so an ICMP error that comes back for a
//! datagram (`ECONNREFUSED`, `EHOSTUNREACH`) is not reported by a later call. What [`is_unreachable`] tells is what the
//! kernel knew at once: no route, no neighbour, device down, refused by a local rule.

mod bind;
mod discovery;
mod endpoint;
mod message;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
};

use socket2::Socket;

pub use bind::{BindError, UdpOptions};
pub use discovery::{Discovery, path_mtu};
pub use endpoint::Endpoint;

/// The most datagrams in one train (`UDP_MAX_SEGMENTS` before Linux 6.9, which has 128).
pub const MAX_SEGMENTS: usize = 64;

/// The most bytes in one train that reaches the device whole: 65535 less 14 of Ethernet, 40 of IPv6 and 8 of UDP.
///
/// Up to 65507 are sent (65527 over IPv6), but a packet that with its Ethernet header reaches a device's `gso_max_size`
/// (65536) is cut by the kernel first (net/core/dev.c, `gso_features_check`), which costs what the train saved.
pub const MAX_TRAIN: usize = 65473;

/// The most datagrams or trains that [`Udp::receive_each`] receives with one call.
pub const RECEIVE_BATCH: usize = 16;

/// A bound, non-blocking UDP socket, IPv4, IPv6 or both.
#[derive(Debug)]
pub struct Udp {
    socket: Socket,
    local: SocketAddr,
    gso: AtomicBool,
    gro: bool,
    /// The kernel cuts datagrams that are longer than the path's MTU, but only those that are no part of a train.
    cuts: AtomicBool,
}

/// Which offloads the socket has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpOffloads {
    /// Trains are sent with one call (`UDP_SEGMENT`, Linux 4.18).
    pub gso: bool,
    /// Trains are received with one call (`UDP_GRO`, used from Linux 5.12).
    pub gro: bool,
}

/// What one [`Udp::receive`] gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the buffer that were filled.
    pub len: usize,
    /// The size of each datagram but the last, which may be shorter; `len` if there is one datagram only.
    pub segment: usize,
    /// Who sent it.
    pub from: Endpoint,
    /// The train was longer than the buffer: the last datagram, at least, lost its end.
    pub truncated: bool,
}

impl Received {
    /// Nothing, from nobody.
    pub fn nothing() -> Received {
        let from = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into();
        Received { len: 0, segment: 0, from, truncated: false }
    }
}

impl Udp {
    /// Opens and binds a socket: non-blocking, closed on exec, never fragmenting, offloads probed.
    ///
    /// DF is set and the kernel's path MTU is not consulted (`IP_PMTUDISC_PROBE`), so only the device's MTU gives
    /// [`is_message_too_long`]. `[::]` takes IPv4 too. The calling thread's network namespace is the socket's.
    ///
    /// # Errors
    /// [`BindError`], which names what is at fault.
    pub fn bind(options: &UdpOptions) -> Result<Udp, BindError> {
        let socket = bind::open(options)?;
        let local = bind::local_address(&socket, options)?;
        let UdpOffloads { gso, gro } = bind::probe_offloads(&socket, options);
        Ok(Udp { socket, local, gso: AtomicBool::new(gso), gro, cuts: AtomicBool::new(false) })
    }

    /// Takes over a socket that another process bound, with what waits in it; none if it is no UDP socket bound as the
    /// options say. It is set as by [`Self::bind`].
    ///
    /// # Errors
    /// [`BindError`], which names what could not be set.
    pub fn adopt(descriptor: OwnedFd, options: &UdpOptions) -> Result<Option<Udp>, BindError> {
        let socket = Socket::from(descriptor);
        if !bind::is_bound(&socket, options) {
            return Ok(None);
        }
        bind::set(&socket, options)?;
        bind::bind_device(&socket, options)?;
        let UdpOffloads { gso, gro } = bind::probe_offloads(&socket, options);
        Ok(Some(Udp { socket, local: options.local, gso: AtomicBool::new(gso), gro, cuts: AtomicBool::new(false) }))
    }

    /// Binds the socket to the device that is called so now, besides its address, or to no device; the device's index.
    ///
    /// A socket is bound to a device by index: one that was deleted and made anew, or renamed, is another. Where there is no
    /// such device the answer is none, and nothing is sent or received until the socket is bound anew.
    ///
    /// # Errors
    /// [`BindError::Permission`] without `CAP_NET_RAW`; a name that is none.
    pub fn bind_device(&self, device: Option<&str>) -> Result<Option<u32>, BindError> {
        let device = device.map(str::to_owned);
        bind::bind_device(&self.socket, &UdpOptions { device, free: true, ..UdpOptions::new(self.local) })
    }

    /// The offloads in use.
    pub fn offloads(&self) -> UdpOffloads {
        UdpOffloads { gso: self.gso.load(Ordering::Relaxed), gro: self.gro }
    }

    /// Gives up `UDP_SEGMENT` for good: trains go out by [`Self::send_each`] from here on.
    pub fn disable_gso(&self) {
        self.gso.store(false, Ordering::Relaxed);
    }

    /// The address that the socket is bound to, with the port that the kernel chose if none was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Sends a train of datagrams of `segment` bytes, the last one may be shorter, with one call.
    ///
    /// Where the kernel shall cut datagrams ([`Self::cuts`]), those that it has to cut are refused here as too long (before
    /// Linux 6.14: as [`is_gso_unsupported`]), and go by [`Self::send_each`].
    ///
    /// Without `UDP_SEGMENT` it takes several calls, see [`Self::send_each`]: an error may come after some datagrams
    /// have gone, and sending the train again repeats these (the peer's replay window drops them).
    ///
    /// # Errors
    /// As the kernel says, for the whole train: [`is_would_block`], [`is_message_too_long`] (a datagram is over the
    /// device's MTU), [`is_gso_unsupported`], [`is_unreachable`]. The socket is usable after each. `InvalidInput` for more than
    /// [`MAX_SEGMENTS`] datagrams.
    pub fn send_train(&self, to: &Endpoint, bytes: &[u8], segment: usize) -> io::Result<()> {
        if bytes.len() <= segment {
            return self.send_to(bytes, to);
        }
        if bytes.len() > segment * MAX_SEGMENTS {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if !self.gso.load(Ordering::Relaxed) {
            return message::send_all(&self.socket, to, bytes, segment);
        }
        message::send_train(&self.socket, to, bytes, segment)
    }

    /// Sends a train datagram by datagram (`sendmmsg`) and tells how many bytes went out: whole datagrams, fewer than
    /// all if the socket's buffer is full or one of them failed. The error shows when the rest is sent.
    ///
    /// # Errors
    /// As [`Self::send_train`], and only if nothing was sent.
    pub fn send_each(&self, to: &Endpoint, bytes: &[u8], segment: usize) -> io::Result<usize> {
        message::send_each(&self.socket, to, bytes, segment)
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// As [`Self::send_train`].
    pub fn send_to(&self, datagram: &[u8], to: &Endpoint) -> io::Result<()> {
        message::send(&self.socket, to, datagram)
    }

    /// Receives one datagram, or with `UDP_GRO` one train, of at most 65535 bytes.
    ///
    /// # Errors
    /// [`is_would_block`] if nothing waits.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        message::receive(&self.socket, buffer)
    }

    /// Receives what waits, up to [`RECEIVE_BATCH`] datagrams or trains, with one call (`recvmmsg`), and tells how many.
    ///
    /// The first goes to the start of the buffer, the next `stride` bytes behind it, and so on; `received` tells what
    /// became of each, in order. As many as both have room for.
    ///
    /// # Errors
    /// [`is_would_block`] if nothing waits.
    pub fn receive_each(&self, buffer: &mut [u8], stride: usize, received: &mut [Received]) -> io::Result<usize> {
        message::receive_each(&self.socket, buffer, stride, received)
    }

    /// Datagrams that the kernel dropped because this socket's receive buffer was full, since the bind.
    ///
    /// # Errors
    /// `ENOPROTOOPT` before Linux 4.12.
    pub fn drops(&self) -> io::Result<u64> {
        bind::drops(&self.socket)
    }

    /// The receive and send buffers that the kernel granted, in bytes: what was asked for, doubled for its own
    /// overhead, or less without `CAP_NET_ADMIN`.
    ///
    /// # Errors
    /// The kernel's; none is expected.
    pub fn buffers(&self) -> io::Result<(usize, usize)> {
        Ok((self.socket.recv_buffer_size()?, self.socket.send_buffer_size()?))
    }
}

impl AsFd for Udp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Nothing waits to be read, or no room to send: wait for the descriptor.
pub fn is_would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// A datagram is longer than the outgoing device's MTU (`EMSGSIZE`).
pub fn is_message_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMSGSIZE)
}

/// The kernel may be unable to send trains on this route: `EIO` without checksum offload or through IPsec, `EINVAL` for
/// others.
///
/// It may also be the datagrams' fault: kernels before 6.14 say `EINVAL` when they are over the MTU, and every kernel
/// says so for a blackhole route. So send the train again by [`Udp::send_each`], and only if that goes call
/// [`Udp::disable_gso`]; its error, otherwise, is the true one.
pub fn is_gso_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL))
}

/// The kernel knows no way to the destination now: no route, no neighbour, device down, or forbidden by a rule.
pub fn is_unreachable(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EPERM))
}
