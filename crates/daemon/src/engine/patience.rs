//! How long channels that go wait for the routes to lead elsewhere.
//!
//! The keeper may be held up: a full table to read, a driver that keeps the kernel's lock. A peer that said goodbye goes
//! on receiving for [`LINGER`] only: what is sent its way after that is lost, though
//! siblings are well.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use meshtun_dataplane::ChannelId;
use meshtun_proto::channel::LINGER;

use super::{Engine, change::Change, pending::Then};
use crate::keeper::{Made, Number};

/// The wishes on whose answers channels wait to go, and until when.
#[derive(Debug, Default)]
pub(super) struct Patience {
    ends: BTreeSet<(Instant, Number)>,
}

impl Patience {
    /// When [`Engine::lose_patience`] is due.
    pub(super) fn first(&self) -> Option<Instant> {
        self.ends.first().map(|(end, _)| *end)
    }

    fn take_over(&mut self, now: Instant) -> Vec<Number> {
        let left = self.ends.split_off(&(now, Number::MAX));
        std::mem::replace(&mut self.ends, left).into_iter().map(|(_, number)| number).collect()
    }
}

impl Engine {
    /// Wants the kernel as it shall be now, without these that go, and does not wait for it for ever.
    pub(super) fn wish_without(&mut self, then: Then, now: Instant) {
        let patience = if matches!(then, Then::Part(_)) { TOLD } else { ORDERED };
        let number = self.wish(then);
        self.patience.ends.insert((now + patience, number));
    }

    /// Goes on without the keeper, where it has taken too long.
    pub(super) fn lose_patience(&mut self, now: Instant) {
        for number in self.patience.take_over(now) {
            let Some(then) = self.pending.get_mut(&number) else { continue };
            let then = std::mem::replace(then, Then::Nothing);
            let problem = self.late(&then);
            tracing::warn!("{problem}");
            self.follow(then, &Made { problems: vec![problem], ..Made::default() }, now);
        }
    }

    fn late(&self, then: &Then) -> String {
        let (going, patience): (&[ChannelId], Duration) = match then {
            Then::Part(channels) => (channels, TOLD),
            _ => (self.change.as_ref().map_or(&[], Change::goes), ORDERED),
        };
        let first = self.names(going).into_iter().next().unwrap_or_default();
        let others = match going.len() {
            0 | 1 => String::new(),
            count => format!(" and {} others", count - 1),
        };
        format!(
            "channel {first}{others}: the kernel has not been asked within {} ms to route around it, since it is busy with \
             routes or devices; it is taken out all the same, and packets on the way over it may be lost",
            patience.as_millis()
        )
    }
}

/// How long a peer's goodbye waits: well within the time that the peer goes on receiving.
const TOLD: Duration = Duration::from_millis(300);

/// How long a person's order waits: nothing is lost meanwhile, since the peer has not been told, so only the person does.
const ORDERED: Duration = Duration::from_secs(2);

/// So much of the peer's patience is left for what its last packets take.
const _: () = assert!(TOLD.as_millis() + 100 < LINGER.as_millis());

#[cfg(test)]
mod tests;
