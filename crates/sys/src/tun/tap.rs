//! A tap device: whole Ethernet frames, each complete, as a cable carries them.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use super::{AttachError, attach};

/// A tap device that this descriptor made; it goes when this is dropped.
///
/// Without virtio-net headers: the kernel cuts super-packets and fills in checksums before a frame is read, and checks
/// those of frames that are written. What is sent while [`Tap::read`] is not called waits in the device's queue.
#[derive(Debug)]
pub struct Tap {
    fd: OwnedFd,
}

impl Tap {
    /// Makes a device in the calling thread's network namespace; it is down.
    ///
    /// # Errors
    /// [`AttachError`]; `Busy` if an interface has that name.
    pub fn create(name: &str) -> Result<Tap, AttachError> {
        attach::create_tap(name).map(|fd| Tap { fd })
    }

    /// Reads one frame; a frame longer than `buffer` loses its end.
    ///
    /// # Errors
    /// [`is_would_block`](crate::udp::is_would_block) when none waits; [`is_down`](super::is_down) while the device is not
    /// up.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.fd, buffer)?)
    }

    /// Writes one frame, which arrives at the device's namespace.
    ///
    /// # Errors
    /// [`is_down`](super::is_down) while the device is not up, `EINVAL` for less than an Ethernet header.
    pub fn write(&self, frame: &[u8]) -> io::Result<()> {
        rustix::io::write(&self.fd, frame)?;
        Ok(())
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
