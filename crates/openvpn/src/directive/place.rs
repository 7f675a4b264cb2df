//! Where a directive was written.

use std::{fmt, sync::Arc};

/// Where a directive was written: a file and its line, or the command line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file as it was named; `None` on the command line.
    pub file: Option<Arc<str>>,
    /// The line, from 1; on the command line the number of the argument, from 1.
    pub line: u32,
}

impl fmt::Display for Place {
    /// `nq1.conf:12`, or `argument 3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{file}:{}", self.line),
            None => write!(f, "argument {}", self.line),
        }
    }
}
