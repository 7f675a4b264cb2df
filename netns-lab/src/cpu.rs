//! Processor time of the whole machine.

use std::{fs, io, time::Duration};

/// How long all processors together were busy since the machine started: user, nice, system and both interrupts, from
/// `/proc/stat` (proc_stat(5)), in steps of 10 ms. Time stolen by a hypervisor is not ours and does not count.
///
/// # Errors
/// If `/proc/stat` cannot be read or understood.
pub fn busy() -> io::Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/stat has no cpu line"))
}

/// `cpu user nice system idle iowait irq softirq steal guest guest_nice`; guests are in user already.
fn parse(text: &str) -> Option<Duration> {
    /// `USER_HZ`, which Linux keeps at 100 on every architecture that we build for.
    const TICKS_A_SECOND: u64 = 100;
    let fields = text.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    let ticks: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, ..] = ticks[..] else { return None };
    Some(Duration::from_millis((user + nice + system + irq + softirq) * 1000 / TICKS_A_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_waiting_and_stolen_time_is_not_busy() {
        let text = "cpu  100 20 30 99999 5000 4 6 700 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(parse(text), Some(Duration::from_millis(1600)));
    }

    #[test]
    fn a_file_without_a_cpu_line_is_refused() {
        assert_eq!(parse("intr 1 2 3\n"), None);
        assert_eq!(parse("cpu  1 2 3\n"), None);
    }

    #[test]
    fn busy_time_grows_while_we_work() {
        let before = busy().unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while busy().unwrap() == before {
            assert!(std::time::Instant::now() < deadline, "no tick in five seconds");
            std::hint::black_box((0..1000u64).sum::<u64>());
        }
    }
}
