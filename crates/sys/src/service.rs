//! What a service runner is told, and the descriptors that it keeps across a restart (sd_notify(3), sd_listen_fds(3)).

use std::{
    env,
    ffi::OsStr,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::{ffi::OsStrExt, net::UnixDatagram, process::CommandExt},
    },
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rustix::{
    io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
        SocketAddrUnix, recvmsg, sendmsg_addr,
    },
    time::{ClockId, clock_gettime},
};

/// A descriptor that the service runner passed on.
#[derive(Debug)]
pub struct Passed {
    /// What it was called when it was given to be kept; `unknown` if nobody said.
    pub name: String,
    /// The descriptor, closed on exec.
    pub descriptor: OwnedFd,
}

/// The most descriptors that one message may carry (`SCM_MAX_FD`, include/net/scm.h).
pub const MOST_DESCRIPTORS: usize = 253;

/// Sends a message to the service runner's socket, with descriptors beside it. A name that begins with `@` is one of the
/// abstract namespace.
///
/// # Errors
/// The kernel's; `InvalidInput` for more than [`MOST_DESCRIPTORS`].
pub fn notify(socket: &OsStr, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    if descriptors.len() > MOST_DESCRIPTORS {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name)?,
        path => SocketAddrUnix::new(path)?,
    };
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        let fits = beside.push(SendAncillaryMessage::ScmRights(descriptors));
        debug_assert!(fits, "there is room for the most");
    }
    let sender = UnixDatagram::unbound()?;
    sendmsg_addr(sender.as_fd(), &address, &[IoSlice::new(message)], &mut beside, SendFlags::empty())?;
    Ok(())
}

/// The descriptors that the service runner passed to this process; none when asked again.
pub fn passed() -> Vec<Passed> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Vec::new();
    }
    let number = |name| env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Vec::new();
    }
    let count = number("LISTEN_FDS").unwrap_or(0);
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').filter(|name| !name.is_empty());
    let mut passed = Vec::new();
    for raw in (FIRST_DESCRIPTOR..).take(count as usize) {
        let name = names.next().unwrap_or("unknown").to_owned();
        // SAFETY: the variables say that whoever started this process opened the descriptor for it, and `TAKEN` that nobody
        // else was given it; it is owned from here on. Whether it is open is found out before it is used.
        let descriptor = unsafe { BorrowedFd::borrow_raw(raw) };
        if fcntl_setfd(descriptor, FdFlags::CLOEXEC).is_ok() {
            // SAFETY: as above, and it is open.
            passed.push(Passed { name, descriptor: unsafe { OwnedFd::from_raw_fd(raw) } });
        }
    }
    passed
}

/// `SD_LISTEN_FDS_START`.
const FIRST_DESCRIPTOR: RawFd = 3;

/// A stand-in for a service runner: for tests of what keeps descriptors across a restart.
#[derive(Debug)]
pub struct Runner(UnixDatagram);

impl Runner {
    /// Listens at this path, which must be free.
    ///
    /// # Errors
    /// The kernel's.
    pub fn bind(path: &Path) -> io::Result<Runner> {
        UnixDatagram::bind(path).map(Runner)
    }

    /// The next message, and the descriptors that came with it.
    ///
    /// # Errors
    /// The kernel's; `WouldBlock` after that time.
    pub fn receive(&self, patience: Duration) -> io::Result<(String, Vec<OwnedFd>)> {
        self.0.set_read_timeout(Some(patience))?;
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut message = [0; 4096];
        let parts = &mut [IoSliceMut::new(&mut message)];
        let length = recvmsg(&self.0, parts, &mut beside, RecvFlags::CMSG_CLOEXEC)?.bytes;
        let rights = |part| match part {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        };
        let descriptors = beside.drain().filter_map(rights).flatten().collect();
        Ok((String::from_utf8_lossy(&message[..length]).into_owned(), descriptors))
    }
}

/// Makes the child that `command` starts find these descriptors where [`passed`] looks for them. The variables are the
/// caller's business: `LISTEN_PID` is known only in the child (`sh -c 'LISTEN_PID=$$ exec "$0" "$@"'`).
///
/// # Errors
/// The kernel's, for want of descriptors.
pub fn pass(command: &mut Command, descriptors: &[OwnedFd]) -> io::Result<()> {
    let above = FIRST_DESCRIPTOR + RawFd::try_from(descriptors.len()).unwrap_or(RawFd::MAX);
    // Out of the way of the numbers that they shall get.
    let copies: Vec<OwnedFd> = descriptors
        .iter()
        .map(|descriptor| fcntl_dupfd_cloexec(descriptor, above))
        .collect::<rustix::io::Result<_>>()?;
    // SAFETY: runs between fork and exec: system calls only, no allocation, no lock. What `dup2` closes in the child is
    // closed on exec anyway, or not the caller's to pass.
    unsafe {
        command.pre_exec(move || {
            for (number, copy) in (FIRST_DESCRIPTOR..).zip(&copies) {
                if libc::dup2(copy.as_raw_fd(), number) < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        })
    };
    Ok(())
}

/// `CLOCK_MONOTONIC` in microseconds, by which a service runner tells one reload from the next.
pub fn monotonic_micros() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_runs_forward_in_microseconds() {
        let before = monotonic_micros();
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(monotonic_micros() - before >= 2000);
    }

    #[test]
    fn nothing_was_passed_to_a_test() {
        assert!(passed().is_empty());
    }

    #[test]
    fn a_descriptor_reaches_the_runner_beside_its_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let runner = Runner::bind(&path).unwrap();
        let kept = UnixDatagram::unbound().unwrap();
        notify(path.as_os_str(), b"FDSTORE=1", &[kept.as_fd()]).unwrap();
        let (message, descriptors) = runner.receive(Duration::from_secs(10)).unwrap();
        assert_eq!((message.as_str(), descriptors.len()), ("FDSTORE=1", 1));
        notify(path.as_os_str(), b"READY=1", &[]).unwrap();
        assert_eq!(runner.receive(Duration::from_secs(10)).unwrap().1.len(), 0);
    }

    #[test]
    fn more_descriptors_than_a_message_carries_are_refused() {
        let socket = UnixDatagram::unbound().unwrap();
        let many = vec![socket.as_fd(); MOST_DESCRIPTORS + 1];
        let error = notify(OsStr::new("@nobody"), b"", &many).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
