//! On what was measured: processors, kernel, versions.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

/// The machine, and the programs on it.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Machine {
    /// The day of the run (UTC).
    pub(crate) date: String,
    /// What was typed.
    pub(crate) command: String,
    /// The processors' model, as they say themselves.
    pub(crate) cpu: String,
    /// How many there are.
    pub(crate) processors: usize,
    /// A hypervisor runs it, as the processors say: wake-ups and system calls are dear.
    pub(crate) virtual_machine: bool,
    /// Memory in GiB.
    pub(crate) memory_gib: f64,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// The commit that was built, with a plus if files had changed since; unknown outside a git tree.
    pub(crate) commit: Option<String>,
    /// What each program says of itself.
    pub(crate) versions: BTreeMap<String, String>,
}

impl Machine {
    /// This one, with these programs.
    pub(crate) fn describe(programs: &[(&'static str, PathBuf)]) -> Machine {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let versions = programs.iter().map(|(name, path)| ((*name).to_owned(), version(path)));
        Machine {
            date: today(),
            command: command(),
            cpu: model(&cpuinfo).unwrap_or("unknown processors").to_owned(),
            processors: processors(&cpuinfo),
            virtual_machine: is_virtual(&cpuinfo),
            memory_gib: gibibytes(&read("/proc/meminfo")).unwrap_or_default(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            commit: commit(),
            versions: versions.collect(),
        }
    }

    /// In one line, for a caption.
    pub(super) fn line(&self) -> String {
        let processors = if self.processors == 1 { "1 core".to_owned() } else { format!("{} cores", self.processors) };
        let virtual_machine = if self.virtual_machine { ", virtual machine" } else { "" };
        format!("{}, {processors}{virtual_machine}, Linux {}", self.cpu, self.kernel)
    }
}

/// Year, month and day in UTC: `2026-11-21`.
pub(crate) fn today() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    date(now.as_secs() / 86_400)
}

/// The date of a day, counted from 1970-01-01: "civil_from_days" of Howard Hinnant's chrono-compatible algorithms, for
/// days since then only.
fn date(days: u64) -> String {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // From March on, so that a leap day is a year's last.
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

fn command() -> String {
    let mut arguments = env::args();
    let program = arguments.next().unwrap_or_default();
    let program = Path::new(&program).file_name().map(|name| name.to_string_lossy().into_owned());
    [program.unwrap_or_default()].into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
}

/// The first line that it says to `--version`, without what it was built with.
fn version(program: &Path) -> String {
    let Ok(output) = Command::new(program).arg("--version").output() else { return "does not run".into() };
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    said.iter().find_map(|text| first_line(text)).unwrap_or_else(|| "tells no version".into())
}

fn first_line(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let ends = [" [", " (", " - ", " x86_64", " aarch64"].iter().filter_map(|end| line.find(end));
    Some(line[..ends.min().unwrap_or(line.len())].to_owned())
}

fn commit() -> Option<String> {
    // Under `cargo run` the tree that was built; otherwise the one in which the user is.
    let tree = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(&tree).args(arguments).output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(said)
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|files| !files.is_empty());
    Some(if changed { commit + "+" } else { commit })
}

fn model(cpuinfo: &str) -> Option<&str> {
    field(cpuinfo, "model name")
}

fn processors(cpuinfo: &str) -> usize {
    cpuinfo.lines().filter(|line| line.starts_with("processor")).count().max(1)
}

fn is_virtual(cpuinfo: &str) -> bool {
    field(cpuinfo, "flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"))
}

fn gibibytes(meminfo: &str) -> Option<f64> {
    let kibibytes: f64 = field(meminfo, "MemTotal")?.strip_suffix(" kB")?.parse().ok()?;
    Some((kibibytes / f64::from(1 << 20) * 10.0).round() / 10.0)
}

/// `NAME : VALUE`, the first of them.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPUINFO: &str = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu hypervisor lahf_lm\n\
                           \nprocessor\t: 1\nmodel name\t: AMD EPYC\nflags\t\t: fpu hypervisor lahf_lm\n";

    #[test]
    fn processors_are_counted_and_named() {
        assert_eq!((model(CPUINFO), processors(CPUINFO), is_virtual(CPUINFO)), (Some("AMD EPYC"), 2, true));
        assert!(!is_virtual("flags\t\t: fpu lahf_lm\n"));
        assert_eq!(gibibytes("MemTotal:        8123456 kB\nMemFree: 1 kB\n"), Some(7.7));
    }

    #[test]
    fn a_caption_tells_the_machine() {
        let cpu = "AMD EPYC".to_owned();
        let machine =
            Machine { cpu, processors: 2, virtual_machine: true, kernel: "6.18.44".into(), ..Machine::default() };
        assert_eq!(machine.line(), "AMD EPYC, 2 cores, virtual machine, Linux 6.18.44");
    }

    #[test]
    fn a_version_is_told_without_what_it_was_built_with() {
        let told = [
            "OpenVPN 2.6.14 x86_64-pc-linux-gnu [SSL (OpenSSL)] [LZO]\nlibrary versions: OpenSSL 3.0\n",
            "iperf 3.12 (cJSON 1.7.15)\nLinux vm\n",
            "\nmeshtun 0.1.0\n",
            "wireguard-tools v1.0.20210914 - https://git.zx2c4.com/wireguard-tools/\n",
        ];
        let right = ["OpenVPN 2.6.14", "iperf 3.12", "meshtun 0.1.0", "wireguard-tools v1.0.20210914"];
        assert_eq!(told.map(|text| first_line(text).unwrap()), right);
        assert_eq!(first_line("\n"), None);
    }

    #[test]
    fn days_have_dates() {
        let dates = [0, 59, 11_016, 11_017, 19_782, 20_778, 20_818].map(date);
        let right = ["1970-01-01", "1970-03-01", "2000-02-29", "2000-03-01", "2024-02-29", "2026-11-21", "2026-12-31"];
        assert_eq!(dates, right);
    }

    #[test]
    fn this_machine_can_be_described() {
        let machine = Machine::describe(&[("a shell", "/bin/sh".into()), ("nothing", "/nowhere/at/all".into())]);
        assert!(machine.processors > 0 && machine.memory_gib > 0.0 && !machine.kernel.is_empty(), "{machine:?}");
        assert_eq!(machine.versions["nothing"], "does not run");
    }
}
