//! Processors and the calling thread.

use std::{io, mem, time::Duration};

use rustix::process::getpriority_process;
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

/// Asks the scheduler to let the calling thread run often and shortly rather than seldom and long: `slice` at a time,
/// from 0.1 to 100 ms (EEVDF's custom slices, kernel/sched/syscalls.c, Linux 6.12; older kernels take no notice).
///
/// Its share of the processor stays the same. On a processor that it shares it waits less for its turn.
///
/// # Errors
/// `EPERM` where a security policy forbids it.
pub fn ask_for_slice(slice: Duration) -> io::Result<()> {
    let mut attributes = SchedAttr { size: mem::size_of::<SchedAttr>() as u32, ..SchedAttr::default() };
    // The nice value is set together with the slice, so it must be the one that the thread has.
    attributes.nice = getpriority_process(None)?;
    attributes.runtime = u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX);
    // SAFETY: the structure is as long as it says and lives through the call, which reads it; 0 is the calling thread.
    let set = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// `struct sched_attr` in its first version (include/uapi/linux/sched/types.h); policy 0 is `SCHED_OTHER`.
#[repr(C)]
#[derive(Default)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Lets another thread that waits for this processor run first.
pub fn yield_now() {
    sched_yield();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gets_its_slice_and_keeps_its_nice_value() {
        let asked = std::thread::spawn(|| {
            let nice = getpriority_process(None).unwrap();
            ask_for_slice(Duration::from_micros(300)).unwrap();
            assert_eq!(getpriority_process(None).unwrap(), nice);
            std::fs::read_to_string("/proc/thread-self/sched").unwrap_or_default()
        });
        let sched = asked.join().unwrap();
        // Kernels without the field have no such slices, or do not show them.
        let slice =
            sched.lines().find_map(|line| line.strip_prefix("se.slice")).and_then(|rest| rest.split(':').nth(1));
        assert!(slice.is_none_or(|slice| slice.trim() == "300000"), "{slice:?}");
    }
}
