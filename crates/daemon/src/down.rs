//! Taking everything of ours out of the kernel.

use meshtun_netlink::{Desired, Network, Protection, difference};

use crate::{Directories, Error, lock};

/// Removes all devices and routes of ours and restores the machine's settings; the `unreachable` routes stay unless
/// `unprotect`. What could not be removed is told in words, and the rest is removed nevertheless.
///
/// # Errors
/// If the kernel cannot be asked what there is.
pub(crate) async fn remove(network: &Network, unprotect: bool) -> Result<Vec<String>, Error> {
    let nothing = Desired::default();
    let protection = if unprotect { Protection::Lift } else { Protection::Keep };
    let mut steps = difference(&nothing, &network.actual(&nothing).await?, protection)?;
    steps.extend(network.restoration()?);
    let mut warnings = Vec::new();
    for step in &steps {
        tracing::debug!("{step}");
        if let Err(error) = network.apply(step).await {
            tracing::warn!("{error}");
            warnings.push(error.to_string());
        }
    }
    Ok(warnings)
}

/// Removes what a daemon left behind, where none runs: devices and routes of ours, and with `unprotect` the
/// `unreachable` routes. What could not be removed is told in words.
///
/// # Errors
/// If a daemon runs, the lock cannot be had, or the kernel cannot be asked.
pub async fn remove_remains(directories: &Directories, unprotect: bool) -> Result<Vec<String>, Error> {
    directories.create_runtime().map_err(|(path, error)| Error::Directory { path, error })?;
    let _lock = lock::take(directories)?;
    let network = Network::new()?.with_record(directories.sysctl_record());
    remove(&network, unprotect).await
}
