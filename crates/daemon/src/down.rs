//! Taking everything of ours out of the kernel.

use std::collections::BTreeSet;

use ipnet::IpNet;
use meshtun_netlink::{Actual, Desired, Network, Protection, Route, difference, protection};

use crate::{Directories, Error, lock};

/// Removes all devices and routes of ours and restores the machine's settings; the `unreachable` routes stay unless
/// `unprotect`. What could not be removed is told in words, and the rest is removed nevertheless.
///
/// # Errors
/// If the kernel cannot be asked what there is.
pub(crate) async fn remove(network: &Network, unprotect: bool) -> Result<Vec<String>, Error> {
    let nothing = Desired::default();
    let actual = network.actual(&nothing).await?;
    // Somebody may have deleted what lies beneath the routes that go.
    let mut steps = if unprotect { Vec::new() } else { protection(&beneath(&actual), &actual) };
    let protection = if unprotect { Protection::Lift } else { Protection::Keep };
    steps.extend(difference(&nothing, &actual, protection)?);
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

/// What protects the networks to which there are routes of ours.
fn beneath(actual: &Actual) -> Desired {
    let ours = actual.routes.iter().filter(|route| route.is_ours()).map(|route| route.prefix);
    let prefixes: BTreeSet<IpNet> = ours.collect();
    let routes = prefixes.into_iter().flat_map(|prefix| [Route::unreachable(prefix), Route::guard(prefix)]);
    Desired { routes: routes.collect(), ..Desired::default() }
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
