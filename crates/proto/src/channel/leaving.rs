//! How a channel is left without a packet lost: the goodbye, and what is still under way after it.
//!
//! ```text
//! the end that leaves                                 its peer
//!   Down: carrier goes, the kernel routes elsewhere
//!   Drain: what waits is sealed and sent
//!      ── goodbye, three times ──────────────────────> Down, Drain
//!      <────────────────────── what it still had to send
//!   Retire after [`LINGER`]                            Retire after [`LINGER`]
//! ```
//! A session that was left goes on opening what comes; nothing else of it is left: no frame counts under it.

use std::time::{Duration, Instant};

use super::timers::MAX_HOLD;
use super::{Channel, DownReason, Output, Peer};
use crate::control::{Frame, Reason};
use crate::session::ReceiveKeys;

/// How long a session that was left goes on receiving: for what is under way, and for what a peer sends that has to take the
/// channel out of its routes first.
pub const LINGER: Duration = Duration::from_millis(500);

/// How often a goodbye is said: it may be lost like any packet.
const GOODBYES: u8 = 3;
const GOODBYE_EVERY: Duration = Duration::from_millis(100);

/// What a channel has left and what is to be done about it.
#[derive(Default)]
pub(super) struct Leaving {
    /// Sessions that still receive, and until when; oldest first.
    sessions: Vec<(u32, Instant)>,
    farewell: Option<Farewell>,
}

/// A goodbye that is said again.
struct Farewell {
    plaintext: Vec<u8>,
    sessions: Vec<u32>,
    left: u8,
    next: Instant,
}

impl Leaving {
    /// When something is to be done.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let farewell = self.farewell.as_ref().map(|farewell| farewell.next);
        self.sessions.iter().map(|(_, until)| *until).chain(farewell).min()
    }

    /// Whether a session of this index was left and still receives.
    pub(super) fn has(&self, index: u32) -> bool {
        self.sessions.iter().any(|(left, _)| *left == index)
    }
}

impl Channel {
    /// Says goodbye to a meshtun peer, asking it to hold on for `hold`, and leaves all sessions. They go on receiving for
    /// [`LINGER`]; then the channel [has ended](Channel::has_ended).
    pub fn close(&mut self, now: Instant, reason: Reason, hold: Duration) {
        if self.closed {
            return;
        }
        self.retire_expired(now);
        let farewell = self.farewell(now, reason, hold);
        self.leave(now, DownReason::Closed);
        self.leaving.farewell = farewell;
        self.say_goodbye(now);
        self.started = false;
        self.closed = true;
    }

    /// Ends all sessions at once and without a word: what waits for the peer or comes from it is lost from here on. For a
    /// peer that is one no longer.
    pub fn revoke(&mut self, now: Instant) {
        self.leave(now, DownReason::Closed);
        // Nothing that waits goes out.
        self.outputs.retain(|output| !matches!(output, Output::Drain(_)));
        self.leaving.farewell = None;
        self.retire_left(|_| true);
        self.started = false;
        self.closed = true;
    }

    /// Whether the channel was closed and no session receives any more: it can be dropped without a loss.
    pub fn has_ended(&self) -> bool {
        self.closed && self.leaving.sessions.is_empty()
    }

    /// Leaves all sessions, and forgets all handshakes that are under way.
    fn leave(&mut self, now: Instant, reason: DownReason) {
        if let Some(used) = self.sessions.used().map(|session| session.index) {
            self.sessions.stop_using();
            self.disconnect(reason);
            self.outputs.push_back(Output::Drain(used));
        }
        self.handshakes.forget_outstanding();
        while let Some(index) = self.sessions.find(|session| session.admitted) {
            self.sessions.remove(index);
            self.leaving.sessions.push((index, now + LINGER));
        }
        while let Some(index) = self.sessions.find(|_| true) {
            self.retire(index);
        }
    }

    /// Retires what has lingered long enough, and repeats the goodbye.
    pub(super) fn go_on_leaving(&mut self, now: Instant) {
        self.say_goodbye(now);
        self.retire_left(|until| until <= now);
    }

    /// There is room for so many sessions in all: those that were left give way.
    pub(super) fn make_room_among_left(&mut self) {
        while !self.leaving.sessions.is_empty()
            && self.sessions.iter().count() + self.leaving.sessions.len() >= ReceiveKeys::CAPACITY
        {
            let (oldest, _) = self.leaving.sessions.remove(0);
            self.outputs.push_back(Output::Retire(oldest));
        }
    }

    fn retire_left(&mut self, is_over: impl Fn(Instant) -> bool) {
        let outputs = &mut self.outputs;
        self.leaving.sessions.retain(|(index, until)| {
            let over = is_over(*until);
            if over {
                outputs.push_back(Output::Retire(*index));
            }
            !over
        });
    }

    /// A goodbye counts only under the newest session that the peer was admitted under: an older
    /// one may have been held back on its way.
    pub(super) fn take_goodbye(&mut self, now: Instant, index: u32, reason: Reason, hold: Duration) {
        if self.sessions.newest_admitted().is_none_or(|newest| newest.index != index) {
            return;
        }
        self.leave(now, DownReason::Goodbye { reason, hold });
        self.timers.slow = reason == Reason::Down;
        self.timers.not_before = now + self.until_retry().max(hold.min(MAX_HOLD));
        self.timers.asleep_until = self.timers.not_before;
    }

    /// The goodbye under every session that the peer may hold for the newest.
    fn farewell(&self, now: Instant, reason: Reason, hold: Duration) -> Option<Farewell> {
        if self.peer == Peer::WireGuard {
            return None;
        }
        let hold_ms = hold.as_millis().try_into().unwrap_or(u32::MAX);
        let used = self.sessions.used().map(|session| session.index);
        let newest = self.sessions.newest_admitted().map(|session| session.index);
        let newest = newest.filter(|newest| used != Some(*newest));
        let sessions: Vec<u32> = [newest, used].into_iter().flatten().collect();
        let plaintext = Frame::Goodbye { reason, hold_ms }.encode();
        (!sessions.is_empty()).then_some(Farewell { plaintext, sessions, left: GOODBYES, next: now })
    }

    fn say_goodbye(&mut self, now: Instant) {
        let Some(farewell) = self.leaving.farewell.as_mut().filter(|farewell| farewell.next <= now) else { return };
        let seal = |session: &u32| Output::Seal { session: *session, plaintext: farewell.plaintext.clone() };
        self.outputs.extend(farewell.sessions.iter().map(seal));
        farewell.left -= 1;
        farewell.next = now + GOODBYE_EVERY;
        if farewell.left == 0 {
            self.leaving.farewell = None;
        }
    }
}
