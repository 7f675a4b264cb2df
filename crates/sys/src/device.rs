//! Network interfaces by name, in the calling thread's network namespace.
//!
//! Only what the data plane, tests and labs need without netlink; devices and addresses are configured by netlink.

use std::{io, os::fd::OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};
use socket2::Socket;

use crate::{ioctl, option};

/// The interface's index, or `None` if there is no such interface.
///
/// It is asked by binding a socket to it and looking what that is bound to. The usual way, SIOCGIFINDEX, runs modprobe for a
/// name that is missing (net/core/dev_ioctl.c, `dev_load`), each time; this one waits for nothing (net/core/sock.c,
/// `sock_setbindtodevice`). Kernels before 5.7 want a right for it, and are asked in the usual way without.
///
/// # Errors
/// `InvalidInput` if the name cannot be an interface's; whatever the kernel says.
pub fn index_of(name: &str) -> io::Result<Option<u32>> {
    ioctl::check_name(name)?;
    let socket = Socket::from(control_socket()?);
    match socket.bind_device(Some(name.as_bytes())) {
        Ok(()) => {
            if let Ok(index) = option::get_int(&socket, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX) {
                return Ok(u32::try_from(index).ok().filter(|index| *index > 0));
            }
        }
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(None),
        Err(_) => {}
    }
    match netdevice::name_to_index(control_socket()?, name) {
        Ok(index) => Ok(Some(index)),
        Err(rustix::io::Errno::NODEV) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The interface's flags (`IFF_*`, the lower 16 bits), see netdevice(7).
///
/// # Errors
/// `ENODEV` if there is no such interface.
pub fn flags(name: &str) -> io::Result<u16> {
    flags_through(&control_socket()?, name)
}

/// Whether the kernel takes the interface as operational (`IFF_RUNNING`): up, and its carrier as link watch last saw
/// it.
///
/// # Errors
/// `ENODEV` if there is no such interface.
pub fn is_running(name: &str) -> io::Result<bool> {
    Ok(flags(name)? & libc::IFF_RUNNING as u16 != 0)
}

/// Sets the interface up or down, as `ip link set NAME up` does.
///
/// # Errors
/// `ENODEV` if there is no such interface, `EPERM` without `CAP_NET_ADMIN`.
pub fn set_up(name: &str, up: bool) -> io::Result<()> {
    let socket = control_socket()?;
    let before = flags_through(&socket, name)?;
    let wanted = if up { before | libc::IFF_UP as u16 } else { before & !(libc::IFF_UP as u16) };
    let mut request = ioctl::interface_request(name)?;
    request.ifr_ifru.ifru_flags = wanted as libc::c_short;
    // SAFETY: SIOCSIFFLAGS takes a pointer to an `ifreq`.
    unsafe { ioctl::with_pointer(&socket, libc::SIOCSIFFLAGS as libc::Ioctl, &mut request) }?;
    Ok(())
}

/// The interface's carrier, asked by `ETHTOOL_GLINK`; asking makes the kernel act on a carrier change that still waits.
///
/// # Errors
/// `ENODEV` if there is no such interface, `EOPNOTSUPP` if its driver has no link state.
pub fn carrier(name: &str) -> io::Result<bool> {
    link_state(&control_socket()?, name)
}

/// A socket for interface ioctls: it stays in the namespace in which it was made.
pub(crate) fn control_socket() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?)
}

pub(crate) fn flags_through(socket: &OwnedFd, name: &str) -> io::Result<u16> {
    let mut request = ioctl::interface_request(name)?;
    // SAFETY: SIOCGIFFLAGS takes a pointer to an `ifreq`.
    unsafe { ioctl::with_pointer(socket, libc::SIOCGIFFLAGS as libc::Ioctl, &mut request) }?;
    // SAFETY: the kernel has just written the flags, and any bits are a valid `c_short`.
    Ok(unsafe { request.ifr_ifru.ifru_flags } as u16)
}

/// `ETHTOOL_GLINK` (net/ethtool/ioctl.c: `ethtool_op_get_link` synchronises with link watch).
pub(crate) fn link_state(socket: &OwnedFd, name: &str) -> io::Result<bool> {
    /// `ETHTOOL_GLINK` of linux/ethtool.h.
    const ETHTOOL_GLINK: u32 = 0x0a;
    let mut value = EthtoolValue { command: ETHTOOL_GLINK, value: 0 };
    let mut request = ioctl::interface_request(name)?;
    request.ifr_ifru.ifru_data = std::ptr::from_mut(&mut value).cast();
    // SAFETY: SIOCETHTOOL takes a pointer to an `ifreq` whose data points to the command's structure; for ETHTOOL_GLINK
    // that is an `ethtool_value`, which lives beyond the call.
    unsafe { ioctl::with_pointer(socket, libc::SIOCETHTOOL as libc::Ioctl, &mut request) }?;
    Ok(value.value != 0)
}

/// `struct ethtool_value` of linux/ethtool.h.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    value: u32,
}
