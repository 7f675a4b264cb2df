//! What came of a scenario, and whether that is what was expected.

use serde_json::{Map, Value, json};

use super::{
    Figures,
    file::ToolKind,
    steps::{Expect, RunSetup, Scenario},
};

/// What came of all runs.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The scenario's name.
    pub scenario: String,
    /// What random numbers began from.
    pub seed: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Each run.
    pub runs: Vec<Run>,
}

/// What came of one run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its name.
    pub name: String,
    /// Figures of the whole run.
    pub figures: Figures,
    /// Figures of each stretch of time, in order.
    pub phases: Vec<(String, Figures)>,
    /// What was not as expected, and what went wrong, in words.
    pub failed: Vec<String>,
}

impl Outcome {
    /// Whether everything was as expected.
    pub fn pass(&self) -> bool {
        self.runs.iter().all(|run| run.failed.is_empty())
    }

    /// One object with `scenario`, `pass` and the figures.
    pub fn json(&self) -> Value {
        let run = |run: &Run| {
            let phases: Map<_, _> = run.phases.iter().map(|(name, figures)| (name.clone(), json!(figures))).collect();
            let mut object = json!(run.figures);
            object["phases"] = Value::Object(phases);
            object["failed"] = json!(run.failed);
            (run.name.clone(), object)
        };
        let runs: Map<_, _> = self.runs.iter().map(run).collect();
        let Outcome { scenario, seed, seconds, .. } = self;
        json!({ "scenario": scenario, "pass": self.pass(), "seed": seed, "seconds": seconds, "runs": runs })
    }
}

impl Run {
    /// A figure by the name that expectations use: `PHASE.FIGURE`, or a figure of the whole run.
    pub fn figure(&self, name: &str) -> Option<&Value> {
        match name.split_once('.') {
            None => self.figures.get(name),
            Some((phase, figure)) => self.phases.iter().find(|(name, _)| name == phase)?.1.get(figure),
        }
    }

    /// Compares it with what was expected, and notes what is not so.
    pub(super) fn judge(&mut self, scenario: &Scenario, setup: &RunSetup) {
        let ours = setup.tool == ToolKind::Meshtun;
        // Whatever a file says.
        let never = Expect {
            figure: "clear_packets".into(),
            run: None,
            at_most: Some(0.0),
            at_least: None,
            why: "nothing leaves in clear".into(),
        };
        let concerns = |expect: &&Expect| expect.run.as_ref().map_or(ours, |run| *run == self.name);
        let never = Some(&never).filter(|_| ours);
        let expected: Vec<_> = never.into_iter().chain(scenario.expect.iter().filter(concerns)).collect();
        let failed: Vec<_> = expected.into_iter().filter_map(|expect| self.miss(expect)).collect();
        self.failed.extend(failed);
    }

    /// In words, if a figure is not as expected.
    fn miss(&self, expect: &Expect) -> Option<String> {
        let Expect { figure, at_most, at_least, why, .. } = expect;
        let because = if why.is_empty() { String::new() } else { format!(" ({why})") };
        let wanted = match (at_most, at_least) {
            (Some(most), Some(least)) => format!("from {least} to {most}"),
            (Some(most), None) => format!("at most {most}"),
            (None, least) => format!("at least {}", least.unwrap_or_default()),
        };
        match self.figure(figure).and_then(Value::as_f64) {
            None => Some(format!("{figure}: expected {wanted}, and there is no such figure{because}")),
            Some(value) if at_most.is_some_and(|most| value > most) || at_least.is_some_and(|least| value < least) => {
                Some(format!("{figure} is {value}, expected {wanted}{because}"))
            }
            Some(_) => None,
        }
    }
}
