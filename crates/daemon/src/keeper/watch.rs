//! The keeper's task: waits for changes, and for the time of an audit.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use meshtun_netlink::{Change, Changes};
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{sleep, sleep_until},
};

use super::{Finding, Shared, pace::Pace};
use crate::{limiter::Limiter, prefixes::prefixes};

/// Keeps until the engine is gone.
pub(super) async fn keep(shared: Arc<Shared>, changes: Changes, findings: UnboundedSender<Finding>) {
    let mut changes = Some(changes);
    let mut pace = Pace::new(Instant::now());
    let mut words = Words::new();
    // The first look only learns what there is.
    let mut rest = Duration::ZERO;
    while !findings.is_closed() {
        tokio::select! {
            told = told_of(&shared, &mut changes) => match told {
                true => sleep_until(pace.next_look(Instant::now()).into()).await,
                false => changes = None,
            },
            () = sleep(rest) => {}
        }
        if changes.is_none() {
            changes = begin_again(&mut words);
        }
        // What comes from here on is looked at again.
        changes.iter_mut().for_each(Changes::forget);
        let begun = Instant::now();
        pace.looked(begun);
        shared.heal(&mut changes, &mut pace, &mut words, &findings).await;
        rest = Pace::audit_after(begun.elapsed());
    }
}

/// Waits for a change that concerns us, for ever where nothing tells of any; `false` if there is no more word of changes.
async fn told_of(shared: &Shared, changes: &mut Option<Changes>) -> bool {
    let Some(changes) = changes else { return std::future::pending().await };
    loop {
        match changes.next().await {
            None => return false,
            Some(Change::Ours) => return true,
            Some(Change::Foreign(prefix)) => {
                let state = shared.state.lock().await;
                let mut routed = state.view.links.iter().flat_map(|link| prefixes(&link.peer));
                if routed.any(|ours| ours.contains(&prefix)) {
                    return true;
                }
            }
        }
    }
}

/// The socket was lost, for want of memory perhaps: audits go on, each tries anew, and the daemon goes on.
fn begin_again(words: &mut Words) -> Option<Changes> {
    match Changes::new() {
        Ok(changes) => Some(changes),
        Err(error) => {
            if words.failed.admit(Instant::now()).is_some() {
                tracing::error!("no word of changes to devices and routes any more: {error}; each audit tries again");
            }
            None
        }
    }
}

/// What the log is told, and how often.
pub(super) struct Words {
    pub(super) failed: Limiter,
    pub(super) fight: Limiter,
}

impl Words {
    fn new() -> Words {
        let minute = || Limiter::new(Duration::from_secs(60));
        Words { failed: minute(), fight: minute() }
    }
}
