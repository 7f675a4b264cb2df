//! Control frames: what meshtun says inside the encryption.
//!
//! A frame is a transport message's plaintext whose first byte is 0xC0: no IP version, so a plain
//! WireGuard peer authenticates it and drops it. The second byte is the type; the fields follow,
//! little-endian, in the order in which they stand in [`Frame`]. What comes after them is padding,
//! or fields of a later version, and is not looked at.

use thiserror::Error;

mod signal;

pub use signal::{Diagnosis, LivenessState, Signal};

/// The first byte of every control frame.
pub const MARK: u8 = 0xC0;

/// The longest link name in a hello, in bytes; a device name has at most 15.
pub const MAX_LINK_LEN: usize = 32;

/// The longest encoded frame, without padding: a hello's.
pub const MAX_FRAME_LEN: usize = 2 + 1 + 1 + 4 + 1 + MAX_LINK_LEN + 2 + 4 + 4 + SIGNAL_LEN;

/// An encoded [`Signal`].
const SIGNAL_LEN: usize = 1 + 1 + 8;

const HELLO: u8 = 1;
const PROBE: u8 = 2;
const PROBE_REPLY: u8 = 3;
const GOODBYE: u8 = 4;
const PATH_MTU_PROBE: u8 = 5;

/// A control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Who is speaking, and what it understands; a session carries data only after it matched.
    Hello {
        /// The version of these frames; 2.
        version: u8,
        /// Whether this answers the other side's hello.
        ack: bool,
        /// A bit for each feature that the sender understands.
        features: u32,
        /// The link's name, at most [`MAX_LINK_LEN`] bytes.
        link: String,
        /// The channel's number.
        channel: u16,
        /// Drawn by the sender when it came to life, so that its restart is seen.
        incarnation: u32,
        /// One more than the highest generation of a session that the sender knew of when the
        /// handshake began at its end. A session's generation is the greater of its two hellos':
        /// so both ends put the channel's sessions in the same order, whatever was lost.
        generation: u32,
        /// What the sender makes of the channel.
        signal: Signal,
    },
    /// A question that is answered at once.
    Probe {
        /// Grows by one with each probe of the channel, over all sessions.
        sequence: u64,
        /// How often the sender sends probes, in microseconds.
        interval_micros: u32,
        /// What the sender makes of the channel, and when it sent this.
        signal: Signal,
    },
    /// The answer.
    ProbeReply {
        /// The probe's.
        sequence: u64,
        /// The clock in the probe: when it was sent, by the clock of the one who asked.
        sent_micros: u64,
        /// How long ago the probe arrived when this was sent, in microseconds.
        held_micros: u32,
        /// What the one who answers makes of the channel, and when it sent this.
        signal: Signal,
    },
    /// The sender leaves.
    Goodbye {
        /// Why.
        reason: Reason,
        /// For how many milliseconds the receiver should hold on before it alarms anyone.
        hold_ms: u32,
    },
    /// A frame that is padded to a size, to learn whether the underlay carries it.
    PathMtuProbe {
        /// Whether this answers the other side's (and is not padded).
        ack: bool,
        /// The probe's number.
        sequence: u32,
        /// The size that is probed: bytes of the whole UDP payload.
        size: u16,
    },
}

/// Why a gateway says goodbye.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// None was given, or one that this version does not know.
    Unspecified,
    /// The channel was taken down.
    Down,
    /// The daemon restarts and comes back.
    Restarting,
}

/// Why a plaintext is no control frame that this version understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The first byte is not [`MARK`].
    #[error("not a control frame")]
    NotControl,
    /// It ends before its last field.
    #[error("a control frame that ends before its last field")]
    Truncated,
    /// Its type is one of a later version: to be ignored.
    #[error("a control frame of the unknown type {0}")]
    UnknownType(u8),
    /// The link name of a hello is too long or no UTF-8.
    #[error("a hello whose link name is longer than 32 bytes or no UTF-8")]
    BadLinkName,
}

/// Whether a transport message's plaintext is a control frame (and no packet, no keepalive).
pub fn is_control(plaintext: &[u8]) -> bool {
    plaintext.first() == Some(&MARK)
}

impl Frame {
    /// The frame's bytes, without padding. A link name that is too long is cut.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_into(&mut [0; MAX_FRAME_LEN]).to_vec()
    }

    /// As [`Self::encode`], without allocating.
    pub fn encode_into<'b>(&self, buffer: &'b mut [u8; MAX_FRAME_LEN]) -> &'b [u8] {
        let mut out = Writer { buffer, len: 0 };
        out.put(&[MARK]);
        self.write(&mut out);
        let Writer { buffer, len } = out;
        &buffer[..len]
    }

    fn write(&self, out: &mut Writer<'_>) {
        match self {
            Self::Hello { version, ack, features, link, channel, incarnation, generation, signal } => {
                out.put(&[HELLO, *version, u8::from(*ack)]);
                out.put(&features.to_le_bytes());
                let link = &link[..link.floor_char_boundary(MAX_LINK_LEN)];
                out.put(&[link.len() as u8]);
                out.put(link.as_bytes());
                out.put(&channel.to_le_bytes());
                out.put(&incarnation.to_le_bytes());
                out.put(&generation.to_le_bytes());
                out.put_signal(signal);
            }
            Self::Probe { sequence, interval_micros, signal } => {
                out.put(&[PROBE]);
                out.put(&sequence.to_le_bytes());
                out.put(&interval_micros.to_le_bytes());
                out.put_signal(signal);
            }
            Self::ProbeReply { sequence, sent_micros, held_micros, signal } => {
                out.put(&[PROBE_REPLY]);
                out.put(&sequence.to_le_bytes());
                out.put(&sent_micros.to_le_bytes());
                out.put(&held_micros.to_le_bytes());
                out.put_signal(signal);
            }
            Self::Goodbye { reason, hold_ms } => {
                out.put(&[GOODBYE, reason.code()]);
                out.put(&hold_ms.to_le_bytes());
            }
            Self::PathMtuProbe { ack, sequence, size } => {
                out.put(&[PATH_MTU_PROBE, u8::from(*ack)]);
                out.put(&sequence.to_le_bytes());
                out.put(&size.to_le_bytes());
            }
        }
    }

    /// Reads a frame; bytes after its last field are ignored.
    ///
    /// # Errors
    /// [`FrameError`], for any bytes that are no frame; never panics.
    pub fn decode(plaintext: &[u8]) -> Result<Self, FrameError> {
        if !is_control(plaintext) {
            return Err(FrameError::NotControl);
        }
        let mut fields = Reader(&plaintext[1..]);
        match fields.u8()? {
            HELLO => fields.hello(),
            PROBE => fields.probe(),
            PROBE_REPLY => fields.probe_reply(),
            GOODBYE => Ok(Self::Goodbye { reason: Reason::from_code(fields.u8()?), hold_ms: fields.u32()? }),
            PATH_MTU_PROBE => {
                Ok(Self::PathMtuProbe { ack: fields.flag()?, sequence: fields.u32()?, size: fields.u16()? })
            }
            unknown => Err(FrameError::UnknownType(unknown)),
        }
    }
}

impl Reason {
    fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::Down => 1,
            Self::Restarting => 2,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Down,
            2 => Self::Restarting,
            _ => Self::Unspecified,
        }
    }
}

/// Fills a buffer from the front; [`MAX_FRAME_LEN`] is the sum of all that one frame puts.
struct Writer<'b> {
    buffer: &'b mut [u8; MAX_FRAME_LEN],
    len: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.buffer[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

/// Takes fields from the front.
struct Reader<'p>(&'p [u8]);

impl<'p> Reader<'p> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (field, rest) = self.0.split_first_chunk().ok_or(FrameError::Truncated)?;
        self.0 = rest;
        Ok(*field)
    }

    fn take_slice(&mut self, len: usize) -> Result<&'p [u8], FrameError> {
        let (field, rest) = self.0.split_at_checked(len).ok_or(FrameError::Truncated)?;
        self.0 = rest;
        Ok(field)
    }

    fn u8(&mut self) -> Result<u8, FrameError> {
        self.take().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, FrameError> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, FrameError> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, FrameError> {
        self.take().map(u64::from_le_bytes)
    }

    fn flag(&mut self) -> Result<bool, FrameError> {
        self.u8().map(|byte| byte & 1 != 0)
    }

    fn link(&mut self) -> Result<String, FrameError> {
        let len = usize::from(self.u8()?);
        if len > MAX_LINK_LEN {
            return Err(FrameError::BadLinkName);
        }
        let name = str::from_utf8(self.take_slice(len)?).map_err(|_| FrameError::BadLinkName)?;
        Ok(name.to_owned())
    }

    fn hello(&mut self) -> Result<Frame, FrameError> {
        Ok(Frame::Hello {
            version: self.u8()?,
            ack: self.flag()?,
            features: self.u32()?,
            link: self.link()?,
            channel: self.u16()?,
            incarnation: self.u32()?,
            generation: self.u32()?,
            signal: self.signal()?,
        })
    }

    fn probe(&mut self) -> Result<Frame, FrameError> {
        Ok(Frame::Probe { sequence: self.u64()?, interval_micros: self.u32()?, signal: self.signal()? })
    }

    fn probe_reply(&mut self) -> Result<Frame, FrameError> {
        Ok(Frame::ProbeReply {
            sequence: self.u64()?,
            sent_micros: self.u64()?,
            held_micros: self.u32()?,
            signal: self.signal()?,
        })
    }
}

#[cfg(test)]
mod tests;
