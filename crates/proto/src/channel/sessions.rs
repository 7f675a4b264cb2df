//! The sessions of a channel that are alive at once, and which of them is used.
//!
//! At most four: the one in use, the one before it (for what is still under way), one that we
//! answered and one that we initiated and that are not proven yet. Sessions have a total order,
//! [`Rank`], made only of what both ends know alike; each end uses the highest that is proven in
//! both directions. So the ends agree, whichever handshakes crossed and whatever was lost.

use std::net::SocketAddr;
use std::time::Instant;

use crate::session::{REJECT_AFTER, ReceiveKeys};

use super::greeting::Greeting;

/// One session, as the control side knows it; its keys are with the halves.
pub(super) struct Session {
    /// Our receiver index.
    pub(super) index: u32,
    /// When its keys were derived.
    pub(super) since: Instant,
    /// When its initiation left us or reached us.
    pub(super) begun: Instant,
    /// When it is renewed at the latest, by whichever end we are.
    pub(super) renew_at: Instant,
    /// Whether we sent the initiation.
    pub(super) initiated_by_us: bool,
    /// Where the peer's part of the handshake came from.
    pub(super) from: SocketAddr,
    /// A message arrived under it, so the peer holds the keys too. True from the start if we
    /// initiated: the response proved it.
    pub(super) confirmed: bool,
    /// The peer is the other end of this channel, so what it sends may pass.
    pub(super) admitted: bool,
    /// The peer admits what we send.
    pub(super) acknowledged: bool,
    /// The exchange of hellos, while it goes on.
    pub(super) greeting: Option<Greeting>,
    /// Ours as it stands in our hello; the greater of both ends' once the peer's came.
    pub(super) generation: u32,
    /// Which of the peer's lives it belongs to, in our own count; 0 until its hello came.
    pub(super) life: u32,
}

impl Session {
    /// When something is to be done about it.
    pub(super) fn next_due(&self) -> Instant {
        let expires = self.since + REJECT_AFTER;
        self.greeting.as_ref().map_or(expires, |greeting| greeting.next().min(expires))
    }
}

/// Which session is better: that with the peer's later life, since a restarted peer has forgotten
/// the others; then the later generation; within one (the handshakes crossed) the one that the
/// lower gateway number initiated; of two from the same end, the later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    life: u32,
    generation: u32,
    preferred_initiator: bool,
    since: Instant,
}

/// One of the peer's lives, from one start to the next.
struct Life {
    number: u32,
    incarnation: u32,
    /// When the youngest session with it began.
    seen: Instant,
}

/// The live sessions.
pub(super) struct Sessions {
    /// Oldest first.
    list: Vec<Session>,
    used: Option<u32>,
    /// Whether our initiations win over the peer's that cross them.
    our_initiations_win: bool,
    highest_generation: u32,
    peer: Option<Life>,
}

impl Sessions {
    /// No sessions.
    pub(super) fn new(our_initiations_win: bool) -> Self {
        Sessions {
            list: Vec::with_capacity(ReceiveKeys::CAPACITY),
            used: None,
            our_initiations_win,
            highest_generation: 0,
            peer: None,
        }
    }

    /// The generation of a session whose handshake begins now.
    pub(super) fn next_generation(&self) -> u32 {
        self.highest_generation.saturating_add(1)
    }

    /// Gives a session its place in the order, by what the peer's hello said.
    pub(super) fn place(&mut self, index: u32, incarnation: u32, generation: u32) {
        let Some(since) = self.get(index).map(|session| session.since) else { return };
        let life = self.life(incarnation, since);
        let Some(session) = self.get_mut(index) else { return };
        session.life = life;
        session.generation = session.generation.max(generation);
        let generation = session.generation;
        self.highest_generation = self.highest_generation.max(generation);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.list.iter()
    }

    /// The index of the oldest session that fits.
    pub(super) fn find(&self, fits: impl Fn(&Session) -> bool) -> Option<u32> {
        self.list.iter().find(|session| fits(session)).map(|session| session.index)
    }

    pub(super) fn get(&self, index: u32) -> Option<&Session> {
        self.list.iter().find(|session| session.index == index)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Session> {
        self.list.iter_mut().find(|session| session.index == index)
    }

    /// The session in use.
    pub(super) fn used(&self) -> Option<&Session> {
        self.get(self.used?)
    }

    /// Whether hellos are being exchanged.
    pub(super) fn is_greeting(&self) -> bool {
        self.list.iter().any(|session| session.greeting.is_some())
    }

    /// The index of a session that must go before another one is inserted; ask until none must.
    ///
    /// `answered` tells that it is one that we answered. As long as a session is in use under which
    /// the peer is heard there is one unconfirmed answer (WireGuard's "next"); else there are up to
    /// three, for a peer that sends the next initiation sooner than a long path lets the first
    /// answer through.
    pub(super) fn in_the_way(&self, answered: bool, is_heard: bool) -> Option<u32> {
        let unconfirmed = || self.list.iter().filter(|session| !session.confirmed);
        let most = if self.used.is_some() && is_heard { 1 } else { ReceiveKeys::CAPACITY - 1 };
        if answered && unconfirmed().count() >= most {
            return self.find(|session| !session.confirmed);
        }
        if self.list.len() < ReceiveKeys::CAPACITY {
            return None;
        }
        self.find(|session| self.used != Some(session.index))
    }

    /// Adds a session; [`Sessions::in_the_way`] has returned `None`.
    pub(super) fn insert(&mut self, session: Session) {
        debug_assert!(self.list.len() < ReceiveKeys::CAPACITY);
        self.list.push(session);
    }

    /// Removes a session; one in use is no longer used.
    pub(super) fn remove(&mut self, index: u32) {
        self.list.retain(|session| session.index != index);
        self.used = self.used.filter(|used| *used != index);
    }

    /// The first answer before `index` that nobody ever confirmed: the peer chose a later one.
    pub(super) fn unconfirmed_before(&self, index: u32) -> Option<u32> {
        let before = self.list.iter().take_while(|session| session.index != index);
        before.filter(|session| !session.confirmed).map(|session| session.index).next()
    }

    /// Uses a session that is proven both ways, unless the one in use ranks above it.
    /// Returns whether it is used from now on.
    pub(super) fn promote(&mut self, index: u32) -> bool {
        let rank = self.get(index).map(|session| self.rank(session));
        let better = rank > self.used().map(|session| self.rank(session));
        if better {
            self.used = Some(index);
        }
        better
    }

    /// Uses no session; the one that was in use goes on receiving.
    pub(super) fn stop_using(&mut self) {
        self.used = None;
    }

    /// The highest of the sessions that the peer was admitted under.
    pub(super) fn newest_admitted(&self) -> Option<&Session> {
        self.list
            .iter()
            .filter(|session| session.admitted && session.confirmed)
            .max_by_key(|session| self.rank(session))
    }

    /// The number of the life that a session which began at `since` belongs to.
    fn life(&mut self, incarnation: u32, since: Instant) -> u32 {
        let life = self.peer.get_or_insert(Life { number: 1, incarnation, seen: since });
        if life.incarnation != incarnation {
            if since <= life.seen {
                return life.number - 1; // Begun with an end that has died since.
            }
            *life = Life { number: life.number.saturating_add(1), incarnation, seen: since };
        }
        life.seen = life.seen.max(since);
        life.number
    }

    fn rank(&self, session: &Session) -> Rank {
        Rank {
            life: session.life,
            generation: session.generation,
            preferred_initiator: session.initiated_by_us == self.our_initiations_win,
            since: session.since,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A session that the peer was admitted under, born `age` seconds after the start.
    fn session(index: u32, start: Instant, age: u64) -> Session {
        let since = start + Duration::from_secs(age);
        Session {
            index,
            since,
            begun: since,
            renew_at: since,
            initiated_by_us: true,
            from: "192.0.2.1:1".parse().unwrap(),
            confirmed: true,
            admitted: true,
            acknowledged: true,
            greeting: None,
            generation: 1,
            life: 0,
        }
    }

    fn make_room(sessions: &mut Sessions, answered: bool) -> Vec<u32> {
        std::iter::from_fn(|| {
            let index = sessions.in_the_way(answered, true)?;
            sessions.remove(index);
            Some(index)
        })
        .collect()
    }

    #[test]
    fn the_oldest_of_four_makes_room_but_never_the_one_in_use() {
        let (start, mut sessions) = (Instant::now(), Sessions::new(true));
        (1..=4).for_each(|index| sessions.insert(session(index, start, index.into())));
        assert!(sessions.promote(1));
        assert_eq!(make_room(&mut sessions, false), [2]);
        assert_eq!(sessions.used().map(|session| session.index), Some(1));
    }

    #[test]
    fn an_unconfirmed_answer_makes_room_for_the_next_while_a_session_is_in_use() {
        let (start, mut sessions) = (Instant::now(), Sessions::new(true));
        let unconfirmed = |index| Session { confirmed: false, ..session(index, start, 1) };
        (1..=3).for_each(|index| sessions.insert(unconfirmed(index)));
        assert_eq!(make_room(&mut sessions, false), [0; 0]);
        assert_eq!(make_room(&mut sessions, true), [1], "before there is one, three may wait");
        sessions.insert(session(9, start, 2));
        assert!(sessions.promote(9));
        assert_eq!(make_room(&mut sessions, true), [2, 3]);
    }

    #[test]
    fn a_later_life_beats_a_higher_generation_and_that_the_lower_number() {
        let start = Instant::now();
        let mut sessions = Sessions::new(true);
        sessions.insert(Session { initiated_by_us: false, ..session(1, start, 5) });
        sessions.insert(session(2, start, 1));
        sessions.insert(Session { initiated_by_us: false, generation: 2, ..session(3, start, 2) });
        sessions.insert(session(4, start, 8));
        for (index, incarnation) in [(1, 77), (2, 77), (3, 77), (4, 78)] {
            sessions.place(index, incarnation, 0);
            assert!(sessions.promote(index), "each is better than the one before");
        }
        for index in [3, 2, 1] {
            assert!(!sessions.promote(index));
        }
        assert_eq!(sessions.next_generation(), 3);
    }

    #[test]
    fn a_session_of_an_earlier_life_that_is_placed_late_stays_behind() {
        let (start, mut sessions) = (Instant::now(), Sessions::new(true));
        sessions.insert(session(1, start, 1));
        sessions.insert(session(2, start, 2));
        sessions.place(2, 78, 1);
        assert!(sessions.promote(2));
        sessions.place(1, 77, 50);
        assert!(!sessions.promote(1));
    }
}
