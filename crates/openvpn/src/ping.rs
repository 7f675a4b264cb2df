//! The sign of life that OpenVPN sends inside the encryption (ping.c).

/// The whole payload of a ping.
pub const PING: [u8; 16] =
    [0x2a, 0x18, 0x7b, 0xf3, 0x64, 0x1e, 0xb4, 0xcb, 0x07, 0xed, 0x2d, 0x0a, 0x98, 0x1f, 0xc7, 0x48];

/// Whether a payload is a ping; one that only begins like it is none.
#[must_use]
#[inline]
pub fn is_ping(payload: &[u8]) -> bool {
    payload == PING
}
