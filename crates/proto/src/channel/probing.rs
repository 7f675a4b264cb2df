//! Liveness in a channel's conversation: which sessions carry probes, and when the channel is up.
//!
//! Probes go out under the session in use. Under one that was only just proven, one goes out with the hello that proves
//! it, so that little time is lost; and a probe is answered under the session that it came under.

use std::time::{Duration, Instant};

use rand::RngExt;

use super::liveness::{Course, Failure, Liveness, Settings};
use super::output::Output;
use super::{Channel, DownReason};
use crate::control::{Frame, LivenessState, Signal};

impl Channel {
    /// How the channel is probed, and what came of it; none towards plain WireGuard.
    pub fn liveness(&self) -> Option<&Liveness> {
        self.liveness.as_ref()
    }

    /// Probes in another way from here on; the channel stays as it is.
    pub fn set_probe(&mut self, now: Instant, settings: Settings) {
        if let Some(liveness) = &mut self.liveness {
            liveness.set_settings(now, settings);
        }
    }

    /// Holds a channel that kept failing down no longer: no other of its link carries. The peer does the same.
    pub fn waive_hold_down(&mut self, now: Instant) {
        if let Some(liveness) = &mut self.liveness {
            liveness.waive_hold_down(now);
        }
        self.go_on_probing(now);
    }

    /// A sibling has fallen silent, and [`liveness::to_go_along`](super::liveness::to_go_along) says what becomes of this
    /// one.
    pub fn follow_sibling(&mut self, course: Course, now: Instant) {
        match (&mut self.liveness, course) {
            (Some(liveness), Course::GoAlong) => liveness.go_along(now),
            (Some(liveness), Course::Watch) => liveness.watch(),
            (None, _) => {}
        }
        self.go_on_probing(now);
    }

    /// Whether the channel became suspect while it was watched; once.
    pub fn take_suspicion(&mut self) -> bool {
        self.liveness.as_mut().is_some_and(Liveness::take_suspicion)
    }

    /// A session is in use, or another one than before.
    pub(super) fn connect(&mut self, now: Instant) {
        let Some(liveness) = &mut self.liveness else { return self.go_up() };
        liveness.connect(now);
        self.go_on_probing(now);
    }

    /// No session is in use any more.
    pub(super) fn disconnect(&mut self, reason: DownReason) {
        if let Some(liveness) = &mut self.liveness {
            liveness.disconnect();
        }
        self.go_down(reason);
    }

    /// The peer was admitted under this session: was it restarted since it was last heard?
    pub(super) fn meet(&mut self, index: u32) {
        let life = self.sessions.get(index).map_or(0, |session| session.life);
        let Some(liveness) = &mut self.liveness else { return };
        liveness.admit();
        if life <= self.peer_life {
            return;
        }
        self.peer_life = life;
        liveness.restarted();
        self.sessions.stop_using();
        self.go_down(DownReason::PeerRestarted);
    }

    pub(super) fn take_signal(&mut self, now: Instant, arrived: Instant, index: u32, signal: &Signal) {
        if let Some(liveness) = self.liveness_under(index) {
            liveness.take_signal(now, arrived, signal);
            self.go_on_probing(now);
        }
    }

    pub(super) fn take_probe_frame(&mut self, now: Instant, arrived: Instant, index: u32, frame: &Frame) {
        if self.liveness_under(index).is_some() {
            // Who probes or answers under a session has admitted us under it, whatever became of its hello.
            self.acknowledge(now, index);
        }
        let Some(liveness) = self.liveness_under(index) else { return };
        match frame {
            Frame::Probe { sequence, interval_micros, signal } => {
                let interval = Duration::from_micros((*interval_micros).into());
                let reply = liveness.take_probe(now, arrived, *sequence, interval, signal);
                self.seal(index, &reply);
            }
            Frame::ProbeReply { sequence, sent_micros, held_micros, signal } => {
                liveness.take_reply(now, arrived, *sequence, (*sent_micros, *held_micros), signal);
                if let Some(discovery) = &mut self.path_mtu {
                    discovery.carried(now);
                }
            }
            _ => return,
        }
        self.go_on_probing(now);
    }

    /// Asks under a session that the peer was just admitted under, if the channel waits for it.
    pub(super) fn probe_first(&mut self, now: Instant, index: u32) {
        let waiting = self.liveness_under(index).filter(|liveness| liveness.state() != LivenessState::Up);
        if let Some(probe) = waiting.map(|liveness| liveness.probe(now)) {
            self.seal(index, &probe);
        }
    }

    /// An authentic message came at this time.
    pub(super) fn heard(&mut self, at: Option<Instant>) {
        if let (Some(liveness), Some(at)) = (&mut self.liveness, at) {
            liveness.heard(at);
        }
    }

    pub(super) fn watch_over(&mut self, now: Instant) {
        let Some(liveness) = &mut self.liveness else { return };
        let was_deaf = liveness.is_deaf();
        liveness.handle_timeout(now);
        if liveness.is_deaf() && !was_deaf {
            self.spread_initiation(now);
        }
        self.go_on_probing(now);
    }

    /// Follows the state of liveness, and sends the probe that is due: a change of state makes one due.
    pub(super) fn go_on_probing(&mut self, now: Instant) {
        self.follow_liveness();
        let Some(session) = self.sessions.used().map(|session| session.index) else { return };
        let random = self.rng.random();
        if let Some(probe) = self.liveness.as_mut().and_then(|liveness| liveness.poll_probe(now, random)) {
            self.seal(session, &probe);
        }
    }

    /// Our state, for a hello.
    pub(super) fn signal(&self, now: Instant) -> Signal {
        self.liveness.as_ref().map(|liveness| liveness.signal(now)).unwrap_or_default()
    }

    /// Whether nothing is heard under a session that should carry.
    pub(super) fn is_deaf(&self) -> bool {
        self.liveness.as_ref().is_some_and(Liveness::is_deaf)
    }

    /// Liveness counts only under sessions with the peer as it lives.
    fn liveness_under(&mut self, index: u32) -> Option<&mut Liveness> {
        let session = self.sessions.get(index)?;
        (session.admitted && session.life == self.peer_life).then_some(self.liveness.as_mut()?)
    }

    fn follow_liveness(&mut self) {
        let Some(liveness) = &self.liveness else { return };
        match (liveness.state(), liveness.failure()) {
            (LivenessState::Up, _) => self.go_up(),
            (_, Some(Failure::NotHeard(time))) => self.go_down(DownReason::NotHeard(time)),
            (_, Some(Failure::WithSibling(silence))) => self.go_down(DownReason::WithSibling(silence)),
            (_, Some(Failure::WithSiblingAtPeer)) => self.go_down(DownReason::WithSiblingAtPeer),
            (_, Some(Failure::NotHeardByPeer)) => self.go_down(DownReason::NotHeardByPeer),
            (_, _) => self.go_down(DownReason::PeerDown),
        }
    }

    fn go_up(&mut self) {
        if !self.up && self.sessions.used().is_some() {
            self.up = true;
            self.outputs.push_back(Output::Up { handshake: self.handshake });
        }
    }

    /// Takes carrier from a channel that has it.
    pub(super) fn go_down(&mut self, reason: DownReason) {
        self.timers.down();
        if std::mem::take(&mut self.up) {
            self.outputs.push_back(Output::Down(reason));
        }
    }

    fn seal(&mut self, session: u32, frame: &Frame) {
        self.outputs.push_back(Output::Seal { session, plaintext: frame.encode() });
    }
}
