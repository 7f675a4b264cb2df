//! What the options can say and this process does not do. Better not to start than to leave it out unsaid.

use meshtun_openvpn::{
    finding::{Finding, Severity},
    options::{Management, Options},
};

/// A directive, when it asks for what is not done, and what to do about it.
pub(super) struct Unserved {
    pub(super) directive: &'static str,
    asks: fn(&Options) -> bool,
    pub(super) way_on: &'static str,
}

const NO_DEFAULT: &str = "the default route is not touched: if all traffic is to go this way, write `route remote_host \
     255.255.255.255 net_gateway`, `route 0.0.0.0 128.0.0.0` and `route 128.0.0.0 128.0.0.0`, which is what `def1` does";

/// All of it.
pub(super) const UNSERVED: &[Unserved] = &[
    Unserved {
        directive: "redirect-gateway",
        asks: |options| options.redirect_gateway.is_some() && options.places.contains_key("redirect-gateway"),
        way_on: NO_DEFAULT,
    },
    Unserved {
        directive: "redirect-private",
        asks: |options| options.redirect_gateway.is_some() && options.places.contains_key("redirect-private"),
        way_on: "routes to the peer and to the local network are not made: write `route` lines with `remote_host` and `net_gateway`",
    },
    Unserved {
        directive: "multihome",
        asks: |options| options.multihome,
        way_on: "the address to answer from is not chosen packet by packet: name it with `local`",
    },
    Unserved {
        directive: "management-client",
        asks: |options| management(options, |management| management.client),
        way_on: "the interface listens: leave it out, and connect to it",
    },
    Unserved {
        directive: "management-up-down",
        asks: |options| management(options, |management| management.up_down),
        way_on: "use `up` and `down` scripts",
    },
    Unserved {
        directive: "management",
        asks: |options| management(options, |management| management.password_file.as_deref() == Some("stdin")),
        way_on: "nobody is asked for its password: write it to a file that only root can read, and name that",
    },
];

fn management(options: &Options, asks: impl Fn(&Management) -> bool) -> bool {
    options.management.as_ref().is_some_and(asks)
}

/// What these options ask for in vain.
pub(super) fn check(options: &Options) -> Vec<Finding> {
    let asked = UNSERVED.iter().filter(|unserved| (unserved.asks)(options));
    let finding = |unserved: &Unserved| Finding {
        severity: Severity::Error,
        place: options.places.get(unserved.directive).cloned(),
        text: format!("`{}`: {}", unserved.directive, unserved.way_on),
    };
    asked.map(finding).collect()
}
