//! From a file's text to the mesh, or to everything that is wrong with it.

use std::path::Path;

use crate::diagnostics::Diagnostics;
use crate::findings::{Findings, Severity};
use crate::model::{Environment, Mesh};
use crate::raw;
use crate::validate::validate;

/// What came of checking a file.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The mesh; none exactly if there are errors.
    pub mesh: Option<Mesh>,
    /// Everything that must be mended, in order of the file.
    pub errors: Diagnostics,
    /// Everything that is likely not meant, in order of the file.
    pub warnings: Diagnostics,
}

impl Mesh {
    /// Parses and validates `text`, against [`Environment::default`], and drops the warnings.
    ///
    /// # Errors
    /// All errors of the file at once.
    pub fn parse(file_name: &str, text: &str) -> Result<Mesh, Diagnostics> {
        let checked = Mesh::check(file_name, text, &Environment::default());
        checked.mesh.ok_or(checked.errors)
    }

    /// Parses and validates `text`; `file_name` is what the diagnostics call it, and its folder is
    /// what relative key file names are relative to.
    pub fn check(file_name: &str, text: &str, environment: &Environment) -> Checked {
        let folder = Path::new(file_name).parent().unwrap_or(Path::new(""));
        let mut findings = Findings::default();
        let raw = raw::read(text, environment.version, &mut findings);
        let mesh = raw.and_then(|raw| validate(&raw, folder, environment, &mut findings));
        let diagnostics = |severity| Diagnostics::new(file_name, text, &findings, severity);
        Checked { mesh, errors: diagnostics(Severity::Error), warnings: diagnostics(Severity::Warning) }
    }
}
