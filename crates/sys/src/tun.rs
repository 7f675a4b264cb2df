//! A queue of a persistent tun device, with virtio-net headers in front of packets.
//!
//! Every read and write is [`VNET_HEADER_LEN`] bytes of `virtio_net_hdr` (little-endian) and one IP packet or
//! super-packet. Follows Documentation/networking/tuntap.rst and drivers/net/tun.c.

mod attach;
mod carrier;
mod tap;

use std::{
    io::{self, IoSlice},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

pub use attach::{AttachError, access, create, remove};
pub use carrier::CarrierSwitch;
pub use tap::Tap;

use crate::ioctl;

/// Bytes of `virtio_net_hdr` in front of every packet read and written.
pub const VNET_HEADER_LEN: usize = 10;

/// The longest read: a virtio-net header and a super-packet.
pub const LONGEST_READ: usize = VNET_HEADER_LEN + 65535;

/// What the kernel may leave undone in packets that are read, besides checksums (which it always may).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TunOffloads {
    /// TCP super-packets, over IPv4 and IPv6, ECN included.
    pub tso: bool,
    /// UDP super-packets, over IPv4 and IPv6 (Linux 6.2).
    pub uso: bool,
}

/// An attached tun device. Detaches when dropped; the device stays, without carrier.
#[derive(Debug)]
pub struct Tun {
    fd: OwnedFd,
    name: String,
}

impl Tun {
    /// Attaches to the persistent device `name` in the calling thread's network namespace, without carrier.
    ///
    /// Never makes a device. Non-blocking, closed on exec, one queue, virtio-net headers of [`VNET_HEADER_LEN`] bytes,
    /// checksum offload on and segmentation offload off.
    ///
    /// # Errors
    /// [`AttachError`], a kind for each thing that can be at fault.
    pub fn attach(name: &str) -> Result<Tun, AttachError> {
        let tun = Tun { fd: attach::attach(name)?, name: name.to_owned() };
        tun.set_offloads(TunOffloads::default()).map_err(|error| AttachError::from_io(name, error))?;
        Ok(tun)
    }

    /// Opens a tun device that goes when this does, unless it is a persistent one that was there before; with carrier. A name
    /// that ends in `%d` gets the first free number. Set as by [`Self::attach`] otherwise.
    ///
    /// # Errors
    /// [`AttachError`].
    pub fn open(name: &str) -> Result<Tun, AttachError> {
        let fd = attach::open_own(name)?;
        let failed = |error| AttachError::from_io(name, error);
        let name = ioctl::interface_name(&attach::attached_interface(&fd).map_err(failed)?);
        let tun = Tun { fd, name };
        tun.set_offloads(TunOffloads::default()).map_err(failed)?;
        Ok(tun)
    }

    /// The name under which the device was attached.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks for offloads and gives what the kernel accepted: UDP segmentation is given up first, then TCP's.
    ///
    /// # Errors
    /// Only if the kernel refuses checksum offload alone, or the device is gone.
    pub fn set_offloads(&self, wanted: TunOffloads) -> io::Result<TunOffloads> {
        let fewer = [wanted, TunOffloads { uso: false, ..wanted }, TunOffloads::default()];
        let mut refused = io::Error::from(io::ErrorKind::InvalidInput);
        for offloads in fewer {
            // SAFETY: TUNSETOFFLOAD takes its mask by value.
            match unsafe { ioctl::with_value(&self.fd, libc::TUNSETOFFLOAD, offloads.mask()) } {
                Ok(_) => return Ok(offloads),
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refused = error,
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    }

    /// Reads one header and packet; a packet longer than `buffer` loses its end, so give [`LONGEST_READ`] bytes.
    ///
    /// # Errors
    /// [`is_would_block`](crate::udp::is_would_block) when the queue is empty, [`is_gone`] when the device is deleted.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.fd, buffer)?)
    }

    /// Writes one header and packet that lie in `parts`, gathered by the kernel.
    ///
    /// # Errors
    /// [`is_down`] while the device is not up, [`is_gone`] when it is deleted, `EINVAL` for a header that the kernel
    /// does not accept (some kernels refuse valid super-packets: 6.1.103 to 6.10 without 89add40066f9).
    pub fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(rustix::io::writev(&self.fd, parts)?)
    }

    /// A switch for this device's carrier, on a descriptor of its own.
    ///
    /// It belongs to the network namespace of the calling thread, which must be the device's. The kernel keeps carrier
    /// as long as any descriptor is open, so drop the switch together with the `Tun`.
    ///
    /// # Errors
    /// The kernel's, from duplicating the descriptor or opening a socket.
    pub fn carrier(&self) -> io::Result<CarrierSwitch> {
        CarrierSwitch::new(self.fd.try_clone()?)
    }
}

impl AsFd for Tun {
    /// Readable when a packet waits; a deleted device shows as an error only, so wait for both.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl TunOffloads {
    fn mask(self) -> libc::c_ulong {
        let tso = if self.tso { libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN } else { 0 };
        let uso = if self.uso { libc::TUN_F_USO4 | libc::TUN_F_USO6 } else { 0 };
        libc::c_ulong::from(libc::TUN_F_CSUM | tso | uso)
    }
}

/// The device is not up: what is written to it is refused until it is.
pub fn is_down(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EIO)
}

/// The kernel does not accept the header and packet together (`EINVAL`).
pub fn is_refused(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINVAL)
}

/// The device is deleted under this descriptor, for good.
pub fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBADFD)
}
