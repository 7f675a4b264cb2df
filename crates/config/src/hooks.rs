//! Hooks: programs that a gateway runs when something comes up or goes down.

mod read;
mod table;

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

pub(crate) use read::{Place, read};
pub use table::HookTable;

/// What a hook is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookEvent {
    /// The gateway is up: its devices, routes and sockets are made.
    Up,
    /// The gateway goes down by `meshtun down`; its channels are out, its devices still there.
    Down,
    /// A channel carries: its device has got carrier.
    ChannelUp,
    /// A channel carries no more.
    ChannelDown,
    /// A link carries: its first channel came up.
    LinkUp,
    /// A link carries no more: its last channel went.
    LinkDown,
}

impl HookEvent {
    /// All of them.
    pub const ALL: [HookEvent; 6] = [
        HookEvent::Up,
        HookEvent::Down,
        HookEvent::ChannelUp,
        HookEvent::ChannelDown,
        HookEvent::LinkUp,
        HookEvent::LinkDown,
    ];

    /// Its name in the file, and what a hook finds in `MESHTUN_EVENT`.
    pub fn name(self) -> &'static str {
        match self {
            HookEvent::Up => "up",
            HookEvent::Down => "down",
            HookEvent::ChannelUp => "channel-up",
            HookEvent::ChannelDown => "channel-down",
            HookEvent::LinkUp => "link-up",
            HookEvent::LinkDown => "link-down",
        }
    }

    /// Whether it is about the gateway as a whole, and no link's.
    pub fn is_of_gateway(self) -> bool {
        matches!(self, HookEvent::Up | HookEvent::Down)
    }
}

impl fmt::Display for HookEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A program with its arguments, run without a shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Program {
    /// An absolute path.
    pub path: PathBuf,
    /// What it is given, as it stands.
    pub arguments: Vec<String>,
    /// How long it may take before it is ended.
    pub timeout: Duration,
}

/// The hooks of a gateway, or of one of its links.
pub type Hooks = BTreeMap<HookEvent, Program>;

/// Why a program is not run.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// There is no such file, or it cannot be looked at.
    #[error("{}: {source}", path.display())]
    Missing {
        /// The program.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// It is no program.
    #[error("{}: this is no program that may be executed: `chmod 755 {}`", path.display(), path.display())]
    NotExecutable {
        /// The program.
        path: PathBuf,
    },
    /// Whoever may write it would be root here.
    #[error(
        "{}: others than root or its owner may write it, and what they write would run with this daemon's rights: \
         `chmod go-w {}`",
        path.display(),
        path.display()
    )]
    Writable {
        /// The program, or the folder that it is in.
        path: PathBuf,
    },
}

impl Program {
    /// Whether it may be run: it is an executable file that nobody but root and its owner can change, nor put another in
    /// its place.
    ///
    /// # Errors
    /// [`ProgramError`]
    pub fn check(&self) -> Result<(), ProgramError> {
        let path = || self.path.clone();
        let metadata =
            |path: &Path| fs::metadata(path).map_err(|source| ProgramError::Missing { path: path.to_owned(), source });
        let program = metadata(&self.path)?;
        if !program.is_file() || program.mode() & 0o111 == 0 {
            return Err(ProgramError::NotExecutable { path: path() });
        }
        if is_writable_by_others(&program) {
            return Err(ProgramError::Writable { path: path() });
        }
        // Behind a symbolic link it is the folder of the file itself that counts.
        let real = fs::canonicalize(&self.path).unwrap_or_else(|_| path());
        for folder in real.ancestors().skip(1) {
            let metadata = metadata(folder)?;
            // In a sticky folder nobody replaces what is another's.
            if is_writable_by_others(&metadata) && metadata.mode() & 0o1000 == 0 {
                return Err(ProgramError::Writable { path: folder.to_owned() });
            }
        }
        Ok(())
    }
}

/// Write permission of root's group is root's.
fn is_writable_by_others(metadata: &fs::Metadata) -> bool {
    let group = if metadata.gid() == 0 { 0 } else { 0o020 };
    metadata.mode() & (0o002 | group) != 0
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {argument:?}"))
    }
}

/// How long a hook may take, unless the file says otherwise.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_program_is_refused_that_is_missing_no_program_or_writable_by_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hook");
        let check = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            Program { path: path.clone(), arguments: Vec::new(), timeout: TIMEOUT }.check()
        };
        let missing = Program { path: path.clone(), arguments: Vec::new(), timeout: TIMEOUT }.check();
        assert!(matches!(missing, Err(ProgramError::Missing { .. })), "{missing:?}");
        fs::write(&path, "#!/bin/sh\n").unwrap();
        assert!(check(0o755).is_ok(), "{:?}", check(0o755));
        assert!(check(0o700).is_ok());
        assert!(matches!(check(0o644), Err(ProgramError::NotExecutable { .. })));
        assert!(matches!(check(0o757), Err(ProgramError::Writable { .. })));
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(check(0o755), Err(ProgramError::Writable { .. })), "another may be put in its place");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(check(0o755).is_ok());
    }
}
