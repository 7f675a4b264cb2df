//! The directories of a daemon, as options that several commands have.

use std::path::PathBuf;

use clap::Args;
use meshtun_daemon::Directories;

use crate::exit::Failure;

/// Where the daemon of this network namespace keeps its control socket and its lock.
#[derive(Args, Debug)]
pub(crate) struct RuntimeDirectory {
    /// Directory of the control socket and the lock [default: /run/meshtun/net-INODE, INODE being that of the network
    /// namespace]
    #[arg(long, value_name = "DIRECTORY", env = "MESHTUN_RUNTIME_DIR", hide_env_values = true)]
    runtime_dir: Option<PathBuf>,
}

/// Where it keeps what must survive a reboot.
#[derive(Args, Debug)]
pub(crate) struct StateDirectory {
    /// Directory of the last handshake stamp [default: /var/lib/meshtun]
    #[arg(long, value_name = "DIRECTORY", env = "MESHTUN_STATE_DIR", hide_env_values = true)]
    state_dir: Option<PathBuf>,
}

impl RuntimeDirectory {
    /// For commands that need no state.
    pub(crate) fn choose(self) -> Result<Directories, Failure> {
        self.choose_with(StateDirectory { state_dir: None })
    }

    /// Both directories, given or default.
    pub(crate) fn choose_with(self, state: StateDirectory) -> Result<Directories, Failure> {
        Directories::choose(self.runtime_dir, state.state_dir)
            .map_err(|error| Failure::new(format_args!("cannot tell this network namespace: {error}")))
    }
}

/// The runtime that commands which speak netlink run on: one thread, which stays in its network namespace.
pub(crate) fn async_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Failure::new(format_args!("cannot start: {error}")))
}
