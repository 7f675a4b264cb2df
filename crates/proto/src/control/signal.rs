//! What an end says of its own liveness in every hello, probe and reply.

use super::{FrameError, Reader, Writer};

/// What an end makes of a channel (RFC 5880, section 6.2). Only `Up` carries packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LivenessState {
    /// The peer is not heard, was not heard well enough yet, or is held down.
    #[default]
    Down,
    /// The peer is heard; whether it hears us is not known.
    Init,
    /// Both ends hear each other.
    Up,
}

/// Why an end is not up (RFC 5880, section 4.1, as far as it goes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Diagnosis {
    /// No reason: it has not been up yet, or it is.
    #[default]
    None,
    /// It heard nothing for the detection time.
    NotHeard,
    /// The other end said that it is down.
    ToldDown,
    /// A sibling fell silent, and so had it, if for less than the detection time.
    WithSibling,
    /// The channel flapped, and is held down for a while.
    HeldDown,
}

/// An end's state at a moment of its own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signal {
    /// What the sender makes of the channel.
    pub state: LivenessState,
    /// Why it is not up.
    pub diagnosis: Diagnosis,
    /// The sender's own clock, in microseconds; it never goes back in one life of the sender. A signal with an earlier
    /// clock than another one was overtaken on its way.
    pub clock_micros: u64,
}

impl LivenessState {
    fn code(self) -> u8 {
        match self {
            LivenessState::Down => 1,
            LivenessState::Init => 2,
            LivenessState::Up => 3,
        }
    }

    /// What is not known carries nothing.
    fn from_code(code: u8) -> Self {
        match code {
            2 => LivenessState::Init,
            3 => LivenessState::Up,
            _ => LivenessState::Down,
        }
    }
}

impl Diagnosis {
    fn code(self) -> u8 {
        match self {
            Diagnosis::None => 0,
            Diagnosis::NotHeard => 1,
            Diagnosis::ToldDown => 3,
            Diagnosis::WithSibling => 5,
            Diagnosis::HeldDown => 32,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            1 => Diagnosis::NotHeard,
            3 => Diagnosis::ToldDown,
            5 => Diagnosis::WithSibling,
            32 => Diagnosis::HeldDown,
            _ => Diagnosis::None,
        }
    }
}

impl Writer<'_> {
    pub(super) fn put_signal(&mut self, signal: &Signal) {
        self.put(&[signal.state.code(), signal.diagnosis.code()]);
        self.put(&signal.clock_micros.to_le_bytes());
    }
}

impl Reader<'_> {
    pub(super) fn signal(&mut self) -> Result<Signal, FrameError> {
        Ok(Signal {
            state: LivenessState::from_code(self.u8()?),
            diagnosis: Diagnosis::from_code(self.u8()?),
            clock_micros: self.u64()?,
        })
    }
}
