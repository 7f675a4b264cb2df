//! What `up` or `reload` would change, without changing it.

use std::collections::BTreeSet;

use ipnet::IpNet;
use meshtun_netlink::{Actual, ActualRouteKind, Desired, Network, Protection, Step, difference};

use crate::{
    Directories, Error, Gateway,
    control::Client,
    desired::desired,
    status::Status,
    surroundings::{self, Surroundings},
};

/// The steps from the kernel's present state to the gateway's, as the commands that a person would type, and what is
/// likely not meant. Needs no privilege; with that of asking the daemon that runs, if one does, it knows what that one
/// would leave as it is: an MTU that it had to lower, and what is out of the routes because somebody took it down.
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
    let (mut surroundings, mut warnings) = surroundings::look(&network, &gateway.view).await?;
    let running = Client::connect(&directories.control_socket()).and_then(|mut daemon| daemon.status()).ok();
    if let Some(running) = &running {
        leave_as_it_is(&mut surroundings, running);
    }
    let mut desired = desired(&gateway.view, &surroundings);
    let actual = network.actual(&desired).await?;
    if running.is_some() {
        leave_down(&mut desired, &actual);
    }
    let steps = difference(&desired, &actual, Protection::Keep)?;
    warnings.extend(lingering(&desired, &actual));
    Ok(Plan { steps: steps.iter().map(ToString::to_string).collect(), warnings })
}

fn leave_as_it_is(surroundings: &mut Surroundings, running: &Status) {
    for link in &running.links {
        if let Some(mtu) = surroundings.mtus.get_mut(&link.name) {
            *mtu = (*mtu).min(link.mtu);
        }
        let withdrawn = link.channels.iter().filter(|channel| channel.withdrawn);
        surroundings.withdrawn.extend(withdrawn.map(|channel| channel.device.clone()));
    }
}

/// A device that a person set down stays so while the daemon runs.
fn leave_down(desired: &mut Desired, actual: &Actual) {
    for device in &mut desired.devices {
        device.held_down = actual.devices.get(&device.name).is_some_and(|device| device.is_ours() && !device.up);
    }
}

/// `unreachable` routes of ours to networks that the file does not have (any more): they stay until somebody lifts them.
fn lingering(desired: &Desired, actual: &Actual) -> Vec<String> {
    let wanted: BTreeSet<IpNet> = desired.routes.iter().map(|route| route.prefix.trunc()).collect();
    let ours = actual.routes.iter().filter(|route| route.is_ours() && route.kind == ActualRouteKind::Unreachable);
    let left: Vec<_> = ours.filter(|route| !wanted.contains(&route.prefix)).collect();
    let prefixes: BTreeSet<IpNet> = left.iter().map(|route| route.prefix).collect();
    let tell = |prefix: IpNet| {
        let steps = left.iter().filter(|route| route.prefix == prefix);
        let steps = steps.map(|route| Step::DeleteRoute { prefix, metric: route.metric }.to_string());
        format!(
            "packets for {prefix}, which no gateway of the file with a link to here has, are still refused; if they may \
             leave unencrypted: {}",
            steps.collect::<Vec<_>>().join("; ")
        )
    };
    prefixes.into_iter().map(tell).collect()
}
