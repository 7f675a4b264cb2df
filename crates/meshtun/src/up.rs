//! `meshtun up`

use std::{num::NonZeroUsize, path::PathBuf};

use meshtun_daemon::Options;

use crate::{
    exit::Outcome,
    logging::{self, LogFormat},
    places::{RuntimeDirectory, StateDirectory, async_runtime},
};

/// Run this gateway: bring its links up and carry packets, in the foreground
///
/// SIGTERM or SIGINT stops it; devices and routes stay without carrier, so that a restart is a pause and nothing leaves
/// unencrypted meanwhile. `meshtun down` removes them. Tells a service runner when it is ready (sd_notify).
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The mesh file, the same on every gateway
    file: PathBuf,
    /// File of this gateway's private key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// How many threads carry packets [default: one a processor]
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// Processors that the threads are pinned to, one each, in this order [default: those that the process may use]
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with = "workers")]
    cpus: Option<Vec<usize>>,
    /// How the log is written to standard error
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Log every step and every look-up
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    runtime: RuntimeDirectory,
    #[command(flatten)]
    state: StateDirectory,
}

pub(crate) fn run(args: Args) -> Outcome {
    logging::start(args.log_format, args.verbose);
    let options = Options {
        mesh: args.file,
        key: args.key,
        workers: args.workers.map(NonZeroUsize::get),
        cpus: args.cpus,
        directories: args.runtime.choose_with(args.state)?,
    };
    Ok(async_runtime()?.block_on(meshtun_daemon::run(options))?)
}
