//! Keeps devices, routes and settings as they shall be, whoever changes them.
//!
//! ```text
//!  engine: want(view, MTUs) ─► desired ─┐
//!  kernel: what changed ────► watch ────┼─► heal: actual, the difference, applied ─► findings ─► engine
//!  clock: an audit ─────────────────────┘
//! ```
//! One task beside the engine: the kernel's answers are waited for there, and channels live on meanwhile. Whoever else
//! changes what is ours does it through [`Keeper::want`], or it is put back.

mod heal;
mod pace;
mod state;
mod watch;

use std::sync::Arc;

use meshtun_config::View;
use meshtun_netlink::{Changes, ConvergeError, Network, NetworkError, Protection, Sentry, Step, difference, repair};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
};

use self::state::State;
use crate::surroundings::Surroundings;

/// What the kernel shall hold, and the task that sees to it. Dropping it ends the task.
#[derive(Debug)]
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    findings: mpsc::UnboundedSender<Finding>,
    task: JoinHandle<()>,
    /// Waits for neither the task nor a look.
    sentry: Sentry,
}

#[derive(Debug)]
struct Shared {
    network: Network,
    state: Mutex<State>,
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

/// What the kernel does on its own in answer to a step takes another round.
const ROUNDS: usize = 3;

/// The findings, in their order.
pub(crate) type Findings = mpsc::UnboundedReceiver<Finding>;

impl Keeper {
    /// Begins to keep what [`Network::converge`] has just made of this view.
    ///
    /// # Errors
    /// If the kernel's word of changes cannot be had.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn start(
        network: Network,
        view: View,
        surroundings: Surroundings,
    ) -> Result<(Keeper, Findings), NetworkError> {
        let changes = Changes::new()?;
        let state = State::new(view, surroundings);
        let sentry = Sentry::start(state.protected())?;
        let shared = Arc::new(Shared { network, state: Mutex::new(state) });
        let (sender, findings) = mpsc::unbounded_channel();
        let task = tokio::spawn(watch::keep(Arc::clone(&shared), changes, sender.clone()));
        Ok((Keeper { shared, findings: sender, task, sentry }, findings))
    }

    /// Makes the kernel as this view wants it, and keeps it so from here on. Devices that a person has set down stay down.
    ///
    /// What cannot be made now, because something foreign is in the way or the kernel refuses, is told and stays wanted: it
    /// is tried again until it is made. `unreachable` routes come first, and nothing stops them.
    pub(crate) async fn want(&self, view: View, surroundings: Surroundings) -> Made {
        let mut state = self.shared.state.lock().await;
        state.want(view, surroundings);
        let mut made = Made::default();
        if let Err(error) = self.make(&mut state, &mut made).await {
            made.problems.push(error.to_string());
        }
        made
    }

    async fn make(&self, state: &mut State, made: &mut Made) -> Result<(), NetworkError> {
        let network = &self.shared.network;
        let mut actual = network.actual(state.desired()).await?;
        self.tell(state.note_set_down(&actual));
        for _ in 0..ROUNDS {
            let repair = repair(state.desired(), &actual, &state.known);
            made.problems = repair.foreign.iter().map(ToString::to_string).collect();
            if repair.steps.is_empty() {
                break;
            }
            for step in repair.steps {
                match network.apply(&step).await {
                    Ok(()) => made.steps.push(step),
                    Err(error) => made.problems.push(error.to_string()),
                }
            }
            actual = network.actual(state.desired()).await?;
        }
        self.tell(state.know(&actual));
        Ok(())
    }

    /// The steps that [`Keeper::want`] would make.
    ///
    /// # Errors
    /// If something foreign is in the way, or the kernel cannot be asked.
    pub(crate) async fn plan(&self, view: View, surroundings: Surroundings) -> Result<Vec<Step>, ConvergeError> {
        let mut state = self.shared.state.lock().await.clone();
        state.want(view, surroundings);
        let actual = self.shared.network.actual(state.desired()).await?;
        Ok(difference(state.desired(), &actual, Protection::Keep)?)
    }

    fn tell(&self, news: Vec<Finding>) {
        // Nobody hears it when the engine has ended.
        news.into_iter().for_each(|finding| _ = self.findings.send(finding));
    }

    /// Keeps nothing any more, from the moment this returns.
    pub(crate) async fn stop(&self) {
        let _nobody_heals = self.shared.state.lock().await;
        self.task.abort();
        self.sentry.stand_down().await;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}
