//! Where a running gateway keeps what outlives a moment: the runtime and the state directory.

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

/// The two directories of a gateway.
///
/// The runtime directory (default `/run/meshtun/net-<inode of the network namespace>`) holds the control socket, the
/// lock and the record of changed sysctls; it may vanish with a reboot. The state directory (default
/// `/var/lib/meshtun`) holds the last handshake stamp and must survive one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directories {
    /// Control socket, lock, sysctl record.
    pub runtime: PathBuf,
    /// Handshake stamps.
    pub state: PathBuf,
}

impl Directories {
    /// The directories given, or the defaults of this network namespace.
    ///
    /// # Errors
    /// If `/proc/self/ns/net` cannot be read and no runtime directory is given.
    pub fn choose(runtime: Option<PathBuf>, state: Option<PathBuf>) -> io::Result<Directories> {
        let runtime = runtime.map_or_else(default_runtime, Ok)?;
        Ok(Directories { runtime, state: state.unwrap_or_else(|| PathBuf::from(STATE)) })
    }

    /// The socket of [`crate::control`].
    pub fn control_socket(&self) -> PathBuf {
        self.runtime.join("control.sock")
    }

    /// The file whose lock means "a daemon runs here".
    pub fn lock(&self) -> PathBuf {
        self.runtime.join("lock")
    }

    /// The machine-wide sysctls that were changed, with their values before.
    pub fn sysctl_record(&self) -> PathBuf {
        self.runtime.join("sysctls.json")
    }

    /// Makes both directories, mode 0700, where they are missing.
    ///
    /// # Errors
    /// The directory that could not be made, and why.
    pub fn create(&self) -> Result<(), (PathBuf, io::Error)> {
        self.create_runtime()?;
        create_private(&self.state)
    }

    /// Makes the runtime directory alone, mode 0700, if it is missing.
    ///
    /// # Errors
    /// The directory that could not be made, and why.
    pub fn create_runtime(&self) -> Result<(), (PathBuf, io::Error)> {
        create_private(&self.runtime)
    }
}

const STATE: &str = "/var/lib/meshtun";

fn default_runtime() -> io::Result<PathBuf> {
    let namespace = std::fs::metadata("/proc/self/ns/net")?.ino();
    Ok(PathBuf::from(format!("/run/meshtun/net-{namespace}")))
}

fn create_private(directory: &Path) -> Result<(), (PathBuf, io::Error)> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| (directory.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_default_runtime_directory_names_the_network_namespace() {
        let directories = Directories::choose(None, None).unwrap();
        let inode = std::fs::metadata("/proc/self/ns/net").unwrap().ino();
        assert_eq!(directories.runtime, PathBuf::from(format!("/run/meshtun/net-{inode}")));
        assert_eq!(directories.state, PathBuf::from("/var/lib/meshtun"));
    }

    #[test]
    fn directories_are_made_for_their_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let directories =
            Directories::choose(Some(root.path().join("a/run")), Some(root.path().join("state"))).unwrap();
        directories.create().unwrap();
        for made in [&directories.runtime, &directories.state] {
            assert_eq!(std::fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let root = tempfile::tempdir().unwrap();
        let blocked = root.path().join("run");
        std::fs::write(&blocked, "").unwrap();
        let directories = Directories { runtime: blocked.clone(), state: root.path().join("state") };
        assert_eq!(directories.create().unwrap_err().0, blocked);
    }
}
