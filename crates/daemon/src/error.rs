//! Why a gateway does not run, in one line, and whose fault it is.

use std::{io, path::PathBuf};

use meshtun_config::{Diagnostics, KeyFileError, ViewError};
use meshtun_dataplane::PlaneError;
use meshtun_netlink::{ConvergeError, ForeignError, NetworkError};
use meshtun_sys::{tun::AttachError, udp::BindError};

use crate::control::{ClientError, Refusal};

/// Where the fault lies: what the exit code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The configuration or a key file.
    Configuration,
    /// No daemon runs where one is needed.
    NoDaemon,
    /// This machine: a permission, a port, a device, the kernel.
    System,
}

/// Why a gateway does not run, or a command did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The mesh file cannot be read.
    #[error("cannot read the mesh file {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
    /// The mesh file has errors. Several lines: each with its place and a hint.
    #[error("{0}")]
    Mesh(Diagnostics),
    /// A key file is refused.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The private key is of no gateway that could run here.
    #[error("{}: {error}", key_file.display())]
    NotOurs {
        /// The private key's file.
        key_file: PathBuf,
        /// Why.
        error: ViewError,
    },
    /// The capability is missing.
    #[error("meshtun needs the capability CAP_NET_ADMIN to make devices and routes: run it as root")]
    NoNetAdmin,
    /// A processor that was asked for is not there, or not for this process.
    #[error("meshtun may not run on processor {cpu}: choose among {} with --cpus", list(allowed))]
    Processor {
        /// Which.
        cpu: usize,
        /// Those that may be used.
        allowed: Vec<usize>,
    },
    /// The limit on open files is too low for the channels.
    #[error(
        "{channels} channels need {needed} open files, and the limit is {limit}: raise it with \
             `ulimit -n {needed}`, or `LimitNOFILE={needed}` in the service's unit"
    )]
    OpenFiles {
        /// Channels of this gateway.
        channels: usize,
        /// Descriptors that they need.
        needed: usize,
        /// The limit.
        limit: u64,
    },
    /// `/dev/net/tun` cannot be used, or a device cannot be attached.
    #[error(transparent)]
    Tun(#[from] AttachError),
    /// Another daemon has this network namespace.
    #[error("another meshtun daemon runs in this network namespace already{}: stop it first, or ask it with \
             `meshtun status`", holder.as_ref().map_or(String::new(), |pid| format!(" (process {pid})")))]
    AlreadyRuns {
        /// Its process number, if it left one.
        holder: Option<u32>,
    },
    /// The runtime or state directory, or a file in it, cannot be used.
    #[error("cannot use {}: {error}; choose another place with --runtime-dir or --state-dir", path.display())]
    Directory {
        /// The directory or file.
        path: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
    /// The kernel's state of devices and routes cannot be read.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Something that is not ours has one of our names.
    #[error(transparent)]
    Foreign(#[from] ForeignError),
    /// Devices, routes and settings could not be made as they shall be.
    #[error(transparent)]
    Converge(#[from] ConvergeError),
    /// A channel's socket cannot be bound.
    #[error("channel {channel}: {error}")]
    Socket {
        /// The channel, as `nq/0`.
        channel: String,
        /// Why.
        error: BindError,
    },
    /// The data plane did not start.
    #[error(transparent)]
    Plane(#[from] PlaneError),
    /// Something else that the kernel refused.
    #[error("cannot {what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the kernel says.
        error: io::Error,
    },
    /// A running daemon could not be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Error {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Error::Unreadable { .. } | Error::Mesh(_) | Error::KeyFile(_) | Error::NotOurs { .. } => {
                Fault::Configuration
            }
            Error::Client(ClientError::Refused(Refusal::Configuration(_))) => Fault::Configuration,
            Error::Client(ClientError::NoDaemon(_)) => Fault::NoDaemon,
            _ => Fault::System,
        }
    }

    /// For `map_err`: the kernel refused to do `what`.
    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |error| Error::System { what, error }
    }
}

/// Numbers as people write them in a row.
fn list(numbers: &[usize]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
