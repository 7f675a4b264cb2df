//! The `meshtun` program: a table of commands. Each has a file of its own with its arguments and what it does.
#![forbid(unsafe_code)]

mod check;
mod completions;
mod demo;
mod down;
mod exit;
mod import;
mod keygen;
mod logging;
mod man;
mod openvpn;
mod output;
mod paths;
mod places;
mod plan;
mod pubkey;
mod reload;
mod status;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Encrypted virtual cables between gateways: N channels a link, one tun device each, spread by the kernel's ECMP.
#[derive(Debug, Parser)]
#[command(name = "meshtun", version, after_help = exit::HELP, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Keygen(keygen::Args),
    Pubkey(pubkey::Args),
    Check(check::Args),
    Plan(plan::Args),
    Up(up::Args),
    Down(down::Args),
    Reload(reload::Args),
    Status(status::Args),
    Import(import::Args),
    Demo(demo::Args),
    Openvpn(openvpn::Args),
    Completions(completions::Args),
    Man(man::Args),
}

fn main() -> ExitCode {
    if let Some(arguments) = openvpn::called_so() {
        return openvpn::start(arguments);
    }
    let outcome = match Cli::parse().command {
        Command::Keygen(args) => keygen::run(args),
        Command::Pubkey(args) => pubkey::run(args),
        Command::Check(args) => check::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Up(args) => up::run(args),
        Command::Down(args) => down::run(args),
        Command::Reload(args) => reload::run(args),
        Command::Status(args) => status::run(args),
        Command::Import(args) => import::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Openvpn(args) => return openvpn::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    };
    exit::report(outcome)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
