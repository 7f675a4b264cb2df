//! A configuration file into directives (options_parse.c, `read_config_file`).

use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Directive, MAX_LINE, MAX_WORDS, Place, WordError, inline, words};
use crate::finding::Finding;

/// What Windows editors put before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The lines of a text, each with its line end.
#[derive(Clone)]
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    number: u32,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|&b| b == b'\n').map_or(self.rest.len(), |at| at + 1);
        let (line, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.number += 1;
        Some(line)
    }
}

/// The directives of a text, and what is wrong with its lines. `file` names it in places.
pub(super) fn cut(file: &Arc<str>, text: &[u8], findings: &mut Vec<Finding>) -> Vec<Directive> {
    let mut directives = Vec::new();
    let mut lines = Lines { rest: text, number: 0 };
    while let Some(line) = lines.next() {
        let place = Place { file: Some(file.clone()), line: lines.number };
        let marked = if lines.number == 1 { BYTE_ORDER_MARK } else { b"" };
        match one(&place, line.strip_prefix(marked).unwrap_or(line), &mut lines, findings) {
            Ok(directive) => directives.extend(directive),
            Err(text) => findings.push(Finding::error(&place, text)),
        }
    }
    directives
}

/// The directives of an inline block that was opened at this place, with places of their own.
pub(crate) fn cut_block(opened: &Place, text: &str, findings: &mut Vec<Finding>) -> Vec<Directive> {
    let (mut directives, mut lines) = (Vec::new(), Lines { rest: text.as_bytes(), number: opened.line });
    while let Some(line) = lines.next() {
        let place = Place { file: opened.file.clone(), line: lines.number };
        match one(&place, line, &mut lines, findings) {
            Ok(directive) => directives.extend(directive),
            Err(text) => findings.push(Finding::error(&place, text)),
        }
    }
    directives
}

/// The directive of a line, if it has one; inline text is taken from `lines`.
fn one(
    place: &Place,
    line: &[u8],
    lines: &mut Lines<'_>,
    findings: &mut Vec<Finding>,
) -> Result<Option<Directive>, String> {
    if let Some(text) = inline::stray_key(line, lines) {
        return Err(text);
    }
    if line.len() >= MAX_LINE {
        return Err(format!("the line is longer than {} bytes, OpenVPN's limit", MAX_LINE - 2));
    }
    if line.contains(&0) {
        return Err("the line has a zero byte in it: is this a text file, in UTF-8?".to_owned());
    }
    let mut found = words::split_raw(line, MAX_WORDS).map_err(|error| error.to_string())?;
    if found.more {
        let text = format!("only the first {MAX_WORDS} words of a line count: put what follows on another line");
        findings.push(Finding::warning(place, text));
    }
    if found.words.is_empty() {
        return Ok(None);
    }
    let raw_value = raw_value(&mut found.words);
    let words = found.words.into_iter().map(String::from_utf8).collect::<Result<Vec<_>, _>>();
    let mut words = words.map_err(|_| WordError::NotText.to_string())?;
    let name = words.remove(0);
    let name = name.strip_prefix("--").filter(|bare| !bare.is_empty()).unwrap_or(&name);
    let directive =
        Directive { place: place.clone(), name: name.to_owned(), parameters: words, raw_value, inline: None };
    with_inline(directive, lines).map(Some)
}

/// The value of a variable for scripts, which gets there as it is, when it is no text; a text like it is put in its place.
fn raw_value(words: &mut [Vec<u8>]) -> Option<Vec<u8>> {
    let [name, _, value] = words else { return None };
    let sets = matches!(name.strip_prefix(b"--").unwrap_or(name), b"setenv" | b"setenv-safe");
    if !sets || std::str::from_utf8(value).is_ok() {
        return None;
    }
    let like_it = String::from_utf8_lossy(value).into_owned().into_bytes();
    Some(std::mem::replace(value, like_it))
}

/// Takes the text behind `<name>`, when that is what the directive is.
fn with_inline(directive: Directive, lines: &mut Lines<'_>) -> Result<Directive, String> {
    let Some(name) = inline::tag(&directive.name) else { return Ok(directive) };
    if !directive.parameters.is_empty() {
        inline::pass(lines, name);
        return Err(format!("nothing may stand behind <{name}> on its line"));
    }
    let text = inline::take(lines, name).ok_or_else(|| format!("<{name}> is not closed: </{name}> is missing"))?;
    let text = std::str::from_utf8(&text).map_err(|_| format!("what stands in <{name}> is not UTF-8 text"))?;
    Ok(Directive { name: name.to_owned(), inline: Some(Zeroizing::new(text.to_owned())), ..directive })
}
