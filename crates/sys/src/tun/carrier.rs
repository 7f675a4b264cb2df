//! A tun device's carrier.

use std::{
    ffi::c_int,
    io,
    os::fd::OwnedFd,
    sync::atomic::{AtomicU8, Ordering},
};

use super::attach::attached_interface;
use crate::{device, ioctl};

/// Switches a tun device's carrier and makes the kernel act on it at once.
///
/// The kernel handles losses in batches, at most one a second for the whole machine (net/core/link_watch.c). Asking for
/// the link state by `ETHTOOL_GLINK` right after makes it take the nexthop out within a millisecond, and after a gain
/// makes it start the device's queue before anything is routed there.
#[derive(Debug)]
pub struct CarrierSwitch {
    tun: OwnedFd,
    control: OwnedFd,
    settles: AtomicU8,
}

const UNKNOWN: u8 = 0;
const AT_ONCE: u8 = 1;
const LATER: u8 = 2;

impl CarrierSwitch {
    pub(super) fn new(tun: OwnedFd) -> io::Result<CarrierSwitch> {
        Ok(CarrierSwitch { tun, control: device::control_socket()?, settles: AtomicU8::new(UNKNOWN) })
    }

    /// Sets carrier; the kernel has acted on it when this returns, if [`Self::settles_at_once`].
    ///
    /// # Errors
    /// The kernel's, if carrier could not be set: `EBADFD` when the device is deleted, `EPERM` or `ENOTTY` never on
    /// Linux 5.0 and later. That the kernel could not be hurried is no error.
    pub fn set(&self, up: bool) -> io::Result<()> {
        let name = attached_interface(&self.tun).map(|request| ioctl::interface_name(&request));
        let ran = name.as_ref().is_ok_and(|name| self.is_running(name));
        set(&self.tun, up)?;
        if let Ok(name) = name {
            let asked = device::link_state(&self.control, &name);
            if ran && !up {
                self.observe(asked.is_ok() && !self.is_running(&name));
            }
        }
        Ok(())
    }

    /// Whether the kernel took the last loss as it was told; `None` until carrier was lost on a device that ran.
    ///
    /// Where it does not (`ETHTOOL_GLINK` synchronises since Linux 6.8), packets go on arriving in the tun's queue for
    /// up to a second.
    pub fn settles_at_once(&self) -> Option<bool> {
        match self.settles.load(Ordering::Relaxed) {
            UNKNOWN => None,
            settles => Some(settles == AT_ONCE),
        }
    }

    fn is_running(&self, name: &str) -> bool {
        let flags = device::flags_through(&self.control, name);
        flags.is_ok_and(|flags| flags & libc::IFF_RUNNING as u16 != 0)
    }

    fn observe(&self, at_once: bool) {
        self.settles.store(if at_once { AT_ONCE } else { LATER }, Ordering::Relaxed);
    }
}

/// `TUNSETCARRIER`.
pub(super) fn set(tun: &OwnedFd, up: bool) -> io::Result<()> {
    let mut carrier = c_int::from(up);
    // SAFETY: TUNSETCARRIER takes a pointer to an int.
    unsafe { ioctl::with_pointer(tun, libc::TUNSETCARRIER, &mut carrier) }?;
    Ok(())
}
