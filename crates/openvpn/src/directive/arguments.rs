//! A command line into directives (options_parse.c, `parse_argv`).

use super::{Directive, MAX_WORDS, Place};
use crate::finding::Finding;

/// Cuts a command line, without the program's name, where `--` begins a word.
///
/// A single argument without `--` is a configuration file. Words are taken as they are: the shell has split them.
pub(super) fn cut(arguments: &[String]) -> Result<Vec<Directive>, Finding> {
    if let [file] = arguments
        && !file.starts_with("--")
    {
        return Ok(vec![directive(1, "config", arguments)]);
    }
    let mut directives = Vec::new();
    let mut rest = arguments;
    while let [first, behind @ ..] = rest {
        let number = arguments.len() - rest.len() + 1;
        let Some(name) = first.strip_prefix("--") else {
            let text = format!("`{first}` should be an option, but does not begin with `--`");
            return Err(Finding::error(&place(number), text));
        };
        let parameters = behind.iter().take(MAX_WORDS - 1).take_while(|word| !word.starts_with("--")).count();
        directives.push(directive(number, name, &behind[..parameters]));
        rest = &behind[parameters..];
    }
    Ok(directives)
}

fn directive(number: usize, name: &str, parameters: &[String]) -> Directive {
    let (name, parameters) = (name.to_owned(), parameters.to_vec());
    Directive { place: place(number), name, parameters, raw_value: None, inline: None }
}

fn place(number: usize) -> Place {
    Place { file: None, line: u32::try_from(number).unwrap_or(u32::MAX) }
}
