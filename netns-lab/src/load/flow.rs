//! One direction of a TCP flow: the thread that writes, the thread that reads, and what it counts.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use super::Marker;

/// What one call writes or reads: large enough that calls cost nothing beside the copy, small enough to stay in the
/// second-level cache with its opposite.
const CHUNK: usize = 256 << 10;

/// One direction of a connection.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) from: &'a TcpStream,
    pub(super) to: &'a TcpStream,
    pub(super) counter: &'a Counter,
}

/// What a reader counts; it alone writes, anyone reads. Times are nanoseconds since the start of
/// the load. On a pair of
/// cache lines of its own (the prefetcher takes two).
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Counter {
    bytes: AtomicU64,
    last: AtomicU64,
    gap: AtomicU64,
    corrupt: AtomicU64,
}

/// Writes the payload until the connection is shut down or breaks.
pub(super) fn send(mut stream: &TcpStream, marker: Marker) {
    // A whole number of markers, so that each write begins where the one before ended.
    let payload = marker.payload(CHUNK + Marker::LEN);
    let mut offset = 0;
    while let Ok(written) = stream.write(&payload[offset..offset + CHUNK]) {
        offset = (offset + written) % Marker::LEN;
    }
}

/// Reads and counts until the connection is shut down or breaks.
pub(super) fn receive(mut stream: &TcpStream, marker: Marker, counter: &Counter, start: Instant) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        counter.add(&buffer[..read], marker, start.elapsed());
    }
}

impl Counter {
    /// Gaps count from here on. A direction that is not used never begins and has none.
    pub(super) fn begin(&self, start: Instant) {
        // Zero means that it has not begun.
        self.last.store(nanos(start.elapsed()).max(1), Relaxed);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    pub(super) fn corrupt(&self) -> u64 {
        self.corrupt.load(Relaxed)
    }

    /// The longest time without a byte, the one that lasts now included.
    pub(super) fn longest_gap(&self, now: Duration) -> Duration {
        let silence = match self.last.load(Relaxed) {
            0 => 0,
            last => nanos(now).saturating_sub(last),
        };
        Duration::from_nanos(silence.max(self.gap.load(Relaxed)))
    }

    fn add(&self, bytes: &[u8], marker: Marker, now: Duration) {
        let so_far = self.bytes();
        if !marker.matches(bytes, so_far) {
            self.corrupt.store(self.corrupt() + 1, Relaxed);
        }
        self.bytes.store(so_far + bytes.len() as u64, Relaxed);
        self.gap.store(nanos(self.longest_gap(now)), Relaxed);
        self.last.store(nanos(now).max(1), Relaxed);
    }
}

/// 584 years before it saturates.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: Marker = Marker(*b"0123456789abcdef");

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_longest_silence_is_kept_and_one_that_lasts_counts() {
        let counter = Counter::default();
        counter.begin(Instant::now());
        counter.add(b"0123", MARKER, ms(100));
        counter.add(b"4567", MARKER, ms(400));
        counter.add(b"89", MARKER, ms(450));
        assert_eq!(counter.longest_gap(ms(460)), ms(300));
        assert_eq!(counter.longest_gap(ms(2450)), ms(2000));
        assert_eq!((counter.bytes(), counter.corrupt()), (10, 0));
    }

    #[test]
    fn a_direction_that_is_not_used_has_no_gap() {
        assert_eq!(Counter::default().longest_gap(ms(5000)), Duration::ZERO);
    }

    #[test]
    fn bytes_that_were_not_sent_are_noticed() {
        let counter = Counter::default();
        counter.add(b"0123", MARKER, ms(1));
        counter.add(b"5678", MARKER, ms(2));
        assert_eq!(counter.corrupt(), 1);
    }
}
