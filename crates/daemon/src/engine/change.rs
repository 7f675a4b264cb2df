//! Changes that take a while: one at a time, the others wait their turn.

use std::time::Instant;

use meshtun_config::View;
use meshtun_dataplane::ChannelId;
use serde_json::json;

use super::{Engine, channel::Channel, reload::Reloading};
use crate::control::{Asked, Caller, Refusal, Request};

/// A change that waits until the channels that it closed have ended.
pub(super) enum Change {
    /// A person takes channels down.
    TakeDown {
        channels: Vec<ChannelId>,
        /// Who waits for it.
        caller: Caller,
    },
    /// A new file is taken up.
    Reload(Box<Reloading>),
}

impl Engine {
    /// Does what a caller asks, or puts it off until the change that goes on is over.
    pub(super) async fn handle_asked(&mut self, asked: Asked, now: Instant) {
        match asked {
            Asked { request: Request::Status, caller } => caller.answer(Ok(self.status(now))),
            asked if self.change.is_some() => self.waiting.push_back(asked),
            Asked { request: Request::Reload, caller } => self.reload(Some(caller), now).await,
            Asked { request: Request::TakeDown(target), caller } => self.take_down(&target, caller, now).await,
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

    /// SIGHUP.
    pub(super) async fn handle_hangup(&mut self, now: Instant) {
        if self.change.is_some() {
            self.reload_again = true;
        } else {
            self.reload(None, now).await;
        }
    }

    /// Goes on with the change whose channels have ended, and then with what waited for it.
    pub(super) async fn go_on_changing(&mut self, now: Instant) {
        while self.change.as_ref().is_some_and(|change| self.may_go_on(change)) {
            match self.change.take() {
                Some(Change::TakeDown { channels, caller }) => {
                    caller.answer(Ok(json!({ "channels": self.names(&channels) })));
                }
                Some(Change::Reload(reloading)) => self.finish_reload(*reloading, now).await,
                None => {}
            }
            self.serve_waiting(now).await;
        }
    }

    async fn serve_waiting(&mut self, now: Instant) {
        while self.change.is_none() {
            if let Some(asked) = self.waiting.pop_front() {
                self.handle_asked(asked, now).await;
            } else if std::mem::take(&mut self.reload_again) {
                self.reload(None, now).await;
            } else {
                return;
            }
        }
    }

    fn may_go_on(&self, change: &Change) -> bool {
        let closed = match change {
            Change::TakeDown { channels, .. } => channels,
            Change::Reload(reloading) => reloading.closed(),
        };
        closed.iter().all(|id| self.channels.get(id).is_none_or(Channel::has_ended))
    }

    /// Whether a channel is on its way out for good.
    pub(super) fn is_going(&self, id: ChannelId) -> bool {
        matches!(&self.change, Some(Change::Reload(reloading)) if reloading.closed().contains(&id))
    }

    /// What the kernel shall hold at the moment: the file's, or half-way from one file to the next.
    pub(super) fn kernel_view(&self) -> &View {
        match &self.change {
            Some(Change::Reload(reloading)) => reloading.interim(),
            _ => &self.gateway.view,
        }
    }
}
