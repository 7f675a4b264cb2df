//! Processors and the calling thread.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity, sched_yield};

/// Binds the calling thread to one processor.
///
/// # Errors
/// `EINVAL` if this thread may not run there, or there is no such processor.
pub fn pin_current(cpu: usize) -> io::Result<()> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut only = CpuSet::new();
    only.set(cpu);
    Ok(sched_setaffinity(None, &only)?)
}

/// The processors on which the calling thread may run, ascending; never empty.
///
/// Where the kernel does not tell (over 1,024 processors), as many as the standard library counts.
pub fn available_cpus() -> Vec<usize> {
    match sched_getaffinity(None) {
        Ok(allowed) => (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).collect(),
        Err(_) => (0..std::thread::available_parallelism().map_or(1, usize::from)).collect(),
    }
}

/// Lets another thread that waits for this processor run first.
pub fn yield_now() {
    sched_yield();
}
