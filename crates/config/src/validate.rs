//! From the raw file to the mesh: every value in its range, every reference resolved, and nothing
//! that contradicts anything else.
//!
//! Each check reports what it finds and goes on with what is left, so that one run finds it all.
//! What a check cannot judge because an earlier one refused it, it leaves out without a word.

mod gateway;
mod link;
mod network;
mod overlap;
mod paths;
mod place;
mod ports;
mod probe;
mod reach;
mod scalar;
mod site;

use std::path::Path;

use crate::findings::Findings;
use crate::model::{Environment, Mesh};
use crate::raw::RawFile;
use gateway::Gateways;
use link::Defaults;

/// The mesh that `raw` describes; none exactly if errors are found.
pub(crate) fn validate(
    raw: &RawFile,
    folder: &Path,
    environment: &Environment,
    findings: &mut Findings,
) -> Option<Mesh> {
    let defaults = Defaults::check(&raw.defaults, folder, findings);
    let gateways = Gateways::check(&raw.gateways, &raw.defaults.common.hooks, findings);
    let links = link::check(&raw.links, &defaults, &gateways, folder, findings);
    overlap::check(&gateways, findings);
    site::check(&gateways, findings);
    link::check_names(&links, findings);
    link::check_linked(&gateways, &links, findings);
    paths::check_devices(&gateways, &links, findings);
    reach::check_ends(&gateways, &links, findings);
    reach::check_inside(&gateways, &links, findings);
    ports::check_pairs(&links, &gateways, findings);
    let ports = ports::check(&links, &gateways, &defaults, environment, findings);
    if findings.has_errors() {
        return None;
    }
    let links = link::assemble(&links, &gateways, &ports)?;
    let mut gateways = gateways.assemble()?;
    gateways.sort_by(|a, b| a.name.cmp(&b.name));
    Some(Mesh { gateways, links })
}
