//! The control socket: how the command line asks a running daemon.
//!
//! A unix stream socket in the runtime directory. Each message is one JSON object followed by a NUL byte, in the
//! manner of Varlink: a call is `{"method": "meshtun.control.Status", "parameters": {}}`, its answer
//! `{"parameters": {…}}` or `{"error": "…", "parameters": {…}}`. Calls on one connection are answered in order.
//! Only root and the user that runs the daemon are answered.

mod client;
mod protocol;
mod server;
mod target;

pub use client::{Client, ClientError, Reloaded};
pub use protocol::{Refusal, Request};
pub(crate) use server::{Asked, CALLERS, Caller, Server};
pub use target::{Target, TargetError};
