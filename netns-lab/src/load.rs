//! Traffic between nodes: TCP flows that are recognised by their payload, UDP trains that are counted one by one.

mod flow;
pub mod steady;
mod tcp;
mod train;
mod udp;

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
};

use thiserror::Error;

use crate::LabError;

pub use tcp::{Direction, Progress, TcpFlow, TcpLoad, TcpReport};
pub use train::{UdpFlow, UdpReport};
pub use udp::UdpTrain;

/// Bytes that a payload repeats, chosen at random for a run, so that it is recognised wherever it shows in clear: any 31
/// bytes of the payload contain it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Marker([u8; Marker::LEN]);

/// Why a load could not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Something in the lab.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A socket in the server's node.
    #[error("load server in {node}: {source}")]
    Server {
        /// The node.
        node: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A socket in the client's node; most often that the server cannot be reached.
    #[error("load client in {node}, flow {flow}: {source}")]
    Client {
        /// The node.
        node: String,
        /// Which flow, counted from 0.
        flow: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// Threads, processor time, counters.
    #[error("load: {0}")]
    Local(#[from] io::Error),
}

impl Marker {
    /// Its length in bytes.
    pub const LEN: usize = 16;

    /// A fresh one.
    ///
    /// # Errors
    /// If `/dev/urandom` cannot be read.
    pub fn random() -> io::Result<Marker> {
        let mut bytes = [0; Marker::LEN];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Marker(bytes))
    }

    /// A given one.
    pub fn new(bytes: [u8; Marker::LEN]) -> Marker {
        Marker(bytes)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; Marker::LEN] {
        &self.0
    }

    /// Whether these bytes contain it.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| *byte == self.0[0]) {
            rest = &rest[at..];
            if rest.starts_with(&self.0) {
                return true;
            }
            rest = &rest[1..];
        }
        false
    }

    /// `len` bytes of it, one after the other.
    pub fn payload(&self, len: usize) -> Vec<u8> {
        self.0.iter().copied().cycle().take(len).collect()
    }

    /// Whether bytes that begin `offset` bytes into a payload are that payload: compares their first and their last 16,
    /// which a cut, a shift or a hole in between would change, and costs nothing.
    pub(crate) fn matches(&self, bytes: &[u8], offset: u64) -> bool {
        let agrees = |at: usize| bytes[at] == self.0[((offset + at as u64) % Marker::LEN as u64) as usize];
        let head = bytes.len().min(Marker::LEN);
        (0..head).all(agrees) && (bytes.len() - head..bytes.len()).all(agrees)
    }
}

impl fmt::Debug for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: Marker = Marker(*b"abcabcabdabcabce");

    #[test]
    fn any_31_bytes_of_a_payload_contain_the_marker() {
        let payload = MARKER.payload(100);
        assert!((0..payload.len() - 31).all(|at| MARKER.is_in(&payload[at..at + 31])));
        assert!(!MARKER.is_in(&payload[1..31]), "30 bytes that begin inside it do not");
    }

    #[test]
    fn bytes_that_only_begin_like_the_marker_do_not_contain_it() {
        assert!(!MARKER.is_in(b"abcabcabdabcabcabcabcabdabcabcf"));
        assert!(!MARKER.is_in(b""));
    }

    #[test]
    fn a_payload_matches_at_its_offset_and_at_no_other() {
        let payload = MARKER.payload(1000);
        assert!(MARKER.matches(&payload[5..700], 5));
        assert!(MARKER.matches(&payload[7..9], 16_000_000_007));
        assert!(!MARKER.matches(&payload[5..700], 6));
        let mut cut = payload[..500].to_vec();
        cut.extend_from_slice(&payload[501..900]);
        assert!(!MARKER.matches(&cut, 0));
    }
}
