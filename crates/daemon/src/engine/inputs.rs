//! What the engine's loop waits for.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use meshtun_dataplane::Events;
use meshtun_netlink::UnderlayNews;
use tokio::{
    io::{Interest, unix::AsyncFd},
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::{Interval, MissedTickBehavior, interval, sleep_until},
};

use super::reading::ReadOrNot;
use crate::{
    control::Asked,
    keeper::{Word, Words},
    resolve::Resolved,
    underlay,
};

/// Everything that can wake the engine.
#[derive(Debug)]
pub(crate) struct Inputs {
    events: AsyncFd<OwnedFd>,
    /// Events were left over by the last turn.
    more: bool,
    fold: Interval,
    asked: mpsc::Receiver<Asked>,
    resolved: mpsc::Receiver<Resolved>,
    words: Words,
    read: mpsc::UnboundedReceiver<ReadOrNot>,
    underlay: underlay::Watch,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What woke it.
#[derive(Debug)]
pub(super) enum Input {
    /// The data plane has something to say.
    Events,
    /// A channel's timer.
    Deadline,
    /// The counters are to be looked at.
    Fold,
    /// A caller on the control socket.
    Asked(Asked),
    /// The keeper answers, or others did something to what is ours.
    Word(Word),
    /// The files of a reload were read.
    Read(ReadOrNot),
    /// A device or an address of the underlay may be there again.
    Underlay(UnderlayNews),
    /// A name was looked up.
    Resolved(Resolved),
    /// SIGTERM or SIGINT, by its name.
    Terminate(&'static str),
    /// SIGHUP.
    Hangup,
}

impl Inputs {
    /// From here on signals are inputs and do not kill.
    ///
    /// # Errors
    /// The kernel's, for want of descriptors.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new(
        events: &Events,
        asked: mpsc::Receiver<Asked>,
        resolved: mpsc::Receiver<Resolved>,
        words: Words,
        read: mpsc::UnboundedReceiver<ReadOrNot>,
        underlay: underlay::Watch,
    ) -> io::Result<Inputs> {
        let mut fold = interval(FOLD);
        fold.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Inputs {
            events: watch(events.as_fd().try_clone_to_owned()?)?,
            more: false,
            fold,
            asked,
            resolved,
            words,
            read,
            underlay,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next input; [`Input::Deadline`] when `deadline` has come.
    pub(super) async fn next(&mut self, deadline: Option<Instant>) -> Input {
        let deadline_comes = async {
            match deadline {
                Some(deadline) => sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = readable(&self.events, self.more) => Input::Events,
            () = deadline_comes => Input::Deadline,
            _ = self.fold.tick() => Input::Fold,
            Some(asked) = self.asked.recv() => Input::Asked(asked),
            Some(word) = self.words.recv() => Input::Word(word),
            Some(read) = self.read.recv() => Input::Read(read),
            news = self.underlay.next() => Input::Underlay(news),
            Some(resolved) = self.resolved.recv() => Input::Resolved(resolved),
            _ = self.terminate.recv() => Input::Terminate("SIGTERM"),
            _ = self.interrupt.recv() => Input::Terminate("SIGINT"),
            _ = self.hangup.recv() => Input::Hangup,
        }
    }

    /// Whether the last turn left events over: then the next input comes at once.
    pub(super) fn leave_over(&mut self, more: bool) {
        self.more = more;
    }
}

#[expect(deprecated, reason = "sound here: an OwnedFd keeps its descriptor, and what replaces this is unsafe")]
fn watch(events: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(events, Interest::READABLE)
}

/// The data plane's event descriptor has been notified. Whoever is told so acknowledges it.
async fn readable(events: &AsyncFd<OwnedFd>, more: bool) {
    if more {
        return;
    }
    match events.readable().await {
        Ok(mut guard) => guard.clear_ready(),
        // Only when the runtime is being shut down.
        Err(_) => std::future::pending().await,
    }
}

/// How often the halves' counters are looked at: the grain of the keepalive and silence timers, which are in seconds.
const FOLD: Duration = Duration::from_millis(250);
