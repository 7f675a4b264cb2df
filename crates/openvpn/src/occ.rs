//! Messages between the two programs themselves, inside the encryption (occ.c): which options each has, how long datagrams
//! may be, and goodbye.

mod compare;
mod options_string;

pub use compare::differences;
pub use options_string::{Whose, options_string};

/// What every message begins with.
pub const MAGIC: [u8; 16] =
    [0x28, 0x7f, 0x34, 0x6b, 0xd4, 0xef, 0x7a, 0x81, 0x2d, 0x56, 0xb8, 0xd3, 0xaf, 0xc5, 0x45, 0x9c];

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Asks for a [`Message::Reply`].
    Request,
    /// The options string, without the zero at its end.
    Reply(Vec<u8>),
    /// Asks for a [`Message::MtuLoad`] that makes a datagram of so many bytes.
    MtuLoadRequest(u16),
    /// So many bytes that mean nothing.
    MtuLoad(usize),
    /// Asks for a [`Message::MtuReply`].
    MtuRequest,
    /// The longest datagrams so far, in bytes.
    MtuReply {
        /// That were received.
        received: u16,
        /// That were sent.
        sent: u16,
    },
    /// The sender goes away.
    Exit,
}

/// Whether a payload is a message, known or not, and so no packet.
#[must_use]
#[inline]
pub fn is_message(payload: &[u8]) -> bool {
    payload.starts_with(&MAGIC)
}

impl Message {
    /// Reads a payload that [`is_message`]. `None`: one that OpenVPN would overlook, too.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let (opcode, rest) = payload.strip_prefix(&MAGIC)?.split_first()?;
        Some(match opcode {
            0 => Self::Request,
            // The last byte counts as the zero at the end, whatever it is.
            1 => Self::Reply(rest.split_last()?.1.split(|byte| *byte == 0).next()?.to_vec()),
            2 => Self::MtuLoadRequest(number(rest, 0)?),
            3 => Self::MtuLoad(rest.len()),
            4 => Self::MtuRequest,
            5 => Self::MtuReply { received: number(rest, 0)?, sent: number(rest, 2)? },
            6 => Self::Exit,
            _ => return None,
        })
    }

    /// The payload of the message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = MAGIC.to_vec();
        match self {
            Self::Request => payload.push(0),
            Self::Reply(options) => {
                payload.push(1);
                payload.extend(options);
                payload.push(0);
            }
            Self::MtuLoadRequest(length) => {
                payload.push(2);
                payload.extend(length.to_be_bytes());
            }
            Self::MtuLoad(length) => {
                payload.push(3);
                payload.resize(MAGIC.len() + 1 + length, 0);
            }
            Self::MtuRequest => payload.push(4),
            Self::MtuReply { received, sent } => {
                payload.push(5);
                payload.extend(received.to_be_bytes());
                payload.extend(sent.to_be_bytes());
            }
            Self::Exit => payload.push(6),
        }
        payload
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|number| u16::from_be_bytes(*number))
}

#[cfg(test)]
mod tests;
