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
use meshtun_netlink::{Changes, ConvergeError, Network, NetworkError, Protection, Step, difference};
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
        let shared = Arc::new(Shared { network, state: Mutex::new(State::new(view, surroundings)) });
        let (sender, findings) = mpsc::unbounded_channel();
        let task = tokio::spawn(watch::keep(Arc::clone(&shared), changes, sender.clone()));
        Ok((Keeper { shared, findings: sender, task }, findings))
    }

    /// Makes the kernel as this view wants it, and keeps it so from here on; the steps that were made. Devices that a
    /// person has set down stay down.
    ///
    /// # Errors
    /// As [`Network::converge`]: if something foreign is in the way all stays as it was, what else could not be made is
    /// tried again.
    pub(crate) async fn want(&self, view: View, surroundings: Surroundings) -> Result<Vec<Step>, ConvergeError> {
        let Shared { network, state } = &*self.shared;
        let mut state = state.lock().await;
        let actual = network.actual(state.desired()).await?;
        self.tell(state.note_set_down(&actual));
        let before = state.want(view, surroundings);
        let made = match network.converge(state.desired(), Protection::Keep).await {
            Err(error @ ConvergeError::Foreign(_)) => {
                state.put_back(before);
                return Err(error);
            }
            made => made?,
        };
        let actual = network.actual(state.desired()).await?;
        self.tell(state.know(&actual));
        Ok(made)
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
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}
