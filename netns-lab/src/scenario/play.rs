//! Goes through the steps of a scenario and collects the figures.

use std::{
    thread,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};

use super::{
    Figures, ScenarioError,
    action::Action,
    figures::{Mark, millis, rounded},
    file::{Begin, Count},
    ledger::{self, Ledger},
    met::Met,
    resources::Resources,
    stage::{Stage, eventually},
    steps::{RunSetup, Scenario, Step},
    verdict::{Outcome, Run},
};
use crate::{
    load::{
        Marker,
        steady::{Plan, Steady},
    },
    program::Program,
};

/// How long the load flows before the first step.
const SETTLING: Duration = Duration::from_secs(1);

/// How long what is under way is waited for at the end.
const STRAGGLERS: Duration = Duration::from_secs(1);

/// A phase begins so long before its action: a silence that the action causes begins within the phase.
const AHEAD: Duration = Duration::from_millis(5);

/// How a scenario is played.
pub struct Options<'a> {
    /// The meshtun program.
    pub program: &'a Program,
    /// Where random numbers begin.
    pub seed: u64,
    /// Told what happens, line by line.
    pub narrate: &'a dyn Fn(&str),
}

impl Scenario {
    /// Plays all runs, one after the other. What fails is told in the outcome, and the other runs are played all the same.
    pub fn play(&self, options: &Options<'_>) -> Outcome {
        let begun = Instant::now();
        let runs = self.runs.iter().map(|setup| self.play_one(setup, options)).collect();
        let seconds = rounded(begun.elapsed().as_secs_f64());
        Outcome { scenario: self.name.clone(), seed: options.seed, seconds, runs }
    }

    fn play_one(&self, setup: &RunSetup, options: &Options<'_>) -> Run {
        (options.narrate)(&format!("── {}: {} ──", self.name, setup.name));
        let mut run = Run { name: setup.name.clone(), figures: Figures::new(), phases: Vec::new(), failed: Vec::new() };
        let mut logs = String::new();
        match self.perform(setup, options, &mut run, &mut logs) {
            Ok(()) => run.judge(self, setup),
            Err(error) => run.failed.push(error.to_string()),
        }
        if !run.failed.is_empty() {
            (options.narrate)(&format!("the ends of the logs:\n{logs}"));
        }
        run.tell(options.narrate);
        run
    }

    fn perform(
        &self,
        setup: &RunSetup,
        options: &Options<'_>,
        run: &mut Run,
        logs: &mut String,
    ) -> Result<(), ScenarioError> {
        let marker = Marker::random()?;
        let mut stage = Stage::build(self, setup, options.program, marker, options.seed)?;
        let performed = self.perform_on(&mut stage, marker, setup, options, run);
        *logs = stage.logs();
        run.failed.append(&mut stage.failures);
        performed
    }

    fn perform_on(
        &self,
        stage: &mut Stage,
        marker: Marker,
        setup: &RunSetup,
        options: &Options<'_>,
        run: &mut Run,
    ) -> Result<(), ScenarioError> {
        match self.begin {
            Begin::Up => stage.start_all()?,
            Begin::Blocked => stage.start_blocked()?,
        }
        let (before, changes) = (stage.resources(), stage.carrier_changes()?);
        let plan = self.plan(stage, marker)?;
        (options.narrate)(&format!(
            "{} trains of {} datagrams a second, {} TCP flows",
            plan.trains.len(),
            plan.rate,
            plan.streams.len()
        ));
        let met = Met::of(stage.courses(&plan.trains));
        if self.follows_trains() {
            stage.follow()?;
        }
        let load = Steady::start(plan)?;
        thread::sleep(SETTLING);
        let rng = StdRng::seed_from_u64(options.seed);
        let mut playing = Playing { stage, load, setup, options, run, marks: Vec::new(), rng, ledger: None, met };
        for step in &self.steps {
            playing.step(step)?;
        }
        let Playing { stage, load, marks, run, mut met, .. } = playing;
        let (start, handshakes) = (load.start_of_clock(), stage.handshakes());
        let account = load.stop(STRAGGLERS)?;
        run.account(&account, &marks, handshakes);
        if self.follows_trains() {
            met.see(&stage.sightings()?, self.channels, start);
            run.account_for_blocks(&account, &marks, &met);
        }
        let leaked = leaked(&before, &stage.resources());
        run.figures.insert("descriptors_leaked".into(), leaked.descriptors.into());
        run.figures.insert("threads_leaked".into(), leaked.threads.into());
        run.figures.insert("carrier_changes".into(), stage.carrier_changes()?.saturating_sub(changes).into());
        run.figures.insert("failed_commands".into(), stage.failures.len().into());
        let seen = stage.close(&mut run.figures)?;
        run.failed.extend(seen.into_iter().map(|packet| format!("in clear on {packet}")));
        Ok(())
    }

    fn plan(&self, stage: &Stage, marker: Marker) -> Result<Plan, ScenarioError> {
        let trains = match self.begin {
            _ if self.load.train_rate == 0 => Vec::new(),
            Begin::Up => stage.trains()?,
            Begin::Blocked => stage.loose_trains(),
        };
        Ok(Plan {
            trains,
            rate: self.load.train_rate,
            streams: stage.streams(self.load.tcp_flows),
            every: self.load.tcp_every,
            size: self.load.tcp_size,
            marker,
        })
    }
}

/// A run on its way.
struct Playing<'a> {
    stage: &'a mut Stage,
    load: Steady,
    setup: &'a RunSetup,
    options: &'a Options<'a>,
    run: &'a mut Run,
    marks: Vec<Mark>,
    /// Which blocks there were.
    met: Met,
    /// What decides over random faults.
    rng: StdRng,
    /// From where messages are added up.
    ledger: Option<Ledger>,
}

impl Playing<'_> {
    fn step(&mut self, step: &Step) -> Result<(), ScenarioError> {
        let lasts = step.lasts.mul_f64(self.setup.slower);
        if let Some(phase) = &step.phase {
            self.marks.push(Mark { at: self.load.now(), handshakes: self.stage.handshakes() });
            self.run.phases.push((phase.clone(), Figures::new()));
        }
        if let Some(say) = &step.say {
            let phase = step.phase.as_ref().map_or(String::new(), |phase| format!("{phase}: "));
            (self.options.narrate)(&format!("[{:6.1} s] {phase}{say}", self.load.now().as_secs_f64()));
        }
        if step.phase.is_some() {
            thread::sleep(AHEAD);
        }
        let begun = Instant::now();
        if let Action::WaitUp(limit) = step.action {
            self.wait_up(limit.mul_f64(self.setup.slower))?;
        }
        if let Action::Count(count) = step.action {
            self.count(count)?;
        }
        if let Action::Block { place, blocked: true } = &step.action {
            self.met.note(self.load.now(), place, self.stage.channels());
        }
        step.action.take(self.stage, lasts, &mut self.rng, self.options.narrate)?;
        thread::sleep(lasts.saturating_sub(begun.elapsed()));
        Ok(())
    }

    /// The load pauses meanwhile: only when nothing is under way can it be added up.
    fn count(&mut self, count: Count) -> Result<(), ScenarioError> {
        self.load.pause(true);
        let ledger = ledger::read(self.stage);
        self.load.pause(false);
        let ledger = ledger?;
        match (count, self.ledger.take()) {
            (Count::Check, Some(begin)) => {
                let (uncounted, words) = ledger::compare(&begin, &ledger);
                self.run.figures.insert("uncounted".into(), uncounted.into());
                let sealed: u64 = ledger.values().map(|entry| entry.sealed).sum();
                let say = format!(
                    "           {sealed} messages so far, {uncounted} of them since the beginning of the count not accounted for"
                );
                (self.options.narrate)(&say);
                words.iter().for_each(|words| (self.options.narrate)(&format!("           {words}")));
            }
            _ => self.ledger = Some(ledger),
        }
        Ok(())
    }

    /// The time since the phase began goes into its figures, if all comes up in time.
    fn wait_up(&mut self, limit: Duration) -> Result<(), ScenarioError> {
        let since = self.marks.last().map_or(Duration::ZERO, |mark| mark.at);
        let waited = eventually(limit, || self.stage.is_up())?;
        let took = self.load.now().saturating_sub(since);
        match (waited, self.run.phases.last_mut()) {
            (Some(_), Some((_, figures))) => {
                figures.insert("up_ms".into(), millis(took));
                (self.options.narrate)(&format!("           all channels are up after {:.2} s", took.as_secs_f64()));
            }
            (Some(_), None) => {}
            (None, _) => {
                let what = format!("not all channels are up after {:.1} s", took.as_secs_f64());
                (self.options.narrate)(&format!("           {what}"));
                self.run.failed.push(what);
                self.stage
                    .missing()
                    .iter()
                    .for_each(|channel| (self.options.narrate)(&format!("           {channel}")));
            }
        }
        Ok(())
    }
}

/// By how much any process holds more than before; one that was started meanwhile is compared with the one before it.
fn leaked(before: &[Resources], after: &[Resources]) -> Resources {
    let pairs = || before.iter().zip(after);
    let most = |of: fn(&Resources) -> usize| pairs().map(|(b, a)| of(a).saturating_sub(of(b))).max().unwrap_or(0);
    let (descriptors, threads) = (most(|one| one.descriptors), most(|one| one.threads));
    Resources { descriptors, threads, ..Resources::default() }
}
