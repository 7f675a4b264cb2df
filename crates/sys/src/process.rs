//! Children and process ids.

use std::{ffi::CString, io, os::unix::process::CommandExt, process::Command};

use rustix::process::{
    Pid, Resource, Rlimit, geteuid, getppid, getrlimit, kill_process, kill_process_group,
    set_parent_process_death_signal, setrlimit, test_kill_process,
};

/// A signal to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: stop cleanly.
    Terminate,
    /// SIGINT: what Ctrl-C sends.
    Interrupt,
    /// SIGHUP: read the configuration again.
    Hangup,
    /// SIGKILL: end at once.
    Kill,
    /// SIGUSR1: what OpenVPN takes as an order to connect anew.
    User1,
    /// SIGUSR2: what OpenVPN takes as an order to tell its statistics.
    User2,
}

impl Signal {
    fn number(self) -> rustix::process::Signal {
        match self {
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Interrupt => rustix::process::Signal::INT,
            Signal::Hangup => rustix::process::Signal::HUP,
            Signal::Kill => rustix::process::Signal::KILL,
            Signal::User1 => rustix::process::Signal::USR1,
            Signal::User2 => rustix::process::Signal::USR2,
        }
    }
}

/// Makes the child that `command` starts get SIGKILL when the **thread** that started it ends, however it ends.
///
/// So start it from a thread that lives as long as the child shall. Register this after everything that changes user or
/// capabilities, which clears it. A program that is set-user-ID clears it too.
pub fn die_with_parent(command: &mut Command) {
    let parent = std::process::id();
    // SAFETY: runs between fork and exec: two system calls, no allocation, no lock.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            // The parent may have ended before the signal was asked for.
            let orphaned = getppid().is_none_or(|pid| pid.as_raw_nonzero().get().unsigned_abs() != parent);
            if orphaned { Err(io::Error::from_raw_os_error(libc::ESRCH)) } else { Ok(()) }
        })
    };
}

/// A child that runs this program with exactly these arguments, the program's name as the first of them, and exactly this
/// environment, in this order. The program is not looked for: its name is a path.
///
/// Starting it fails where it cannot be run. More can be set on the command, but neither arguments nor variables.
///
/// # Errors
/// `InvalidInput` without a program, or for a zero byte in a word.
pub fn exactly<'a, V: AsRef<[u8]>>(
    argv: &[String],
    environment: impl Iterator<Item = (&'a str, V)>,
) -> io::Result<Command> {
    let program = argv.first().ok_or(io::ErrorKind::InvalidInput)?;
    let argv = argv.iter().map(|word| CString::new(word.as_str())).collect::<Result<Vec<_>, _>>()?;
    let environment = environment.map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_ref()].concat()));
    let environment = environment.collect::<Result<Vec<_>, _>>()?;
    let mut command = Command::new(program);
    // SAFETY: runs between fork and exec. The lists of pointers are made there: they cannot be sent to the child otherwise, and
    // their memory comes from the allocator, which the C library keeps usable after fork.
    unsafe {
        command.pre_exec(move || {
            let (words, variables) = (pointers(&argv), pointers(&environment));
            libc::execve(argv[0].as_ptr(), words.as_ptr(), variables.as_ptr());
            Err(io::Error::last_os_error())
        })
    };
    Ok(command)
}

/// A list that ends with a null pointer, as execve(2) takes it.
fn pointers(words: &[CString]) -> Vec<*const libc::c_char> {
    words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Sends `signal` to the process `pid`, and to no group.
///
/// # Errors
/// `ESRCH` if there is no such process, `EPERM` if it is another user's, `InvalidInput` for pid 0.
pub fn signal(pid: u32, signal: Signal) -> io::Result<()> {
    Ok(kill_process(checked(pid)?, signal.number())?)
}

/// Sends `signal` to every process of the group `group`.
///
/// # Errors
/// `ESRCH` if the group has no process any more, `InvalidInput` for group 0, which would be our own.
pub fn signal_group(group: u32, signal: Signal) -> io::Result<()> {
    Ok(kill_process_group(checked(group)?, signal.number())?)
}

/// Whether there is a process `pid`; one that ended but was not waited for counts.
pub fn exists(pid: u32) -> bool {
    checked(pid).is_ok_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// The user id that decides what this process may do.
pub fn effective_uid() -> u32 {
    geteuid().as_raw()
}

/// Raises this process's limit on open files as far as it may go without privilege, and gives the limit that holds from
/// here on; `None` where there is none. Children inherit it.
pub fn raise_open_files_limit() -> Option<u64> {
    raise(Resource::Nofile)
}

/// The same with the limit on processes and threads, which counts those of all programs of this process's user together.
pub fn raise_process_limit() -> Option<u64> {
    raise(Resource::Nproc)
}

fn raise(resource: Resource) -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(resource);
    match setrlimit(resource, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

/// Keeps every descriptor of this process except the standard ones from the programs that it starts: those, too, that
/// it was given by whoever started it. Ours are opened so; before Linux 5.11 given ones are passed on.
pub fn keep_descriptors() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: close_range(2) takes two numbers and flags; with CLOSE_RANGE_CLOEXEC it closes nothing.
    let _unsupported =
        unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

fn checked(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_go_up_to_the_hard_ones() {
        let raised = raise_open_files_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!((raised, limit.current), (limit.maximum, limit.maximum));
        let raised = raise_process_limit();
        let limit = getrlimit(Resource::Nproc);
        assert_eq!((raised, limit.current), (limit.maximum, limit.maximum));
    }

    #[test]
    fn a_program_gets_its_variables_in_the_order_given_and_no_others() {
        let argv = ["/bin/cat", "/proc/self/environ"].map(str::to_owned);
        let output = exactly(&argv, [("b", "2"), ("a", "1"), ("c", "")].into_iter()).unwrap().output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "b=2\0a=1\0c=\0");
    }

    #[test]
    fn a_variable_need_not_be_text() {
        let argv = ["/bin/cat", "/proc/self/environ"].map(str::to_owned);
        let output = exactly(&argv, [("CITY", b"Z\xfcrich")].into_iter()).unwrap().output().unwrap();
        assert_eq!(output.stdout, b"CITY=Z\xfcrich\0");
    }

    #[test]
    fn a_program_that_is_not_there_is_not_started_and_none_is_looked_for() {
        for name in ["/nonexistent", "cat"] {
            let started = exactly(&[name.to_owned()], std::iter::empty::<(&str, &str)>()).unwrap().spawn();
            assert_eq!(started.unwrap_err().kind(), io::ErrorKind::NotFound, "{name}");
        }
    }

    #[test]
    fn process_zero_which_would_mean_the_whole_group_is_refused() {
        assert_eq!(signal(0, Signal::Terminate).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(signal_group(0, Signal::Terminate).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
