//! The `meshtun` program: found or built, and asked for keys.

use std::{
    env,
    ffi::OsStr,
    fmt,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use thiserror::Error;

/// Names the program to use, before any other place is looked at.
pub const VARIABLE: &str = "MESHTUN_BIN";

/// Where the program is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(PathBuf);

/// A gateway's keys as `wg` and `meshtun` write them, base64. The private one is not shown by [`fmt::Debug`].
#[derive(Clone)]
pub struct Keys {
    private: String,
    public: String,
}

/// Why the program cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// It is nowhere.
    #[error(
        "there is no meshtun program at {}: build it (`cargo build --bin meshtun`), or name it in {VARIABLE}",
        looked.display()
    )]
    Missing {
        /// The last place that was looked at.
        looked: PathBuf,
    },
    /// It could not be started.
    #[error("{}: {source}", program.display())]
    Start {
        /// Where it is.
        program: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It ended badly.
    #[error("`{command}` ended with {status}: {said}")]
    Failed {
        /// What was asked of it.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to its standard error.
        said: String,
    },
}

impl Program {
    /// Finds it: where `given` says, or `MESHTUN_BIN`, or beside this program (`target/PROFILE/meshtun`).
    ///
    /// # Errors
    /// [`ProgramError::Missing`].
    pub fn find(given: Option<&Path>) -> Result<Program, ProgramError> {
        let named = given.map(Path::to_owned).or_else(|| env::var_os(VARIABLE).map(PathBuf::from));
        let path = named.unwrap_or_else(|| beside_us().unwrap_or_default().join("meshtun"));
        // Nodes share the file system but a child may be started from another folder.
        let absolute = std::path::absolute(&path).unwrap_or(path);
        if absolute.is_file() { Ok(Program(absolute)) } else { Err(ProgramError::Missing { looked: absolute }) }
    }

    /// Finds it as [`Self::find`] does, but under `cargo run` builds it first, in the same profile, unless one was named.
    ///
    /// # Errors
    /// [`ProgramError`]; cargo writes its own messages to the standard error.
    pub fn find_or_build(given: Option<&Path>) -> Result<Program, ProgramError> {
        if let (None, None, Some(cargo)) = (given, env::var_os(VARIABLE), env::var_os("CARGO")) {
            build(&cargo)?;
        }
        Program::find(given)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes so many pairs of keys.
    ///
    /// # Errors
    /// [`ProgramError`].
    pub fn keys(&self, count: usize) -> Result<Vec<Keys>, ProgramError> {
        (0..count).map(|_| self.new_keys()).collect()
    }

    fn new_keys(&self) -> Result<Keys, ProgramError> {
        let private = self.ask("keygen", "")?;
        let public = self.ask("pubkey", &format!("{private}\n"))?;
        Ok(Keys::new(&private, &public))
    }

    /// Runs a subcommand that reads `input` and gives what it writes, without white space around it.
    fn ask(&self, subcommand: &str, input: &str) -> Result<String, ProgramError> {
        let mut command = Command::new(&self.0);
        command.arg(subcommand).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = command.spawn().and_then(|mut child| {
            if let Some(mut stdin) = child.stdin.take() {
                // A program that reads nothing may be gone; how it ended says more than a broken pipe.
                let _unread = stdin.write_all(input.as_bytes());
            }
            child.wait_with_output()
        });
        let output = output.map_err(|source| ProgramError::Start { program: self.0.clone(), source })?;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            return Ok(said(&output.stdout));
        }
        let command = format!("{} {subcommand}", self.0.display());
        Err(ProgramError::Failed { command, status: output.status, said: said(&output.stderr) })
    }
}

impl Keys {
    /// Keys that are known, each base64.
    pub fn new(private: &str, public: &str) -> Keys {
        Keys { private: private.to_owned(), public: public.to_owned() }
    }

    /// The private key.
    pub fn private(&self) -> &str {
        &self.private
    }

    /// The public key.
    pub fn public(&self) -> &str {
        &self.public
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("public", &self.public).finish_non_exhaustive()
    }
}

/// The folder of this program; test programs lie one deeper, in `deps`.
fn beside_us() -> Option<PathBuf> {
    let ours = env::current_exe().ok()?;
    let folder = ours.parent()?;
    Some(if folder.ends_with("deps") { folder.parent()? } else { folder }.to_owned())
}

fn build(cargo: &OsStr) -> Result<(), ProgramError> {
    let mut command = Command::new(cargo);
    command.args(["build", "--package", "meshtun", "--bin", "meshtun"]);
    if let Some(manifest) = env::var_os("CARGO_MANIFEST_DIR") {
        command.current_dir(manifest);
    }
    if let Some(profile) = beside_us().as_deref().and_then(Path::file_name).filter(|name| *name != "debug") {
        command.arg("--profile").arg(profile);
    }
    let status = command.status().map_err(|source| ProgramError::Start { program: cargo.into(), source })?;
    let failed = || ProgramError::Failed { command: "cargo build".into(), status, said: "see above".into() };
    if status.success() { Ok(()) } else { Err(failed()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Program::find(Some(Path::new("/nowhere/meshtun"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/meshtun"), "{error}");
    }

    #[test]
    fn what_a_failing_program_said_is_told() {
        // `ls keygen` complains and fails.
        let error = Program::find(Some(Path::new("/bin/ls"))).unwrap().keys(1).unwrap_err();
        assert!(matches!(&error, ProgramError::Failed { said, .. } if said.contains("keygen")), "{error}");
    }

    #[test]
    fn a_private_key_is_not_shown_in_debug_output() {
        assert!(!format!("{:?}", Keys::new("secret", "open")).contains("secret"));
    }
}
