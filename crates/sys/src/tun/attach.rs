//! Opening `/dev/net/tun` and attaching to a device that is there already.

use std::{
    ffi::c_int,
    io,
    os::fd::OwnedFd,
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{Mode, OFlags};
use thiserror::Error;

use super::VNET_HEADER_LEN;
use crate::{device, ioctl, process};

const CLONE_DEVICE: &str = "/dev/net/tun";

/// Fork to exec takes under 2 ms on a loaded machine.
const MOMENT: Duration = Duration::from_millis(20);

/// Refuses a name that exists (linux/if_tun.h).
const IFF_TUN_EXCL: c_int = 0x8000;

/// Why a device could not be attached.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AttachError {
    /// `/dev/net/tun` is not there, or nothing stands behind it.
    #[error("/dev/net/tun is missing: load the module with `modprobe tun`, or let the container have the device")]
    NoDevNetTun,
    /// `/dev/net/tun` is there but may not be opened, or the device may not be attached.
    #[error(
        "{name}: no permission to use the tun device: run as root or with CAP_NET_ADMIN and access to /dev/net/tun"
    )]
    Permission {
        /// The device.
        name: String,
    },
    /// Another process holds the device's only queue.
    #[error("{name}: another process is attached to this tun device: is meshtun running already?")]
    Busy {
        /// The device.
        name: String,
    },
    /// There is no such device in this network namespace, or only one that is not persistent.
    #[error("{name}: there is no such persistent tun device in this network namespace")]
    Missing {
        /// The device.
        name: String,
    },
    /// The interface is something else: of another kind, a tap, or a tun made with several queues.
    #[error("{name}: the interface is not a tun device with one queue; choose another name or remove it")]
    NotTun {
        /// The interface.
        name: String,
    },
    /// The kernel is too old or refuses for a reason of its own.
    #[error("{name}: cannot attach to the tun device: {source}")]
    Other {
        /// The device.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl AttachError {
    pub(super) fn from_io(name: &str, source: io::Error) -> AttachError {
        let name = name.to_owned();
        match source.raw_os_error() {
            Some(libc::EBUSY) => AttachError::Busy { name },
            Some(libc::EPERM | libc::EACCES) => AttachError::Permission { name },
            Some(libc::EINVAL) => AttachError::NotTun { name },
            _ => AttachError::Other { name, source },
        }
    }

    fn from_open(name: &str, source: io::Error) -> AttachError {
        match source.raw_os_error() {
            Some(libc::ENOENT | libc::ENODEV | libc::ENXIO | libc::ENOTTY) => AttachError::NoDevNetTun,
            _ => AttachError::from_io(name, source),
        }
    }
}

impl From<AttachError> for io::Error {
    fn from(error: AttachError) -> io::Error {
        let kind = match &error {
            AttachError::NoDevNetTun | AttachError::Missing { .. } => io::ErrorKind::NotFound,
            AttachError::Permission { .. } => io::ErrorKind::PermissionDenied,
            AttachError::Busy { .. } => io::ErrorKind::ResourceBusy,
            AttachError::NotTun { .. } => io::ErrorKind::InvalidInput,
            AttachError::Other { source, .. } => source.kind(),
        };
        io::Error::new(kind, error)
    }
}

/// Attaches without carrier and without making a device.
pub(super) fn attach(name: &str) -> Result<OwnedFd, AttachError> {
    let other = |error| AttachError::from_io(name, error);
    let fd = open(name)?;
    // TUNSETIFF makes a device where there is none.
    if device::index_of(name).map_err(|source| AttachError::Other { name: name.to_owned(), source })?.is_none() {
        return Err(AttachError::Missing { name: name.to_owned() });
    }
    let keeps_carrier_off = features(&fd).map_err(other)? & libc::IFF_NO_CARRIER != 0;
    let no_carrier = if keeps_carrier_off { libc::IFF_NO_CARRIER } else { 0 };
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR | no_carrier;
    once_free(|| set_interface(&fd, name, flags)).map_err(other)?;
    if !keeps_carrier_off {
        super::carrier::set(&fd, false).map_err(other)?;
    }
    // Deleted between the look and TUNSETIFF: what we hold is a new device, which goes when `fd` is closed.
    if attached_flags(&fd).map_err(other)? & libc::IFF_PERSIST == 0 {
        return Err(AttachError::Missing { name: name.to_owned() });
    }
    set_header(&fd).map_err(other)?;
    Ok(fd)
}

/// Whether tun devices can be used by this process: `/dev/net/tun` is there, opens, and is what its name says.
///
/// # Errors
/// [`AttachError::NoDevNetTun`] or [`AttachError::Permission`].
pub fn access() -> Result<(), AttachError> {
    let fd = open(CLONE_DEVICE)?;
    features(&fd).map(drop).map_err(|error| AttachError::from_open(CLONE_DEVICE, error))
}

/// Makes a persistent tun device of the effective user's without configuring it, for tests and labs; fails if the
/// interface exists. A device without owner could be attached by any user who may open `/dev/net/tun`.
///
/// # Errors
/// As [`super::Tun::attach`]; [`AttachError::Busy`] if the name is taken.
pub fn create(name: &str) -> Result<(), AttachError> {
    let other = |error| AttachError::from_io(name, error);
    let fd = open(name)?;
    set_interface(&fd, name, libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR | IFF_TUN_EXCL).map_err(other)?;
    set_owner(&fd, process::effective_uid()).map_err(other)?;
    set_persistent(&fd, true).map_err(other)
}

/// Opens a tun device that lasts as long as the descriptor, or one that is persistent and there already, with carrier. Where
/// the name ends in `%d` the kernel chooses the number.
pub(super) fn open_own(name: &str) -> Result<OwnedFd, AttachError> {
    let other = |error| AttachError::from_io(name, error);
    let fd = open(name)?;
    once_free(|| set_interface(&fd, name, libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR)).map_err(other)?;
    set_header(&fd).map_err(other)?;
    Ok(fd)
}

/// Makes a tap device that lasts as long as the descriptor; fails if the interface exists.
pub(super) fn create_tap(name: &str) -> Result<OwnedFd, AttachError> {
    let other = |error| AttachError::from_io(name, error);
    let fd = open(name)?;
    set_interface(&fd, name, libc::IFF_TAP | libc::IFF_NO_PI | IFF_TUN_EXCL).map_err(other)?;
    Ok(fd)
}

/// Removes a persistent tun device to which no process is attached.
///
/// # Errors
/// As [`super::Tun::attach`].
pub fn remove(name: &str) -> Result<(), AttachError> {
    let fd = attach(name)?;
    set_persistent(&fd, false).map_err(|error| AttachError::from_io(name, error))
}

fn open(name: &str) -> Result<OwnedFd, AttachError> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(CLONE_DEVICE, flags, Mode::empty()).map_err(|error| AttachError::from_open(name, error.into()))
}

/// Tries again for a moment while the device is busy: a child between fork and exec holds a copy of every descriptor,
/// the one included with which this process made or left the device.
fn once_free(mut attach: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let deadline = Instant::now() + MOMENT;
    loop {
        match attach() {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(1));
            }
            result => return result,
        }
    }
}

fn features(fd: &OwnedFd) -> io::Result<c_int> {
    let mut features: c_int = 0;
    // SAFETY: TUNGETFEATURES takes a pointer to an unsigned int, which has the size of a `c_int`.
    unsafe { ioctl::with_pointer(fd, libc::TUNGETFEATURES, &mut features) }?;
    Ok(features)
}

fn set_interface(fd: &OwnedFd, name: &str, flags: c_int) -> io::Result<()> {
    let mut request = ioctl::interface_request(name)?;
    // The flags are 16 bits wide in the kernel too; the highest one makes the number negative.
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF takes a pointer to an `ifreq`.
    unsafe { ioctl::with_pointer(fd, libc::TUNSETIFF, &mut request) }?;
    Ok(())
}

fn attached_flags(fd: &OwnedFd) -> io::Result<c_int> {
    let request = attached_interface(fd)?;
    // SAFETY: the kernel has just written the flags, and any bits are a valid `c_short`.
    Ok(c_int::from(unsafe { request.ifr_ifru.ifru_flags } as u16))
}

/// `TUNGETIFF`: the attached device's present name and flags.
pub(super) fn attached_interface(fd: &OwnedFd) -> io::Result<libc::ifreq> {
    // SAFETY: an `ifreq` is plain integers and a union of plain integers and pointers; all zero bytes are valid for
    // each.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // SAFETY: TUNGETIFF takes a pointer to an `ifreq`.
    unsafe { ioctl::with_pointer(fd, libc::TUNGETIFF, &mut request) }?;
    Ok(request)
}

fn set_header(fd: &OwnedFd) -> io::Result<()> {
    let (mut length, mut little_endian) = (VNET_HEADER_LEN as c_int, 1 as c_int);
    // SAFETY: TUNSETVNETHDRSZ takes a pointer to an int.
    unsafe { ioctl::with_pointer(fd, libc::TUNSETVNETHDRSZ, &mut length) }?;
    // SAFETY: TUNSETVNETLE takes a pointer to an int.
    unsafe { ioctl::with_pointer(fd, libc::TUNSETVNETLE, &mut little_endian) }?;
    Ok(())
}

fn set_owner(fd: &OwnedFd, user: u32) -> io::Result<()> {
    // SAFETY: TUNSETOWNER takes a user id, not a pointer.
    unsafe { ioctl::with_value(fd, libc::TUNSETOWNER, user.into()) }?;
    Ok(())
}

fn set_persistent(fd: &OwnedFd, persistent: bool) -> io::Result<()> {
    // SAFETY: TUNSETPERSIST takes a truth value, not a pointer.
    unsafe { ioctl::with_value(fd, libc::TUNSETPERSIST, persistent.into()) }?;
    Ok(())
}
