//! The gateways of one site: the same networks, and one before the other.

use std::collections::{BTreeSet, HashMap};

use ipnet::IpNet;

use super::gateway::{Draft, Gateways};
use crate::findings::Findings;

/// Compares every gateway of a site with the site's first in the file.
pub(super) fn check(gateways: &Gateways, findings: &mut Findings) {
    let mut sites: HashMap<&str, Vec<&Draft>> = HashMap::new();
    for (_, gateway) in gateways.iter() {
        let Some(site) = &gateway.site else { continue };
        let earlier = sites.entry(&site.value).or_default();
        if let Some(first) = earlier.first() {
            check_networks(first, gateway, findings);
        }
        if let Some(equal) = earlier.iter().find(|other| other.priority.value == gateway.priority.value) {
            refuse_priority(equal, gateway, findings);
        }
        earlier.push(gateway);
    }
}

fn check_networks(first: &Draft, second: &Draft, findings: &mut Findings) {
    let (Some(first_span), Some(second_span)) = (&first.networks_span, &second.networks_span) else { return };
    let set = |gateway: &Draft| gateway.networks.iter().map(|network| network.value).collect::<BTreeSet<_>>();
    let (of_first, of_second) = (set(first), set(second));
    if of_first == of_second {
        return;
    }
    let lacks = |gateway: &Draft, networks: Vec<&IpNet>| {
        let networks: Vec<_> = networks.into_iter().map(IpNet::to_string).collect();
        (!networks.is_empty()).then(|| format!("`{}` lacks {}", gateway.name.value, networks.join(", ")))
    };
    let lacking = [
        lacks(first, of_second.difference(&of_first).collect()),
        lacks(second, of_first.difference(&of_second).collect()),
    ];
    let message = format!(
        "gateways `{}` and `{}` are of one site, but their networks differ",
        first.name.value, second.name.value
    );
    let hint =
        format!("list the same networks in both: {}", lacking.into_iter().flatten().collect::<Vec<_>>().join(", "));
    findings.error(second_span, message, hint).also(first_span, "listed here");
}

fn refuse_priority(first: &Draft, second: &Draft, findings: &mut Findings) {
    let message = format!(
        "gateways `{}` and `{}` of one site have the same priority, {}",
        first.name.value, second.name.value, second.priority.value
    );
    let hint = "the lower priority is used while it has carrier: give one of them another";
    findings.error(&second.priority.span, message, hint).also(&first.priority.span, "the same here");
}
