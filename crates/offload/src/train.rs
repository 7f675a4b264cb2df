//! A train: sealed segments one behind the other, ready for one send with `UDP_SEGMENT` (`net/ipv4/udp.c`,
//! `net/ipv4/udp_offload.c`).

/// Most segments that one send may hold (the kernel's `UDP_MAX_SEGMENTS` before Linux 6.9, 128 since).
pub const MAX_SEGMENTS: usize = 64;

/// Most bytes that one send may hold: 65535 less the IPv4 and UDP headers (IPv6 would allow 65527).
pub const MAX_BYTES: usize = 65535 - 20 - 8;

/// A train in the making, over the caller's buffer (`Train<Vec<u8>>`, `Train<Box<[u8]>>`, `Train<&mut [u8]>`).
///
/// All its segments are of one length, but the last may be shorter; a shorter segment closes the train. Order of calls:
/// [`fits`](Train::fits) (if not: send, [`reset`](Train::reset)), [`reserve`](Train::reserve), write into the room,
/// [`commit`](Train::commit). A reservation that is never committed leaves no trace.
#[derive(Debug)]
pub struct Train<B> {
    buffer: B,
    used: usize,
    segment_len: usize,
    segments: usize,
    closed: bool,
}

/// What a committed segment leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Another segment of the same length fits.
    Open,
    /// No other segment of the same length fits: send the train. (Before the 64th segment, and unless the last one was
    /// short, a shorter segment may fit yet: [`Train::fits`] tells.)
    Full,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Train<B> {
    /// An empty train. It holds at most [`MAX_BYTES`], or less if `buffer` is shorter.
    pub fn new(buffer: B) -> Train<B> {
        Train { buffer, used: 0, segment_len: 0, segments: 0, closed: false }
    }

    /// Whether a segment of `len` bytes may follow.
    #[inline]
    pub fn fits(&self, len: usize) -> bool {
        let length_follows = self.segments == 0 || len <= self.segment_len;
        length_follows && !self.closed && self.segments < MAX_SEGMENTS && len <= self.room()
    }

    /// Room for a segment of `len` bytes, behind the last one; `None` where it does not fit. What it holds before it is
    /// written is left over from earlier trains.
    #[inline]
    pub fn reserve(&mut self, len: usize) -> Option<&mut [u8]> {
        if !self.fits(len) {
            return None;
        }
        self.buffer.as_mut().get_mut(self.used..self.used + len)
    }

    /// Appends the first `len` bytes of the reserved room as a segment.
    ///
    /// # Panics
    /// Where a segment of `len` bytes does not fit, or `len` is 0: it was not reserved.
    #[inline]
    pub fn commit(&mut self, len: usize) -> Room {
        assert!(len > 0 && self.fits(len), "a segment of {len} bytes was not reserved");
        if self.segments == 0 {
            self.segment_len = len;
        }
        self.used += len;
        self.segments += 1;
        self.closed = len < self.segment_len;
        if self.fits(self.segment_len) { Room::Open } else { Room::Full }
    }

    /// The bytes of all segments.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer.as_ref()[..self.used]
    }

    /// Length of every segment but the last (the `UDP_SEGMENT` size); 0 in an empty train.
    #[inline]
    pub fn segment_len(&self) -> usize {
        self.segment_len
    }

    /// Count of segments.
    #[inline]
    pub fn segments(&self) -> usize {
        self.segments
    }

    /// Whether the train holds no segment.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.segments == 0
    }

    /// Empties the train.
    #[inline]
    pub fn reset(&mut self) {
        self.used = 0;
        self.segment_len = 0;
        self.segments = 0;
        self.closed = false;
    }

    fn room(&self) -> usize {
        self.buffer.as_ref().len().min(MAX_BYTES) - self.used
    }
}
