//! What a process holds: open descriptors, threads and memory.

use std::fs;

/// Of one process; zero if it does not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resources {
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    /// Resident memory in bytes.
    pub(crate) resident: u64,
}

impl Resources {
    /// Of the process with this number.
    pub(crate) fn of(pid: u32) -> Resources {
        let count = |folder: &str| fs::read_dir(format!("/proc/{pid}/{folder}")).map_or(0, Iterator::count);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        Resources { descriptors: count("fd"), threads: count("task"), resident: resident(&status).unwrap_or(0) }
    }
}

/// `VmRSS: N kB` (proc_pid_status(5)).
fn resident(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    value.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_runs_holds_something_and_another_nothing() {
        let ours = Resources::of(std::process::id());
        assert!(ours.descriptors > 0 && ours.threads > 0 && ours.resident > 1 << 16, "{ours:?}");
        assert_eq!(Resources::of(u32::MAX), Resources::default());
    }
}
