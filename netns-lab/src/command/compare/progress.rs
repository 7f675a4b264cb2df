//! How far a run is: a line on the standard error with a bar, what runs now and how long the rest will take.
//!
//! On a terminal the line is drawn over and over; elsewhere each step is a line of its own.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// Characters of the bar.
const WIDTH: usize = 24;

/// For so long the estimates are taken for as good as what steps have really taken.
const TRUST: Duration = Duration::from_secs(20);

/// A step that took less than this part of its estimate did not take place.
const LEFT_OUT: u32 = 20;

/// Steps of a run that take their time, one after the other.
pub(crate) struct Progress {
    steps: Steps,
    what: String,
    begun: Instant,
    on_terminal: bool,
}

/// What steps take.
struct Steps {
    estimates: Vec<Duration>,
    /// How many are over.
    over: usize,
    /// What those of them took that took place, and what had been estimated for them.
    took: Duration,
    estimated: Duration,
}

impl Progress {
    /// With what each step takes by estimate, in their order.
    pub(crate) fn new(estimates: Vec<Duration>) -> Progress {
        let steps = Steps { estimates, over: 0, took: Duration::ZERO, estimated: Duration::ZERO };
        Progress { steps, what: String::new(), begun: Instant::now(), on_terminal: io::stderr().is_terminal() }
    }

    /// The next step begins.
    pub(crate) fn begin(&mut self, what: &str) {
        self.begun = Instant::now();
        what.clone_into(&mut self.what);
        if self.on_terminal { self.draw() } else { tell(&format!("{}\n", self.text())) }
    }

    /// The step is over.
    pub(crate) fn end(&mut self) {
        self.steps.end(self.begun.elapsed());
    }

    /// A line that stays, above the bar.
    pub(crate) fn line(&mut self, text: &str) {
        let clear = if self.on_terminal { "\r\x1b[K" } else { "" };
        tell(&format!("{clear}{text}\n"));
        self.draw();
    }

    /// Takes the bar away.
    pub(crate) fn finish(&mut self) {
        self.what.clear();
        if self.on_terminal {
            tell("\r\x1b[K");
        }
    }

    fn draw(&self) {
        if self.on_terminal && !self.what.is_empty() {
            // A line that is longer than the terminal is wide must not wrap, or it could not be drawn over.
            tell(&format!("\r\x1b[K\x1b[?7l{}\x1b[?7h", self.text()));
        }
    }

    fn text(&self) -> String {
        let done = self.steps.done();
        let filled = (done * WIDTH as f64).round() as usize;
        let bar = if self.on_terminal { format!("{:░<WIDTH$} ", "█".repeat(filled)) } else { String::new() };
        format!("{bar}{:3.0} %, {} left: {}", 100.0 * done, roughly(self.steps.left()), self.what)
    }
}

impl Steps {
    fn end(&mut self, took: Duration) {
        let estimate = self.estimates.get(self.over).copied().unwrap_or_default();
        self.over += 1;
        if took * LEFT_OUT >= estimate {
            self.took += took;
            self.estimated += estimate;
        }
    }

    /// What part of the whole is over, by estimates.
    fn done(&self) -> f64 {
        let sum = |steps: &[Duration]| steps.iter().sum::<Duration>().as_secs_f64();
        let over = self.over.min(self.estimates.len());
        sum(&self.estimates[..over]) / sum(&self.estimates).max(f64::MIN_POSITIVE)
    }

    /// What is left, measured by what the steps took so far.
    fn left(&self) -> Duration {
        let estimated: Duration = self.estimates.iter().skip(self.over).sum();
        estimated.mul_f64((self.took + TRUST).as_secs_f64() / (self.estimated + TRUST).as_secs_f64())
    }
}

/// A time as a person would tell it.
pub(crate) fn roughly(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        0 | 1 if seconds < 57.5 => format!("{:.0} s", (seconds / 5.0).ceil() * 5.0),
        0..60 => format!("{minutes} min"),
        // To ten minutes.
        _ => {
            let tens = (seconds / 600.0).round() as u64;
            match tens % 6 {
                0 => format!("{} h", tens / 6),
                rest => format!("{} h {} min", tens / 6, 10 * rest),
            }
        }
    }
}

fn tell(text: &str) {
    // Nobody reads it: then nobody misses it.
    let _unread = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn steps(estimates: &[u64]) -> Steps {
        let estimates = estimates.iter().copied().map(seconds).collect();
        Steps { estimates, over: 0, took: Duration::ZERO, estimated: Duration::ZERO }
    }

    #[test]
    fn what_is_left_follows_what_the_steps_have_taken() {
        let mut steps = steps(&[100, 100, 100]);
        assert_eq!(steps.left(), seconds(300));
        steps.end(seconds(220));
        // Twice as long as estimated, the trust in the estimates included.
        assert_eq!((steps.left(), steps.done()), (seconds(400), 1.0 / 3.0));
        steps.end(seconds(1));
        assert_eq!(steps.left(), seconds(200), "a step that was left out says nothing about the others");
        steps.end(seconds(100));
        assert_eq!((steps.left(), steps.done()), (Duration::ZERO, 1.0));
        steps.end(seconds(1));
        assert_eq!(steps.done(), 1.0, "one more than announced");
    }

    #[test]
    fn a_run_without_estimates_has_nothing_left() {
        assert_eq!((steps(&[]).left(), steps(&[0, 0]).done()), (Duration::ZERO, 0.0));
    }

    #[test]
    fn times_are_told_as_people_tell_them() {
        let told = [0, 3, 41, 57, 58, 89, 100, 3569, 3570, 3600, 6700, 7_140].map(|count| roughly(seconds(count)));
        let right =
            ["0 s", "5 s", "45 s", "60 s", "1 min", "1 min", "2 min", "59 min", "1 h", "1 h", "1 h 50 min", "2 h"];
        assert_eq!(told, right);
    }

    #[test]
    fn the_line_tells_how_far_it_is() {
        let mut progress = Progress::new(vec![seconds(60); 4]);
        progress.on_terminal = false;
        progress.steps.end(seconds(60));
        progress.what = "openvpn ×4".into();
        assert_eq!(progress.text(), " 25 %, 3 min left: openvpn ×4");
        progress.on_terminal = true;
        assert_eq!(progress.text(), "██████░░░░░░░░░░░░░░░░░░  25 %, 3 min left: openvpn ×4");
    }
}
