//! `meshtun reload`

use meshtun_daemon::{Error, control::Client};

use crate::{exit::Outcome, output, places::RuntimeDirectory};

/// Have the running gateway take its mesh file and key files as they are now
///
/// Only what differs is touched: sessions, counters and flows of all else go on. A file with a mistake changes nothing, and
/// the mistake is told. Prints what was changed, as commands that a person would type. SIGHUP to the daemon does the same.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    runtime: RuntimeDirectory,
}

pub(crate) fn run(args: Args) -> Outcome {
    let directories = args.runtime.choose()?;
    let mut daemon = Client::connect(&directories.control_socket()).map_err(Error::from)?;
    let reloaded = daemon.reload().map_err(Error::from)?;
    for warning in &reloaded.warnings {
        output::complain(&format!("meshtun: warning: {warning}"));
    }
    let changes = reloaded.changes.iter().map(|change| format!("# {change}"));
    let lines: Vec<String> = changes.chain(reloaded.steps).collect();
    let text = match lines.as_slice() {
        [] => "# nothing to do: the gateway runs as the file says\n".into(),
        lines => lines.join("\n") + "\n",
    };
    Ok(output::print(&text)?)
}
