//! A new mesh file on a running daemon.

mod file;
mod links;
mod revocation;
