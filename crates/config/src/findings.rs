//! What the reader and the checks find, while they find it.

use std::ops::Range;

use serde::Serialize;

/// A byte range of the file.
pub(crate) type Span = Range<usize>;

/// A list in the file, its place, and that of each of its values.
pub(crate) type List<T> = Located<Vec<Located<T>>>;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

impl<T> Located<T> {
    pub(crate) fn new(value: T, span: Span) -> Self {
        Located { value, span }
    }

    pub(crate) fn with<U>(&self, value: U) -> Located<U> {
        Located::new(value, self.span.clone())
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is accepted, and this is likely not meant.
    Warning,
}

/// One thing that is wrong: where, what, and what to do.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) hint: String,
    /// Other places that have to do with it.
    pub(crate) related: Vec<(Span, String)>,
}

impl Finding {
    /// Marks another place.
    pub(crate) fn also(&mut self, span: &Span, label: impl Into<String>) -> &mut Self {
        self.related.push((span.clone(), printable(&label.into())));
        self
    }
}

/// Everything found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
    secrets: Vec<Span>,
}

impl Findings {
    pub(crate) fn error(&mut self, span: &Span, message: impl Into<String>, hint: impl Into<String>) -> &mut Finding {
        self.push(Severity::Error, span, message.into(), hint.into())
    }

    pub(crate) fn warning(&mut self, span: &Span, message: impl Into<String>, hint: impl Into<String>) -> &mut Finding {
        self.push(Severity::Warning, span, message.into(), hint.into())
    }

    fn push(&mut self, severity: Severity, span: &Span, message: String, hint: String) -> &mut Finding {
        let (message, hint) = (printable(&message), printable(&hint));
        self.list.push(Finding { severity, span: span.clone(), message, hint, related: Vec::new() });
        self.list.last_mut().expect("it was pushed on the line above")
    }

    /// A place whose text no diagnostic may show.
    pub(crate) fn secret(&mut self, span: Span) {
        self.secrets.push(span);
    }

    pub(crate) fn secrets(&self) -> &[Span] {
        &self.secrets
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.list.iter()
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.list.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// One line, whatever names and values it quotes: they come from a file and go to a terminal.
fn printable(text: &str) -> String {
    let escaped = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if escaped(c) { line.extend(c.escape_unicode()) } else { line.push(c) }
    }
    line
}
