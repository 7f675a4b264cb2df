//! What processes hold in memory.

use std::{fs, io};

use anyhow::Context as _;

use super::Figure;

/// Resident memory in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Resident {
    now: u64,
    peak: u64,
}

/// What the processes hold, all together, and the most that each of them ever held.
pub(super) fn measure(processes: &[u32], name: &str) -> anyhow::Result<Vec<Figure>> {
    let mut all = Resident::default();
    for process in processes {
        let one = read(*process).with_context(|| format!("memory of process {process}"))?;
        all = Resident { now: all.now + one.now, peak: all.peak + one.peak };
    }
    let figure = |name: String, bytes: u64| Figure::new(name, bytes as f64 / f64::from(1 << 20), "MiB");
    Ok(vec![figure(name.to_owned(), all.now), figure(format!("{name}-peak"), all.peak)])
}

fn read(process: u32) -> io::Result<Resident> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no VmRSS and VmHWM: has it ended?"))
}

/// `VmRSS: N kB` and `VmHWM: N kB` (proc_pid_status(5)).
fn parse(text: &str) -> Option<Resident> {
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name))?.trim().strip_suffix(" kB")?;
        value.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
    };
    Some(Resident { now: field("VmRSS:")?, peak: field("VmHWM:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_and_its_peak_are_read() {
        let text = "Name:\tmeshtun\nVmPeak:\t  999999 kB\nVmHWM:\t    6144 kB\nVmRSS:\t    4096 kB\nThreads:\t3\n";
        assert_eq!(parse(text), Some(Resident { now: 4 << 20, peak: 6 << 20 }));
    }

    #[test]
    fn a_process_that_has_ended_holds_nothing_to_read() {
        assert_eq!(parse("Name:\tmeshtun\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn several_processes_are_summed() {
        let this = std::process::id();
        let [one, two] = [vec![this], vec![this, this]].map(|processes| measure(&processes, "memory").unwrap());
        assert!(one[0].value > 1.0 && one[1].value >= one[0].value, "{one:?}");
        // Less than double, because it may grow and shrink in between.
        assert!(two[1].value > 1.5 * one[1].value, "{one:?} {two:?}");
        assert_eq!((one[1].test.as_str(), one[1].unit), ("memory-peak", "MiB"));
    }
}
