//! What became of each line.

use std::fmt;

use super::{channel::Channel, fates, group::Mesh, left_out::LeftOut};
use crate::{
    directive::{Place, scrub},
    finding::Severity,
};

/// One line of a file, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// The line.
    pub place: Place,
    /// The directive, as it can be written, without what may be part of a key; what could not be read is shown as
    /// `(unreadable)`.
    pub directive: String,
    /// What became of it.
    pub fate: String,
}

impl fmt::Display for Explained {
    /// `nq1.conf:3  remote 203.0.113.2  →  gateways.nvpn1.underlay`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}  →  {}", self.place, self.directive, self.fate)
    }
}

/// All lines of all files: this end's channels by link, then the other ends', then files that are left out.
pub(super) fn explain(mesh: &Mesh, out_here: &[LeftOut], out_there: &[LeftOut]) -> Vec<Explained> {
    let mut explained = Vec::new();
    for link in &mesh.links {
        for (number, pair) in link.channels.iter().enumerate() {
            let context = fates::Context { mesh, link, number };
            lines(&pair.here, &mut explained, |directive| fates::of(directive, &pair.here, &context));
            if let Some(there) = &pair.there {
                lines(there, &mut explained, |directive| fates::of(directive, there, &context));
            }
        }
    }
    for out in out_here.iter().chain(out_there) {
        lines(&out.channel, &mut explained, |_| "the whole file is left out".to_owned());
    }
    explained
}

fn lines(channel: &Channel, explained: &mut Vec<Explained>, fate: impl Fn(&crate::directive::Directive) -> String) {
    let start = explained.len();
    explained.extend(channel.reading.directives.iter().map(|directive| Explained {
        place: directive.place.clone(),
        directive: directive.shown(),
        fate: scrub(&fate(directive)).into_owned(),
    }));
    // Lines that are no directives at all.
    let unreadable = channel.reading.findings.iter().filter(|finding| finding.severity == Severity::Error);
    explained.extend(unreadable.filter_map(|finding| {
        let place = finding.place.clone()?;
        Some(Explained { place, directive: "(unreadable)".to_owned(), fate: finding.text.clone() })
    }));
    explained[start..].sort_by_key(|line| (line.place.file.as_deref() != Some(&*channel.file), line.place.line));
}
