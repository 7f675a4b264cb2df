//! One holder at a time: an exclusive `flock` on a file.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use thiserror::Error;

/// A lock that is held until this is dropped or the process ends, however it ends. The file stays.
#[derive(Debug)]
pub struct Lock(File);

/// Why a lock could not be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process holds it.
    #[error("{}: held by {}", path.display(), describe(*holder))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The process id that the holder wrote there.
        holder: Option<u32>,
    },
    /// The file cannot be opened, written or locked.
    #[error("{}: {source}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Lock {
    /// Takes the lock at `path` without waiting and writes this process's id there. Makes the file if there is none,
    /// readable by everyone; follows no symbolic link.
    ///
    /// # Errors
    /// [`LockError::Held`] or [`LockError::Io`].
    pub fn acquire(path: impl AsRef<Path>) -> Result<Lock, LockError> {
        let path = path.as_ref();
        let failed = |source| LockError::Io { path: path.to_owned(), source };
        let mut file = open(path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(LockError::Held { path: path.to_owned(), holder: read_holder(&mut file) });
            }
            Err(error) => return Err(failed(error.into())),
        }
        write_holder(&mut file).map_err(failed)?;
        Ok(Lock(file))
    }

    /// The process that holds the lock at `path`, if one does: tries it without taking it for longer than that.
    ///
    /// # Errors
    /// The kernel's, `NotFound` if there is no such file.
    pub fn holder(path: impl AsRef<Path>) -> io::Result<Option<u32>> {
        let mut file = OpenOptions::new().read(true).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(None),
            Err(Errno::WOULDBLOCK) => Ok(read_holder(&mut file)),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Best effort: a stale id is never believed without the lock.
        let _stale = self.0.set_len(0);
        // Closing alone would leave the lock to a child between fork and exec, which holds a copy of the descriptor.
        let _closed_next = flock(&self.0, FlockOperation::Unlock);
    }
}

fn open(path: &Path) -> io::Result<File> {
    let no_follow = libc::O_NOFOLLOW;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(no_follow)
        .open(path)
}

fn describe(holder: Option<u32>) -> String {
    holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

fn read_holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}
