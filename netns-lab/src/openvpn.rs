//! OpenVPN with a static key, and what takes its place: labs with one program at each end, from the same files.
//!
//! | module | what it does |
//! |---|---|
//! | [`program`] | which program an end runs: OpenVPN itself, or `meshtun openvpn` |
//! | `matrix` | reads a file of cases, in which a list stands for one case each |
//! | `config` | the configuration files of a case's two ends |
//! | `process` | a process at a gateway, its log, its clock |
//! | `traffic` | datagrams and bytes through the tunnel and back |
//! | `play` | plays one case; `judge` looks at what the programs logged; `soak` is the load of the one that goes on |
//! | [`interop`] | plays all cases with each pair of programs |
//! | `site` | a gateway with four processes, whose scripts edit one route |
//! | [`scripts`] | how those scripts are called |
//! | [`replace`] | the processes are replaced one by one under traffic |

mod config;
pub mod interop;
mod judge;
mod matrix;
mod play;
mod process;
pub mod program;
pub mod replace;
pub mod scripts;
mod site;
mod soak;
mod traffic;

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::{LabError, load::LoadError, logged::LoggedError, scenario::ScenarioError};

/// The device of either end.
const DEVICE: &str = "ovpn0";

/// Why a case could not be played.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenVpnError {
    /// Something in the lab.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A file of the lab.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A program that was asked something.
    #[error("`{command}`: {said}")]
    Command {
        /// The command.
        command: String,
        /// What it said.
        said: String,
    },
    /// A process did not do what was awaited.
    #[error("{0}")]
    Process(String),
    /// The load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Something that all scenarios do.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A program ended, or did not.
    #[error(transparent)]
    Logged(#[from] LoggedError),
    /// What was sent through the tunnel did not come back.
    #[error("{0}")]
    Traffic(String),
    /// A system call.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs a program to its end; it must succeed.
fn ask(node: &crate::Node, command_line: &[&str]) -> Result<String, OpenVpnError> {
    let mut command = std::process::Command::new(command_line[0]);
    command.args(&command_line[1..]);
    let output = node.output(command)?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(said(&output.stdout));
    }
    let said = format!("{}: {} {}", output.status, said(&output.stdout), said(&output.stderr));
    Err(OpenVpnError::Command { command: command_line.join(" "), said })
}
