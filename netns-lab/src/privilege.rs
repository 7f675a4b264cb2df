//! The right to make namespaces: root's, or an ordinary user's in a user namespace.

use std::{fs::OpenOptions, io};

use meshtun_sys::{
    capability::{Capability, has},
    netns::{self, UserNamespaceError},
};
use thiserror::Error;

/// By what right namespaces are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// The capabilities were there: root, or a container that has them.
    Root,
    /// This process entered a user namespace of its own; names under `/run` are seen by it and its children only.
    UserNamespace,
}

/// Why `/dev/net/tun` cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TunError {
    /// There is no such device node.
    #[error("/dev/net/tun is missing: `modprobe tun`, or give the container that device")]
    Missing,
    /// This user may not open it.
    #[error("/dev/net/tun may not be opened by this user: run as root, or `chmod 0666 /dev/net/tun`")]
    Forbidden,
    /// The kernel has no driver behind it.
    #[error("/dev/net/tun has no driver behind it: `modprobe tun`")]
    NoDriver,
    /// Anything else.
    #[error("/dev/net/tun: {0}")]
    Other(io::Error),
}

/// Makes sure that this process may make and enter namespaces.
///
/// Where the capabilities are missing, a user namespace is entered, and `/run` is covered by an empty folder in which
/// names can be given. Call it first thing in `main`, before any thread exists.
///
/// # Errors
/// The user namespace is refused; the message says which setting allows it.
pub fn acquire() -> Result<Privilege, UserNamespaceError> {
    if is_privileged() {
        return Ok(Privilege::Root);
    }
    netns::enter_user_namespace()?;
    netns::cover_folder("/run")?;
    Ok(Privilege::UserNamespace)
}

/// Whether this thread may make namespaces, configure devices and capture as it is.
pub fn is_privileged() -> bool {
    [Capability::SysAdmin, Capability::NetAdmin, Capability::NetRaw].into_iter().all(|one| has(one).unwrap_or(false))
}

/// Whether tun devices can be had, which every gateway needs.
///
/// # Errors
/// [`TunError`], which says what to do.
pub fn tun_device() -> Result<(), TunError> {
    // ENXIO and ENODEV have no kind of their own in the standard library.
    const NO_DEVICE: [Option<i32>; 2] = [Some(6), Some(19)];
    match OpenOptions::new().read(true).write(true).open("/dev/net/tun") {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(TunError::Missing),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(TunError::Forbidden),
        Err(error) if NO_DEVICE.contains(&error.raw_os_error()) => Err(TunError::NoDriver),
        Err(error) => Err(TunError::Other(error)),
    }
}
