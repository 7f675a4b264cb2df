//! The trains that a socket had no room for.

use std::{collections::VecDeque, ops::Range};

use super::Sealed;
use crate::{scratch::LONGEST_TRAIN, sending::wire::Load};

/// Sealed trains waiting for room in the socket, at most those of one super-packet: nothing more is sealed meanwhile.
/// Their memory is kept for the next time.
#[derive(Default)]
pub(in crate::sending) struct Stuck {
    bytes: Vec<u8>,
    trains: VecDeque<StuckTrain>,
}

struct StuckTrain {
    bytes: Range<usize>,
    segment: usize,
    load: Load,
}

impl Stuck {
    /// Room for a super-packet of the smallest segments and the train before it. Memory that is never used is never touched.
    pub(in crate::sending) fn new() -> Stuck {
        Stuck { bytes: Vec::with_capacity(5 * LONGEST_TRAIN), trains: VecDeque::with_capacity(32) }
    }

    pub(in crate::sending) fn is_empty(&self) -> bool {
        self.trains.is_empty()
    }

    pub(in crate::sending) fn keep(&mut self, train: Sealed<'_>, load: Load) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(train.bytes);
        self.trains.push_back(StuckTrain { bytes: start..self.bytes.len(), segment: train.segment, load });
    }

    /// Whether something small finds room in the memory that there is.
    pub(in crate::sending) fn has_room(&self, length: usize) -> bool {
        self.bytes.len() + length <= self.bytes.capacity() && self.trains.len() < self.trains.capacity()
    }

    /// Keeps a control frame before all that is kept, as long as there is room for it.
    pub(in crate::sending) fn keep_first(&mut self, frame: Sealed<'_>) {
        if self.has_room(frame.bytes.len()) {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(frame.bytes);
            let load = Load { messages: 1, ..Load::default() };
            self.trains.push_front(StuckTrain { bytes: start..self.bytes.len(), segment: frame.segment, load });
        }
    }

    /// What goes next.
    fn first(&self) -> Option<(Sealed<'_>, Load)> {
        let train = self.trains.front()?;
        Some((Sealed { bytes: &self.bytes[train.bytes.clone()], segment: train.segment }, train.load))
    }

    /// Lets one train after the other go, until one does not go whole: `send` tells how many bytes of it went.
    pub(in crate::sending) fn resume(&mut self, mut send: impl FnMut(Sealed<'_>, Load) -> usize) {
        while let Some((train, load)) = self.first() {
            let (length, gone) = (train.bytes.len(), send(train, load));
            if gone < length {
                if let Some(train) = self.trains.front_mut() {
                    train.bytes.start += gone;
                }
                return;
            }
            self.trains.pop_front();
        }
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(bytes: &[u8], segment: usize) -> Sealed<'_> {
        Sealed { bytes, segment }
    }

    fn kept(stuck: &Stuck) -> Vec<&[u8]> {
        stuck.trains.iter().map(|train| &stuck.bytes[train.bytes.clone()]).collect()
    }

    #[test]
    fn a_frame_that_waits_goes_before_the_trains_that_wait() {
        let mut stuck = Stuck::new();
        stuck.keep(sealed(b"first train", 5), Load { packets: 3, bytes: 11, messages: 3, class: None });
        stuck.keep(sealed(b"second train", 6), Load { packets: 2, bytes: 12, messages: 2, class: None });
        stuck.keep_first(sealed(b"frame", 5));
        assert_eq!(kept(&stuck), [&b"frame"[..], b"first train", b"second train"]);
        let (train, load) = stuck.first().unwrap();
        assert_eq!(
            (train.segment, load),
            (5, Load { messages: 1, ..Load::default() }),
            "no inner packet, one datagram"
        );
    }

    #[test]
    fn frames_that_wait_take_no_more_memory_than_there_is() {
        let mut stuck = Stuck::new();
        stuck.keep(sealed(b"train", 5), Load::default());
        let (bytes, trains) = (stuck.bytes.capacity(), stuck.trains.capacity());
        (0..10_000).for_each(|_| stuck.keep_first(sealed(&[7; 64], 64)));
        assert_eq!((stuck.bytes.capacity(), stuck.trains.capacity()), (bytes, trains));
        assert_eq!(kept(&stuck).last(), Some(&&b"train"[..]), "the train is still there");
    }

    #[test]
    fn what_went_in_part_goes_on_where_it_stopped() {
        let mut stuck = Stuck::new();
        stuck.keep(sealed(b"first train", 5), Load::default());
        stuck.keep(sealed(b"second", 6), Load::default());
        let mut room = 13;
        let mut went = Vec::new();
        let mut send = |train: Sealed<'_>, room: &mut usize| {
            let gone = train.bytes.len().min(*room);
            went.extend_from_slice(&train.bytes[..gone]);
            *room -= gone;
            gone
        };
        stuck.resume(|train, _| send(train, &mut room));
        assert_eq!(kept(&stuck), [b"cond"]);
        room = usize::MAX;
        stuck.resume(|train, _| send(train, &mut room));
        assert!(stuck.is_empty() && stuck.bytes.is_empty());
        assert_eq!(went, b"first trainsecond");
    }
}
