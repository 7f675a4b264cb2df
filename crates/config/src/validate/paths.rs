//! The paths of links: two ends each, no two alike, and which channel takes which.

use super::gateway::Gateways;
use super::link::Draft as Link;
use super::place::Place;
use super::scalar;
use crate::findings::{Findings, List, Located, Span};
use crate::model::{self, Host, Software};
use crate::raw::{RawEnd, RawLink, RawPath};
use crate::suggest::nearest;

/// Paths of one link at most: more than channels are of no use.
const PATHS: usize = super::link::CHANNELS as usize;

/// A path as far as it is right.
#[derive(Debug)]
pub(super) struct Path {
    /// Where its table stands.
    pub(super) span: Span,
    /// In the order of `between`.
    pub(super) ends: [End; 2],
}

/// A gateway's end of a path.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) place: Place,
    /// That the file leaves the place to the gateway's own.
    pub(super) is_own: bool,
    pub(super) device: Option<Located<String>>,
}

/// The paths of a link, none for those that are refused.
pub(super) fn check(
    raw: &RawLink,
    ends: Option<[usize; 2]>,
    gateways: &Gateways,
    findings: &mut Findings,
) -> Vec<Option<Path>> {
    let (Some(list), Some(ends)) = (&raw.paths, ends) else { return Vec::new() };
    if list.value.is_empty() || list.value.len() > PATHS {
        let message = format!("`paths` must list 1 to {PATHS} paths, not {}", list.value.len());
        findings.error(&list.span, message, "list the ways over the underlay, or remove `paths`: then there is one");
        return Vec::new();
    }
    let paths: Vec<_> = list.value.iter().map(|path| check_path(path, ends, gateways, findings)).collect();
    check_distinct(&paths, findings);
    paths
}

/// Which path each channel takes; nothing where there are no paths.
pub(super) fn deal(raw: &RawLink, channels: u16, findings: &mut Findings) -> Vec<u16> {
    let Some(paths) = &raw.paths else {
        if let Some(deal) = &raw.deal {
            let hint = "list the `paths` that the channels are dealt over, or remove `deal`";
            findings.warning(&deal.span, "`deal` means nothing without `paths`", hint);
        }
        return Vec::new();
    };
    let count = paths.value.len().min(PATHS) as u16;
    if count == 0 || channels == 0 {
        return Vec::new();
    }
    let dealt = match &raw.deal {
        None => (0..channels).map(|channel| channel % count).collect(),
        Some(deal) => read_deal(deal, channels, count, findings),
    };
    warn_of_idle(paths, &dealt, channels, findings);
    dealt
}

/// Refuses devices that are the link's own, or another's: packets of a tunnel would run inside a tunnel.
pub(super) fn check_devices(gateways: &Gateways, links: &[Link], findings: &mut Findings) {
    for link in links {
        let Some(ends) = &link.ends else { continue };
        for (gateway, end) in link.paths.iter().flatten().flat_map(|path| ends.value.into_iter().zip(&path.ends)) {
            let Some(device) = &end.device else { continue };
            let at = |other: &&Link| other.ends.as_ref().is_some_and(|ends| ends.value.contains(&gateway));
            let Some(owner) = links.iter().filter(at).find(|other| other.has_device(&device.value)) else { continue };
            let name = &gateways.get(gateway).name.value;
            let message = format!(
                "{} is a device of {} at gateway `{name}`: the tunnel would run inside itself",
                device.value,
                owner.title()
            );
            let finding = findings.error(&device.span, message, "name the network device that leads into the underlay");
            finding.also(owner.place(), "its devices are called after it");
        }
    }
}

fn check_path(raw: &Located<RawPath>, ends: [usize; 2], gateways: &Gateways, findings: &mut Findings) -> Option<Path> {
    let given = raw.value.ends.as_ref()?;
    let names = ends.map(|end| gateways.get(end).name.value.as_str());
    for end in given.iter().filter(|end| !names.contains(&end.gateway.value.as_str())) {
        let name = &end.gateway.value;
        let hint = match nearest(name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the ends of this link are `{}` and `{}`", names[0], names[1]),
        };
        findings.error(&end.gateway.span, format!("`{name}` is no end of this link"), hint);
    }
    let found = [0, 1].map(|place| {
        let name = names[place];
        let Some(end) = given.iter().find(|end| end.gateway.value == name) else {
            let hint = format!("add `{name} = {{}}` for that gateway's own addresses, or others in the braces");
            findings.error(&raw.span, format!("the path lacks its end at gateway `{name}`"), hint);
            return None;
        };
        check_end(end, gateways.get(ends[place]), findings)
    });
    let [first, second] = found;
    let path = Path { span: raw.span.clone(), ends: [first?, second?] };
    path.warn_of_shared_place(findings);
    Some(path)
}

fn check_end(raw: &RawEnd, gateway: &super::gateway::Draft, findings: &mut Findings) -> Option<End> {
    let place = raw.place.as_ref()?;
    let is_own = !place.is_given;
    let device = raw.device.as_ref().and_then(|device| scalar::device(device, findings));
    if let Some(device) = device.as_ref().filter(|_| gateway.software == Software::WireGuard) {
        let message = format!("`device` means nothing at gateway `{}`, where plain WireGuard runs", gateway.name.value);
        findings.warning(&device.span, message, "remove it; what WireGuard binds to is up to its own configuration");
    }
    let place = if is_own { gateway.place.clone() } else { Place::check(place, findings) };
    Some(End { place, is_own, device })
}

fn check_distinct(paths: &[Option<Path>], findings: &mut Findings) {
    let all: Vec<(usize, &Path)> =
        paths.iter().enumerate().filter_map(|(number, path)| Some((number, path.as_ref()?))).collect();
    for (index, (number, path)) in all.iter().enumerate() {
        if let Some((same, earlier)) = all[..index].iter().find(|(_, earlier)| earlier.traits() == path.traits()) {
            let message = format!("path {number} is the same as path {same}");
            let hint = "channels are told apart by their ports: remove it, or give it other addresses or devices";
            findings.error(&path.span, message, hint).also(&earlier.span, "the other one");
        }
    }
}

fn read_deal(deal: &List<i64>, channels: u16, paths: u16, findings: &mut Findings) -> Vec<u16> {
    let found = deal.value.len();
    if found != usize::from(channels) {
        let message = format!("`deal` lists {found} paths for {channels} channels");
        findings.error(&deal.span, message, "list one for each channel, or leave it out: they are dealt in turn then");
    }
    let why = "paths count from 0, in the order of `paths`";
    let most = i64::from(paths) - 1;
    let path = |number| scalar::ranged::<u16>(number, "deal", 0..=most, why, findings).map(|number| number.value);
    deal.value.iter().filter_map(path).collect()
}

fn warn_of_idle(paths: &List<RawPath>, dealt: &[u16], channels: u16, findings: &mut Findings) {
    for (number, path) in (0_u16..).zip(&paths.value) {
        if !dealt.contains(&number) {
            let message = format!("path {number} has no channel");
            let hint = format!("the link has {channels}: give it more `channels`, deal it one by `deal`, or remove it");
            findings.warning(&path.span, message, hint);
        }
    }
}

impl Path {
    /// What makes it another path.
    fn traits(&self) -> [(Option<std::net::IpAddr>, Option<&Host>, Option<&str>); 2] {
        self.ends.each_ref().map(|end| {
            let bind = end.place.bind.as_ref().map(|bind| bind.value);
            let reach = end.place.reach.as_ref().map(|reach| &reach.value);
            (bind, reach, end.device.as_ref().map(|device| device.value.as_str()))
        })
    }

    fn warn_of_shared_place(&self, findings: &mut Findings) {
        let [Some(first), Some(second)] = self.ends.each_ref().map(|end| end.place.reach.as_ref()) else { return };
        if first.value == second.value {
            let message = format!("both ends of the path are reached at {}", first.value);
            let hint = "right only behind a NAT that forwards each port to its gateway; else give each its own address";
            findings.warning(&self.span, message, hint);
        }
    }

    pub(super) fn assemble(&self) -> model::Path {
        model::Path { ends: self.ends.each_ref().map(End::assemble) }
    }
}

impl End {
    fn assemble(&self) -> model::PathEnd {
        model::PathEnd {
            bind: self.place.bind.as_ref().map(|bind| bind.value),
            reach: self.place.reach.as_ref().map(|reach| reach.value.clone()),
            device: self.device.as_ref().map(|device| device.value.clone()),
        }
    }
}
