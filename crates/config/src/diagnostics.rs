//! What is wrong with a file, where, and what to do: for people and for programs.

use std::fmt;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use crate::findings::{Finding, Findings, Severity};

/// One thing that is wrong, in its plain structured form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The file's name as it was given.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    #[serde(skip)]
    span: Range<usize>,
    #[serde(skip)]
    related: Vec<(Range<usize>, String)>,
}

/// Things that are wrong with one file, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    source: Source,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// The findings of one severity, in the order of the file.
    pub(crate) fn new(file: &str, text: &str, findings: &Findings, severity: Severity) -> Self {
        let source = Source::new(file, text, findings.secrets());
        let mut list: Vec<_> =
            findings.iter().filter(|finding| finding.severity == severity).map(|it| source.locate(it)).collect();
        list.sort_by_key(|diagnostic| diagnostic.span.start);
        Diagnostics { source, list }
    }

    /// Each of them, in its plain structured form.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them for people: each with its source line, a marker and the hint; with ANSI colours if `colour`.
    ///
    /// Every line ends in a newline; an empty line stands between two diagnostics.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
        let rendered: Vec<_> = self.list.iter().map(|it| renderer.render(&[self.source.report(it)]) + "\n").collect();
        rendered.join("\n")
    }
}

impl fmt::Display for Diagnostics {
    /// As [`Diagnostics::render`] without colours.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// A file's text with its line starts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    file: String,
    text: String,
    /// Byte offset of each line's first character; never empty.
    lines: Vec<usize>,
}

impl Source {
    fn new(file: &str, text: &str, secrets: &[Range<usize>]) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Source { file: file.to_owned(), text: masked(text, secrets), lines }
    }

    fn locate(&self, finding: &Finding) -> Diagnostic {
        let span = self.clamp(&finding.span);
        let line = self.line_of(span.start);
        Diagnostic {
            severity: finding.severity,
            file: self.file.clone(),
            line: line + 1,
            column: self.text[self.lines[line]..span.start].chars().count() + 1,
            message: finding.message.clone(),
            hint: finding.hint.clone(),
            span,
            related: finding.related.iter().map(|(span, label)| (self.clamp(span), label.clone())).collect(),
        }
    }

    /// Only the lines from the first to the last that are marked, so that a thousand errors in a
    /// large file do not cost the whole file each.
    fn report<'a>(&'a self, diagnostic: &'a Diagnostic) -> Group<'a> {
        let spans = || std::iter::once(&diagnostic.span).chain(diagnostic.related.iter().map(|(span, _)| span));
        let first = self.line_of(spans().map(|span| span.start).min().unwrap_or(0));
        let last = self.line_of(spans().map(|span| span.end).max().unwrap_or(0));
        let start = self.lines[first];
        let end = self.lines.get(last + 1).copied().unwrap_or(self.text.len());
        let within = |span: &Range<usize>| span.start - start..span.end - start;
        let snippet = Snippet::source(&self.text[start..end])
            .line_start(first + 1)
            .path(&self.file)
            .annotation(AnnotationKind::Primary.span(within(&diagnostic.span)))
            .annotations(
                diagnostic.related.iter().map(|(span, label)| AnnotationKind::Context.span(within(span)).label(label)),
            );
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        level.primary_title(&diagnostic.message).element(snippet).element(Level::HELP.message(&diagnostic.hint))
    }

    fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset) - 1
    }

    /// The span within the text and on character boundaries, whatever a parser says.
    fn clamp(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.text.floor_char_boundary(span.start.min(self.text.len()));
        let end = self.text.ceil_char_boundary(span.end.min(self.text.len()));
        start..end.max(start)
    }
}

/// The text with what is secret in it made unreadable, every offset as it was.
fn masked(text: &str, secrets: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for byte in secrets.iter().filter_map(|span| text.get(span.clone()).map(|_| span.clone())).flatten() {
        if bytes[byte] != b'\n' {
            bytes[byte] = b'*';
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}
