//! What a channel is like at the moment, for the status and the log.

use std::time::{Instant, SystemTime};

use meshtun_proto::channel::State;

use super::{super::probes, Channel, PATIENCE, SILENCE};
use crate::status::{ChannelState, Probes};

impl Channel {
    /// Whether handshakes go unanswered for so long that the log should say so.
    pub(in crate::engine) fn is_unanswered(&self, now: Instant) -> bool {
        let looking = self.history.state == ChannelState::Handshaking && self.endpoint.current().is_some();
        looking && now >= self.history.changed + SILENCE
    }

    /// What keeps the channel from coming up.
    pub(in crate::engine) fn problem(&self, now: Instant) -> Option<String> {
        if let Some(failure) = &self.failure {
            return Some(failure.problem.clone());
        }
        if self.taken_down {
            return Some(format!("taken down by a person; `meshtun up {}` brings it back", self.name()));
        }
        if self.held_down {
            let device = &self.view.device;
            return Some(format!("{device} is set down; `ip link set {device} up` brings it back"));
        }
        if let Some(error) = &self.bind_error {
            return Some(error.clone());
        }
        if let Some(device) = self.view.underlay_device.as_ref().filter(|_| self.bound.is_none()) {
            return Some(format!("there is no network device {device}, which its path is bound to"));
        }
        if let Some(why) = self.conversation.unmatched().filter(|_| self.history.state == ChannelState::Unmatched) {
            return Some(why.to_string());
        }
        match self.history.state {
            ChannelState::Down if self.endpoint.current().is_none() => Some(self.no_endpoint()),
            ChannelState::Handshaking if now >= self.history.changed + PATIENCE => Some(self.no_answer(now)),
            ChannelState::Probing | ChannelState::Held => {
                probes::problem(&self.conversation, &self.peer, &self.endpoint.describe(), now)
            }
            _ => None,
        }
    }

    /// What the probes tell.
    pub(in crate::engine) fn probes(&self, now: Instant) -> Option<Probes> {
        probes::report(&self.conversation, now)
    }

    /// When the session in use began.
    pub(in crate::engine) fn session_began(&self) -> Option<Instant> {
        self.conversation.established().map(|session| session.since)
    }

    pub(super) fn note_state(&mut self, now: Instant) {
        let state = self.state(now);
        if state != self.history.state {
            self.history.state = state;
            self.history.since = SystemTime::now();
            self.history.changed = now;
        }
    }

    fn state(&self, now: Instant) -> ChannelState {
        if self.failure.is_some() {
            return ChannelState::Failed;
        }
        match self.conversation.state() {
            State::Up => ChannelState::Up,
            State::Probing if probes::is_held(&self.conversation, now) => ChannelState::Held,
            State::Probing => ChannelState::Probing,
            _ if self.conversation.unmatched().is_some() => ChannelState::Unmatched,
            State::Greeting => ChannelState::Greeting,
            State::Handshaking => ChannelState::Handshaking,
            State::Down => ChannelState::Down,
        }
    }

    /// Whether the peer's handshake messages are refused here, so that the reason is known.
    pub(in crate::engine) fn is_refused(&self) -> bool {
        self.conversation.last_error().is_some()
    }

    /// That handshakes go unanswered, in words.
    pub(in crate::engine) fn no_answer(&self, now: Instant) -> String {
        let (place, peer) = (self.endpoint.describe(), &self.peer);
        if self.endpoint.current().is_none() {
            return self.no_endpoint();
        }
        if let Some(error) = self.conversation.last_error() {
            return format!("no session with {peer} at {place}: {error}");
        }
        format!("no answer from {peer} at {place} for {} s", (now - self.history.changed).as_secs())
    }

    fn no_endpoint(&self) -> String {
        match self.endpoint.name() {
            Some((host, _)) => format!("the name {host} has no address yet that this channel can reach"),
            None => format!("waiting for {} to speak first: the file gives it no endpoint", self.peer),
        }
    }
}
