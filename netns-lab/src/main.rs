//! Command line of the laboratory.
#![forbid(unsafe_code)]

mod command;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "netns-lab", version, about = "Gateways, hosts and sites in network namespaces of this machine")]
struct Arguments {
    #[command(subcommand)]
    command: command::Command,
}

fn main() -> ExitCode {
    match Arguments::parse().command.run() {
        Ok(code) => code,
        Err(error) => {
            command::complain(&format!("netns-lab: {}", explain(&error)));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes; one that is told in the words of the error above it already is not told twice.
fn explain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        _ if told.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}
