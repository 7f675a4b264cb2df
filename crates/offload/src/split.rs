//! A super-packet into its segments, inside the tun buffer itself.

use crate::virtio::VirtioNetHdr;

/// Why a packet read from the tun device cannot be split. The packet is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// No whole IP packet.
    #[error("not an IP packet of its stated length")]
    Malformed,
    /// The virtio header does not describe this packet.
    #[error("the virtio header contradicts the packet")]
    Contradiction,
    /// A kind of super-packet that was never asked for.
    #[error("super-packet of unknown type {0:#04x}")]
    UnknownType(u8),
    /// A segment would be too long.
    #[error("a segment of {length} bytes exceeds the MTU of {mtu}")]
    ExceedsMtu {
        /// Length of the longest segment, with its headers.
        length: usize,
        /// The limit.
        mtu: usize,
    },
}

/// The segments of one packet read from the tun device.
#[derive(Debug)]
pub struct Split<'a> {
    packet: &'a mut [u8],
    done: bool,
}

impl<'a> Split<'a> {
    /// Checks the packet against its header.
    ///
    /// # Errors
    /// [`SplitError`].
    pub fn new(header: VirtioNetHdr, packet: &'a mut [u8], mtu: usize) -> Result<Split<'a>, SplitError> {
        if header.is_gso() {
            return Err(SplitError::UnknownType(header.gso_type));
        }
        if packet.len() > mtu {
            return Err(SplitError::ExceedsMtu { length: packet.len(), mtu });
        }
        Ok(Split { packet, done: false })
    }

    /// The next segment: a whole IP packet with all its checksums. It is valid until the next call.
    pub fn next_segment(&mut self) -> Option<&[u8]> {
        if self.done {
            return None;
        }
        self.done = true;
        Some(self.packet)
    }

    /// Segments still to come.
    pub fn remaining(&self) -> usize {
        usize::from(!self.done)
    }
}
