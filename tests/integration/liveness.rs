//! A channel that fails loses its carrier at both ends, and comes back by itself.

mod blocked;
mod settings;

use netns_lab::firewall::Firewall;
use serde_json::Value;

use crate::bed::{Bed, json};

/// What arrives at a gateway's channels can be dropped.
pub(super) struct Faults(Vec<Firewall>);

impl Faults {
    pub(super) fn of(bed: &Bed) -> Faults {
        let firewall = |site| Firewall::new(bed.gateway(site), netns_lab::topology::UNDERLAY);
        Faults((0..bed.gateways.len()).map(|site| firewall(site).unwrap_or_else(|error| panic!("{error}"))).collect())
    }

    /// Drops, or lets pass, what arrives at a gateway for a channel.
    pub(super) fn block(&self, bed: &Bed, site: usize, channel: usize, blocked: bool) {
        let local = bed.channels(site)[channel]["local"].as_str().expect("an address").to_owned();
        let port = local.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        self.0[site].block_ports(&[port], blocked).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Whether the kernel says that a channel's device has carrier.
pub(super) fn has_carrier(bed: &Bed, site: usize, channel: usize) -> bool {
    let device = bed.channels(site)[channel]["device"].as_str().expect("a name").to_owned();
    let shown = json(bed.gateway(site), &format!("ip -j link show dev {device}"));
    let flags = shown[0]["flags"].as_array().expect("a list").clone();
    !flags.contains(&Value::from("NO-CARRIER"))
}
