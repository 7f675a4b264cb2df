//! The programs that are compared: where they are, and which are missing and why.

use std::path::PathBuf;

use netns_lab::program::Program;

use super::tool::Tool;

/// The programs.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// This project's.
    pub(crate) meshtun: Program,
    /// The others, as far as they are there.
    pub(crate) others: Vec<(Tool, PathBuf)>,
}
