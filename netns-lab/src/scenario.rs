//! Scenarios: a lab, a load, things that happen one after the other, and what is expected of the figures.
//!
//! A scenario is a TOML file that a person can read; docs/faults.md explains every key. `netns-lab run NAME` runs one.
//!
//! | module | what it does |
//! |---|---|
//! | [`file`](self) | reads a file: what is wrong with it is told with its line |
//! | `check`, `steps` | finds out whether what it names is there, and what the scenario is |
//! | `stage` | builds the lab, starts the tool and finds a source port for each channel |
//! | `action`, `chaos` | does what a step says; random faults |
//! | `ledger` | adds up what was sent, received, dropped and lost |
//! | `met` | finds out which blocks a train met |
//! | `figures` | what the load suffered in each phase |
//! | `play` | goes through the steps of one run and collects its figures |
//! | `verdict` | compares the figures with what was expected |

mod action;
mod builtin;
mod chaos;
mod check;
mod figures;
mod file;
mod ledger;
mod met;
mod play;
mod resources;
mod stage;
mod steps;
mod tools;
mod verdict;

use std::{collections::BTreeMap, io, path::PathBuf};

use serde_json::Value;
use thiserror::Error;

pub use self::{
    builtin::{BUILT_IN, find},
    file::Problem,
    play::Options,
    steps::Scenario,
    verdict::{Outcome, Run},
};
pub(crate) use self::{
    figures::{Mark, millis},
    resources::Resources,
    stage::{hash_by_ports, train_in},
};
use crate::{
    LabError, firewall::FirewallError, gateway::GatewayError, load::LoadError, program::ProgramError, watch::WatchError,
};

/// Figures by name.
pub type Figures = BTreeMap<String, Value>;

/// Why a scenario could not be played to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// Something in the lab.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A gateway.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The firewall.
    #[error(transparent)]
    Firewall(#[from] FirewallError),
    /// A watch.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// The meshtun program.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A system call.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A file of the lab.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A program that was asked something.
    #[error("{node}: `{command}`: {said}")]
    Command {
        /// The node.
        node: String,
        /// The command.
        command: String,
        /// What it said.
        said: String,
    },
    /// The stage is not as the scenario needs it.
    #[error("{0}")]
    Stage(String),
}

#[cfg(test)]
mod tests;
