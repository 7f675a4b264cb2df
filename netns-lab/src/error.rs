//! What can go wrong while a lab is made or used.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why something in a lab could not be done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LabError {
    /// No namespace could be made.
    #[error("{node}: cannot make a network namespace: {source} ({})", hint_for(source))]
    Namespace {
        /// The node that should have it.
        node: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// No thread could enter the namespace.
    #[error("{node}: cannot enter its network namespace: {source}")]
    Enter {
        /// The node.
        node: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A device, an address or a route could not be made or read.
    #[error("{node}: {what}: {source}")]
    Netlink {
        /// The node.
        node: String,
        /// What was to be done, as a person would type it.
        what: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A kernel setting could not be written or read.
    #[error("{node}: sysctl {key}: {source}")]
    Sysctl {
        /// The node.
        node: String,
        /// The setting, with dots.
        key: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The lab's name is in use by another lab that runs.
    #[error("a lab named {name} runs already{}: stop it or choose another name", holder.map_or(String::new(), |pid| format!(" (process {pid})")))]
    NameInUse {
        /// The name.
        name: String,
        /// The process that runs it.
        holder: Option<u32>,
    },
    /// The lab's name cannot stand in a file's name.
    #[error(
        "a lab cannot be named {0:?}: use letters, digits, dots, hyphens and underscores, and a letter or digit first"
    )]
    BadName(String),
    /// There is a namespace of that name which is not a lab's.
    #[error("{} exists and was made by no lab: choose another name, or remove it with `ip netns del`", path.display())]
    NotOurs {
        /// The name in the file system.
        path: PathBuf,
    },
    /// A file or folder of the lab could not be made.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A program could not be started in a node.
    #[error("{node}: cannot start {program}: {source}")]
    Start {
        /// The node.
        node: String,
        /// The program.
        program: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The lab was dropped while one of its nodes was still used, or all labs of this process were cleaned up for good.
    #[error("{node}: its lab is closed")]
    Closed {
        /// The node.
        node: String,
    },
}

fn hint_for(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "run as root, or enter a user namespace first",
        io::ErrorKind::StorageFull => "the limit user.max_net_namespaces is reached",
        _ => "is the kernel built with network namespaces?",
    }
}
