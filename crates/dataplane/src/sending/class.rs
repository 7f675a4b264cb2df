//! The traffic class of inner packets on the datagrams that carry them, if the wire is told so (RFC 2983, the uniform model on
//! the way in).

use std::os::fd::AsFd;

use meshtun_sys::traffic_class;

/// The class that trains are sent with; none unless it is copied.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Class {
    /// Of the train that is being filled.
    wanted: Option<u8>,
    /// What the socket gives to what it sends.
    set: u8,
}

impl Class {
    /// It is copied from here on.
    pub(super) fn copy(&mut self) {
        self.wanted = self.wanted.or(Some(0));
    }

    #[inline]
    pub(super) fn is_copied(self) -> bool {
        self.wanted.is_some()
    }

    /// The class of the train that is being filled.
    pub(super) fn wanted(self) -> Option<u8> {
        self.wanted
    }

    pub(super) fn is(self, class: u8) -> bool {
        self.wanted == Some(class)
    }

    /// The trains that come are of this class.
    pub(super) fn begin(&mut self, class: u8) {
        self.wanted = Some(class);
    }

    /// Asks the socket for this class, if it has another.
    #[cold]
    pub(super) fn set(&mut self, socket: impl AsFd, class: u8) {
        if self.set != class && traffic_class::set(socket, class).is_ok() {
            self.set = class;
        }
    }
}

/// The six bits of the codepoint. The other two tell of congestion, which nobody would carry back into the inner packet: left
/// at zero, routers drop in their stead (RFC 6040, section 4.1, compatibility mode).
const CODEPOINT: u8 = 0xfc;

/// The class of an inner packet; none of what is no IP packet.
pub(super) fn of(packet: &[u8]) -> Option<u8> {
    let (first, second) = (*packet.first()?, *packet.get(1)?);
    match first >> 4 {
        4 => Some(second & CODEPOINT),
        6 => Some((first << 4 | second >> 4) & CODEPOINT),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codepoint_is_read_from_either_header_without_the_bits_of_congestion() {
        assert_eq!(of(&[0x45, 0xb8, 0, 20]), Some(0xb8));
        assert_eq!(of(&[0x45, 0xbb, 0, 20]), Some(0xb8));
        assert_eq!(of(&[0x6b, 0xb1, 0, 0]), Some(0xb8));
        assert_eq!([of(&[0x15, 0xb8]), of(&[0x45]), of(&[])], [None; 3]);
    }
}
