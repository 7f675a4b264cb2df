//! What can go wrong, and what to do about it.

use std::{fmt, io};

use ipnet::IpNet;

/// Something of someone else that stands in our way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// A device has the name of one of ours.
    #[error("device {name} exists and is not a device of meshtun: rename the link or delete the device")]
    Device {
        /// Its name.
        name: String,
    },
    /// A route has the prefix and metric of one of ours.
    #[error(
        "route {prefix} metric {metric} exists and belongs to protocol {protocol}, not to meshtun: delete it or give it another metric"
    )]
    Route {
        /// Its destination.
        prefix: IpNet,
        /// Its metric.
        metric: u32,
        /// Its protocol number.
        protocol: u8,
    },
}

/// Everything of others that stands in our way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignError {
    /// At least one.
    pub found: Vec<Foreign>,
}

impl fmt::Display for ForeignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.found.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("; "))
    }
}

impl std::error::Error for ForeignError {}

/// The kernel could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// No netlink socket.
    #[error("cannot open a netlink socket: {0}")]
    Open(#[source] io::Error),
    /// The kernel refused to tell.
    #[error("cannot read {what} from the kernel: {source}")]
    Read {
        /// What was asked for.
        what: &'static str,
        /// The kernel's answer.
        #[source]
        source: KernelError,
    },
    /// A file under `/proc/sys`.
    #[error("cannot read {path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The record of the sysctls that we changed.
    #[error("cannot use {path}, the record of machine-wide sysctls: {source}")]
    Record {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What the kernel answered to a request, with its own explanation where it gives one.
#[derive(Debug)]
pub struct KernelError {
    /// The error number.
    pub error: io::Error,
    /// The text of the extended acknowledgement ("Invalid prefsrc address").
    pub explanation: Option<String>,
}

impl KernelError {
    pub(crate) fn errno(&self) -> i32 {
        self.error.raw_os_error().unwrap_or(0)
    }
}

impl From<io::Error> for KernelError {
    fn from(error: io::Error) -> KernelError {
        KernelError { error, explanation: None }
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        if let Some(explanation) = &self.explanation {
            write!(f, " ({explanation})")?;
        }
        if self.error.kind() == io::ErrorKind::PermissionDenied {
            f.write_str(": run as root or give the program CAP_NET_ADMIN")?;
        }
        Ok(())
    }
}

impl std::error::Error for KernelError {}

/// A step could not be made.
#[derive(Debug, thiserror::Error)]
#[error("`{step}` failed: {reason}")]
pub struct ApplyError {
    /// The step, as a person would type it.
    pub step: String,
    /// Why, and what to do.
    pub reason: String,
    /// Whether something else has the place of what was to be made.
    pub is_taken: bool,
}

/// A run of read, compare and apply ended early.
#[derive(Debug, thiserror::Error)]
pub enum ConvergeError {
    /// The kernel could not be asked.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Something foreign is in the way; nothing was touched.
    #[error(transparent)]
    Foreign(#[from] ForeignError),
    /// A step failed; those before it were made.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}
