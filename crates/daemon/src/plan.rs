//! What `up` would change, without changing it.

use meshtun_netlink::{Network, Protection, difference};

use crate::{Directories, Error, Gateway, desired::desired, surroundings};

/// The steps from the kernel's present state to the gateway's, as the commands that a person would type, and what is
/// likely not meant. Needs no privilege.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One shell command each; none if all is as it shall be.
    pub steps: Vec<String>,
    /// What is likely not meant.
    pub warnings: Vec<String>,
}

/// Plans for this gateway, in the calling thread's network namespace.
///
/// # Errors
/// If the kernel cannot be asked, or something that is not ours stands in the way.
pub async fn plan(gateway: &Gateway, directories: &Directories) -> Result<Plan, Error> {
    let network = Network::new()?.with_record(directories.sysctl_record());
    let (surroundings, warnings) = surroundings::look(&network, &gateway.view).await?;
    let desired = desired(&gateway.view, &surroundings);
    let steps = difference(&desired, &network.actual(&desired).await?, Protection::Keep)?;
    Ok(Plan { steps: steps.iter().map(ToString::to_string).collect(), warnings })
}
