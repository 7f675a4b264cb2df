//! Packet ids: a number that counts packets and the time at which it began to count (packet_id.c, the long form).

mod persist;
mod window;

pub use persist::Persisted;
pub use window::{Replay, Window};

/// A packet's id, by which no packet passes twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PacketId {
    /// When the sender began to count, in seconds since 1970.
    pub time: u32,
    /// Counts from 1.
    pub id: u32,
}

impl PacketId {
    /// Bytes on the wire.
    pub const LEN: usize = 8;

    /// As it goes over the wire: the id, then the time, both big-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&self.id.to_be_bytes());
        bytes[4..].copy_from_slice(&self.time.to_be_bytes());
        bytes
    }

    /// The inverse of [`Self::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let [i0, i1, i2, i3, t0, t1, t2, t3] = bytes;
        Self { time: u32::from_be_bytes([t0, t1, t2, t3]), id: u32::from_be_bytes([i0, i1, i2, i3]) }
    }
}

/// The ids of what one end sends: none is given twice, and no time is before another that was given.
#[derive(Debug)]
pub struct SendIds {
    last: PacketId,
}

impl SendIds {
    /// Ids for a process that starts at `now`, seconds since 1970, and whose predecessor sent with the time `sent`.
    ///
    /// A peer is deaf to an older time until it is itself started again, and takes nothing twice with the same one. So the
    /// time is later than the predecessor's, even if the clock went back or both began within a second; OpenVPN takes the
    /// clock as it is.
    #[must_use]
    pub fn new(now: u32, sent: Option<u32>) -> Self {
        let time = sent.map_or(now, |sent| now.max(sent.saturating_add(1)));
        Self { last: PacketId { time: time.max(1), id: 0 } }
    }

    /// The time that packets carry now: what a successor must be told.
    #[must_use]
    pub fn time(&self) -> u32 {
        self.last.time
    }

    /// The next id; `None` when there is none any more, which takes until 2106.
    ///
    /// After 4,294,967,295 packets the time goes on by a second, and numbers begin again. OpenVPN takes the clock's time then
    /// and refuses if that has not gone on; so many packets take more than a second.
    #[inline]
    pub fn take(&mut self) -> Option<PacketId> {
        let PacketId { time, id } = self.last;
        self.last = match id.checked_add(1) {
            Some(id) => PacketId { time, id },
            None => PacketId { time: time.checked_add(1)?, id: 1 },
        };
        Some(self.last)
    }

    /// Ids that go on after `last`: for tests of the limits.
    #[cfg(test)]
    pub(crate) fn after(last: PacketId) -> Self {
        Self { last }
    }
}

#[cfg(test)]
mod tests;
