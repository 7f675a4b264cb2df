//! The exchange of hellos that a session must pass before it carries packets.
//!
//! ```text
//! initiator                                          responder
//!   <- response (keys)
//!      ── hello ─────────────────────────────────────> matches: Admit
//!      <───────────────────── hello, ack; first probe ──
//!   matches: Admit, Use
//!      ── hello, ack; reply; probe ──────────────────> Use
//! ```
//! Each end uses the session once it knows that the other admits what it sends, so a change of
//! sessions loses no packet, whichever of the three is lost: an end that was not acknowledged
//! repeats its hello, at most three in all, and what comes is answered. Until then the session
//! before carries on.

use std::time::{Duration, Instant};

use super::greeting::Greeting;
use super::output::{Output, Unmatched};
use super::sessions::Session;
use super::{Channel, Peer};
use crate::control::Frame;

/// The version of the hello, and with it of all control frames.
pub const HELLO_VERSION: u8 = 2;

/// A peer's hello.
struct Hello {
    version: u8,
    ack: bool,
    link: String,
    channel: u16,
    incarnation: u32,
    generation: u32,
}

/// Exchanges of hellos that may fail in a row without a word before a peer is taken for one that is not ours.
const PATIENCE_WITH_SILENCE: u32 = 4;

impl Channel {
    /// The peer holds the keys of a session that we answered.
    pub(super) fn confirm(&mut self, now: Instant, index: u32) {
        let is_meshtun = matches!(self.peer, Peer::Meshtun { .. });
        let Some(session) = self.sessions.get_mut(index).filter(|session| !session.confirmed) else { return };
        session.confirmed = true;
        session.greeting = is_meshtun.then(|| Greeting::awaited(now));
        while let Some(older) = self.sessions.unconfirmed_before(index) {
            self.retire(older);
        }
        if !is_meshtun {
            self.complete_plain(now, index);
        }
    }

    /// Towards plain WireGuard the newest session that was completed is the one to use.
    pub(super) fn complete_plain(&mut self, now: Instant, index: u32) {
        let generation = self.sessions.next_generation();
        self.sessions.place(index, 0, generation);
        let Some(session) = self.sessions.get_mut(index) else { return };
        session.acknowledged = true;
        self.outputs.push_back(Output::Endpoint(session.from));
        self.put_to_use(now, index);
    }

    pub(super) fn take_frame(&mut self, now: Instant, arrived: Instant, index: u32, frame: &[u8]) {
        match Frame::decode(frame) {
            Ok(Frame::Hello { version, ack, link, channel, incarnation, generation, signal, .. }) => {
                let matches =
                    self.take_hello(now, index, Hello { version, ack, link, channel, incarnation, generation });
                if matches {
                    self.take_signal(now, arrived, index, &signal);
                }
            }
            Ok(frame @ (Frame::Probe { .. } | Frame::ProbeReply { .. })) => {
                self.take_probe_frame(now, arrived, index, &frame);
            }
            Ok(Frame::Goodbye { reason, hold_ms }) => {
                self.take_goodbye(now, index, reason, Duration::from_millis(hold_ms.into()));
            }
            Ok(Frame::PathMtuProbe { ack, sequence, size }) => {
                self.take_path_mtu_probe(now, index, frame.len(), (ack, sequence, size));
            }
            Err(_) => {}
        }
    }

    /// Repeats hellos that were not acknowledged, and gives up on those exchanges that failed.
    pub(super) fn go_on_greeting(&mut self, now: Instant) {
        let is_due = |session: &Session| session.greeting.as_ref().is_some_and(|greeting| greeting.next() <= now);
        while let Some(index) = self.sessions.find(is_due) {
            self.greet_again(now, index);
        }
    }

    fn greet_again(&mut self, now: Instant, index: u32) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        let admitted = session.admitted;
        if session.greeting.as_mut().is_some_and(|greeting| greeting.repeat(now)) {
            self.say_hello(now, index, admitted);
        } else if admitted {
            self.leave_unheard(now, index);
        } else {
            self.give_up(now, index, Unmatched::NoHello);
        }
    }

    /// Returns whether it matches.
    fn take_hello(&mut self, now: Instant, index: u32, hello: Hello) -> bool {
        let Some(session) = self.sessions.get(index).filter(|session| session.confirmed) else { return false };
        let (is_admitted, is_ours) = (session.admitted, session.initiated_by_us);
        let Err(why) = self.judge(&hello) else {
            self.take_matching_hello(now, index, &hello);
            return true;
        };
        if is_admitted {
            return false; // It did match before, and a session does not change its ends.
        }
        // So that it can name both ends as well; it is not answered.
        if !is_ours {
            self.say_hello(now, index, false);
        }
        self.give_up(now, index, why);
        false
    }

    fn judge(&self, hello: &Hello) -> Result<(), Unmatched> {
        let Peer::Meshtun { link, channel, .. } = &self.peer else { return Err(Unmatched::NoHello) };
        if hello.version != HELLO_VERSION {
            return Err(Unmatched::Version { ours: HELLO_VERSION, theirs: hello.version });
        }
        if hello.link != *link || hello.channel != *channel {
            return Err(Unmatched::Name {
                our_link: link.clone(),
                our_channel: *channel,
                their_link: hello.link.clone(),
                their_channel: hello.channel,
            });
        }
        Ok(())
    }

    fn take_matching_hello(&mut self, now: Instant, index: u32, hello: &Hello) {
        let is_new = self.admit(now, index, hello);
        let Some(session) = self.sessions.get_mut(index) else { return };
        if !hello.ack || session.initiated_by_us {
            self.say_hello(now, index, true);
        }
        if hello.ack {
            self.acknowledge(now, index);
        } else if is_new {
            self.probe_first(now, index);
        }
    }

    /// The peer is who it should be. Returns whether that is new.
    fn admit(&mut self, now: Instant, index: u32, hello: &Hello) -> bool {
        let Some(session) = self.sessions.get_mut(index).filter(|session| !session.admitted) else { return false };
        session.admitted = true;
        // The answer, which is one of our hellos, goes out right away.
        session.greeting = Some(Greeting::spoken(now));
        self.outputs.extend([Output::Endpoint(session.from), Output::Admit(index)]);
        self.sessions.place(index, hello.incarnation, hello.generation);
        self.meet(index);
        true
    }

    /// The peer admits what we send.
    pub(super) fn acknowledge(&mut self, now: Instant, index: u32) {
        let Some(session) = self.sessions.get_mut(index).filter(|session| !session.acknowledged) else { return };
        session.acknowledged = true;
        session.greeting = None;
        self.unmatched = None;
        self.silent_greetings = 0;
        self.put_to_use(now, index);
    }

    /// Uses a session that is proven both ways, if it is the best.
    fn put_to_use(&mut self, now: Instant, index: u32) {
        let begun = self.sessions.get(index).map_or(now, |session| session.begun);
        if !self.sessions.promote(index) {
            return;
        }
        self.timers.used();
        self.handshake = now.saturating_duration_since(begun);
        self.outputs.push_back(Output::Use(index));
        self.connect(now);
    }

    /// The peer is heard but does not hear us, or so it seems. It may use the session, so that
    /// stays for receiving.
    fn leave_unheard(&mut self, now: Instant, index: u32) {
        if let Some(session) = self.sessions.get_mut(index) {
            session.greeting = None;
        }
        self.report_unmatched(now, Unmatched::Unheard);
    }

    fn give_up(&mut self, now: Instant, index: u32, why: Unmatched) {
        self.retire(index);
        self.report_unmatched(now, why);
    }

    /// A peer that never says hello, or not ours, is tried again at the slow rate. A single silence
    /// may be loss, though, and is made good at once.
    fn report_unmatched(&mut self, now: Instant, why: Unmatched) {
        let is_silence = matches!(why, Unmatched::NoHello | Unmatched::Unheard);
        self.silent_greetings = if is_silence { self.silent_greetings.saturating_add(1) } else { 0 };
        // While a session is in use, whoever failed to greet was somebody else, and the channel's own pace is not his to set.
        if self.sessions.used().is_none() {
            // One whose hello once matched is the right one, however much is lost.
            let is_stranger = self.peer_life == 0 && self.silent_greetings > PATIENCE_WITH_SILENCE;
            self.timers.slow = !is_silence || is_stranger;
            self.timers.not_before = now + self.until_retry();
        }
        self.unmatched = Some(why.clone());
        self.outputs.push_back(Output::Unmatched { why });
    }

    pub(super) fn say_hello(&mut self, now: Instant, session: u32, ack: bool) {
        let Peer::Meshtun { link, channel, .. } = &self.peer else { return };
        let generation = self.sessions.get(session).map_or(0, |session| session.generation);
        let hello = Frame::Hello {
            version: HELLO_VERSION,
            ack,
            features: 0,
            link: link.clone(),
            channel: *channel,
            incarnation: self.incarnation,
            generation,
            signal: self.signal(now),
        };
        self.outputs.push_back(Output::Seal { session, plaintext: hello.encode() });
    }
}
