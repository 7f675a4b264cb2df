//! Directives into options.

mod check;
mod crypto;
mod device;
mod draft;
mod entry;
mod process;
mod refused;
mod routes;
mod scripts;
mod suggest;
mod table;
#[cfg(test)]
mod tests;

mod timers;
mod transport;
mod values;
mod without_effect;

use draft::Draft;
use entry::Entry;
use table::Meaning;
pub use table::{Standing, standing};

use super::Options;
use crate::{
    directive::{Directive, Place, Reading, is_name},
    finding::{Finding, Severity},
};

/// What directives come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The options. With [`Parsed::is_refused`] they are what could be made out, and nothing to run with.
    pub options: Options,
    /// All that there is to say, in the order of the lines.
    pub findings: Vec<Finding>,
    /// Whether it is a TLS configuration, which [`Options`] does not describe.
    pub tls: bool,
    /// Whether it is the configuration of a server with many clients.
    pub server: bool,
}

/// The port of a service of this name; none if there is none.
pub type Services = fn(&str) -> Option<u16>;

impl Parsed {
    /// Whether there is an error among the findings.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

impl Options {
    /// Makes options of directives, as options.c does of a point-to-point process: `add_option` for each, then
    /// `options_postprocess`. Unlike there everything that is wrong is told, not only what comes first.
    ///
    /// Of the names that services have as ports it knows OpenVPN's own alone: see [`Options::read_with`].
    #[must_use]
    pub fn read(reading: &Reading) -> Parsed {
        Self::read_with(reading, |name| (name == "openvpn").then_some(1194))
    }

    /// As [`Options::read`], with somebody to ask for the port of a service (getservbyname(3)).
    #[must_use]
    pub fn read_with(reading: &Reading, services: Services) -> Parsed {
        let mut draft = Draft::new(services);
        draft.findings.clone_from(&reading.findings);
        draft.is_whole = !reading.findings.iter().any(|finding| finding.severity == Severity::Error);
        for directive in &reading.directives {
            take(&mut draft, directive);
        }
        let (tls, server) = (!draft.tls.is_empty(), !draft.server.is_empty());
        check::check(&mut draft);
        let mut findings = match check::tls(&draft) {
            Some(refusal) => reading.findings.iter().cloned().chain([refusal]).collect(),
            None => draft.findings,
        };
        sort(&mut findings, &reading.directives);
        Parsed { options: draft.options, findings, tls, server }
    }
}

/// By the order in which files are read, and by lines; what concerns no line comes last.
fn sort(findings: &mut [Finding], directives: &[Directive]) {
    let mut files = vec![&None];
    for directive in directives {
        if !files.contains(&&directive.place.file) {
            files.push(&directive.place.file);
        }
    }
    findings.sort_by_key(|finding| {
        let place = finding.place.as_ref();
        let file = place.map(|place| files.iter().position(|file| **file == place.file));
        (place.is_none(), file, place.map(|place| place.line))
    });
}

/// Takes over one directive.
fn take(draft: &mut Draft, directive: &Directive) {
    if let Some((optional, directive)) = unwrap_optional(directive) {
        return take_known(draft, &directive, optional);
    }
    take_known(draft, directive, false);
}

/// `setenv opt NAME …` is `NAME …`, with only a warning when there is no such name.
fn unwrap_optional(directive: &Directive) -> Option<(bool, Directive)> {
    if directive.name != "setenv" || directive.parameter(0) != Some("opt") {
        return None;
    }
    let name = directive.parameter(1)?.to_owned();
    let parameters = directive.parameters[2..].to_vec();
    Some((true, Directive { name, parameters, ..directive.clone() }))
}

fn take_known(draft: &mut Draft, directive: &Directive, optional: bool) {
    let name = directive.name.as_str();
    let optional = optional || draft.forward_compatible || draft.ignored.iter().any(|ignored| ignored == name);
    let result = match table::find(name) {
        None => return unknown(draft, directive, optional),
        Some(Meaning::Sets(entry)) => set(draft, directive, entry),
        Some(Meaning::Nothing(reason)) => {
            draft.note(directive, format!("`{name}` changes nothing: {reason}"));
            Ok(())
        }
        Some(Meaning::Tls) => {
            draft.tls.push((name.to_owned(), directive.place.clone()));
            Ok(())
        }
        Some(Meaning::Server) => {
            draft.server.push((name.to_owned(), directive.place.clone()));
            Ok(())
        }
        Some(Meaning::Cannot(reason)) => Err(reason.to_owned()),
    };
    match result {
        Ok(()) => {
            draft.options.places.insert(name.to_owned(), directive.place.clone());
        }
        Err(text) => {
            draft.wrong.push(name.to_owned());
            draft.findings.push(Finding::error(&directive.place, format!("`{name}`: {text}")));
        }
    }
}

fn set(draft: &mut Draft, directive: &Directive, entry: &Entry) -> Result<(), String> {
    let (least, most) = entry.parameters;
    if directive.inline.is_some() {
        if !entry.inline {
            return Err("its value cannot stand between tags".to_owned());
        }
    } else if !(least..=most).contains(&directive.parameters.len()) {
        let wanted = match (least, most) {
            (0, 0) => "no parameter".to_owned(),
            (1, 1) => "one parameter".to_owned(),
            _ if least == most => format!("{least} parameters"),
            _ => format!("{least} to {most} parameters"),
        };
        return Err(format!("it takes {wanted}, not {}", directive.parameters.len()));
    }
    (entry.take)(draft, directive)
}

/// Unknown names end OpenVPN, unless `ignore-unknown-option`, `setenv opt` or `setenv FORWARD_COMPATIBLE 1` say
/// otherwise.
fn unknown(draft: &mut Draft, directive: &Directive, optional: bool) {
    let name = &directive.name;
    if !is_name(name) {
        return strange(draft, directive, optional);
    }
    let meant = suggest::nearest(name, table::names()).map(|name| format!(" (`{name}`?)")).unwrap_or_default();
    let finding = if optional {
        Finding::warning(
            &directive.place,
            format!("`{name}` is unknown{meant} and left out, as it is said to be optional"),
        )
    } else {
        let text = format!(
            "`{name}` is unknown{meant}: correct it or take it out, or allow it by `ignore-unknown-option {name}` before it"
        );
        Finding::error(&directive.place, text)
    };
    draft.findings.push(finding);
}

/// A line whose first word can be no option's name is not shown, as it may be of a key. Said once for a file: a key has many.
fn strange(draft: &mut Draft, directive: &Directive, optional: bool) {
    let Place { file, .. } = &directive.place;
    if draft.strange.contains(file) {
        return;
    }
    draft.strange.push(file.clone());
    let text = "what stands here is no option; it is not shown, as it may be part of a key, nor are lines like it below: the text of a key stands between lines with <secret> and </secret>";
    let severity = if optional { Severity::Warning } else { Severity::Error };
    draft.findings.push(Finding { severity, place: Some(directive.place.clone()), text: text.to_owned() });
}
