//! Keeps devices, routes and settings as they shall be, whoever changes them.
//!
//! ```text
//!  engine: want(view, MTUs) ─► desired ─┐                                                ┌─► answers  ─┐
//!  kernel: what changed ────► task ─────┼─► heal: actual, the difference, applied ───────┼─► findings ─┴─► engine
//!  clock: an audit ─────────────────────┘                                                └─► log
//! ```
//! A thread beside the engine's: the kernel's answers are waited for and read there, and channels live on meanwhile. Whoever
//! changes what is ours does it through [`Keeper::want`], or it is put back.

mod heal;
mod make;
mod others;
mod pace;
mod request;
mod state;
mod task;
mod turns;

use meshtun_config::View;
use meshtun_netlink::{Changes, Network, Sentry, Step, Way};
use tokio::sync::mpsc;

use self::{request::Request, state::State, task::Task};
use crate::{Error, beside::Beside, surroundings::Surroundings};

/// What the kernel shall hold, and the thread that sees to it. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Keeper {
    requests: mpsc::UnboundedSender<Request>,
    /// How many requests there were.
    asked: Number,
    keeping: Beside,
    /// Waits for neither the keeping nor the engine.
    sentry: Beside,
}

/// Which request an answer is for. They are counted from 1 in the order in which they are made.
pub(crate) type Number = u64;

/// What the keeper has to tell.
#[derive(Debug)]
pub(crate) enum Word {
    /// Others did something.
    Found(Finding),
    /// What this wish wanted, and every one before it, has been tried; [`Keeper::want`].
    Made(Number, Made),
    /// What [`Keeper::survey`] asked for.
    Surveyed(Number, Box<Result<Survey, Error>>),
    /// The MTU of the way that [`Keeper::measure`] asked for, if there is a way.
    Measured(Number, Option<u32>),
}

/// What others did that the engine has to act on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// A person set this device down: its channel shall be out until it is up again.
    SetDown(String),
    /// A device that was set down is up again, and the routes lead over it.
    SetUp(String),
    /// This device was deleted; it is made anew, and in the routes, and nobody is attached.
    Made(String),
    /// What is likely not meant, all of it as it is now.
    Alarms(Vec<String>),
}

/// What became of a wish.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// The steps that were made.
    pub(crate) steps: Vec<Step>,
    /// What could not be made, and is tried again.
    pub(crate) problems: Vec<String>,
}

/// What the kernel has around a view.
#[derive(Debug)]
pub(crate) struct Survey {
    /// As if the view were new.
    pub(crate) surroundings: Surroundings,
    /// What is likely not meant.
    pub(crate) warnings: Vec<String>,
    /// Why the view could not be made.
    pub(crate) obstacle: Option<Error>,
}

/// All words, in their order.
pub(crate) type Words = mpsc::UnboundedReceiver<Word>;

impl Keeper {
    /// Begins to keep what [`Network::converge`] has just made of this view.
    ///
    /// # Errors
    /// If the kernel's word of changes cannot be had.
    pub(crate) fn start(network: Network, view: View, surroundings: Surroundings) -> Result<(Keeper, Words), Error> {
        let state = State::new(view, surroundings);
        let protected = state.protected();
        let sentry = Beside::start("sentry", move |stop| {
            let sentry = Sentry::start(protected)?;
            Ok::<_, Error>(async move {
                let _dropped = stop.await;
                sentry.stand_down().await;
            })
        })?;
        let (requests, inbox) = mpsc::unbounded_channel();
        let (tell, words) = mpsc::unbounded_channel();
        let keeping = Beside::start("keeper", move |stop| {
            let task = Task::new(network.anew()?, state, Changes::new()?, inbox, tell);
            Ok::<_, Error>(async move {
                tokio::select! {
                    () = task.keep() => {}
                    _ = stop => {}
                }
            })
        })?;
        Ok((Keeper { requests, asked: 0, keeping, sentry }, words))
    }

    /// One that neither answers nor ends.
    #[cfg(test)]
    pub(crate) fn stuck() -> Keeper {
        let stuck = || Beside::start("stuck", |_stop| Ok::<_, Error>(std::future::pending())).expect("a thread");
        Keeper { requests: mpsc::unbounded_channel().0, asked: 0, keeping: stuck(), sentry: stuck() }
    }

    /// Makes the kernel as this view wants it, and keeps it so from here on; [`Word::Made`] tells when that has been tried.
    /// Devices that a person has set down stay down.
    ///
    /// Wishes are whole: of several that wait only the last is made, and its answer is for all of them. What cannot be made,
    /// because something foreign is in the way or the kernel refuses, is told and stays wanted: it is tried again until it
    /// is made. `unreachable` routes come first, and nothing stops them.
    pub(crate) fn want(&mut self, view: View, surroundings: Surroundings) -> Number {
        self.ask(|number| Request::Want(number, Box::new((view, surroundings))))
    }

    /// Looks what the kernel has around this view; [`Word::Surveyed`] answers.
    pub(crate) fn survey(&mut self, view: View) -> Number {
        self.ask(|number| Request::Survey(number, Box::new(view)))
    }

    /// Asks for the MTU of this way; [`Word::Measured`] answers.
    pub(crate) fn measure(&mut self, way: Way) -> Number {
        self.ask(|number| Request::Measure(number, way))
    }

    fn ask(&mut self, request: impl FnOnce(Number) -> Request) -> Number {
        self.asked += 1;
        // The thread lives as long as this does.
        let _taken = self.requests.send(request(self.asked));
        self.asked
    }

    /// Shall keep nothing any more; a step that it is about may still be done.
    pub(crate) fn dismiss(&mut self) {
        self.keeping.dismiss();
        self.sentry.dismiss();
    }

    /// Keeps nothing any more, from the moment this returns. Cancel safe.
    pub(crate) async fn stop(&mut self) {
        self.keeping.stop().await;
        self.sentry.stop().await;
    }
}
