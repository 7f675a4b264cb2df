//! Who a process is and what it may see: user, groups, root directory, priority, memory.

use std::{ffi::c_int, io, path::Path};

use nix::unistd::{Group, User};
use rustix::{
    process::{chdir, chroot, nice},
    thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities},
};

/// The user id of a name, or of a number.
///
/// # Errors
/// The kernel's or the name service's; `NotFound` if there is no such user.
pub fn user_id(name: &str) -> io::Result<u32> {
    let found = User::from_name(name)?.map(|user| user.uid.as_raw());
    found.or_else(|| name.parse().ok()).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The group id of a name, or of a number.
///
/// # Errors
/// As [`user_id`].
pub fn group_id(name: &str) -> io::Result<u32> {
    let found = Group::from_name(name)?.map(|group| group.gid.as_raw());
    found.or_else(|| name.parse().ok()).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Makes the whole process, every thread of it, another user's or group's, for good. Supplementary groups go: what stays is
/// the new group, if one is given.
///
/// `keep_net_admin`: the **calling** thread keeps `CAP_NET_ADMIN`, and nothing else; every other thread keeps nothing. What
/// programs are started gets no capability in any case. Whether it was kept is told.
///
/// # Errors
/// The kernel's; the process may be half way then, and should end.
pub fn become_other(user: Option<u32>, group: Option<u32>, keep_net_admin: bool) -> io::Result<bool> {
    let keep = keep_net_admin && capabilities(None)?.permitted.contains(CapabilitySet::NET_ADMIN);
    if keep {
        set_keep_capabilities(true)?;
    }
    let groups: Vec<libc::gid_t> = group.into_iter().collect();
    // The C library's functions, unlike the system calls, change all threads.
    // SAFETY: the list is as long as said.
    checked(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })?;
    if let Some(group) = group {
        // SAFETY: takes numbers only.
        checked(unsafe { libc::setresgid(group, group, group) })?;
    }
    if let Some(user) = user {
        // SAFETY: takes numbers only.
        checked(unsafe { libc::setresuid(user, user, user) })?;
    }
    if keep {
        let net_admin = CapabilitySet::NET_ADMIN;
        let inheritable = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: net_admin, permitted: net_admin, inheritable })?;
        set_keep_capabilities(false)?;
    }
    Ok(keep)
}

/// Locks the process into a directory and enters its root.
///
/// # Errors
/// The kernel's: `EPERM` without `CAP_SYS_CHROOT`.
pub fn lock_into(directory: &Path) -> io::Result<()> {
    chroot(directory)?;
    Ok(chdir("/")?)
}

/// Changes the priority by so much and gives the new one.
///
/// # Errors
/// The kernel's: `EPERM` to go before others without `CAP_SYS_NICE`.
pub fn change_priority(by: i32) -> io::Result<i32> {
    Ok(nice(by)?)
}

/// Lifts the limit on locked memory. A process that may lock memory is not held to it, but
/// one that gives up its rights later is: it ends then when it needs more than the limit.
///
/// # Errors
/// The kernel's: `EPERM` without `CAP_SYS_RESOURCE`, if there is a hard limit.
pub fn lift_locked_memory() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if getrlimit(Resource::Memlock).current.is_none() {
        return Ok(());
    }
    Ok(setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None })?)
}

/// Keeps all memory of this process, what comes included, out of the swap space.
///
/// # Errors
/// The kernel's: `ENOMEM` over the limit on locked memory, `EPERM`.
pub fn lock_memory() -> io::Result<()> {
    // SAFETY: takes flags only.
    checked(unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) })
}

fn checked(result: c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_found_and_others_are_not() {
        assert_eq!(user_id("root").unwrap(), 0);
        assert_eq!(group_id("root").unwrap(), 0);
        assert_eq!(user_id("12345").unwrap(), 12345);
        assert_eq!(user_id("no-such-user").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(group_id("no-such-group").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
