//! The keeper's task: waits for requests, for changes, and for the time of an audit.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use meshtun_netlink::{Change, Changes, Network};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender},
    time::sleep_until,
};

use super::{
    Word,
    others::Others,
    pace::Pace,
    request::{Request, Requests},
    state::State,
    turns::Turns,
};
use crate::limiter::Limiter;

/// All that the keeper has. Everything in it belongs to its thread alone.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) network: Network,
    pub(super) state: State,
    pub(super) others: Others,
    /// Settings as they were when they were read last; none if they have to be read before anything else.
    pub(super) sysctls: Option<BTreeMap<String, String>>,
    pub(super) look_at: Instant,
    /// None when the socket was lost, until there is another.
    pub(super) changes: Option<Changes>,
    pub(super) requests: Requests,
    pub(super) turns: Turns,
    pub(super) words: UnboundedSender<Word>,
    pub(super) pace: Pace,
    pub(super) log: Log,
}

impl Task {
    pub(super) fn new(
        network: Network,
        state: State,
        changes: Changes,
        inbox: UnboundedReceiver<Request>,
        words: UnboundedSender<Word>,
    ) -> Task {
        Task {
            network,
            state,
            others: Others::unknown(),
            sysctls: None,
            // The first look only learns what there is.
            look_at: Instant::now(),
            changes: Some(changes),
            requests: Requests::new(inbox),
            turns: Turns::default(),
            words,
            pace: Pace::new(Instant::now()),
            log: Log::new(),
        }
    }

    /// Keeps until nobody can ask any more.
    pub(super) async fn keep(mut self) {
        loop {
            tokio::select! {
                biased;
                come = self.requests.come() => match come {
                    true => self.serve().await,
                    false => return,
                },
                change = next(&mut self.changes) => match change {
                    Some(change) => self.look_at = self.concerns(change).map_or(self.look_at, |at| at.min(self.look_at)),
                    None => self.changes = None,
                },
                () = sleep_until(self.look_at.into()) => self.look_at = Instant::now() + self.look().await,
            }
        }
    }

    /// When a change is to be looked at; none if it does not concern us.
    fn concerns(&mut self, change: Change) -> Option<Instant> {
        let next = self.pace.next_look(Instant::now());
        match change {
            Change::Ours => Some(next),
            Change::Foreign(route) if self.state.is_place_of_ours(&route) => {
                // It leads elsewhere from this moment on, whatever a reading of the whole table would take.
                self.others.note(&route);
                Some(next)
            }
            Change::Foreign(route) => self.state.is_routed(&route.prefix).then(|| {
                self.others.tell();
                self.others.readable_at().map_or(next, |readable| readable.max(next))
            }),
        }
    }

    /// Looks at everything; how long until the next look.
    async fn look(&mut self) -> Duration {
        if self.changes.is_none() {
            self.changes = begin_again(&mut self.log);
            self.others.forget();
        }
        // What comes from here on is looked at again.
        while let Some(change) = self.changes.as_mut().and_then(Changes::told) {
            let _looked_at_now = self.concerns(change);
        }
        let begun = Instant::now();
        self.pace.looked(begun);
        match self.heal().await {
            true => {
                tracing::trace!("looked at devices and routes within {} ms", begun.elapsed().as_millis());
                Pace::audit_after(begun.elapsed())
            }
            // A request cut it short.
            false => Duration::ZERO,
        }
    }
}

/// Waits for a change, for ever where nothing tells of any; none if there is no more word of changes.
async fn next(changes: &mut Option<Changes>) -> Option<Change> {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

/// The socket was lost, for want of memory perhaps: audits go on, each tries anew, and the daemon goes on.
fn begin_again(log: &mut Log) -> Option<Changes> {
    match Changes::new() {
        Ok(changes) => Some(changes),
        Err(error) => {
            if log.failed.admit(Instant::now()).is_some() {
                tracing::error!("no word of changes to devices and routes any more: {error}; each audit tries again");
            }
            None
        }
    }
}

/// What the log is told, and how often.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) failed: Limiter,
    pub(super) fight: Limiter,
}

impl Log {
    fn new() -> Log {
        let minute = || Limiter::new(Duration::from_secs(60));
        Log { failed: minute(), fight: minute() }
    }
}

#[cfg(test)]
mod tests;
