//! What is kept of packet ids over a restart: the file of `replay-persist` (packet_id.c, `packet_id_persist_save`).
//!
//! OpenVPN's file is its own memory: a 64-bit time, a 32-bit id and four bytes that mean nothing, in the machine's byte
//! order. Ours begins the same, so that either program goes on where the other was, and says behind it which time we sent
//! with; OpenVPN reads its 16 bytes and writes no more than them.

use super::PacketId;

/// What is kept over a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Persisted {
    /// The newest id that was received.
    pub received: Option<PacketId>,
    /// The time that what we sent carried.
    pub sent: Option<u32>,
}

/// The part that OpenVPN knows.
const SHARED: usize = 16;

/// What stands before the time that we sent with.
const MARK: [u8; 4] = *b"sent";

impl Persisted {
    /// The file's length in bytes.
    pub const LEN: usize = SHARED + 8;

    /// What to write at the file's beginning.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let PacketId { time, id } = self.received.unwrap_or_default();
        bytes[..8].copy_from_slice(&i64::from(time).to_ne_bytes());
        bytes[8..12].copy_from_slice(&id.to_ne_bytes());
        if let Some(sent) = self.sent {
            bytes[SHARED..SHARED + 4].copy_from_slice(&MARK);
            bytes[SHARED + 4..].copy_from_slice(&sent.to_ne_bytes());
        }
        bytes
    }

    /// Reads a file of either program. One that is empty, too short or of times that there can't be tells nothing, as for
    /// OpenVPN.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let time = field(bytes, 0).and_then(|time| u32::try_from(i64::from_ne_bytes(time)).ok());
        let id = field(bytes, 8).map(u32::from_ne_bytes);
        let whole = bytes.len() >= SHARED;
        let received = time.zip(id).filter(|(time, _)| whole && *time > 0).map(|(time, id)| PacketId { time, id });
        let marked = field(bytes, SHARED) == Some(MARK);
        let sent = field(bytes, SHARED + 4).filter(|_| marked).map(u32::from_ne_bytes);
        Self { received, sent }
    }
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
