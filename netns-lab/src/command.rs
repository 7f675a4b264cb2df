//! The subcommands, one file each.

mod check;
mod compare;
mod many;
mod run;
mod shell;
mod soak;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Open a lab with running gateways and a shell in it
    Shell(shell::Arguments),
    /// Tell whether this machine can run labs, by building one without a tunnel
    Check(check::Arguments),
    /// Measure meshtun beside OpenVPN, WireGuard in userspace and the bare wire
    Compare(compare::Arguments),
    /// Measure how gateways with very many channels start, idle and fail over
    Many(many::Arguments),
    /// Play a scenario: faults under load, and whether what they cost is what was expected
    Run(run::Arguments),
    /// Renew sessions with plain WireGuard under traffic, each end being the initiator once
    Soak(soak::Arguments),
}

impl Command {
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        match self {
            Command::Shell(arguments) => shell::run(arguments)?,
            Command::Check(arguments) => check::run(arguments)?,
            Command::Compare(arguments) => compare::run(arguments)?,
            Command::Many(arguments) => many::run(arguments)?,
            Command::Run(arguments) => return run::run(arguments),
            Command::Soak(arguments) => soak::run(arguments)?,
        }
        Ok(ExitCode::SUCCESS)
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
