//! A script's lines as words.

/// A line, with those that belong to it, and without its comment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    /// Its first line's number.
    pub(super) number: u32,
    /// As it stands.
    pub(super) text: String,
    /// What stands between white space, quotation marks, brackets, commas and the like.
    pub(super) words: Vec<String>,
}

/// Lines that a list of brackets can go over.
const MOST_LINES: usize = 300;

/// Joins lines that end with a backslash, and lists that begin behind `=` and end lines later.
pub(super) fn logical(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut open: Option<(u32, String, usize)> = None;
    for (number, raw) in (1..).zip(text.lines()) {
        let bare = without_comment(raw.trim_end());
        let (first, mut joined, count) = open.take().unwrap_or((number, String::new(), 0));
        joined.push_str(bare.strip_suffix('\\').unwrap_or(bare));
        joined.push(' ');
        if count < MOST_LINES && (bare.ends_with('\\') || is_open_list(&joined)) {
            open = Some((first, joined, count + 1));
        } else {
            lines.extend(statements(&joined).map(|text| Line {
                number: first,
                words: words_of(text),
                text: text.to_owned(),
            }));
        }
    }
    lines.extend(open.map(|(number, text, _)| Line { number, words: words_of(&text), text }));
    lines
}

/// Parts between semicolons that stand outside quotation marks.
fn statements(text: &str) -> impl Iterator<Item = &str> {
    let mut quote = None;
    text.split(move |c: char| match quote {
        Some(mark) => {
            quote = quote.filter(|_| c != mark);
            false
        }
        None => {
            quote = Some(c).filter(|c| matches!(c, '"' | '\''));
            c == ';'
        }
    })
    .filter(|statement| !statement.trim().is_empty())
}

/// Up to a `#` that begins a word; one inside a word or behind a `$` is none (`$#list`).
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match quote {
            Some(mark) if c == mark => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if c == '#' && (before.is_whitespace() || before == ';') => return &line[..at],
            _ => {}
        }
        before = c;
    }
    line
}

/// `… = (` or `… = {` or `qw(` whose bracket is not closed.
fn is_open_list(text: &str) -> bool {
    let Some((_, value)) = text.split_once('=') else { return false };
    let value = value.trim_start();
    let begins = value.starts_with(['(', '[', '{']) || value.starts_with("qw");
    let count = |set: &[char]| value.chars().filter(|c| set.contains(c)).count();
    begins && count(&['(', '[', '{']) > count(&[')', ']', '}'])
}

/// Words, of which `$name`, `@name` and `%name` are references: `${name}`, `@{$name{x}}` and `$name[0]` come to these.
pub(super) fn words_of(text: &str) -> Vec<String> {
    let between = |c: char| c.is_whitespace() || "\"'`(){}[],;|&<>=!".contains(c);
    text.split(between)
        .map(|word| word.trim_matches(|c| c == '\\'))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .fold(Vec::new(), |mut words, word| {
            // `$ARGV[0]` is `$1` of a shell.
            if let Some(last) = words.last_mut().filter(|last: &&mut String| *last == "$ARGV")
                && let Ok(number) = word.parse::<u8>()
            {
                *last = format!("${}", u16::from(number) + 1);
                return words;
            }
            // `${x}` falls apart at its brace.
            match words.last_mut().filter(|last: &&mut String| matches!(last.as_str(), "$" | "@" | "%")) {
                Some(sigil) => sigil.push_str(&word),
                None => words.push(word),
            }
            words
        })
}
