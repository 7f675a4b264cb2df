//! Programs that speak WireGuard in userspace.

use std::{path::PathBuf, process::Command};

/// A program that makes WireGuard interfaces and is set up by `wg`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Implementation {
    /// `wireguard-go`, as it is found on the path.
    #[default]
    WireguardGo,
    /// `boringtun-cli`, and where it is.
    BoringTun(PathBuf),
    /// `gotatun`, and where it is.
    GotaTun(PathBuf),
}

impl Implementation {
    /// The program's name.
    pub fn name(&self) -> &'static str {
        match self {
            Implementation::WireguardGo => "wireguard-go",
            Implementation::BoringTun(_) => "boringtun-cli",
            Implementation::GotaTun(_) => "gotatun",
        }
    }

    /// The program in the foreground, with an interface of this name, logging to its standard output and error.
    pub(super) fn command(&self, interface: &str, verbose: bool) -> Command {
        let mut command = match self {
            Implementation::WireguardGo => Command::new(self.name()),
            Implementation::BoringTun(path) | Implementation::GotaTun(path) => Command::new(path),
        };
        match self {
            Implementation::WireguardGo => command.env("LOG_LEVEL", if verbose { "verbose" } else { "error" }),
            _ => command.args(["--verbosity", if verbose { "debug" } else { "error" }, "--disable-drop-privileges"]),
        };
        command.args(["--foreground", interface]);
        command
    }
}
