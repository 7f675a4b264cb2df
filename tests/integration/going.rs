//! Links and channels that are taken out and brought back on a running daemon, and daemons that restart, under traffic.

mod down;
mod restart;
mod service;
pub(crate) mod trains;
