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
pub(super) async fn keep(shared: Arc<Shared>, mut changes: Changes, findings: UnboundedSender<Finding>) {
    let mut pace = Pace::new(Instant::now());
    let mut words = Words::new();
    // The first look only learns what there is.
    let mut rest = Duration::ZERO;
    while !findings.is_closed() {
        tokio::select! {
            told = told_of(&shared, &mut changes) => match told {
                true => sleep_until(pace.next_look(Instant::now()).into()).await,
                false => {
                    changes = begin_again().await;
                }
            },
            () = sleep(rest) => {}
        }
        // What comes from here on is looked at again.
        changes.forget();
        let begun = Instant::now();
        pace.looked(begun);
        shared.heal(&mut changes, &mut pace, &mut words, &findings).await;
        rest = Pace::audit_after(begun.elapsed());
    }
}

/// Waits for a change that concerns us; `false` if there is no more word of changes.
async fn told_of(shared: &Shared, changes: &mut Changes) -> bool {
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

/// The socket was lost, for want of memory perhaps: audits go on, and so does the daemon.
async fn begin_again() -> Changes {
    loop {
        match Changes::new() {
            Ok(changes) => return changes,
            Err(error) => tracing::error!("no word of changes to devices and routes any more: {error}; trying again"),
        }
        sleep(LOST).await;
    }
}

const LOST: Duration = Duration::from_secs(5);

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
