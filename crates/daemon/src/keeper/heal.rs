//! One look at the kernel, and what comes of it.

use std::time::Instant;

use meshtun_netlink::{Actual, Foreign, NetworkError, Step, protection, repair};

use super::{Finding, pace::REPAIR_EARNED_IN, task::Task};
use crate::alarms;

impl Task {
    /// Puts back what others have changed, and tells what the engine has to know; `false` if a request came before the
    /// kernel had told everything, and nothing was done.
    pub(super) async fn heal(&mut self) -> bool {
        match self.look_and_mend().await {
            Ok(done) => done,
            Err(error) => {
                if let Some(before) = self.log.failed.admit(Instant::now()) {
                    tracing::error!("cannot look after devices and routes: {error} ({before} times before)");
                }
                true
            }
        }
    }

    async fn look_and_mend(&mut self) -> Result<bool, NetworkError> {
        let Some(mut actual) = self.actual_unless_asked().await? else { return Ok(false) };
        let is_first = self.state.alarms.is_none();
        let mut set_up = Vec::new();
        let mut foreign = Vec::new();
        for _ in 0..ROUNDS {
            let set_down = self.state.note_set_down(&actual);
            self.find(set_down);
            set_up.extend(self.state.note_set_up(&actual));
            let mended = self.mend(&actual).await;
            foreign = mended.foreign;
            if mended.steps == 0 {
                break;
            }
            actual = self.actual().await?;
        }
        self.sysctls = Some(std::mem::take(&mut actual.sysctls));
        let made = self.state.know(&actual);
        self.changes.iter_mut().for_each(|changes| changes.know(actual.own_devices()));
        self.find(made);
        self.find(set_up);
        self.tell_alarms(&actual, &foreign, is_first).await?;
        Ok(true)
    }

    /// A look at many devices and routes takes its time: who asks does not wait for it, unless it is its turn.
    async fn actual_unless_asked(&mut self) -> Result<Option<Actual>, NetworkError> {
        let Task { network, state, others, requests, turns, .. } = self;
        let looked = async {
            let others = others.routes(network, state.desired()).await?;
            network.actual_beside(state.desired(), others).await
        };
        turns.unless_asked(requests, looked).await.transpose()
    }

    async fn actual(&mut self) -> Result<Actual, NetworkError> {
        let others = self.others.routes(&self.network, self.state.desired()).await?;
        self.network.actual_beside(self.state.desired(), others).await
    }

    async fn mend(&mut self, actual: &Actual) -> Mended {
        let now = Instant::now();
        let repair = repair(self.state.desired(), actual, &self.state.known);
        let mut steps = repair.steps;
        if steps.is_empty() {
            return Mended { steps: 0, foreign: repair.foreign };
        }
        if !self.tell_put_back(&steps) {
            if self.log.fight.admit(now).is_some() {
                let seconds = REPAIR_EARNED_IN.as_secs();
                tracing::warn!(
                    "somebody goes on changing devices, routes or settings of meshtun, which are put back every \
                     {seconds} s from here on; find out who: {}",
                    list(&steps)
                );
            }
            // These never wait.
            steps = protection(self.state.desired(), actual);
        }
        let mut made = 0;
        for step in &steps {
            match self.apply(step).await {
                Ok(()) => made += 1,
                Err(error) => {
                    if self.log.failed.admit(now).is_some() {
                        tracing::error!("{error}; it is tried again");
                    }
                }
            }
        }
        Mended { steps: made, foreign: repair.foreign }
    }

    /// Says that this is put back, if that may be done now; `false` in a fight without end.
    pub(super) fn tell_put_back(&mut self, steps: &[Step]) -> bool {
        let may_repair = self.pace.may_repair(Instant::now());
        if may_repair {
            self.pace.repaired();
            tracing::warn!(
                "devices, routes or settings of meshtun were changed by somebody else; put back: {}",
                list(steps)
            );
        }
        may_repair
    }

    async fn tell_alarms(&mut self, actual: &Actual, foreign: &[Foreign], is_first: bool) -> Result<(), NetworkError> {
        let mut alarms = alarms::all(&self.network, &self.state.view, actual).await?;
        alarms.extend(foreign.iter().map(ToString::to_string));
        let before = self.state.alarms.replace(alarms.clone());
        if before.as_ref() == Some(&alarms) {
            return Ok(());
        }
        // At the start the same was told before.
        if !is_first {
            let before = before.unwrap_or_default();
            alarms.iter().filter(|alarm| !before.contains(alarm)).for_each(|alarm| tracing::warn!("{alarm}"));
            before
                .iter()
                .filter(|alarm| !alarms.contains(alarm))
                .for_each(|alarm| tracing::info!("no longer: {alarm}"));
        }
        self.find(vec![Finding::Alarms(alarms)]);
        Ok(())
    }
}

struct Mended {
    /// How many were made.
    steps: usize,
    foreign: Vec<Foreign>,
}

/// The first few, as a person would type them.
fn list(steps: &[Step]) -> String {
    let mut list: Vec<String> = steps.iter().take(LISTED).map(ToString::to_string).collect();
    if steps.len() > LISTED {
        list.push(format!("and {} more", steps.len() - LISTED));
    }
    list.join("; ")
}

const LISTED: usize = 4;

/// What the kernel does on its own in answer to a step takes another.
const ROUNDS: usize = 3;
