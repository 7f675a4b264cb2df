//! What the engine wants and asks.

use std::time::Instant;

use meshtun_config::View;
use meshtun_netlink::{Actual, Desired, NetworkError, Protection, Step, difference, repair, undone};

use super::{Finding, Made, Survey, Word, request::Request, task::Task};
use crate::{
    Error,
    surroundings::{self, Surroundings},
};

/// What the kernel does on its own in answer to a step takes another round.
const ROUNDS: usize = 3;

impl Task {
    pub(super) async fn serve(&mut self) {
        for request in self.requests.take() {
            let word = match request {
                Request::Want(number, wish) => Word::Made(number, self.want(wish.0, wish.1).await),
                Request::Survey(number, view) => Word::Surveyed(number, Box::new(self.survey(&view).await)),
                Request::Measure(number, way) => {
                    Word::Measured(number, self.network.underlay_mtu(&way).await.ok().flatten())
                }
            };
            self.tell(word);
        }
    }

    async fn want(&mut self, view: View, surroundings: Surroundings) -> Made {
        let begun = Instant::now();
        let before = self.state.is_made.then(|| self.state.desired().clone());
        let changed = self.state.want(view, surroundings);
        if changed.networks {
            self.others.forget();
        }
        if changed.devices {
            self.sysctls = None;
        }
        let mut made = Made::default();
        if let Err(error) = self.make(before.as_ref(), &mut made).await {
            made.problems.push(error.to_string());
        }
        self.state.is_made = made.problems.is_empty();
        tracing::debug!("{} steps as wanted within {} ms", made.steps.len(), begun.elapsed().as_millis());
        made
    }

    /// What was wanted `before`, and had been made, and is not there, others have taken: it is put back by the way, and told.
    async fn make(&mut self, before: Option<&Desired>, made: &mut Made) -> Result<(), NetworkError> {
        let mut actual = self.actual_soon().await?;
        let news = self.state.note_set_down(&actual);
        self.find(news);
        if let Some(before) = before {
            let undone = undone(before, self.state.desired(), &actual, &self.state.known);
            if !undone.is_empty() {
                self.tell_put_back(&undone);
            }
        }
        for _ in 0..ROUNDS {
            let repair = repair(self.state.desired(), &actual, &self.state.known);
            made.problems = repair.foreign.iter().map(ToString::to_string).collect();
            if repair.steps.is_empty() {
                break;
            }
            let sure = made.problems.is_empty() && repair.steps.iter().all(is_certain);
            let mut failed = false;
            for step in repair.steps {
                match self.apply(&step).await {
                    Ok(()) => made.steps.push(step),
                    Err(error) => {
                        failed = true;
                        made.problems.push(error.to_string());
                    }
                }
            }
            if sure && !failed {
                // Who wished waits for no proof of it.
                self.look_soon();
                return Ok(());
            }
            self.sysctls = None;
            actual = self.actual_soon().await?;
        }
        let news = self.state.know(&actual);
        self.find(news);
        Ok(())
    }

    /// The kernel's state; settings of devices and routes of others as they were looked at last.
    async fn actual_soon(&mut self) -> Result<Actual, NetworkError> {
        let others = self.others.routes_soon(&self.network, self.state.desired()).await?;
        let sysctls = match self.sysctls.take() {
            Some(sysctls) => sysctls,
            None => self.network.sysctls(self.state.desired()).await?,
        };
        let actual = self.network.actual_with(others, sysctls).await?;
        self.sysctls = Some(actual.sysctls.clone());
        Ok(actual)
    }

    pub(super) async fn apply(&mut self, step: &Step) -> Result<(), meshtun_netlink::ApplyError> {
        let done = self.network.apply(step).await;
        match (step, &done) {
            (Step::DeleteUsurper { prefix, metric, .. }, _) => self.others.make_way(prefix, *metric),
            // IPv4's replace takes the place of whatever has it.
            (Step::ReplaceRoute(route), Ok(())) => self.others.make_way(&route.prefix, route.metric),
            // Somebody has the place whom the kernel did not tell of.
            (Step::AddRoute(_), Err(error)) if error.is_taken => self.others.forget(),
            _ => {}
        }
        done
    }

    async fn survey(&self, view: &View) -> Result<Survey, Error> {
        let (surroundings, warnings) = surroundings::look(&self.network, view).await?;
        let mut state = self.state.clone();
        state.want(view.clone(), surroundings.clone());
        let actual = self.network.actual(state.desired()).await?;
        let obstacle = difference(state.desired(), &actual, Protection::Keep).err().map(Error::from);
        Ok(Survey { surroundings, warnings, obstacle })
    }

    /// What was made is looked at when nothing else is to be done.
    fn look_soon(&mut self) {
        self.look_at = self.look_at.min(self.pace.next_look(Instant::now()));
    }

    pub(super) fn find(&self, news: Vec<Finding>) {
        news.into_iter().for_each(|finding| self.tell(Word::Found(finding)));
    }

    pub(super) fn tell(&self, word: Word) {
        // Nobody hears it when the engine has ended.
        let _unheard = self.words.send(word);
    }
}

/// Whether the kernel does nothing else in answer to it.
fn is_certain(step: &Step) -> bool {
    matches!(step, Step::AddRoute(_) | Step::ReplaceRoute(_) | Step::DeleteRoute { .. })
}
