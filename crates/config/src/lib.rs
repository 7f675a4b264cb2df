//! mesh.toml: raw, validated, and the plan of devices, ports and addresses that follows from it.
//!
//! One file describes the mesh and every gateway reads the same file. The way through this crate:
//!
//! 1. [`Mesh::check`] (or [`Mesh::parse`]) turns text into a validated [`Mesh`], or into *all* of
//!    its errors at once, each with line, column and a hint ([`Diagnostics`]).
//! 2. [`Mesh::view`] is the mesh as one gateway, found by its public key, sees it: the devices,
//!    ports and link-local addresses of every channel ([`View`]).
//! 3. [`SecretKey::load`] and [`PresharedKey::load`] read key files that only their owner can read.
//!
//! Nothing here touches the network or the clock, and only the key loaders and [`Program::check`] touch the file system.
#![forbid(unsafe_code)]

mod check;
mod diagnostics;
mod example;
mod findings;
mod hooks;
mod key_file;
mod key_text;
mod keys;
mod model;
mod raw;
mod reader;
mod requires;
mod schema;
mod suggest;
mod validate;
mod view;

pub use check::Checked;
pub use diagnostics::{Diagnostic, Diagnostics};
pub use example::{example, reference};
pub use findings::Severity;
pub use hooks::{HookEvent, HookTable, Hooks, Program, ProgramError};
pub use key_file::KeyFileError;
pub use key_text::KeyError;
pub use keys::{PresharedKey, PublicKey, SecretKey};
pub use model::{Cipher, Environment, Gateway, Host, Link, Mesh, Path, PathEnd, Probe, Software};
pub use view::{ChannelView, LinkView, PeerView, RemoteEndpoint, View, ViewError, link_local};
