//! A train: sealed segments one behind the other, ready for one send with `UDP_SEGMENT` (`net/ipv4/udp.c`,
//! `net/ipv4/udp_offload.c`).

/// Most segments that one send may hold (the kernel's `UDP_MAX_SEGMENTS` before Linux 6.9, 128 since).
pub const MAX_SEGMENTS: usize = 64;

/// Most bytes that one send may hold: 65535 less the Ethernet, IPv6 and UDP headers. UDP allows a few more, but a packet
/// that reaches the device's `gso_max_size` with its Ethernet header is cut in software (`gso_features_check` of
/// net/core/dev.c), which costs what the train saved.
pub const MAX_BYTES: usize = 65535 - 14 - 40 - 8;

/// Most bytes of a lone datagram: 65535 less the IPv4 and UDP headers. It is sent without `UDP_SEGMENT`.
pub const MAX_DATAGRAM: usize = 65535 - 20 - 8;

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
    /// The longest segment that may follow, in bytes; 0 if none may.
    longest: usize,
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
    /// An empty train. It holds at most [`MAX_BYTES`], or one segment of [`MAX_DATAGRAM`], or less if `buffer` is shorter.
    pub fn new(buffer: B) -> Train<B> {
        let longest = buffer.as_ref().len().min(MAX_DATAGRAM);
        Train { buffer, used: 0, segment_len: 0, segments: 0, longest }
    }

    /// Whether a segment of `len` bytes may follow.
    #[inline]
    pub fn fits(&self, len: usize) -> bool {
        len <= self.longest
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
        let may_follow = len == self.segment_len && self.segments < MAX_SEGMENTS;
        let left = self.buffer.as_ref().len().min(MAX_BYTES).saturating_sub(self.used);
        self.longest = if may_follow { left.min(self.segment_len) } else { 0 };
        if self.longest == self.segment_len { Room::Open } else { Room::Full }
    }

    /// The bytes of all segments.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer.as_ref()[..self.used]
    }

    /// The bytes of all segments, to be written once more before they go.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer.as_mut()[..self.used]
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
        self.longest = self.buffer.as_ref().len().min(MAX_DATAGRAM);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What, the lengths, and what each leaves.
    type Case<'a> = (&'a str, &'a [usize], &'a [Option<Room>]);

    /// The lengths that go into one train; whether each was taken, and what it left.
    fn load(lengths: &[usize]) -> (Train<Vec<u8>>, Vec<Option<Room>>) {
        let mut train = Train::new(vec![0; 70_000]);
        let rooms = lengths.iter().enumerate().map(|(at, len)| {
            train.reserve(*len)?.fill(at as u8);
            Some(train.commit(*len))
        });
        let rooms = rooms.collect();
        (train, rooms)
    }

    #[test]
    fn segments_of_one_length_follow_each_other_and_a_short_one_is_the_last() {
        use Room::{Full, Open};
        let cases: &[Case<'_>] = &[
            ("equal", &[100, 100, 100], &[Some(Open), Some(Open), Some(Open)]),
            ("short last", &[100, 60], &[Some(Open), Some(Full)]),
            ("after a short one", &[100, 60, 60], &[Some(Open), Some(Full), None]),
            ("longer", &[100, 101, 100], &[Some(Open), None, Some(Open)]),
            ("as long as can be", &[MAX_BYTES, 1], &[Some(Full), None]),
            ("alone", &[MAX_DATAGRAM, 1], &[Some(Full), None]),
            ("longer than can be", &[MAX_DATAGRAM + 1], &[None]),
            ("half", &[40_000, MAX_BYTES - 40_000], &[Some(Full), Some(Full)]),
            ("over half", &[40_000, MAX_BYTES - 39_999], &[Some(Full), None]),
        ];
        for (what, lengths, expected) in cases {
            assert_eq!(load(lengths).1, *expected, "{what}");
        }
    }

    #[test]
    fn a_train_has_at_most_64_segments() {
        let (train, rooms) = load(&[10; 65]);
        assert_eq!((train.segments(), train.bytes().len()), (64, 640));
        assert_eq!(rooms[62..], [Some(Room::Open), Some(Room::Full), None]);
    }

    #[test]
    fn a_train_has_at_most_45_segments_of_1420_bytes_sealed() {
        let (train, rooms) = load(&[1420 + 32; 46]);
        assert_eq!((train.segments(), train.segment_len()), (45, 1452));
        assert_eq!(rooms[43..], [Some(Room::Open), Some(Room::Full), None]);
    }

    #[test]
    fn a_reservation_that_is_not_committed_leaves_no_trace() {
        let (mut train, _) = load(&[100, 100]);
        train.reserve(100).unwrap().fill(0xff);
        assert_eq!((train.segments(), train.bytes().len()), (2, 200));
        train.reserve(50).unwrap().fill(7);
        train.commit(50);
        assert_eq!(train.bytes()[200..], [7; 50]);
    }

    #[test]
    fn less_may_be_committed_than_was_reserved() {
        let mut train = Train::new([0; 500]);
        train.reserve(200).unwrap().fill(1);
        train.commit(150);
        assert_eq!((train.segment_len(), train.fits(151), train.fits(150)), (150, false, true));
    }

    #[test]
    fn the_bytes_are_those_of_the_segments_in_order() {
        let (train, _) = load(&[3, 3, 2]);
        assert_eq!(train.bytes(), [0, 0, 0, 1, 1, 1, 2, 2]);
    }

    #[test]
    fn a_train_is_used_again_after_a_reset() {
        let (mut train, _) = load(&[100, 60]);
        train.reset();
        assert!(train.is_empty() && train.bytes().is_empty());
        assert!(train.fits(200));
    }

    #[test]
    fn a_buffer_that_is_too_short_takes_less() {
        let mut buffer = [0; 250];
        let mut train = Train::new(&mut buffer[..]);
        assert!(train.reserve(251).is_none());
        train.reserve(100).unwrap();
        assert_eq!(train.commit(100), Room::Open);
        train.reserve(100).unwrap();
        assert_eq!(train.commit(100), Room::Full);
        assert!(train.fits(50) && !train.fits(51));
    }

    #[test]
    #[should_panic(expected = "was not reserved")]
    fn a_segment_that_does_not_fit_is_not_committed() {
        let (mut train, _) = load(&[100]);
        train.commit(101);
    }
}
