//! A second way between two gateways: a cable of its own, with IPv6.
//!
//! ```text
//!  g1: second (macvlan) on trunk ═══ second :g2
//! ```
//! The device of the first gateway can be deleted and made anew by a command there, and the cable stays.

use crate::{
    lab::End,
    scenario::{ScenarioError, action::ask},
    topology::{Topology, UNDERLAY},
};

/// The second underlay's device, in both gateways.
pub(super) const SECOND: &str = "second";

/// What it is made on in the first.
pub(super) const TRUNK: &str = "trunk";

/// Where everything passes that goes this way, at either end.
pub(super) const WATCHED: [&str; 2] = [TRUNK, SECOND];

/// The gateways' addresses there; docs/faults.md names them.
const ADDRESSES: [&str; 2] = ["fd00:51::1", "fd00:51::2"];

/// Lays the cable, and gives the link's `paths` as a mesh file has them: channels in turn over the one and the other.
///
/// # Errors
/// If the kernel has no macvlan, for instance.
pub(super) fn lay(topology: &Topology) -> Result<String, ScenarioError> {
    let [one, other] = [&topology.sites[0], &topology.sites[1]];
    let ends = [(one, TRUNK), (other, SECOND)].map(|(site, device)| End { node: &site.gateway, device });
    topology.lab.connect(ends[0], ends[1], 1500)?;
    ask(&one.gateway, &format!("ip link add link {TRUNK} name {SECOND} type macvlan mode private"))?;
    one.gateway.set_up(SECOND, true)?;
    for (site, address) in [one, other].into_iter().zip(ADDRESSES) {
        ask(&site.gateway, &format!("ip address add {address}/64 dev {SECOND}"))?;
    }
    let path = |addresses: [String; 2], device: &str| {
        let end = |name: &str, address: &str| format!("{name} = {{ underlay = \"{address}\", device = \"{device}\" }}");
        format!("{{ {}, {} }}", end(one.name(), &addresses[0]), end(other.name(), &addresses[1]))
    };
    let first = path([one.underlay.to_string(), other.underlay.to_string()], UNDERLAY);
    Ok(format!("[{first}, {}]", path(ADDRESSES.map(str::to_owned), SECOND)))
}
