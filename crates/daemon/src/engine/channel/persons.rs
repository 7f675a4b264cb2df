//! What a person wants of a channel or its device, and beginnings.

use std::time::{Duration, Instant};

use meshtun_proto::control::Reason;

use super::{Channel, Conversation};

impl Channel {
    /// A person set the device down: the peer is told, so that it sends nothing this way.
    pub(in crate::engine) fn set_down(&mut self, now: Instant) {
        self.held_down = true;
        self.conversation.close(now, Reason::Down, Duration::ZERO);
    }

    /// The device is up again: begins from the beginning, with a conversation that was just made.
    pub(in crate::engine) fn set_up(&mut self, conversation: Conversation, now: Instant) {
        self.held_down = false;
        self.begin(conversation, now);
    }

    /// Begins with a conversation that was just made, unless a person wants the channel down.
    pub(in crate::engine) fn begin(&mut self, conversation: Conversation, now: Instant) {
        self.conversation = conversation;
        self.conversation.discover_path_mtu(self.ceiling, self.path_mtu);
        self.conversation.set_initiates(self.endpoint.current().is_some(), now);
        if self.held_down || self.taken_down {
            self.conversation.close(now, Reason::Down, Duration::ZERO);
        } else {
            self.conversation.start(now);
        }
    }

    /// A person takes the channel down: the peer is told, and what is under way arrives.
    pub(in crate::engine) fn take_down(&mut self, now: Instant) {
        self.taken_down = true;
        self.conversation.close(now, Reason::Down, Duration::ZERO);
    }

    /// A person wants the channel up again; it begins with [`Channel::begin`].
    pub(in crate::engine) fn allow_up(&mut self) {
        self.taken_down = false;
    }

    /// Whether a person took the channel down.
    pub(in crate::engine) fn is_taken_down(&self) -> bool {
        self.taken_down
    }
}
