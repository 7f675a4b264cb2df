//! The running gateway: boot order, handshakes, carrier, control socket.
//!
//! [`run`] is `meshtun up`. Its control side is one thread: an engine that owns each channel's conversation with its
//! peer and turns what it orders into keys for the data plane, datagrams, carrier and log lines. [`control`] is how the
//! command line asks it, [`status`] what it answers. [`plan()`] and [`remove_remains`] do their work without a daemon.
#![forbid(unsafe_code)]

mod alarms;
mod beside;
mod boot;
mod carrier;
mod channels;
pub mod control;
mod desired;
mod directories;
mod down;
mod engine;
mod error;
mod gateway;
mod hooks;
mod keeper;
mod kept;
mod keys;
mod limiter;
mod lock;
mod notify;
mod open_files;
mod plan;
mod prefixes;
mod reload;
mod resolve;
mod stamps;
pub mod status;
mod surroundings;
mod underlay;
mod underload;
mod view;
mod way;

#[cfg(test)]
mod fixtures;

pub use alarms::right_problems;
pub use boot::{Options, run};
pub use directories::Directories;
pub use down::remove_remains;
pub use error::{Error, Fault};
pub use gateway::{Gateway, read_mesh};
pub use hooks::problems as hook_problems;
pub use keys::{generate_key, public_key};
pub use plan::{Plan, plan};
