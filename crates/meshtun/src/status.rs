//! `meshtun status`

use meshtun_daemon::{Error, control::Client, status::Status};

use crate::{
    exit::{Failure, Outcome},
    output,
    places::RuntimeDirectory,
};

mod table;

/// Show what the running gateway does: its links, channels and counters
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    runtime: RuntimeDirectory,
}

pub(crate) fn run(args: Args) -> Outcome {
    let directories = args.runtime.choose()?;
    let mut daemon = Client::connect(&directories.control_socket()).map_err(Error::from)?;
    let status = daemon.status().map_err(Error::from)?;
    let text = if args.json { json(&status)? } else { table::render(&status, now()) };
    Ok(output::print(&text)?)
}

fn json(status: &Status) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(status).map_err(Failure::new)? + "\n")
}

/// Unix seconds, as the daemon counts them.
fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs()
}
