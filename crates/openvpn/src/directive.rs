//! Configuration files and command lines as words, each with its file and line.
//!
//! [`read_arguments`] follows a command line into every file that it names. What it gives is one list in the order in
//! which OpenVPN would act on it, `config` and `cd` included.

mod arguments;
mod file;
mod inline;
mod place;
mod reader;
mod secrecy;
mod words;

#[cfg(test)]
mod tests;

use std::fmt;

use zeroize::Zeroizing;

pub(crate) use file::cut_block;
pub use place::Place;
pub use reader::{MAX_DEPTH, Reading, read_arguments, read_file};
pub(crate) use secrecy::{is_name, scrub};
pub use words::{MAX_LINE, MAX_WORD, MAX_WORDS, WordError, Words, split};

/// One option as it was written: its name and its parameters.
#[derive(Clone, PartialEq)]
pub struct Directive {
    /// Where it stands.
    pub place: Place,
    /// The name, without the `--` that may stand before it.
    pub name: String,
    /// What follows the name on its line. Empty with inline text.
    pub parameters: Vec<String>,
    /// The value of `setenv`, when that is no UTF-8 text; the parameter is text like it then.
    pub raw_value: Option<Vec<u8>>,
    /// The text of `<name>` … `</name>`, line ends included.
    pub inline: Option<Zeroizing<String>>,
}

impl Directive {
    /// The parameter with this number, from 0.
    #[must_use]
    pub fn parameter(&self, number: usize) -> Option<&str> {
        self.parameters.get(number).map(String::as_str)
    }
}

impl fmt::Debug for Directive {
    /// Without the inline text, which is a key as a rule.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inline = self.inline.as_ref().map(|text| text.lines().count());
        f.debug_struct("Directive")
            .field("place", &format_args!("{}", self.place))
            .field("name", &self.name)
            .field("parameters", &self.parameters)
            .field("inline_lines", &inline)
            .finish()
    }
}

impl fmt::Display for Directive {
    /// As a line of a file, with quotes where they are needed and without the inline text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.inline.is_some() {
            return write!(f, "<{}>", self.name);
        }
        f.write_str(&self.name)?;
        self.parameters.iter().try_for_each(|parameter| write!(f, " {}", words::quote(parameter)))
    }
}
