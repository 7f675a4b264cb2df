//! The subcommands, one file each.

mod check;
mod compare;
mod shell;
mod soak;

use std::io::{self, Write as _};

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Open a lab with running gateways and a shell in it
    Shell(shell::Arguments),
    /// Tell whether this machine can run labs, by building one without a tunnel
    Check(check::Arguments),
    /// Measure meshtun beside OpenVPN, WireGuard in userspace and the bare wire
    Compare(compare::Arguments),
    /// Renew sessions with plain WireGuard under traffic, each end being the initiator once
    Soak(soak::Arguments),
}

impl Command {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        match self {
            Command::Shell(arguments) => shell::run(arguments),
            Command::Check(arguments) => check::run(arguments),
            Command::Compare(arguments) => compare::run(arguments),
            Command::Soak(arguments) => soak::run(arguments),
        }
    }
}

/// Writes a line to the standard output.
pub(crate) fn say(line: &str) {
    // Nobody reads it: then nobody misses it.
    let _unread = writeln!(io::stdout(), "{line}");
}

/// Writes a line to the standard error.
pub(crate) fn complain(line: &str) {
    let _unread = writeln!(io::stderr(), "{line}");
}
