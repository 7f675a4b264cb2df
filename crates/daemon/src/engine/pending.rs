//! What goes on when the keeper has answered: until then the loop serves everything else.

use std::time::Instant;

use meshtun_dataplane::ChannelId;

use super::{Engine, change::Change};
use crate::keeper::{Made, Number, Word};

/// What follows an answer.
#[derive(Debug)]
pub(super) enum Then {
    /// These lead nowhere any more: what the goodbyes of their peers ordered.
    Part(Vec<ChannelId>),
    /// The change that goes on.
    Change,
    /// The halves of this link hear of its devices' shorter MTU.
    Narrow { link: String, mtu: u16 },
    /// What the underlay's device leaves decides about this channel's MTU, that refused a datagram of this length.
    Lower { channel: ChannelId, datagram: usize },
    /// Links whose underlays are wider than before.
    Widen,
    /// Nothing.
    Nothing,
}

impl Engine {
    pub(super) fn handle_word(&mut self, word: Word, now: Instant) {
        match word {
            Word::Found(finding) => self.handle_finding(finding, now),
            Word::Made(number, made) => self.handle_made(number, &made, now),
            Word::Surveyed(number, survey) => match self.pending.remove(&number) {
                Some(Then::Widen) => self.widen_underlays(*survey, now),
                Some(_) => self.go_on_reading(*survey, now),
                None => {}
            },
            Word::Measured(number, width) => {
                if let Some(Then::Lower { channel, datagram }) = self.pending.remove(&number) {
                    self.lower_mtu_over(channel, datagram, width, now);
                }
            }
        }
    }

    /// Wants the kernel as it shall be now.
    pub(super) fn wish(&mut self, then: Then) -> Number {
        let number = self.keeper.want(self.kernel_view().clone(), self.surroundings.clone());
        self.pending.insert(number, then);
        number
    }

    /// A wish answers for all before it.
    fn handle_made(&mut self, number: Number, made: &Made, now: Instant) {
        made.problems.iter().for_each(|problem| tracing::error!("{problem}; it is tried again"));
        let later = self.pending.split_off(&(number + 1));
        for (_, then) in std::mem::replace(&mut self.pending, later) {
            self.follow(then, made, now);
        }
    }

    /// The kernel is as it was wanted, as far as it could be made so.
    pub(super) fn follow(&mut self, then: Then, made: &Made, now: Instant) {
        match then {
            Then::Part(channels) => {
                for id in channels {
                    self.with_channel(id, now, |channel, _| channel.part(now));
                }
            }
            Then::Change => self.follow_change(made, now),
            Then::Narrow { link, mtu } => self.tell_mtu(&link, mtu),
            Then::Nothing | Then::Lower { .. } | Then::Widen => {}
        }
    }

    /// Whether a channel is on its way out and waits for the routes: it is not to be put back into them.
    pub(super) fn is_leaving(&self, id: ChannelId) -> bool {
        let parts = |then: &Then| matches!(then, Then::Part(channels) if channels.contains(&id));
        self.change.as_ref().is_some_and(|change| Change::is_leaving(change, id)) || self.pending.values().any(parts)
    }
}
