//! The sessions under which a receiving half opens datagrams.

use std::time::Instant;

use crate::ReceiveSession;

/// A session's opening side, and what the half knows of it.
pub(super) struct Session {
    pub(super) index: u32,
    expires: Option<Instant>,
    /// The control side has heard of its first message.
    pub(super) is_confirmed: bool,
    /// Inner packets pass under it.
    pub(super) is_admitted: bool,
    pub(super) key: ReceiveSession,
}

impl Session {
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

/// Few sessions, the newest first: with WireGuard previous, current, next, and one of a crossed handshake.
pub(super) struct Sessions(Vec<Session>);

impl Sessions {
    /// How many sessions can be open at once.
    const CAPACITY: usize = 4;

    pub(super) fn new() -> Sessions {
        Sessions(Vec::with_capacity(Self::CAPACITY))
    }

    /// Adds a session; the oldest of four makes room, and one of the same number is replaced.
    pub(super) fn insert(&mut self, key: ReceiveSession) {
        let (index, expires) = (key.session(), key.expires());
        self.retire(index);
        self.0.truncate(Self::CAPACITY - 1);
        self.0.insert(0, Session { index, expires, is_confirmed: false, is_admitted: false, key });
    }

    /// Forgets a session; an unknown number does nothing.
    pub(super) fn retire(&mut self, index: u32) {
        self.0.retain(|session| session.index != index);
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Session> {
        self.0.iter_mut().find(|session| session.index == index)
    }

    pub(super) fn newest_mut(&mut self) -> Option<&mut Session> {
        self.0.first_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DropReason, Opened, Opening};

    #[derive(Debug)]
    struct Numbered(u32);

    impl Opening for Numbered {
        fn session(&self) -> u32 {
            self.0
        }
        fn expires(&self) -> Option<Instant> {
            None
        }
        fn open(
            &mut self,
            _datagram: &mut [u8],
            _is_authentic: Option<bool>,
            _now: Instant,
        ) -> Result<Opened, DropReason> {
            Ok(Opened::Swallowed(0))
        }
    }

    fn numbered(number: u32) -> ReceiveSession {
        ReceiveSession::Other(Box::new(Numbered(number)))
    }

    fn held(sessions: &Sessions) -> Vec<u32> {
        sessions.0.iter().map(|session| session.index).collect()
    }

    #[test]
    fn the_oldest_of_four_makes_room_and_memory_does_not_grow() {
        let mut sessions = Sessions::new();
        let capacity = sessions.0.capacity();
        (1..=6).for_each(|number| sessions.insert(numbered(number)));
        assert_eq!(held(&sessions), [6, 5, 4, 3]);
        sessions.retire(5);
        sessions.retire(77);
        assert_eq!(held(&sessions), [6, 4, 3]);
        assert_eq!(sessions.0.capacity(), capacity);
    }

    #[test]
    fn a_session_of_the_same_number_begins_anew() {
        let mut sessions = Sessions::new();
        sessions.insert(numbered(1));
        sessions.insert(numbered(2));
        sessions.get_mut(1).unwrap().is_admitted = true;
        sessions.insert(numbered(1));
        assert_eq!(held(&sessions), [1, 2]);
        assert!(!sessions.get_mut(1).unwrap().is_admitted);
        assert_eq!(sessions.newest_mut().unwrap().index, 1);
    }
}
