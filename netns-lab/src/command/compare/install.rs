//! The programs that are compared and measured with: found, installed where that can be, or missing with a reason.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use meshtun_sys::process::effective_uid;
use netns_lab::program::Program;

use super::{pinning::Pinning, tool::Tool};
use crate::command::complain;

/// The programs of a comparison.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// This project's.
    pub(crate) meshtun: Program,
    /// Where channels run.
    pub(crate) pinning: Pinning,
    /// The other tools that are there.
    found: Vec<(Tool, PathBuf)>,
    /// What is not there, and why.
    missing: Vec<(Tool, String)>,
}

/// What may be done about a program that is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effort {
    /// Nothing.
    Look,
    /// Debian's packages: seconds.
    Packages,
    /// What cargo compiles, too: minutes.
    Everything,
}

/// Programs that every comparison needs, and their Debian packages.
const NEEDED: [(&str, &str); 4] =
    [("iperf3", "iperf3"), ("ip", "iproute2"), ("ethtool", "ethtool"), ("taskset", "util-linux")];

/// Where administrators' programs are, which is not on everybody's path.
const MORE_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

impl Programs {
    /// Finds the programs of these tools, installing what is missing as far as that may be and can be.
    ///
    /// # Errors
    /// If a program is missing without which nothing can be measured.
    pub(crate) fn find(meshtun: Program, tools: &[Tool], effort: Effort) -> anyhow::Result<Programs> {
        let wanted = tools.iter().flat_map(|tool| tool.debian()).chain(&NEEDED);
        if effort != Effort::Look {
            install_packages(&wanted.copied().filter(|(program, _)| look(program).is_none()).collect::<Vec<_>>());
        }
        if let Some((program, package)) = NEEDED.iter().find(|(program, _)| look(program).is_none()) {
            bail!("{program} is missing: `apt-get install {package}` as root, or your distribution's equivalent");
        }
        let mut programs = Programs { meshtun, pinning: Pinning::new(), found: Vec::new(), missing: Vec::new() };
        for tool in tools.iter().copied().filter(|tool| !matches!(tool, Tool::Bare | Tool::Meshtun)) {
            match tool.find(effort) {
                Ok(path) => programs.found.push((tool, path)),
                Err(why) => programs.missing.push((tool, format!("{why:#}"))),
            }
        }
        Ok(programs)
    }

    /// Where a tool's program is.
    ///
    /// # Errors
    /// That it is missing.
    pub(crate) fn path(&self, tool: Tool) -> anyhow::Result<&Path> {
        let found = self.found.iter().find(|(found, _)| *found == tool);
        found.map(|(_, path)| path.as_path()).with_context(|| format!("{} is missing", tool.name()))
    }

    /// Whether a tool can be measured.
    pub(crate) fn have(&self, tool: Tool) -> bool {
        !self.missing.iter().any(|(missing, _)| *missing == tool)
    }

    /// What is missing, and why: a line each.
    pub(crate) fn missing(&self) -> Vec<String> {
        self.missing.iter().map(|(tool, why)| format!("{}: {why}", tool.name())).collect()
    }

    /// The programs by name, for their versions.
    pub(crate) fn named(&self) -> Vec<(&'static str, PathBuf)> {
        let others = self.found.iter().filter(|(tool, _)| *tool != Tool::MeshtunOpenVpn);
        let tools = others.map(|(tool, path)| (tool.name(), path.clone()));
        let ours = ("meshtun", self.meshtun.path().to_owned());
        [ours].into_iter().chain(tools).chain(look("iperf3").map(|path| ("iperf3", path))).collect()
    }
}

impl Tool {
    /// Programs of Debian that it needs, and their packages.
    fn debian(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Tool::OpenVpn => &[("openvpn", "openvpn"), ("openssl", "openssl")],
            // OpenVPN makes its key.
            Tool::MeshtunOpenVpn => &[("openvpn", "openvpn")],
            Tool::WireguardGo => &[("wireguard-go", "wireguard-go"), ("wg", "wireguard-tools")],
            Tool::BoringTun | Tool::GotaTun => &[("wg", "wireguard-tools")],
            Tool::Bare | Tool::Meshtun => &[],
        }
    }

    /// The crate that cargo can install, and its program.
    fn published(self) -> Option<(&'static str, &'static str)> {
        match self {
            Tool::BoringTun => Some(("boringtun-cli", "boringtun-cli")),
            Tool::GotaTun => Some(("gotatun-cli", "gotatun")),
            _ => None,
        }
    }

    fn find(self, effort: Effort) -> anyhow::Result<PathBuf> {
        for (program, package) in self.debian() {
            look(program).with_context(|| format!("no {program} (Debian's package {package})"))?;
        }
        match self.published() {
            Some((package, program)) => find_published(package, program, effort),
            None => {
                let program = if self == Tool::MeshtunOpenVpn { Tool::OpenVpn.name() } else { self.name() };
                look(program).with_context(|| format!("no {program}"))
            }
        }
    }
}

/// A program that cargo installs for comparisons alone, beside what it builds.
fn find_published(package: &str, program: &str, effort: Effort) -> anyhow::Result<PathBuf> {
    let root = beside_the_build()?;
    let ours = root.join("bin").join(program);
    if let Some(path) = Some(ours.clone()).filter(|path| path.is_file()).or_else(|| look(program)) {
        return Ok(path);
    }
    let by_hand = format!("cargo install --locked {package}");
    if effort != Effort::Everything {
        bail!("not installed: run `compare` without --quick and --no-install, or `{by_hand}`");
    }
    complain(&format!("Installing {package} into {}: it is compiled for some minutes.", root.display()));
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.args(["install", "--locked", "--quiet", "--root"]).arg(&root);
    // The crate is built as its authors mean it, whatever this build was told.
    cargo.arg("--target-dir").arg(root.join("build")).arg(package).env_remove("RUSTFLAGS");
    let status = cargo.stdin(Stdio::null()).stdout(Stdio::null()).status().context("cannot start cargo")?;
    if !status.success() || !ours.is_file() {
        bail!("`{by_hand}` failed with {status}, see above");
    }
    Ok(ours)
}

/// `target/compare-tools`, if this program lies in `target/PROFILE`.
fn beside_the_build() -> anyhow::Result<PathBuf> {
    let ours = env::current_exe().context("cannot tell where this program is")?;
    let target = ours.ancestors().nth(2).context("this program lies in no build folder")?;
    Ok(target.join("compare-tools"))
}

/// Debian's packages, as root. What fails shows in the programs that are missing afterwards.
fn install_packages(missing: &[(&str, &str)]) {
    let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() || effective_uid() != 0 || look("apt-get").is_none() {
        return;
    }
    complain(&format!("Installing Debian's {}.", packages.join(", ")));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).stdout(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let install = [&["install", "-y", "-qq", "--no-install-recommends"], packages.as_slice()].concat();
    // The lists of packages may be old, or not there at all.
    if !apt(&["update", "-qq"]) || !apt(&install) {
        complain("apt-get failed, see above; going on with what is there.");
    }
}

/// A program on the path, or where administrators' programs are.
fn look(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(MORE_FOLDERS.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_on_the_path_is_found_and_another_is_not() {
        assert!(look("sh").is_some());
        assert_eq!(look("no-such-program-anywhere"), None);
    }

    #[test]
    fn a_tool_that_may_not_be_installed_says_how_to_install_it() {
        let said = find_published("no-such-crate", "no-such-program", Effort::Packages).unwrap_err().to_string();
        assert!(said.contains("cargo install") && said.contains("no-such-crate"), "{said}");
    }
}
