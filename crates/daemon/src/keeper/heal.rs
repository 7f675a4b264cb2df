//! One look at the kernel, and what comes of it.

use std::time::Instant;

use meshtun_netlink::{Actual, Changes, Foreign, NetworkError, Step, protection, repair};
use tokio::sync::mpsc::UnboundedSender;

use super::{
    Finding, Shared,
    pace::{Pace, REPAIR_EARNED_IN},
    state::State,
    watch::Words,
};
use crate::alarms;

impl Shared {
    /// Puts back what others have changed, and tells what the engine has to know.
    pub(super) async fn heal(
        &self,
        changes: &mut Option<Changes>,
        pace: &mut Pace,
        words: &mut Words,
        findings: &UnboundedSender<Finding>,
    ) {
        let mut state = self.state.lock().await;
        // The engine is there as long as this task is, but for the moments of its end.
        let mut tell = |news: Vec<Finding>| news.into_iter().for_each(|finding| _ = findings.send(finding));
        if let Err(error) = self.look_and_mend(&mut state, changes, pace, words, &mut tell).await
            && let Some(before) = words.failed.admit(Instant::now())
        {
            tracing::error!("cannot look after devices and routes: {error} ({before} times before)");
        }
    }

    async fn look_and_mend(
        &self,
        state: &mut State,
        changes: &mut Option<Changes>,
        pace: &mut Pace,
        words: &mut Words,
        tell: &mut impl FnMut(Vec<Finding>),
    ) -> Result<(), NetworkError> {
        let mut actual = self.network.actual(state.desired()).await?;
        let is_first = state.alarms.is_none();
        let mut set_up = Vec::new();
        let mut foreign = Vec::new();
        for _ in 0..ROUNDS {
            tell(state.note_set_down(&actual));
            set_up.extend(state.note_set_up(&actual));
            let mended = self.mend(state, &actual, pace, words).await;
            foreign = mended.foreign;
            if mended.steps == 0 {
                break;
            }
            actual = self.network.actual(state.desired()).await?;
        }
        let made = state.know(&actual);
        changes.iter_mut().for_each(|changes| changes.know(actual.own_devices()));
        tell(made);
        tell(set_up);
        self.tell_alarms(state, &actual, &foreign, is_first, tell)
    }

    async fn mend(&self, state: &State, actual: &Actual, pace: &mut Pace, words: &mut Words) -> Mended {
        let now = Instant::now();
        let repair = repair(state.desired(), actual, &state.known);
        let mut steps = repair.steps;
        if steps.is_empty() {
            return Mended { steps: 0, foreign: repair.foreign };
        }
        if pace.may_repair(now) {
            pace.repaired();
            tracing::warn!(
                "devices, routes or settings of meshtun were changed by somebody else; put back: {}",
                list(&steps)
            );
        } else {
            if words.fight.admit(now).is_some() {
                let seconds = REPAIR_EARNED_IN.as_secs();
                tracing::warn!(
                    "somebody goes on changing devices, routes or settings of meshtun, which are put back every \
                     {seconds} s from here on; find out who: {}",
                    list(&steps)
                );
            }
            // These never wait.
            steps = protection(state.desired(), actual);
        }
        let mut made = 0;
        for step in &steps {
            match self.network.apply(step).await {
                Ok(()) => made += 1,
                Err(error) => {
                    if words.failed.admit(now).is_some() {
                        tracing::error!("{error}; it is tried again");
                    }
                }
            }
        }
        Mended { steps: made, foreign: repair.foreign }
    }

    fn tell_alarms(
        &self,
        state: &mut State,
        actual: &Actual,
        foreign: &[Foreign],
        is_first: bool,
        tell: &mut impl FnMut(Vec<Finding>),
    ) -> Result<(), NetworkError> {
        let mut alarms = alarms::all(&self.network, &state.view, actual)?;
        alarms.extend(foreign.iter().map(ToString::to_string));
        let before = state.alarms.replace(alarms.clone());
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
        tell(vec![Finding::Alarms(alarms)]);
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
