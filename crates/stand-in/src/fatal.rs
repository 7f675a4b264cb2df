//! What ends the process.

use std::fmt;

/// An error after which the process ends with code 1 (error.h, `OPENVPN_EXIT_STATUS_ERROR`): the text of its log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fatal {
    text: String,
    told: bool,
    passes: bool,
}

impl Fatal {
    pub(crate) fn new(text: impl fmt::Display) -> Fatal {
        Fatal { text: text.to_string(), told: false, passes: false }
    }

    /// The same, which needs no line in the log any more.
    pub(crate) fn told(self) -> Fatal {
        Fatal { told: true, ..self }
    }

    /// The same, of which a process that once ran may wait for the end.
    pub(crate) fn passing(self) -> Fatal {
        Fatal { passes: true, ..self }
    }

    pub(crate) fn passes(&self) -> bool {
        self.passes
    }

    pub(crate) fn is_told(&self) -> bool {
        self.told
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fatal {}
