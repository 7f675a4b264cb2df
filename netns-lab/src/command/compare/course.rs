//! The whole run: round after round, subject after subject, and what of it failed.

mod remarks;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::ensure;
use netns_lab::cpu;

use self::remarks::Remarks;
use super::{
    bed::Bed,
    install::Programs,
    measure::{Figure, Measuring},
    plan::{Stop, Wishes, rotated},
    progress::{Progress, roughly},
    report::row::{Row, Samples},
    tool::Tool,
};

/// How many lines of what a subject logged in one run are repeated.
const LINES: usize = 5;

/// For how long the machine is watched before a round, and up to what part it may be busy meanwhile.
const LISTENING: Duration = Duration::from_millis(500);
const QUIET: f64 = 0.05;

/// Set when a signal ends the program.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Makes the run go no further, and say nothing of the programs that are about to be ended: to be called by the thread
/// that cleans up and exits.
pub(crate) fn stand_still() {
    ENDING.store(true, Ordering::SeqCst);
}

/// Waits for the end of the process, if that has begun.
fn unless_ending() {
    while ENDING.load(Ordering::SeqCst) {
        thread::park();
    }
}

/// A planned run.
pub(crate) struct Course<'a> {
    programs: &'a Programs,
    seconds: Duration,
    rounds: Vec<Vec<Stop>>,
    progress: Progress,
    measuring: Measuring,
    samples: Samples,
    problems: Vec<String>,
    notes: Remarks,
}

/// What came of it.
pub(crate) struct Outcome {
    /// The figures, each over all rounds.
    pub(crate) rows: Vec<Row>,
    /// What makes the run fail.
    pub(crate) problems: Vec<String>,
    /// What a reader should know besides.
    pub(crate) notes: Vec<String>,
}

impl Course<'_> {
    /// Plans it.
    ///
    /// # Errors
    /// If nothing is left to be measured.
    pub(crate) fn new<'a>(
        wishes: &Wishes,
        programs: &'a Programs,
        rounds: usize,
        seconds: Duration,
    ) -> anyhow::Result<Course<'a>> {
        let stops = wishes.round(|tool| programs.have(tool));
        ensure!(!stops.is_empty(), "nothing is left to be measured: see what is missing, and --tools and --tests");
        Ok(Course::of(&stops, programs, rounds, seconds))
    }

    /// Of what one round measures.
    pub(crate) fn of<'a>(stops: &[Stop], programs: &'a Programs, rounds: usize, seconds: Duration) -> Course<'a> {
        let rounds: Vec<_> = (0..rounds).map(|round| rotated(stops, round, rounds)).collect();
        let estimates: Vec<_> = rounds.iter().flatten().flat_map(|stop| stop.steps(seconds)).collect();
        let total = estimates.iter().sum();
        let mut progress = Progress::new(estimates);
        progress.line(&format!(
            "{} labs a round, {} rounds, {} s a test: about {}.",
            stops.len(),
            rounds.len(),
            seconds.as_secs(),
            roughly(total)
        ));
        let (measuring, samples) = (Measuring::default(), Samples::default());
        let (problems, notes) = (Vec::new(), Remarks::default());
        Course { programs, seconds, rounds, progress, measuring, samples, problems, notes }
    }

    /// Runs it to its end, whatever a subject does.
    ///
    /// # Errors
    /// If nothing could be measured at all; names the reasons.
    pub(crate) fn run(mut self) -> anyhow::Result<Outcome> {
        for (number, stops) in (1..).zip(std::mem::take(&mut self.rounds)) {
            self.listen(number);
            stops.iter().for_each(|stop| self.stop(number, stop));
        }
        self.progress.finish();
        let rows = self.samples.rows();
        ensure!(!rows.is_empty(), "nothing could be measured: {}", self.problems.join("; "));
        Ok(Outcome { rows, problems: self.problems, notes: self.notes.lines() })
    }

    /// Says so if others are working on the machine, whose time is counted as the subjects'.
    fn listen(&mut self, round: usize) {
        let busy = cpu::busy().and_then(|before| {
            thread::sleep(LISTENING);
            Ok(cpu::busy()?.saturating_sub(before))
        });
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let part = busy.unwrap_or_default().as_secs_f64() / LISTENING.as_secs_f64() / processors as f64;
        if part > QUIET {
            let said = format!(
                "it was {:.0} % busy with something else, which makes every figure worse",
                100.0 * part.min(1.0)
            );
            self.note(round, "the machine", &said);
        }
    }

    /// One subject, from its start to its end.
    fn stop(&mut self, round: usize, stop: &Stop) {
        let what = format!("{}, {}", stop.subject, stop.underlay.name());
        self.progress.begin(&format!("round {round}: {what}: start"));
        let bed = Bed::start(stop.subject, stop.underlay, self.programs);
        unless_ending();
        self.progress.end();
        match bed {
            Ok(bed) => {
                self.cells(round, stop, &bed);
                let wrong = bed.finish().unwrap_or_else(|error| vec![format!("{error:#}")]);
                unless_ending();
                self.wrong(&format!("round {round}: {what}"), &wrong);
            }
            Err(error) => {
                self.problem(format!("round {round}: {what} did not start: {error:#}"));
                self.skip(stop.cells.len());
            }
        }
    }

    fn cells(&mut self, round: usize, stop: &Stop, bed: &Bed) {
        for (at, (path, test)) in stop.cells.iter().enumerate() {
            let what = format!("{}, {}, {}: {}", stop.subject, stop.underlay.name(), path.name(), test.name());
            self.progress.begin(&format!("round {round}: {what}"));
            let measured = self.measuring.measure(bed, *path, test, self.seconds);
            unless_ending();
            self.progress.end();
            match measured {
                Ok(figures) => {
                    figures.iter().for_each(|figure| self.samples.add(stop.subject, *path, stop.underlay, figure));
                    self.comment(round, &what, stop.subject.tool, &figures);
                }
                Err(error) => {
                    self.problem(format!("round {round}: {what}: {error:#}"));
                    if let Err(error) = bed.still_carries(*path) {
                        self.problem(format!("round {round}: {what}: the rest is left out: {error:#}"));
                        return self.skip(stop.cells.len() - at - 1);
                    }
                }
            }
        }
    }

    /// What figures complain of: what must not be with meshtun is worth a remark with others.
    fn comment(&mut self, round: usize, what: &str, tool: Tool, figures: &[Figure]) {
        for complaint in figures.iter().flat_map(|figure| &figure.complaints) {
            if tool == Tool::Meshtun {
                self.problem(format!("round {round}: {what}: {complaint}"));
            } else {
                self.note(round, what, complaint);
            }
        }
        for note in figures.iter().flat_map(|figure| &figure.notes) {
            self.note(round, what, note);
        }
    }

    /// What a subject logged, not all of it if it is much.
    fn wrong(&mut self, what: &str, lines: &[String]) {
        for line in lines.iter().take(LINES) {
            self.problem(format!("{what}: {line}"));
        }
        if lines.len() > LINES {
            self.problem(format!("{what}: and {} more lines", lines.len() - LINES));
        }
    }

    /// Tells all of it, and keeps the first line: the rest is the end of a log.
    fn problem(&mut self, said: String) {
        self.progress.line(&format!("Problem: {said}"));
        let first = said.lines().next().unwrap_or_default();
        self.problems.push(first.split("; the end").next().unwrap_or(first).to_owned());
    }

    fn note(&mut self, round: usize, what: &str, said: &str) {
        self.progress.line(&format!("Note: round {round}: {what}: {said}"));
        self.notes.add(round, what, said);
    }

    /// Steps that do not take place.
    fn skip(&mut self, steps: usize) {
        for _ in 0..steps {
            self.progress.begin("left out");
            self.progress.end();
        }
    }
}
