//! Where something is on the underlay: a gateway, or its end of a path.

use std::net::IpAddr;

use super::scalar;
use crate::findings::{Findings, Located};
use crate::model::Host;
use crate::raw::RawPlace;

/// A place on the underlay as far as it is right.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Where to bind.
    pub(super) bind: Option<Located<IpAddr>>,
    /// How others reach it.
    pub(super) reach: Option<Located<Host>>,
    /// That the file says nothing at all about how others reach it.
    pub(super) is_learned: bool,
}

impl Place {
    pub(super) fn check(raw: &RawPlace, findings: &mut Findings) -> Place {
        let underlay = raw.underlay.as_ref().and_then(|text| scalar::host_address(text, "underlay", findings));
        let listen = raw.listen.as_ref().and_then(|text| scalar::ip_address(text, "listen", findings));
        let endpoint = raw.endpoint.as_ref().and_then(|text| scalar::host(text, "endpoint", findings));
        let reached = underlay.as_ref().map(|address| address.with(Host::Address(address.value)));
        Place {
            bind: if raw.listen.is_some() { listen } else { underlay },
            reach: if raw.endpoint.is_some() { endpoint } else { reached },
            is_learned: !raw.is_reached,
        }
    }
}
