//! UDP ports: derived where they are not given, and that no two channels of a gateway share one.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::gateway::Gateways;
use super::link::{DERIVED_CHANNELS, Defaults, Draft as Link};
use crate::findings::{Findings, Span};
use crate::model::{Environment, Software};

/// Refuses a second link of one pair of gateways that derives its ports, for they would be the first one's.
pub(super) fn check_pairs(links: &[Link], gateways: &Gateways, findings: &mut Findings) {
    let mut first: HashMap<[usize; 2], &Link> = HashMap::new();
    for link in links.iter().filter(|link| link.derives) {
        let Some(mut pair) = link.ends.as_ref().map(|ends| ends.value) else { continue };
        pair.sort_unstable();
        let Some(earlier) = first.get(&pair) else {
            first.insert(pair, link);
            continue;
        };
        let [a, b] = pair.map(|end| &gateways.get(end).name.value);
        let message = format!("two links between `{a}` and `{b}` without `ports`");
        let hint = "derived ports serve one link of a pair: give this one `ports = [FIRST, FIRST]`";
        findings.error(link.place(), message, hint).also(earlier.place(), "the other one");
    }
}

/// The first port at both ends of every link; none for a link whose ports are refused.
pub(super) fn check(
    links: &[Link],
    gateways: &Gateways,
    defaults: &Defaults,
    environment: &Environment,
    findings: &mut Findings,
) -> Vec<Option<[u16; 2]>> {
    let ranges: Vec<_> = links.iter().map(|link| ranges(link, gateways, defaults, findings)).collect();
    let mut of_gateway: Vec<Vec<Taken<'_>>> = gateways.iter().map(|_| Vec::new()).collect();
    for (link, ranges) in links.iter().zip(&ranges) {
        let (Some(ends), Some(ranges)) = (&link.ends, ranges) else { continue };
        for (end, ports) in ends.value.into_iter().zip(ranges) {
            of_gateway[end].push(Taken { link, ports: ports.clone() });
        }
    }
    for (index, taken) in of_gateway.iter_mut().enumerate() {
        check_collisions(&gateways.get(index).name.value, taken, findings);
    }
    warn_of_ephemeral(&of_gateway, gateways, defaults, environment, findings);
    ranges.into_iter().map(|ranges| ranges.map(|ranges| ranges.map(|ports| *ports.start()))).collect()
}

/// The ports that a link takes at one of its ends.
struct Taken<'a> {
    link: &'a Link,
    ports: RangeInclusive<u16>,
}

impl Taken<'_> {
    /// Where the file says so, or at least names the link.
    fn span(&self) -> &Span {
        self.link.ports.as_ref().map_or(self.link.place(), |ports| &ports.span)
    }

    fn describe(&self) -> String {
        let derived = if self.link.derives { "derived " } else { "" };
        format!("{derived}ports {} to {} of {}", self.ports.start(), self.ports.end(), self.link.title())
    }
}

fn ranges(
    link: &Link,
    gateways: &Gateways,
    defaults: &Defaults,
    findings: &mut Findings,
) -> Option<[RangeInclusive<u16>; 2]> {
    let channels = link.channels?;
    let first = match &link.ports {
        Some(ports) => ports.value,
        None => derive(link, channels, gateways, defaults, findings)?,
    };
    Some(first.map(|port| port..=port + (channels - 1)))
}

/// `base_port` + 16 × the other end's number. None, too, for what others refuse.
fn derive(
    link: &Link,
    channels: u16,
    gateways: &Gateways,
    defaults: &Defaults,
    findings: &mut Findings,
) -> Option<[u16; 2]> {
    let ends = link.ends.as_ref().filter(|_| link.derives && channels <= DERIVED_CHANNELS)?;
    let [first, second] = ends.value.map(|end| gateways.get(end).number.as_ref());
    let others = [second?.value, first?.value];
    let ports = others.map(|number| {
        let port = defaults.base_port().checked_add(DERIVED_CHANNELS * number)?;
        port.checked_add(channels - 1).map(|_| port)
    });
    let [Some(first), Some(second)] = ports else {
        let message = format!("the derived ports of {} go past 65535", link.title());
        let hint = "lower `base_port` or the gateways' numbers, or give the link `ports`";
        let finding = findings.error(link.place(), message, hint);
        if let Some(base_port) = &defaults.base_port {
            finding.also(&base_port.span, "derived from this");
        }
        return None;
    };
    Some([first, second])
}

/// With all ranges in order, one that collides does so with the one before it that reaches furthest.
fn check_collisions(gateway: &str, taken: &mut [Taken<'_>], findings: &mut Findings) {
    taken.sort_by_key(|taken| (*taken.ports.start(), taken.link.header.start));
    let mut furthest: Option<&Taken<'_>> = None;
    for current in taken.iter() {
        if let Some(before) = furthest.filter(|before| before.ports.end() >= current.ports.start()) {
            report_collision(gateway, before, current, findings);
        }
        if furthest.is_none_or(|before| before.ports.end() < current.ports.end()) {
            furthest = Some(current);
        }
    }
}

fn report_collision(gateway: &str, a: &Taken<'_>, b: &Taken<'_>, findings: &mut Findings) {
    // Two links of one pair that both derive are `check_pairs`'s to report.
    let pair = |taken: &Taken<'_>| {
        let mut pair = taken.link.ends.as_ref().map(|ends| ends.value).unwrap_or_default();
        pair.sort_unstable();
        pair
    };
    if a.link.derives && b.link.derives && pair(a) == pair(b) {
        return;
    }
    let (first, second) = if a.link.header.start <= b.link.header.start { (a, b) } else { (b, a) };
    let message = format!("{} collide with {} on gateway `{gateway}`", second.describe(), first.describe());
    let hint = "give one of the links other `ports` at that end";
    findings.error(second.span(), message, hint).also(first.span(), "taken here");
}

/// A warning and no error: a bound port is never handed out again, so a running link is safe. But
/// while it is down another program may be given the port, and the next start finds it busy.
/// Plain WireGuard gateways are left out: 51820, where they begin by custom, is within the range.
fn warn_of_ephemeral(
    of_gateway: &[Vec<Taken<'_>>],
    gateways: &Gateways,
    defaults: &Defaults,
    environment: &Environment,
    findings: &mut Findings,
) {
    let range = &environment.ephemeral_ports;
    let meshtun = gateways.iter().filter(|(_, gateway)| gateway.software == Software::Meshtun);
    let all = meshtun.flat_map(|(index, gateway)| of_gateway[index].iter().map(|taken| (&gateway.name.value, taken)));
    let reaching = all.filter(|(_, taken)| taken.ports.start() <= range.end() && taken.ports.end() >= range.start());
    let (derived, given): (Vec<_>, Vec<_>) = reaching.partition(|(_, taken)| taken.link.derives);
    // One word about base_port says it for all that derive from it.
    for (gateway, taken) in given.into_iter().chain(derived.into_iter().next()) {
        let (least, most, ports) = (range.start(), range.end(), taken.describe());
        let message = format!("{ports} reach into the ephemeral ports {least} to {most} on gateway `{gateway}`");
        let span = defaults.base_port.as_ref().filter(|_| taken.link.derives).map_or(taken.span(), |port| &port.span);
        findings.warning(span, message, EPHEMERAL);
    }
}

const EPHEMERAL: &str = "another program may be given such a port while the link is down: choose lower ones, or reserve them with the sysctl net.ipv4.ip_local_reserved_ports";
