//! Packet sockets: what really passes an interface, filtered in the kernel. See packet(7).

mod filter;

use std::{
    ffi::c_int,
    io, mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    sync::atomic::{AtomicU64, Ordering},
};

pub use filter::{Instruction, MAX_RANGES, Neighbours, all_but_udp, sample_udp};

use crate::{device, option};

/// Where a captured packet begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// At the link header, where the device has one (an Ethernet header on veth, nothing on tun).
    Link,
    /// At the network header.
    Network,
}

/// A non-blocking packet socket on one interface.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
    packets: AtomicU64,
    drops: AtomicU64,
}

/// One captured packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Bytes of the buffer that were filled.
    pub len: usize,
    /// Bytes of the packet; more than `len` if the buffer was too short. A train or super-packet passes as one packet.
    pub wire_len: usize,
    /// This machine sends it out of the interface; otherwise it came in.
    pub outgoing: bool,
    /// The network protocol, as in Ethernet's type field.
    pub protocol: u16,
}

/// Counters of a packet socket since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Packets that the filter accepted, dropped ones included.
    pub packets: u64,
    /// Of these, packets lost because the receive buffer was full.
    pub drops: u64,
}

impl PacketSocket {
    /// Opens a socket that captures on `interface`, both directions, what `filter` accepts (everything if it is empty).
    ///
    /// The filter is in force before the first packet.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`, `NotFound` if there is no such interface, `EINVAL` for a program that the kernel
    /// does not accept.
    pub fn open(interface: &str, layer: Layer, filter: &[Instruction]) -> io::Result<PacketSocket> {
        let index = device::index_of(interface)?
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no interface {interface}")))?;
        let socket = PacketSocket { fd: unbound(layer)?, packets: AtomicU64::new(0), drops: AtomicU64::new(0) };
        if !filter.is_empty() {
            socket.attach_filter(filter)?;
        }
        socket.bind(index)?;
        Ok(socket)
    }

    /// Replaces the filter. Packets that the former one accepted may still wait to be received.
    ///
    /// # Errors
    /// `EINVAL` for a program that the kernel does not accept.
    pub fn attach_filter(&self, program: &[Instruction]) -> io::Result<()> {
        let len = u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast() };
        // SAFETY: the kernel reads `len` instructions behind the pointer, which are laid out as `sock_filter` and
        // borrowed until the call returns; it writes nothing there.
        unsafe { option::set(&self.fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program) }
    }

    /// Asks for a receive buffer of so many bytes, beyond the machine's limit where that is allowed.
    ///
    /// # Errors
    /// The kernel's; none is expected.
    pub fn set_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        let bytes = c_int::try_from(bytes).unwrap_or(c_int::MAX);
        option::set_int(&self.fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)
            .or_else(|_| option::set_int(&self.fd, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes))
    }

    /// The next packet.
    ///
    /// # Errors
    /// [`is_would_block`](crate::udp::is_would_block) if none waits, `ENETDOWN` once when the interface goes down.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Captured> {
        // SAFETY: a `sockaddr_ll` is plain integers; all zero bytes are valid.
        let mut from: libc::sockaddr_ll = unsafe { mem::zeroed() };
        let mut from_len = mem::size_of_val(&from) as libc::socklen_t;
        // SAFETY: the descriptor is open; the kernel writes at most the buffer's length and at most `from_len` bytes of
        // address, any bits of which are valid. MSG_TRUNC makes it return the packet's own length.
        let wire_len = unsafe {
            libc::recvfrom(
                self.fd.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                libc::MSG_TRUNC,
                (&raw mut from).cast(),
                &raw mut from_len,
            )
        };
        let Ok(wire_len) = usize::try_from(wire_len) else { return Err(io::Error::last_os_error()) };
        Ok(Captured {
            len: wire_len.min(buffer.len()),
            wire_len,
            outgoing: from.sll_pkttype == libc::PACKET_OUTGOING,
            protocol: u16::from_be(from.sll_protocol),
        })
    }

    /// Counters since the socket was opened.
    ///
    /// # Errors
    /// The kernel's; none is expected.
    pub fn statistics(&self) -> io::Result<Statistics> {
        let new = self.take_statistics()?;
        let packets = self.packets.fetch_add(u64::from(new.tp_packets), Ordering::Relaxed) + u64::from(new.tp_packets);
        let drops = self.drops.fetch_add(u64::from(new.tp_drops), Ordering::Relaxed) + u64::from(new.tp_drops);
        Ok(Statistics { packets, drops })
    }

    /// `PACKET_STATISTICS`: the kernel starts from zero after each call.
    fn take_statistics(&self) -> io::Result<libc::tpacket_stats> {
        let mut new = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        // SAFETY: any bits are valid integers.
        unsafe { option::get(&self.fd, libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut new) }?;
        Ok(new)
    }

    fn bind(&self, index: u32) -> io::Result<()> {
        // SAFETY: a `sockaddr_ll` is plain integers; all zero bytes are valid.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = libc::AF_PACKET as libc::c_ushort;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = index as c_int;
        let len = mem::size_of_val(&address) as libc::socklen_t;
        // SAFETY: the descriptor is open; the kernel reads `len` bytes of the address.
        let result = unsafe { libc::bind(self.fd.as_raw_fd(), (&raw const address).cast(), len) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A packet socket that captures nothing until it is bound: its protocol is 0.
fn unbound(layer: Layer) -> io::Result<OwnedFd> {
    let kind = match layer {
        Layer::Link => libc::SOCK_RAW,
        Layer::Network => libc::SOCK_DGRAM,
    };
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(libc::AF_PACKET, kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
