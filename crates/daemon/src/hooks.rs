//! Hooks: programs run when something comes up or goes down.
//!
//! ```text
//!  engine: tell(event) ─► lane of the link: a queue ─► one program at a time ─► log, status
//! ```
//! Each link has a lane of its own, and the gateway one; in a lane events are served in the order in which they happened.
//! The engine waits for none of them. A queue that grows because a hook is slow forgets what a newer event of the same
//! channel has made old news, and tells the hook how many that were.

mod event;
mod lane;
mod run;

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use meshtun_config::{HookEvent, Hooks as Programs, View};

pub(crate) use self::event::{Event, Facts};
use self::lane::Lane;
use crate::status;

/// The hooks of a running gateway.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    gateway: Option<Lane>,
    links: BTreeMap<String, Lane>,
}

impl Hooks {
    /// Takes the programs of this view from here on. What waits in a lane is still served, by the program that was there
    /// when it happened.
    pub(crate) fn configure(&mut self, view: &View) {
        configure(&mut self.gateway, &view.gateway, &view.hooks);
        for link in &view.links {
            let mut lane = self.links.remove(&link.name);
            configure(&mut lane, &link.name, &link.hooks);
            self.links.extend(lane.map(|lane| (link.name.clone(), lane)));
        }
        // What a link that is gone has still to tell is told.
        let is_there = |name: &str| view.links.iter().any(|link| link.name == name);
        self.links.retain(|name, lane| is_there(name) || !lane.is_idle());
    }

    /// Something happened to a link or a channel of it.
    pub(crate) fn tell_link(&self, link: &str, what: HookEvent, facts: Facts) {
        if let Some(lane) = self.links.get(link) {
            lane.tell(what, facts);
        }
    }

    /// Something happened to the gateway.
    pub(crate) fn tell_gateway(&self, what: HookEvent, facts: Facts) {
        if let Some(lane) = &self.gateway {
            lane.tell(what, facts);
        }
    }

    /// What is known of a link's hooks; none if it has none.
    pub(crate) fn status(&self, link: &str) -> Option<status::Hooks> {
        self.links.get(link).map(Lane::status)
    }

    /// What is known of the gateway's own hooks; none if it has none.
    pub(crate) fn gateway_status(&self) -> Option<status::Hooks> {
        self.gateway.as_ref().map(Lane::status)
    }

    /// Waits until all that was told has been served, but no longer than `limit`: first the links', then what is told of
    /// the gateway now.
    pub(crate) async fn finish(self, last: HookEvent, facts: Facts, limit: Duration) {
        let served = async {
            for lane in self.links.values() {
                lane.idle().await;
            }
            self.tell_gateway(last, facts);
            if let Some(lane) = &self.gateway {
                lane.idle().await;
            }
        };
        if tokio::time::timeout(limit, served).await.is_err() {
            tracing::warn!("hooks were not done after {} s, and are left alone", limit.as_secs());
        }
    }
}

fn configure(lane: &mut Option<Lane>, name: &str, programs: &Programs) {
    match lane {
        Some(lane) => lane.configure(programs),
        None if programs.is_empty() => {}
        None => *lane = Some(Lane::new(name, programs)),
    }
}

/// What is wrong with the programs that this view names, in words.
pub fn problems(view: &View) -> Vec<String> {
    let of_links = view.links.iter().flat_map(|link| &link.hooks);
    let faults = view.hooks.iter().chain(of_links).filter_map(|(event, program)| {
        program.check().err().map(|error| format!("the hook `{event}` is not run: {error}"))
    });
    let mut problems: Vec<String> = faults.collect();
    problems.sort();
    problems.dedup();
    problems
}

fn unix(moment: SystemTime) -> u64 {
    moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
