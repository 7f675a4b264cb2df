//! Every directive that OpenVPN knows, and what is done about it.

use super::{crypto, device, entry::Entry, process, refused, routes, scripts, timers, transport, without_effect};

/// What is done about a directive.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    /// It sets something.
    Sets(&'static Entry),
    /// It is accepted and does nothing, for this reason.
    Nothing(&'static str),
    /// It belongs to TLS, which is refused as a whole.
    Tls,
    /// It belongs to a server with many clients.
    Server,
    /// It cannot be done, for this reason.
    Cannot(&'static str),
}

const GROUPS: [&[Entry]; 7] = [
    device::ENTRIES,
    transport::ENTRIES,
    timers::ENTRIES,
    crypto::ENTRIES,
    scripts::ENTRIES,
    routes::ENTRIES,
    process::ENTRIES,
];

/// What a name means; `None` for one that no OpenVPN has.
pub(super) fn find(name: &str) -> Option<Meaning> {
    let sets = GROUPS.into_iter().flatten().find(|entry| entry.name == name).map(Meaning::Sets);
    let listed = |list: &'static [(&str, &str)]| list.iter().find(|(n, _)| *n == name).map(|(_, reason)| *reason);
    sets.or_else(|| listed(without_effect::DIRECTIVES).map(Meaning::Nothing))
        .or_else(|| listed(refused::CANNOT).map(Meaning::Cannot))
        .or_else(|| refused::TLS.contains(&name).then_some(Meaning::Tls))
        .or_else(|| refused::SERVER.contains(&name).then_some(Meaning::Server))
}

/// Every name.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let sets = GROUPS.into_iter().flatten().map(|entry| entry.name);
    let listed = without_effect::DIRECTIVES.iter().chain(refused::CANNOT).map(|(name, _)| *name);
    sets.chain(listed).chain(refused::TLS.iter().chain(refused::SERVER).copied())
}

/// What becomes of a directive, whatever its parameters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does what it does in OpenVPN.
    Accepted,
    /// It is accepted and changes nothing, for this reason.
    WithoutEffect(&'static str),
    /// It is refused, for this reason.
    Refused(&'static str),
}

/// What becomes of a directive of this name; `None` if no OpenVPN has it.
#[must_use]
pub fn standing(name: &str) -> Option<Standing> {
    Some(match find(name)? {
        Meaning::Sets(_) => Standing::Accepted,
        Meaning::Nothing(reason) => Standing::WithoutEffect(reason),
        Meaning::Tls => Standing::Refused("it belongs to TLS, which a meshtun link replaces"),
        Meaning::Server => Standing::Refused("it belongs to a server with many clients"),
        Meaning::Cannot(reason) => Standing::Refused(reason),
    })
}
