//! What there is to say about a configuration.

use std::fmt;

use crate::directive::{Place, scrub};

/// One thing to say about a configuration, with the place that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is; `None` when it is about what is missing.
    pub place: Option<Place>,
    /// What it is and what to do about it, without place and full stop.
    pub text: String,
}

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Accepted, and of no effect.
    Note,
    /// Accepted, and likely not what was meant, or unsafe.
    Warning,
    /// Refused.
    Error,
}

impl fmt::Display for Finding {
    /// `nq1.conf:12: what it is`, without anything that may be part of a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", scrub(&self.text)),
            None => f.write_str(&scrub(&self.text)),
        }
    }
}

impl Finding {
    /// Refused, because of what stands at a place.
    #[must_use]
    pub fn error(place: &Place, text: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place: Some(place.clone()), text: scrub(&text.into()).into_owned() }
    }

    /// Accepted, with a warning about what stands at a place.
    #[must_use]
    pub fn warning(place: &Place, text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, place: Some(place.clone()), text: scrub(&text.into()).into_owned() }
    }

    /// Accepted without effect, at a place.
    #[must_use]
    pub fn note(place: &Place, text: impl Into<String>) -> Self {
        Self { severity: Severity::Note, place: Some(place.clone()), text: scrub(&text.into()).into_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_shown_however_a_finding_was_made() {
        let text = "`up`: '1582dc64f2b4a2f1c3d4e5f60718293a' cannot be run".to_owned();
        let place = Place { file: Some("nq1.conf".into()), line: 4 };
        let made = Finding { severity: Severity::Error, place: Some(place.clone()), text: text.clone() };
        let shown = "nq1.conf:4: `up`: '(32 hexadecimal digits, not shown)' cannot be run";
        assert_eq!(made.to_string(), shown);
        assert_eq!(Finding::error(&place, text).to_string(), shown);
    }
}
