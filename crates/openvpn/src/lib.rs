//! What a point-to-point OpenVPN with a static key does, without a socket, clock, thread or file of its own.
//!
//! - [`directive`]: configuration files and command lines as words, each with its file and line.
//! - [`finding`]: what there is to say about any of this, with its place.
//! - [`options`]: the words as validated, typed [`Options`](options::Options), and what there is to say about them.
//! - [`import`]: configurations into `mesh.toml`.
//! - [`key`]: the static key file, and which part of it seals and opens.
//! - [`text`]: log lines, the status file, the management interface: OpenVPN's words.
//! - [`wire`]: datagrams, sealed and opened; [`packet_id`]: their ids, by which none passes twice; [`tcp`]: datagrams in a
//!   stream.
//! - [`session`]: from packets to datagrams and back, with [`compress`], [`fragment`], [`ping`] and [`occ`].
//! - [`mtu`]: how long all of that may be.
//! - [`peer`]: when to ping, when the other end is dead, what is said about options, and goodbye.
//!
//! Facts are from OpenVPN's sources, release 2.6 and later; where releases differ, the comment says which one is followed.

#![forbid(unsafe_code)]

pub mod compress;
pub mod directive;
pub mod finding;
pub mod fragment;
pub mod import;
pub mod key;
pub mod mtu;
pub mod occ;
pub mod options;
pub mod packet_id;
pub mod peer;
pub mod ping;
pub mod session;
pub mod tcp;
pub mod text;
pub mod wire;
