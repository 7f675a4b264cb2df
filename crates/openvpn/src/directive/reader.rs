//! Command lines and files into one list of directives, with every file that `config` names in its place.

use std::{io, sync::Arc};

use zeroize::Zeroizing;

use super::{Directive, arguments, file};
use crate::finding::Finding;

/// How deep files may name each other.
pub const MAX_DEPTH: u32 = 10;

/// What a command line or a file comes to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// In the order in which they count. A `config` stands before what its file holds.
    pub directives: Vec<Directive>,
    /// What is wrong with files and lines; a directive whose line is refused is not in the list.
    pub findings: Vec<Finding>,
}

/// Reads a command line, without the program's name, and the files that it names.
///
/// `open` gives the content of a file. It is called with the name as written, or behind the directory of the last
/// `cd`; `stdin` alone means standard input.
pub fn read_arguments(arguments: &[String], open: &mut dyn FnMut(&str) -> io::Result<Vec<u8>>) -> Reading {
    let mut reader = Reader { open, directory: String::new(), reading: Reading::default() };
    match arguments::cut(arguments) {
        Ok(directives) => reader.follow(directives, 0),
        Err(finding) => reader.reading.findings.push(finding),
    }
    reader.reading
}

/// Reads a file's content, and the files that it names.
pub fn read_file(name: &str, text: &[u8], open: &mut dyn FnMut(&str) -> io::Result<Vec<u8>>) -> Reading {
    let mut reader = Reader { open, directory: String::new(), reading: Reading::default() };
    reader.take(name, text, 1);
    reader.reading
}

struct Reader<'a> {
    open: &'a mut dyn FnMut(&str) -> io::Result<Vec<u8>>,
    /// Where `cd` has led; empty before the first.
    directory: String,
    reading: Reading,
}

impl Reader<'_> {
    /// Takes directives into the list, and files that they name behind them.
    fn follow(&mut self, directives: Vec<Directive>, depth: u32) {
        for directive in directives {
            let only = match directive.parameters.as_slice() {
                [only] if directive.inline.is_none() => Some(only.clone()),
                _ => None,
            };
            let (name, place) = (directive.name.clone(), directive.place.clone());
            let path = only.as_deref().map(|file| self.path(file)).unwrap_or_default();
            self.reading.directives.push(directive);
            match (name.as_str(), only) {
                ("cd", Some(_)) => self.directory = path,
                ("config", Some(file)) if depth >= MAX_DEPTH => {
                    let text = format!("`{file}` is not read: files name each other more than {MAX_DEPTH} deep");
                    self.reading.findings.push(Finding::error(&place, text));
                }
                ("config", Some(file)) => match (self.open)(&path) {
                    Ok(text) => self.take(&file, &Zeroizing::new(text), depth + 1),
                    Err(error) => {
                        let text = format!("the configuration file `{file}` cannot be read: {error}");
                        self.reading.findings.push(Finding::error(&place, text));
                    }
                },
                _ => {}
            }
        }
    }

    fn take(&mut self, name: &str, text: &[u8], depth: u32) {
        let directives = file::cut(&Arc::from(name), text, &mut self.reading.findings);
        self.follow(directives, depth);
    }

    /// A name as it is seen from where the process began.
    fn path(&self, name: &str) -> String {
        if self.directory.is_empty() || name.starts_with('/') || name == "stdin" {
            return name.to_owned();
        }
        format!("{}/{name}", self.directory.trim_end_matches('/'))
    }
}
