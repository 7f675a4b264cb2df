//! A wire format that protects nothing and has everything else: one session, parts, messages that it keeps to itself.
//!
//! ```text
//!  check(4) | hidden by XOR: kind(1) sequence(4) | payload …
//!  kind 0: a packet, frame or ping    1: the first part of a packet    2: another    3: the last
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use meshtun_dataplane::{Authentic, Datagrams, DropReason, Opened, Opening, Pieces, Sealing, Together};

/// A payload that means no more than that its sender lives.
pub(crate) const PING: &[u8] = b"\xF0 still here";
/// How a frame for the control side begins.
pub(crate) const CONTROL: &[u8] = b"\xF1 control: ";

const HEADER: usize = 9;
const MASK: u8 = 0x5A;

/// Seals.
#[derive(Debug)]
pub(crate) struct Seals {
    /// The most payload in a datagram.
    longest: usize,
    sequence: u32,
}

/// Opens.
#[derive(Debug, Default)]
pub(crate) struct Opens {
    next: u32,
    parts: Vec<u8>,
    wrong: Option<u32>,
    /// The most datagrams that it was asked about at once.
    pub(crate) most_together: Arc<AtomicUsize>,
}

impl Seals {
    pub(crate) fn new(longest: usize) -> Seals {
        Seals { longest, sequence: 0 }
    }

    /// A datagram with this payload, as the data plane would send it.
    pub(crate) fn datagram(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; self.pieces(payload.len(), 0).last];
        self.seal(payload, 0, &mut bytes).unwrap();
        hide(&mut bytes);
        bytes
    }

    /// A last part whose first one was never sent: authentic, in its turn, and good for nothing.
    pub(crate) fn stray_part(&mut self) -> Vec<u8> {
        let packet = vec![7; 2 * self.longest];
        let mut bytes = vec![0; HEADER + self.longest];
        self.sequence += 1;
        self.seal(&packet, 1, &mut bytes).unwrap();
        hide(&mut bytes);
        bytes
    }
}

impl Sealing for Seals {
    fn session(&self) -> u32 {
        0
    }

    fn expires(&self) -> Option<Instant> {
        None
    }

    fn pieces(&self, length: usize, _mtu: usize) -> Pieces {
        let count = length.div_ceil(self.longest).max(1);
        Pieces { count, each: HEADER + self.longest, last: HEADER + length - (count - 1) * self.longest }
    }

    fn seal(&mut self, packet: &[u8], piece: usize, room: &mut [u8]) -> Result<(), DropReason> {
        let count = self.pieces(packet.len(), 0).count;
        let part = &packet[piece * self.longest..packet.len().min((piece + 1) * self.longest)];
        room[4] = match piece {
            0 => u8::from(count > 1),
            _ => 2 + u8::from(piece + 1 == count),
        };
        room[5..9].copy_from_slice(&self.sequence.to_be_bytes());
        self.sequence += 1;
        room[HEADER..].copy_from_slice(part);
        Ok(())
    }

    /// Done for many at a time: whoever forgets this sends what nobody can open.
    fn finish(&mut self, mut datagrams: Datagrams<'_>) {
        datagrams.iter_mut().for_each(hide);
    }
}

impl Opening for Opens {
    fn session(&self) -> u32 {
        0
    }

    fn expires(&self) -> Option<Instant> {
        None
    }

    fn authenticate(&self, datagrams: Together<'_>) -> Option<Authentic> {
        self.most_together.fetch_max(datagrams.iter().count(), Ordering::Relaxed);
        Some(Authentic::of(datagrams.iter().map(is_authentic)))
    }

    fn open(&mut self, datagram: &mut [u8], authentic: Option<bool>, _now: Instant) -> Result<Opened, DropReason> {
        if datagram.len() < HEADER {
            return Err(DropReason::Malformed);
        }
        let is_authentic = is_authentic(datagram);
        assert!(authentic.is_none_or(|said| said == is_authentic), "what was said was said of another datagram");
        if !is_authentic {
            return Err(DropReason::Forged);
        }
        datagram[4..].iter_mut().for_each(|byte| *byte ^= MASK);
        let sequence = u32::from_be_bytes(datagram[5..9].try_into().expect("four bytes"));
        if sequence < self.next {
            self.wrong = Some(sequence);
            return Err(DropReason::Replayed);
        }
        let is_next = sequence == self.next;
        self.next = sequence + 1;
        self.open_payload(datagram[4], is_next, &datagram[HEADER..])
    }

    fn assembled(&mut self) -> &mut [u8] {
        &mut self.parts
    }

    fn why(&self) -> Option<String> {
        self.wrong.map(|sequence| format!("number {sequence} was here before"))
    }
}

impl Opens {
    /// The number that comes next.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    fn open_payload(&mut self, kind: u8, is_next: bool, payload: &[u8]) -> Result<Opened, DropReason> {
        let range = HEADER..HEADER + payload.len();
        match kind {
            0 if payload == PING => Ok(Opened::Swallowed(payload.len())),
            0 if payload.starts_with(CONTROL) => Ok(Opened::Control(range)),
            0 => Ok(Opened::Inner(range)),
            _ => {
                if kind == 1 {
                    self.parts.clear();
                } else if !is_next {
                    return Err(DropReason::BadFragment);
                }
                self.parts.extend_from_slice(payload);
                Ok(match kind {
                    3 if self.parts.starts_with(CONTROL) => Opened::AssembledControl,
                    3 => Opened::Assembled,
                    _ => Opened::Part,
                })
            }
        }
    }
}

fn hide(datagram: &mut [u8]) {
    datagram[4..].iter_mut().for_each(|byte| *byte ^= MASK);
    let check = check(&datagram[4..]);
    datagram[..4].copy_from_slice(&check);
}

fn is_authentic(datagram: &[u8]) -> bool {
    datagram.split_first_chunk().is_some_and(|(claimed, rest)| *claimed == check(rest))
}

fn check(bytes: &[u8]) -> [u8; 4] {
    bytes.iter().fold(7_u32, |sum, byte| sum.rotate_left(5) ^ u32::from(*byte)).to_be_bytes()
}
