//! `meshtun completions`

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::{Cli, exit::Outcome, output};

/// Print a completion script for a shell
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: Args) -> Outcome {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "meshtun", &mut script);
    Ok(output::print(&String::from_utf8_lossy(&script))?)
}
