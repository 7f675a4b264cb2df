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
    /// What it is and what to do about it, without place and full stop, and without anything that may be part of a key.
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
    /// `nq1.conf:12: what it is`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.text),
            None => f.write_str(&self.text),
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
