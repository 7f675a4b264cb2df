//! The tools: each is started at both gateways and ended again.

mod bare;
mod meshtun;
mod openvpn;
mod wireguard;

use netns_lab::topology::Topology;

use super::{
    install::Programs,
    tool::{Subject, Tool},
};

/// A tool that runs at both gateways of a lab.
pub(crate) trait Running {
    /// Process numbers at each gateway.
    fn processes(&self) -> [Vec<u32>; 2];

    /// What it wrote, each process's own.
    fn logs(&self) -> Vec<String>;

    /// Ends it. Gives what went wrong with it: the error lines that it logged, and whatever ended by itself.
    fn finish(self: Box<Self>) -> anyhow::Result<Vec<String>>;
}

/// Starts a subject at both gateways. Its devices and routes are there when this returns; sessions may not be.
pub(crate) fn start(subject: Subject, topology: &Topology, programs: &Programs) -> anyhow::Result<Box<dyn Running>> {
    match subject.tool {
        Tool::Bare => bare::start(topology),
        Tool::OpenVpn | Tool::MeshtunOpenVpn => openvpn::start(subject, topology, programs),
        Tool::WireguardGo | Tool::BoringTun | Tool::GotaTun => wireguard::start(subject, topology, programs),
        Tool::Meshtun => meshtun::start(subject, topology, programs),
    }
}
