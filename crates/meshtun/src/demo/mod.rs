//! `meshtun demo`

use crate::exit::{Failure, Outcome};

/// Show a link at work between two gateways in network namespaces of its own
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

pub(crate) fn run(Args {}: Args) -> Outcome {
    Err(Failure::new("this build has no demo"))
}
