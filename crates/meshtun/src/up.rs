//! `meshtun up`

use std::path::{Path, PathBuf};

use meshtun_daemon::{
    Error, Options,
    control::{Client, Target},
};

use crate::{
    exit::{Outcome, wrong_usage},
    logging::{self, LogFormat},
    places::{RuntimeDirectory, StateDirectory, async_runtime},
};

/// Run this gateway: bring its links up and carry packets, in the foreground
///
/// SIGTERM or SIGINT stops it; devices and routes stay without carrier, so that a restart is a pause and nothing leaves
/// unencrypted meanwhile. `meshtun down` removes them. Tells a service runner when it is ready (sd_notify).
///
/// With a LINK or LINK/CHANNEL and no key it asks the running gateway to bring back what `meshtun down LINK/CHANNEL` took
/// out, and ends.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The mesh file, the same on every gateway; or a link (`nq`) or a channel (`nq/2`) of the running gateway
    #[arg(value_name = "FILE|LINK[/CHANNEL]")]
    file: PathBuf,
    /// File of this gateway's private key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// How many threads carry packets [default: one a processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    workers: Option<u16>,
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
    let Some(key) = args.key else { return bring_up(&args.file, args.runtime) };
    logging::start(args.log_format, args.verbose);
    let options = Options {
        mesh: args.file,
        key,
        workers: args.workers.map(usize::from),
        cpus: args.cpus,
        directories: args.runtime.choose_with(args.state)?,
    };
    let runtime = async_runtime()?;
    let ended = runtime.block_on(meshtun_daemon::run(options));
    // A look-up that hangs is no reason to stay.
    runtime.shutdown_background();
    Ok(ended?)
}

fn bring_up(target: &Path, runtime: RuntimeDirectory) -> Outcome {
    let Ok(target) = target.to_string_lossy().parse::<Target>() else {
        wrong_usage("up", "a mesh file needs `--key FILE` beside it, the gateway's private key");
    };
    let directories = runtime.choose()?;
    let mut daemon = Client::connect(&directories.control_socket()).map_err(Error::from)?;
    Ok(daemon.bring_up(target).map_err(Error::from)?)
}
