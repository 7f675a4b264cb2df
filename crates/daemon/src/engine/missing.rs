//! Channels of the file that a reload could not make: tried again until they are there.

use std::time::{Duration, Instant};

use super::Engine;
use crate::Error;

/// A channel that could not be made.
#[derive(Debug)]
pub(super) struct Missing {
    /// Its link and number.
    name: (String, u16),
    /// Why, in words.
    pub(super) problem: String,
    /// A person had taken it down.
    stays_down: bool,
    again_at: Instant,
}

impl Engine {
    /// This channel could not be made.
    pub(super) fn miss(&mut self, name: (String, u16), error: &Error, stays_down: bool, now: Instant) {
        let problem = format!("channel {}/{} could not be made: {error}; it is tried every second", name.0, name.1);
        tracing::error!("{problem}");
        self.missing.retain(|missing| missing.name != name);
        self.missing.push(Missing { name, problem, stays_down, again_at: now + AGAIN_AFTER });
    }

    /// Makes those that can be made by now. While a change goes on, that has the say.
    pub(super) fn make_missing(&mut self, now: Instant) {
        if self.change.is_some() || self.missing.iter().all(|missing| missing.again_at > now) {
            return;
        }
        for missing in std::mem::take(&mut self.missing) {
            let (link, number) = &missing.name;
            // A later reload may have made it.
            if self.channels.values().any(|it| it.link == *link && it.view.number == *number) {
                continue;
            }
            match self.make_new(link, *number, None, now) {
                Ok(Some(id)) => {
                    tracing::info!("channel {link}/{number} is made at last");
                    if missing.stays_down {
                        self.with_channel(id, now, |channel, _| channel.take_down(now));
                    }
                }
                // The file lacks it by now.
                Ok(None) => {}
                Err(_) => self.missing.push(Missing { again_at: now + AGAIN_AFTER, ..missing }),
            }
        }
    }
}

const AGAIN_AFTER: Duration = Duration::from_secs(1);
