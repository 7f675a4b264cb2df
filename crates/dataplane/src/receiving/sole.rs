//! Datagrams of a channel that has one session: those that came together are authenticated side by side.
//!
//! A train is together, and so are lone datagrams of one peer that one call received, or that a stream had ready.

use std::{ops::Range, time::Instant};

use meshtun_sys::udp::Endpoint;

use super::ReceivingHalf;
use crate::{
    Authentic, DropReason, Together, Transport,
    scratch::{PLACE, Scratch},
};

/// Where datagrams of one peer lie that came together.
pub(super) struct Group {
    places: [Range<usize>; Authentic::MOST],
    count: usize,
}

impl Group {
    pub(super) fn new() -> Group {
        Group { places: [const { 0..0 }; Authentic::MOST], count: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.count == self.places.len()
    }

    /// Adds a datagram; there must be room for it.
    pub(super) fn push(&mut self, datagram: Range<usize>) {
        self.places[self.count] = datagram;
        self.count += 1;
    }
}

impl ReceivingHalf {
    /// What one call received, from a place on.
    pub(super) fn open_together(&mut self, scratch: &mut Scratch, first: usize, count: usize, now: Instant) {
        let mut group = Group::new();
        for index in 0..count {
            let train = scratch.arrivals[index];
            let mut start = (first + index) * PLACE;
            let end = start + train.len;
            if train.len == 0 {
                self.drop_one(DropReason::Malformed);
            }
            while start < end {
                let next = (start + train.segment.max(1)).min(end);
                group.push(start..next);
                if group.is_full() {
                    self.open_group(scratch, &mut group, &train.from, now);
                }
                start = next;
            }
            let follower = scratch.arrivals[..count].get(index + 1);
            if follower.is_none_or(|next| next.from != train.from) {
                self.open_group(scratch, &mut group, &train.from, now);
            }
        }
    }

    /// Opens what is in the group, and empties it. In a stream, what comes behind a refused datagram is not looked at.
    #[inline(never)] // One call for many datagrams.
    pub(super) fn open_group(&mut self, scratch: &mut Scratch, group: &mut Group, from: &Endpoint, now: Instant) {
        let places = &group.places[..std::mem::take(&mut group.count)];
        if !self.hears(from) {
            return places.iter().for_each(|_| self.refuse(DropReason::WrongPeer, Some(String::new()), from, now));
        }
        let Some(session) = self.sessions.newest_mut() else {
            return places.iter().for_each(|_| self.unknown_session(from, now));
        };
        let authentic = session.key.authenticate(Together { received: &scratch.received, places });
        let sender = self.sender(from);
        let is_stream = matches!(self.transport, Transport::Tcp(_));
        for (number, place) in places.iter().enumerate() {
            let verdict = authentic.map(|authentic| authentic.is(number));
            self.open_datagram(scratch, place.clone(), verdict, &sender, now, |sessions| sessions.newest_mut());
            if is_stream && self.refused.is_some() {
                return;
            }
        }
    }
}
