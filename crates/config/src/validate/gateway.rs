//! The gateways, each by itself, and that no two are alike.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::place::Place;
use super::{network, scalar};
use crate::findings::{Findings, Located, Span};
use crate::hooks::HookTable;
use crate::keys::PublicKey;
use crate::model::{Gateway, Host, Software};
use crate::raw::RawGateway;
use crate::suggest::nearest;
use ipnet::IpNet;

/// The gateways as far as they are right, in the order of the file.
pub(super) struct Gateways {
    list: Vec<Draft>,
    by_name: HashMap<String, usize>,
}

/// A gateway as far as it is right.
pub(super) struct Draft {
    pub(super) name: Located<String>,
    pub(super) number: Option<Located<u16>>,
    public_key: Option<Located<PublicKey>>,
    /// Where it is on the underlay, but for links that have paths.
    pub(super) place: Place,
    address: Option<Located<Ipv4Addr>>,
    address6: Option<Located<Ipv6Addr>>,
    pub(super) networks: Vec<Located<IpNet>>,
    /// Where the list of networks stands; none if it is missing or one of them was refused.
    pub(super) networks_span: Option<Span>,
    pub(super) site: Option<Located<String>>,
    pub(super) priority: Located<u16>,
    pub(super) software: Software,
    hooks: HookTable,
}

impl Gateways {
    /// `hooks` are those of `[defaults]`.
    pub(super) fn check(raw: &[RawGateway], hooks: &HookTable, findings: &mut Findings) -> Self {
        let list: Vec<_> = raw.iter().map(|gateway| Draft::check(gateway, hooks, findings)).collect();
        let by_name = list.iter().enumerate().map(|(index, gateway)| (gateway.name.value.clone(), index)).collect();
        let gateways = Gateways { list, by_name };
        gateways.check_unique(findings);
        gateways
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Draft)> {
        self.list.iter().enumerate()
    }

    pub(super) fn get(&self, index: usize) -> &Draft {
        &self.list[index]
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The name that was likely meant by one that no gateway has.
    pub(super) fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.list.iter().map(|gateway| gateway.name.value.as_str()))
    }

    pub(super) fn assemble(self) -> Option<Vec<Gateway>> {
        self.list.into_iter().map(Draft::assemble).collect()
    }

    fn check_unique(&self, findings: &mut Findings) {
        self.warn_of_shared_places(findings);
        self.refuse_repeated("number", |gateway| gateway.number.as_ref(), NUMBERS, findings);
        self.refuse_repeated("public_key", |gateway| gateway.public_key.as_ref(), KEYS, findings);
        self.refuse_repeated("address", |gateway| gateway.address.as_ref(), ADDRESSES, findings);
        self.refuse_repeated("address6", |gateway| gateway.address6.as_ref(), ADDRESSES, findings);
    }

    fn warn_of_shared_places(&self, findings: &mut Findings) {
        let mut first: HashMap<&Host, &Draft> = HashMap::new();
        for gateway in &self.list {
            let Some(place) = &gateway.place.reach else { continue };
            let Some(earlier) = first.get(&place.value) else {
                first.insert(&place.value, gateway);
                continue;
            };
            let (a, b) = (&earlier.name.value, &gateway.name.value);
            let message = format!("gateways `{a}` and `{b}` are both reached at {}", place.value);
            let hint = "right only behind a NAT that forwards each port to its gateway; else give each its own address";
            let finding = findings.warning(&place.span, message, hint);
            if let Some(place) = &earlier.place.reach {
                finding.also(&place.span, "used here");
            }
        }
    }

    fn refuse_repeated<K: Eq + Hash>(
        &self,
        key: &str,
        value: impl Fn(&Draft) -> Option<&Located<K>>,
        why: &str,
        findings: &mut Findings,
    ) {
        let mut first: HashMap<&K, &Draft> = HashMap::new();
        for gateway in &self.list {
            let Some(found) = value(gateway) else { continue };
            let Some(earlier) = first.get(&found.value) else {
                first.insert(&found.value, gateway);
                continue;
            };
            let message =
                format!("gateways `{}` and `{}` have the same `{key}`", earlier.name.value, gateway.name.value);
            let finding = findings.error(&found.span, message, why);
            if let Some(place) = value(earlier) {
                finding.also(&place.span, "used here");
            }
        }
    }
}

const NUMBERS: &str = "ports and link-local addresses derive from the number: give each gateway its own";
const KEYS: &str = "a gateway finds itself by its key: make each its own with `meshtun keygen`";
const ADDRESSES: &str = "it is the source of the gateway's own packets: give each gateway its own";

impl Draft {
    fn check(raw: &RawGateway, hooks: &HookTable, findings: &mut Findings) -> Self {
        scalar::check_name(&raw.name, "gateway", findings);
        let (networks, networks_span) = network::read(raw, findings);
        let gateway = Draft {
            name: raw.name.clone(),
            number: Self::check_number(raw, findings),
            public_key: Self::check_key(raw, findings),
            place: Place::check(&raw.place, findings),
            address: raw.address.as_ref().and_then(|text| scalar::ipv4(text, findings)),
            address6: raw.address6.as_ref().and_then(|text| scalar::ipv6(text, findings)),
            networks,
            networks_span,
            site: raw.site.clone(),
            priority: Self::check_priority(raw, findings),
            software: raw.peer.as_ref().and_then(|text| scalar::software(text, findings)).unwrap_or_default(),
            hooks: raw.hooks.over(hooks),
        };
        gateway.check_address(raw, findings);
        gateway
    }

    /// 1 to 1023: with 16 ports each from 16384 they end at 32767, below Linux's ephemeral range.
    /// 0 is left out, for fe80::0:0 is every router's anycast address (RFC 4291, section 2.6.1).
    fn check_number(raw: &RawGateway, findings: &mut Findings) -> Option<Located<u16>> {
        let why = "a small number that stays: 16 ports for each of 1,023 gateways end below the ephemeral range";
        scalar::ranged(raw.number.as_ref()?, "number", 1..=1023, why, findings)
    }

    fn check_key(raw: &RawGateway, findings: &mut Findings) -> Option<Located<PublicKey>> {
        let text = raw.public_key.as_ref()?;
        match text.value.parse() {
            Ok(key) => Some(text.with(key)),
            Err(fault) => {
                findings.error(&text.span, format!("`public_key` is not a key: {fault}"), fault.hint());
                None
            }
        }
    }

    fn check_priority(raw: &RawGateway, findings: &mut Findings) -> Located<u16> {
        let why = "among the gateways of a site, the lowest with carrier is used";
        let priority =
            raw.priority.as_ref().and_then(|number| scalar::ranged(number, "priority", 1..=65535, why, findings));
        match (&raw.site, &priority) {
            (Some(site), _) => scalar::check_name(site, "site", findings),
            (None, Some(priority)) if priority.value != 1 => {
                let message = format!("`priority` of gateway `{}` means nothing without a `site`", raw.name.value);
                let hint = "name the site that it shares with another gateway, or remove `priority`";
                findings.warning(&priority.span, message, hint);
            }
            (None, _) => {}
        }
        priority.unwrap_or_else(|| Located::new(1, raw.site.as_ref().unwrap_or(&raw.name).span.clone()))
    }

    /// Packets from an address that is not among the networks are dropped at the other end.
    fn check_address(&self, raw: &RawGateway, findings: &mut Findings) {
        let name = &self.name.value;
        if !raw.has_address && self.software == Software::Meshtun {
            let message = format!("gateway `{name}` has neither `address` nor `address6`");
            let hint = "its own packets into links leave with whatever source the kernel chooses, and the peers drop what is not in its `networks`";
            findings.warning(&self.name.span, message, hint);
        }
        let v4 = self.address.as_ref().map(|it| it.with(IpAddr::V4(it.value)));
        let v6 = self.address6.as_ref().map(|it| it.with(IpAddr::V6(it.value)));
        for address in v4.iter().chain(&v6).filter(|_| self.networks_span.is_some()) {
            if !self.networks.iter().any(|network| network.value.contains(&address.value)) {
                let message = format!("{} is in none of the networks of gateway `{name}`", address.value);
                let hint = "the peers drop packets from it: choose an address inside, or add a network that has it";
                findings.warning(&address.span, message, hint);
            }
        }
    }

    fn assemble(self) -> Option<Gateway> {
        Some(Gateway {
            name: self.name.value,
            number: self.number?.value,
            public_key: self.public_key?.value,
            bind: self.place.bind.map(|it| it.value),
            reach: self.place.reach.map(|it| it.value),
            address: self.address.map(|it| it.value),
            address6: self.address6.map(|it| it.value),
            networks: network::distinct(self.networks),
            site: self.site.map(|it| it.value),
            priority: self.priority.value,
            software: self.software,
            hooks: self.hooks,
        })
    }
}
