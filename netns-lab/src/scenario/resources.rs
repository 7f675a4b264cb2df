//! What a process holds: open descriptors and threads.

use std::fs;

/// Of one process; zero if it does not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Resources {
    pub(super) descriptors: usize,
    pub(super) threads: usize,
}

pub(super) fn of(pid: u32) -> Resources {
    let count = |folder: &str| fs::read_dir(format!("/proc/{pid}/{folder}")).map_or(0, Iterator::count);
    Resources { descriptors: count("fd"), threads: count("task") }
}
