//! One daemon a network namespace.

use meshtun_sys::lock::{Lock, LockError};

use crate::{Directories, Error};

/// Takes the lock that makes this the one daemon of its network namespace.
///
/// # Errors
/// If another daemon has it, or its file cannot be made.
pub(crate) fn take(directories: &Directories) -> Result<Lock, Error> {
    Lock::acquire(directories.lock()).map_err(|error| match error {
        LockError::Held { holder, .. } => Error::AlreadyRuns { holder },
        LockError::Io { path, source } => Error::Directory { path, error: source },
        other => Error::Directory { path: directories.lock(), error: std::io::Error::other(other) },
    })
}
