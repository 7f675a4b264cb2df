//! `meshtun down`

use meshtun_daemon::{
    Directories, Error,
    control::{Client, ClientError, Target},
};

use crate::{
    exit::{Failure, Outcome},
    output,
    places::{RuntimeDirectory, async_runtime},
};

/// Take this gateway down: say goodbye to its peers, remove devices and routes, stop the daemon
///
/// With a LINK or LINK/CHANNEL the daemon runs on and only that is taken out, without a packet lost: the other channels of
/// the link carry on. `meshtun up LINK/CHANNEL` brings it back, and so does a restart of the daemon; a reload does not.
///
/// The `unreachable` routes stay, so that packets for the other sites are refused and never leave unencrypted. Where no
/// daemon runs, what one left behind is removed.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A link (`nq`) or a channel (`nq/2`) [default: the whole gateway]
    #[arg(value_name = "LINK[/CHANNEL]", conflicts_with = "unprotect")]
    target: Option<Target>,
    /// Remove the `unreachable` routes, too: packets for the other sites may then leave UNENCRYPTED
    #[arg(long)]
    unprotect: bool,
    #[command(flatten)]
    runtime: RuntimeDirectory,
}

pub(crate) fn run(args: Args) -> Outcome {
    let directories = args.runtime.choose()?;
    if let Some(target) = args.target {
        let mut daemon = Client::connect(&directories.control_socket()).map_err(Error::from)?;
        return Ok(daemon.take_down(target).map_err(Error::from)?);
    }
    let warnings = take_down(&directories, args.unprotect)?;
    if warnings.is_empty() {
        return Ok(());
    }
    warnings.iter().for_each(|warning| output::complain(&format!("meshtun: {warning}")));
    Err(Failure::new("not everything could be removed"))
}

fn take_down(directories: &Directories, unprotect: bool) -> Result<Vec<String>, Failure> {
    match Client::connect(&directories.control_socket()) {
        Ok(mut daemon) => Ok(daemon.down(unprotect).map_err(Error::from)?),
        Err(ClientError::NoDaemon(_)) => {
            match async_runtime()?.block_on(meshtun_daemon::remove_remains(directories, unprotect)) {
                Err(Error::AlreadyRuns { holder }) => Err(not_listening(holder)),
                removed => Ok(removed?),
            }
        }
        Err(error) => Err(Error::from(error).into()),
    }
}

/// It has the lock, and no control socket: it comes up, or goes.
fn not_listening(holder: Option<u32>) -> Failure {
    let process = holder.map_or(String::new(), |pid| format!(" (process {pid})"));
    Failure::new(format_args!(
        "the daemon{process} does not listen yet, or no longer: it is starting or stopping; try again in a moment, or stop it \
         by SIGTERM"
    ))
}
