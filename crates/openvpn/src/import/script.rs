//! What stands in an up script, read and never run: the routes that it makes, in shell or Perl.
//!
//! Lines with `ip route add` (and `replace`, `change`, `append`) or `route add` are looked for; variables are followed to
//! where they are set to addresses, in assignments, lists and loops. What a script works out while it runs cannot be
//! seen, and is told.

mod lines;
mod routes;
mod variables;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ipnet::IpNet;

use lines::Line;
use variables::Variables;

/// What was found in a script.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ScriptFacts {
    /// Networks that are routed, in the order found.
    pub(super) networks: Vec<Found<IpNet>>,
    /// Whether what the script is called with chose from its tables, so that these are one link's alone.
    pub(super) chosen: bool,
    /// `src` of these routes.
    pub(super) sources: Vec<Found<IpAddr>>,
    /// Weights of nexthops.
    pub(super) weights: Vec<Found<Weight>>,
    /// The root queueing discipline that `tc` sets.
    pub(super) qdisc: Option<Found<String>>,
    /// Networks of routes that could not be made out, as they are written.
    pub(super) unread: Vec<Found<String>>,
    /// Every prefix that stands in it, routed or not.
    pub(super) prefixes: Vec<Found<IpNet>>,
    /// Lines that run programs other than for routes, settings of the device and locks.
    pub(super) other: Vec<Found<String>>,
}

/// Something with the line that it was found on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found<T> {
    pub(super) line: u32,
    pub(super) what: T,
}

/// The weight of a nexthop.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weight {
    /// `via` or `dev`, whichever is there.
    pub(super) nexthop: String,
    pub(super) weight: u16,
}

impl ScriptFacts {
    /// Reads a script's text. `arguments` is what it is called with; `names` what it may know its link by besides: its
    /// tables are looked up by both.
    pub(super) fn read(text: &[u8], arguments: &[String], names: &[String]) -> Self {
        let hints = [arguments, names].concat();
        let text = String::from_utf8_lossy(text);
        let lines = lines::logical(&text);
        let variables = Variables::of(&lines, arguments, &hints);
        let mut facts = Self { chosen: variables.chooses(), ..Self::default() };
        for line in &lines {
            facts.prefixes_of(line);
            facts.qdisc_of(line);
            if !routes::read(line, &variables, &mut facts) {
                facts.other_of(line);
            }
        }
        facts
    }

    fn prefixes_of(&mut self, line: &Line) {
        for what in line.words.iter().filter(|word| word.contains('/')).filter_map(|word| word.parse::<IpNet>().ok()) {
            push(&mut self.prefixes, line, what.trunc());
        }
    }

    /// `tc qdisc add|replace dev … root NAME`.
    fn qdisc_of(&mut self, line: &Line) {
        let Some(tc) = line.words.iter().position(|word| word == "tc" || word.ends_with("/tc")) else { return };
        let words = &line.words[tc..];
        let sets = words.get(1).is_some_and(|word| word == "qdisc")
            && words.get(2).is_some_and(|word| matches!(word.as_str(), "add" | "replace" | "change"));
        let name = words.iter().position(|word| word == "root").and_then(|root| words.get(root + 1));
        if let Some(name) = name.filter(|name| sets && name.starts_with(|c: char| c.is_ascii_alphabetic())) {
            self.qdisc = Some(Found { line: line.number, what: name.clone() });
        }
    }

    /// Programs that a person may have to call from a hook.
    fn other_of(&mut self, line: &Line) {
        const PROGRAMS: [&str; 14] = [
            "iptables",
            "ip6tables",
            "nft",
            "ipset",
            "sendmail",
            "mail",
            "curl",
            "wget",
            "logger",
            "systemctl",
            "service",
            "birdc",
            "vtysh",
            "arping",
        ];
        let name =
            |word: &str| PROGRAMS.iter().any(|program| word == *program || word.ends_with(&format!("/{program}")));
        if let Some(program) = line.words.iter().find(|word| name(word)) {
            push(&mut self.other, line, program.clone());
        }
    }
}

/// Adds what is not there yet.
fn push<T: PartialEq>(list: &mut Vec<Found<T>>, line: &Line, what: T) {
    if !list.iter().any(|found| found.what == what) {
        list.push(Found { line: line.number, what });
    }
}
