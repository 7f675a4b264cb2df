//! Whose frames are counted.

use serde::Serialize;

/// Whose frames are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Key {
    /// The gateway that sent them, counted from 0.
    pub from: usize,
    /// The gateway that they are for.
    pub to: usize,
    /// The UDP port that they are for; none for everything else.
    pub port: Option<u16>,
    /// Datagrams that look like a WireGuard handshake's (types 1 to 3), which are counted apart.
    pub handshake: bool,
}
