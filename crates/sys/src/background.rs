//! Going into the background, and where standard output goes.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

/// Which of the two processes one is after [`fork`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forked {
    /// The one that called.
    Parent,
    /// The new one, leader of a session of its own, without a terminal.
    Child,
}

/// Makes a second process out of this one, in a session of its own (daemon(7)).
///
/// # Errors
/// The kernel's; `InvalidInput` if this process has more than one thread, which would not be in the child.
pub fn fork() -> io::Result<Forked> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a process with threads cannot go into the background",
        ));
    }
    // SAFETY: this process has one thread (see above), so the child has all of it and no lock is held by another.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            rustix::process::setsid()?;
            Ok(Forked::Child)
        }
        _ => Ok(Forked::Parent),
    }
}

/// Makes standard output and standard error write to this file.
///
/// # Errors
/// The kernel's; none is expected.
pub fn redirect_output(file: &File) -> io::Result<()> {
    replace(file, 1)?;
    replace(file, 2)
}

/// Connects standard input, and the two outputs too if asked, with nothing (`/dev/null`).
///
/// # Errors
/// The kernel's, if there is no `/dev/null`.
pub fn silence(outputs: bool) -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    replace(&null, 0)?;
    if outputs { redirect_output(&null) } else { Ok(()) }
}

fn replace(file: &File, number: i32) -> io::Result<()> {
    // SAFETY: the standard descriptors belong to the process, and whoever writes to them does so by number; nobody holds
    // them as owned.
    if unsafe { libc::dup2(file.as_fd().as_raw_fd(), number) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A second descriptor of standard error, for messages after it was redirected.
///
/// # Errors
/// The kernel's.
pub fn standard_error() -> io::Result<File> {
    // SAFETY: F_DUPFD_CLOEXEC makes a new descriptor, which nobody else knows.
    let number = unsafe { libc::fcntl(2, libc::F_DUPFD_CLOEXEC, 3) };
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above; it is open and owned from here on.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(number) }))
}
