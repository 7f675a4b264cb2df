//! No two sites have the same addresses.

use ipnet::IpNet;

use super::gateway::{Draft, Gateways};
use crate::findings::{Findings, Located};

/// Refuses networks that overlap between sites; warns of those that a gateway lists twice.
///
/// Prefixes either nest or are apart. So with all of them in order, those around the current one
/// are on a stack, and the whole mesh costs one sort.
pub(super) fn check(gateways: &Gateways, findings: &mut Findings) {
    let mut all: Vec<Entry<'_>> = gateways
        .iter()
        .flat_map(|(index, gateway)| gateway.networks.iter().map(move |network| Entry { index, gateway, network }))
        .collect();
    all.sort_by_key(|entry| {
        let network = entry.network.value;
        (network.addr(), network.prefix_len(), entry.network.span.start)
    });
    let mut around: Vec<Entry<'_>> = Vec::new();
    for entry in all {
        around.retain(|outer| outer.network.value.contains(&entry.network.value));
        if let Some(outer) = around.iter().rev().find(|outer| !outer.shares_with(&entry)) {
            report(outer, &entry, findings);
        }
        around.push(entry);
    }
}

#[derive(Clone, Copy)]
struct Entry<'a> {
    index: usize,
    gateway: &'a Draft,
    network: &'a Located<IpNet>,
}

impl Entry<'_> {
    /// Two gateways of one site are meant to have the same networks.
    fn shares_with(&self, other: &Entry<'_>) -> bool {
        let site = |entry: &Entry<'_>| entry.gateway.site.as_ref().map(|site| site.value.clone());
        self.index != other.index && site(self).is_some() && site(self) == site(other)
    }
}

fn report(outer: &Entry<'_>, inner: &Entry<'_>, findings: &mut Findings) {
    // The later one in the file is likely the wrong one.
    let (first, second) =
        if outer.network.span.start < inner.network.span.start { (outer, inner) } else { (inner, outer) };
    let (a, b) = (first.network.value, second.network.value);
    let (of_a, of_b) = (&first.gateway.name.value, &second.gateway.name.value);
    if outer.index != inner.index {
        let message = format!("{b} of gateway `{of_b}` overlaps {a} of gateway `{of_a}`");
        let hint = "an address can be at one site only; if both gateways are of one site, give both the same `site`";
        findings.error(&second.network.span, message, hint).also(&first.network.span, "listed here");
    } else if a == b {
        let message = format!("gateway `{of_a}` lists {a} twice");
        findings.warning(&second.network.span, message, "remove one of them").also(&first.network.span, "listed here");
    } else {
        let message = format!("{} of gateway `{of_a}` is within its {}", inner.network.value, outer.network.value);
        findings.warning(&inner.network.span, message, "remove it").also(&outer.network.span, "listed here");
    }
}
