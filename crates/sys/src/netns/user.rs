//! User namespaces: an ordinary user becomes root of network and mount namespaces of its own.

use std::{ffi::CStr, io, os::unix::process::CommandExt, process::Command};

use rustix::{
    fs::{Mode, OFlags},
    mount::MountPropagationFlags,
    thread::UnshareFlags,
};
use thiserror::Error;

/// Why a user namespace could not be entered.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UserNamespaceError {
    /// The process has more than one thread.
    #[error("a user namespace can be entered only before the process starts threads")]
    Threads,
    /// The machine forbids it to ordinary users.
    #[error(
        "this machine lets ordinary users make no user namespaces: run as root, or set \
         kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0 or a higher \
         user.max_user_namespaces, whichever it has"
    )]
    Forbidden,
    /// Anything else.
    #[error("cannot enter a user namespace: {0}")]
    Other(#[from] io::Error),
}

/// Enters a new user namespace with new network and mount namespaces, in which the caller is root.
///
/// User and group 0 inside are the caller's own outside; no other user exists. Supplementary groups cannot be changed.
/// Call it first thing in `main`, before any thread exists.
///
/// # Errors
/// [`UserNamespaceError`].
pub fn enter_user_namespace() -> Result<(), UserNamespaceError> {
    Maps::of_caller().enter().map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => UserNamespaceError::Threads,
        Some(libc::EPERM | libc::ENOSPC | libc::EACCES) => UserNamespaceError::Forbidden,
        _ => UserNamespaceError::Other(error),
    })
}

/// Makes the child that `command` starts do the same before it runs its program, so the parent may have threads.
///
/// Register it before [`super::Namespace::command_in`] and [`crate::process::die_with_parent`]: entering clears the
/// parent-death signal.
pub fn command_in_user_namespace(command: &mut Command) {
    let maps = Maps::of_caller();
    // SAFETY: runs between fork and exec: system calls on constants and on bytes made before the fork, no allocation,
    // no lock.
    unsafe { command.pre_exec(move || maps.enter()) };
}

/// The contents of `uid_map` and `gid_map`, made beforehand because the child of a fork may not allocate.
struct Maps {
    users: Vec<u8>,
    groups: Vec<u8>,
}

impl Maps {
    fn of_caller() -> Maps {
        let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Maps { users: format!("0 {user} 1\n").into_bytes(), groups: format!("0 {group} 1\n").into_bytes() }
    }

    fn enter(&self) -> io::Result<()> {
        super::unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET | UnshareFlags::NEWNS)?;
        // The kernel lets an ordinary user map its group only after setgroups is given up (user_namespaces(7)).
        write(c"/proc/self/setgroups", b"deny")?;
        write(c"/proc/self/uid_map", &self.users)?;
        write(c"/proc/self/gid_map", &self.groups)?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        Ok(rustix::mount::mount_change(c"/", private)?)
    }
}

fn write(path: &CStr, content: &[u8]) -> io::Result<()> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, content)?;
    Ok(())
}
