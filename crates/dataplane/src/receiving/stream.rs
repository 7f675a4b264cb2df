//! Datagrams that come one behind the other in a stream, each with its length before it.

use std::{
    io::{self, Read},
    time::Instant,
};

use meshtun_sys::udp::{Endpoint, is_would_block};

use super::{BYTES_PER_TURN, ReceivingHalf, sole::Group};
use crate::{
    scratch::Scratch,
    transport::{Stream, StreamError},
    turn::Turn,
};

/// Bytes of a length.
const PREFIX: usize = 2;

/// Bytes asked for with one call.
const READ: usize = 128 << 10;

/// A stream, and what of a datagram has come so far.
pub(super) struct Incoming {
    stream: Stream,
    from: Endpoint,
    /// A datagram's beginning, with its length.
    partial: Vec<u8>,
}

impl Incoming {
    pub(super) fn new(stream: Stream) -> Incoming {
        let partial = Vec::with_capacity(PREFIX + usize::from(stream.longest));
        Incoming { from: stream.peer.into(), stream, partial }
    }

    fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            match (&*self.stream.stream).read(room) {
                Ok(0) => return Err(StreamError::Closed.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

impl ReceivingHalf {
    /// Reads, opens, judges and joins; what is read lies in one piece, for the coalescer.
    pub(super) fn read_stream(&mut self, incoming: &mut Incoming, scratch: &mut Scratch, now: Instant) -> Turn {
        let (mut start, mut filled, mut turned) = (0, incoming.partial.len(), Turn::Idle);
        scratch.received[..filled].copy_from_slice(&incoming.partial);
        while filled < BYTES_PER_TURN {
            match incoming.read(&mut scratch.received[filled..filled + READ]) {
                Ok(read) => {
                    turned = Turn::Busy;
                    filled += read;
                    self.counters.receiving.trains.add(1);
                }
                Err(error) if is_would_block(&error) => break,
                Err(error) => {
                    self.fail(error);
                    break;
                }
            }
            match self.open_whole(incoming, scratch, start, filled, now) {
                Ok(end) => start = end,
                Err(error) => {
                    self.fail(error.into());
                    break;
                }
            }
        }
        incoming.partial.clear();
        incoming.partial.extend_from_slice(&scratch.received[start..filled]);
        turned
    }

    /// Opens the datagrams that are there from `start` on, and tells where the first one begins that is not.
    fn open_whole(
        &mut self,
        incoming: &Incoming,
        scratch: &mut Scratch,
        mut start: usize,
        filled: usize,
        now: Instant,
    ) -> Result<usize, StreamError> {
        let mut group = Group::new();
        loop {
            let next = next_whole(&scratch.received[start..filled], incoming.stream.longest);
            if let Ok(Some(length)) = next {
                self.counters.receiving.wire_bytes.add((PREFIX + length) as u64);
                group.push(start + PREFIX..start + PREFIX + length);
                start += PREFIX + length;
            }
            if group.is_full() || !matches!(next, Ok(Some(_))) {
                self.open_group(scratch, &mut group, &incoming.from, now);
                if let Some(reason) = self.refused.take() {
                    return Err(StreamError::Refused(reason));
                }
            }
            if next?.is_none() {
                return Ok(start);
            }
        }
    }
}

/// The length of the first datagram, if all of it is there.
fn next_whole(bytes: &[u8], longest: u16) -> Result<Option<usize>, StreamError> {
    let Some((prefix, rest)) = bytes.split_first_chunk() else { return Ok(None) };
    match u16::from_be_bytes(*prefix) {
        length if length == 0 || length > longest => Err(StreamError::Length { length, longest }),
        length => Ok(Some(usize::from(length)).filter(|length| *length <= rest.len())),
    }
}
