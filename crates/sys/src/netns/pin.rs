//! Names for namespaces: bind mounts of their descriptors.

use std::{
    fs, io,
    os::fd::{AsRawFd, BorrowedFd},
    path::{Path, PathBuf},
};

use rustix::{
    io::Errno,
    mount::{MountPropagationFlags, UnmountFlags},
};

/// Where `ip netns` looks.
const IP_NETNS: [&str; 2] = ["/run/netns", "/var/run/netns"];

/// A namespace's name in the file system; dropping it takes the name away.
#[derive(Debug)]
#[must_use = "the name goes when this is dropped"]
pub struct Pinned(PathBuf);

impl Pinned {
    /// Where the namespace is mounted.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Leaves the name there when this is dropped; [`unpin`] takes it away.
    pub fn keep(self) -> PathBuf {
        let mut this = std::mem::ManuallyDrop::new(self);
        std::mem::take(&mut this.0)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // Already taken away by somebody else: nothing is left to do.
        let _gone = unpin(&self.0);
    }
}

/// Takes a name away that [`super::Namespace::pin_to`] or `ip netns add` gave. The namespace lives on while it is used.
///
/// # Errors
/// `EINVAL` if nothing is mounted there, `ENOENT` if there is no such file; then nothing is removed.
pub fn unpin(path: impl AsRef<Path>) -> io::Result<()> {
    rustix::mount::unmount(path.as_ref(), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
    fs::remove_file(path)
}

pub(super) fn pin(namespace: BorrowedFd<'_>, path: &Path) -> io::Result<Pinned> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
        if IP_NETNS.iter().any(|known| folder == Path::new(known)) {
            share(folder)?;
        }
    }
    fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    let source = format!("/proc/self/fd/{}", namespace.as_raw_fd());
    match rustix::mount::mount_bind(source, path) {
        Ok(()) => Ok(Pinned(path.to_owned())),
        Err(error) => {
            fs::remove_file(path)?;
            Err(error.into())
        }
    }
}

/// Makes the folder a shared mount, as iproute2 does before its first name: a name given or taken later is then given
/// and taken in every mount namespace, and `ip netns add` afterwards covers nothing of ours.
fn share(folder: &Path) -> io::Result<()> {
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    match rustix::mount::mount_change(folder, shared) {
        // Not a mount yet.
        Err(Errno::INVAL) => {
            rustix::mount::mount_bind_recursive(folder, folder)?;
            Ok(rustix::mount::mount_change(folder, shared)?)
        }
        result => Ok(result?),
    }
}
