//! What callers ask for, and the change that goes on.

use std::time::Instant;

use meshtun_config::View;
use meshtun_dataplane::ChannelId;
use serde_json::json;

use super::{Engine, change::Change, channel::Channel, reloading::Stage};
use crate::{
    control::{Asked, CALLERS, Refusal, Request},
    keeper::Made,
};

impl Engine {
    /// Does what a caller asks, or puts it off until the change that goes on is over.
    pub(super) fn handle_asked(&mut self, asked: Asked, now: Instant) {
        match asked {
            Asked { request: Request::Status, caller } => caller.answer(Ok(self.status(now))),
            asked if self.change.is_some() => self.put_off(asked),
            Asked { request: Request::Reload, caller } => self.reload(Some(caller)),
            Asked { request: Request::TakeDown(target), caller } => self.take_down(&target, caller, now),
            Asked { request: Request::BringUp(target), caller } => {
                let done = self.bring_up(&target, now);
                caller.answer(done);
            }
            // The engine's loop ends by it, before it gets here.
            Asked { request: Request::Down { .. }, caller } => {
                caller.answer(Err(Refusal::Failed("the daemon is stopping".into())));
            }
        }
    }

    /// Keeps what is asked until the change that goes on is over. Places are left for callers of `status`.
    fn put_off(&mut self, asked: Asked) {
        self.forget_who_hung_up();
        match (&self.change, self.waiting.len()) {
            (Some(change), WAITING..) => {
                let (what, stage) = (change.what(), change.stage());
                let refusal =
                    format!("`{what}` goes on ({stage}), and {WAITING} others wait for its end; nothing was changed");
                asked.caller.answer(Err(Refusal::Failed(format!("{refusal}; see `meshtun status`"))));
            }
            _ => self.waiting.push_back(asked),
        }
    }

    /// What nobody waits for any more is not done: whoever asked has been told, or has decided, that it was not.
    fn forget_who_hung_up(&mut self) {
        let before = self.waiting.len();
        self.waiting.retain(|asked| !asked.caller.is_gone());
        let gone = before - self.waiting.len();
        if gone > 0 {
            tracing::warn!(
                "{gone} changes that had to wait are not made: whoever asked for them has hung up meanwhile"
            );
        }
    }

    /// SIGHUP.
    pub(super) fn handle_hangup(&mut self) {
        if self.change.is_some() {
            self.reload_again = true;
        } else {
            self.reload(None);
        }
    }

    /// Goes on with the change whose channels have ended, and then with what waited for it.
    pub(super) fn go_on_changing(&mut self, now: Instant) {
        loop {
            match self.change.take_if(|change| may_go_on(change, &self.channels)) {
                Some(Change::TakeDown { channels, caller, .. }) => {
                    let out = self.names(&channels);
                    caller.answer(match out.is_empty() {
                        true => Err(Refusal::Failed(GONE.into())),
                        false => Ok(json!({ "channels": out })),
                    });
                }
                Some(Change::Reload(reloading)) => self.make_new_file_so(*reloading, now),
                Some(other) => self.change = Some(other),
                None => {}
            }
            if self.change.is_some() || !self.serve_waiting(now) {
                return;
            }
        }
    }

    /// Whether somebody or something had waited.
    fn serve_waiting(&mut self, now: Instant) -> bool {
        self.forget_who_hung_up();
        if let Some(asked) = self.waiting.pop_front() {
            self.handle_asked(asked, now);
        } else if std::mem::take(&mut self.reload_again) {
            self.reload(None);
        } else {
            return false;
        }
        true
    }

    /// The kernel is as the change wanted it.
    pub(super) fn follow_change(&mut self, made: &Made, now: Instant) {
        match self.change.take() {
            Some(Change::TakeDown { target, mut channels, caller, .. }) => {
                channels.retain(|id| self.channels.contains_key(id));
                if channels.is_empty() {
                    return caller.answer(Err(Refusal::Failed(GONE.into())));
                }
                for id in &channels {
                    self.with_channel(*id, now, |channel, _| channel.take_down(now));
                }
                self.change = Some(Change::TakeDown { target, channels, caller, is_out: true });
            }
            Some(Change::Reload(mut reloading)) => {
                reloading.note(made);
                match reloading.stage {
                    Stage::Making => self.finish_reload(*reloading, now),
                    Stage::Leaving | Stage::Ending => self.end_those_that_go(reloading, now),
                }
            }
            other => self.change = other,
        }
    }

    /// Whether a channel is on its way out for good.
    pub(super) fn is_going(&self, id: ChannelId) -> bool {
        self.change.as_ref().is_some_and(|change| change.takes_out(id))
    }

    /// What the kernel shall hold at the moment: the file's, or half-way from one file to the next.
    pub(super) fn kernel_view(&self) -> &View {
        self.change.as_ref().and_then(Change::interim).unwrap_or(&self.gateway.view)
    }
}

/// Changes that may wait for the one that goes on.
const WAITING: usize = CALLERS / 2;

/// Whoever asks for the one that goes on has a place, too.
const _: () = assert!(1 + WAITING < CALLERS);

/// What was to be taken down has gone meanwhile.
const GONE: &str = "nothing was taken down: the channels are gone meanwhile; see `meshtun status`, and ask again";

fn may_go_on(change: &Change, channels: &std::collections::BTreeMap<ChannelId, Channel>) -> bool {
    let ended = |id: &ChannelId| channels.get(id).is_none_or(Channel::has_ended);
    change.waits_for().is_some_and(|waits_for| waits_for.iter().all(ended))
}

#[cfg(test)]
mod tests;
