//! Network namespaces: made, entered, pinned under a name; user namespaces for those who may not make them.
//!
//! A namespace is a descriptor here: it needs no name and no mount, and the kernel removes it with everything in it
//! when the last descriptor, thread, socket and mount of it is gone. See namespaces(7) and network_namespaces(7).
//!
//! A thread has a network namespace, not the process, and what a thread opens stays in the namespace in which it was
//! opened: sockets, tun devices, netlink. So enter with a thread of your own ([`Namespace::run_in`],
//! [`Namespace::spawn_in`]), never with one of a pool. `/proc/sys/net` follows the thread that opens a file in it,
//! `/proc/net` follows the main thread (use `/proc/thread-self/net`), and `/sys/class/net` shows the namespace in which
//! `/sys` was mounted (see [`see_own_sysfs`]).

mod pin;
mod user;

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    panic,
    path::Path,
    process::Command,
    thread::{self, JoinHandle},
};

use rustix::{
    fs::{Mode, OFlags},
    mount::{MountFlags, MountPropagationFlags},
    thread::{LinkNameSpaceType, UnshareFlags},
};

pub use pin::{Pinned, unpin};
pub use user::{UserNamespaceError, command_in_user_namespace, enter_user_namespace};

/// A network namespace, held open.
#[derive(Debug)]
pub struct Namespace(OwnedFd);

impl Namespace {
    /// The calling thread's namespace.
    ///
    /// # Errors
    /// The kernel's, if `/proc` is not mounted.
    pub fn current() -> io::Result<Namespace> {
        Namespace::open("/proc/thread-self/ns/net")
    }

    /// A fresh namespace: a loopback device that is down, and nothing else.
    ///
    /// # Errors
    /// `EPERM` without `CAP_SYS_ADMIN` (see [`enter_user_namespace`]), `ENOSPC` at the limit of
    /// `user.max_net_namespaces`.
    pub fn new() -> io::Result<Namespace> {
        // A thread of its own, because the caller must stay where it is.
        on_own_thread("meshtun-netns", || {
            unshare(UnshareFlags::NEWNET)?;
            Namespace::current()
        })?
    }

    /// The namespace at `path`: `/run/netns/NAME` or `/proc/PID/ns/net`.
    ///
    /// # Errors
    /// The kernel's, if the file cannot be opened; entering a file that is no network namespace gives `EINVAL`.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Namespace> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Namespace(rustix::fs::open(path.as_ref(), flags, Mode::empty())?))
    }

    /// Another descriptor of the same namespace.
    ///
    /// # Errors
    /// The kernel's, for want of descriptors.
    pub fn try_clone(&self) -> io::Result<Namespace> {
        Ok(Namespace(self.0.try_clone()?))
    }

    /// The number that tells namespaces apart (`readlink /proc/PID/ns/net` shows it).
    ///
    /// # Errors
    /// The kernel's; none is expected.
    pub fn inode(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.0)?.st_ino)
    }

    /// Moves the calling thread into the namespace, for good; threads and children that it starts are there too.
    ///
    /// # Errors
    /// `EPERM` without `CAP_SYS_ADMIN` in the namespace's and the thread's user namespace.
    pub fn enter_current_thread(&self) -> io::Result<()> {
        enter(self.0.as_fd())
    }

    /// Runs `work` on a thread that entered the namespace, waits for it and gives what it returned.
    ///
    /// # Errors
    /// As [`Self::enter_current_thread`], or if no thread can be made; then `work` has not run.
    ///
    /// # Panics
    /// When `work` does, with its payload.
    pub fn run_in<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        on_own_thread("meshtun-netns", || self.enter_current_thread().map(|()| work()))?
    }

    /// Starts a thread that enters the namespace and then does `work`.
    ///
    /// # Errors
    /// If no thread can be made or, as [`Self::enter_current_thread`], none can enter; then `work` does not run.
    pub fn spawn_in<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        let namespace = self.try_clone()?;
        // Entered by a thread that starts the real one, so that a refusal is known before this returns.
        on_own_thread(name, || {
            namespace.enter_current_thread()?;
            thread::Builder::new().name(name.to_owned()).spawn(work)
        })?
    }

    /// Makes the child that `command` starts enter the namespace before it runs its program.
    ///
    /// The child enters after whatever was registered on `command` before and before what comes later.
    ///
    /// # Errors
    /// If the descriptor cannot be duplicated. What the child's entering says comes from `spawn`.
    pub fn command_in(&self, command: &mut Command) -> io::Result<()> {
        let namespace = self.0.try_clone()?;
        // SAFETY: runs between fork and exec: one setns system call on a descriptor that the closure owns, no
        // allocation, no lock.
        unsafe { command.pre_exec(move || enter(namespace.as_fd())) };
        Ok(())
    }

    /// Mounts the namespace at `path`, as `ip netns add` does at `/run/netns/NAME`, so that programs find it by name.
    ///
    /// # Errors
    /// `EEXIST` if there is such a file: somebody else's name is never taken. `EPERM` without `CAP_SYS_ADMIN`.
    pub fn pin_to(&self, path: impl AsRef<Path>) -> io::Result<Pinned> {
        pin::pin(self.0.as_fd(), path.as_ref())
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Gives the calling thread mounts of its own: what it mounts from here on, only it and what it starts see.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`.
pub fn own_mounts() -> io::Result<()> {
    unshare(UnshareFlags::NEWNS)?;
    // What others mount still arrives; what is mounted here does not go out.
    Ok(rustix::mount::mount_change(c"/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?)
}

/// Gives the calling thread [`own_mounts`] in which `/sys` shows the network namespace that it is in.
///
/// Call it on a thread of your own, after entering.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`, or where a container covers parts of `/sys`.
pub fn see_own_sysfs() -> io::Result<()> {
    own_mounts()?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match rustix::mount::mount(c"sysfs", c"/sys", c"sysfs", flags, None::<&std::ffi::CStr>) {
        // The kernel mounts no file system over itself: `/sys` shows this namespace already.
        Err(rustix::io::Errno::BUSY) => Ok(()),
        result => Ok(result?),
    }
}

/// Makes the child that `command` starts see its own network namespace in `/sys`; after [`Namespace::command_in`].
///
/// Needed only by programs that read `/sys/class/net`; `ip`, `tc`, `ss` and `ethtool` do not.
pub fn command_with_own_sysfs(command: &mut Command) {
    // SAFETY: runs between fork and exec: three system calls with constant arguments, no allocation, no lock.
    unsafe { command.pre_exec(see_own_sysfs) };
}

/// Covers `folder` with an empty one in memory, seen by this mount namespace only: a writable `/run` for an ordinary
/// user after [`enter_user_namespace`].
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`.
pub fn cover_folder(folder: impl AsRef<Path>) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(rustix::mount::mount(c"tmpfs", folder.as_ref(), c"tmpfs", flags, Some(c"mode=0755"))?)
}

/// Runs `work` on a thread of its own and waits.
fn on_own_thread<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work)?;
        thread.join().or_else(|payload| panic::resume_unwind(payload))
    })
}

fn enter(namespace: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::thread::move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?)
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: only CLONE_FILES is dangerous (descriptors that other threads hold would mean other files); no caller in
    // this module asks for it.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}
