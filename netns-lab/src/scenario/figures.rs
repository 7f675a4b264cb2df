//! What a run's load suffered, phase by phase, as figures and as a table for people.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Figures, check::SINCE_BLOCK, met::Met, verdict::Run};
use crate::load::steady::Account;

/// Milliseconds for which the sender of the trains may stand still before it is told: half the default detection time would
/// be too long already.
const STANDSTILL: f64 = 200.0;

/// Where a phase begins.
pub(crate) struct Mark {
    pub(crate) at: Duration,
    /// Handshake messages so far.
    pub(crate) handshakes: Option<u64>,
}

impl Run {
    /// The figures of each phase, from its mark to the next one.
    pub(crate) fn account(&mut self, account: &Account, marks: &[Mark], handshakes: Option<u64>) {
        let counts = marks.iter().map(|mark| mark.handshakes).collect::<Vec<_>>();
        let later = counts.iter().copied().skip(1).chain([handshakes]);
        for ((begin, end), (_, figures)) in counts.iter().zip(later).zip(&mut self.phases) {
            if let (Some(begin), Some(end)) = (begin, end) {
                figures.insert("handshakes".into(), end.saturating_sub(*begin).into());
            }
        }
        for ((stretch, end), (_, figures)) in stretches(account, marks).zip(&mut self.phases) {
            let trains = account.trains(stretch..end);
            if trains.sent > 0 {
                figures.insert("train_sent".into(), trains.sent.into());
                figures.insert("train_lost".into(), trains.lost.into());
                figures.insert("train_lossy".into(), trains.losers.into());
                figures.insert("train_gap_ms".into(), millis(trains.gap));
                figures.insert("train_gap_of".into(), trains.gap_of.into());
                figures.insert("train_duplicated".into(), trains.duplicated.into());
                figures.insert("train_reordered".into(), trains.reordered.into());
                figures.insert("train_back_ms".into(), trains.back.map_or(Value::Null, millis));
                figures.insert("train_first_ms".into(), trains.first.map_or(Value::Null, millis));
                figures.insert("sender_standstill_ms".into(), millis(trains.standstill));
            }
            let flows = account.flows(stretch..end);
            figures.insert("tcp_gap_ms".into(), millis(flows.gap));
            figures.insert("tcp_gap_of".into(), flows.gap_of.into());
            figures.insert("tcp_stalled".into(), flows.stalled.into());
            figures.insert("tcp_dead".into(), flows.dead.into());
        }
        let whole = Duration::ZERO..account.over() + Duration::from_secs(1);
        let trains = account.trains(whole.clone());
        self.figures.insert("train_sent".into(), trains.sent.into());
        self.figures.insert("train_lost".into(), trains.lost.into());
        self.figures.insert("tcp_dead".into(), account.flows(whole).dead.into());
    }

    pub(super) fn account_for_blocks(&mut self, account: &Account, marks: &[Mark], met: &Met) {
        for ((stretch, end), (_, figures)) in stretches(account, marks).zip(&mut self.phases) {
            figures.insert(SINCE_BLOCK.into(), millis(met.longest(account, stretch..end)));
        }
    }

    /// The figures as a table, and what is not as expected.
    pub(crate) fn tell(&self, narrate: &dyn Fn(&str)) {
        narrate(&format!(
            "{:<16} {:>9} {:>6} {:>9} {:>9} {:>9} {:>9} {:>8} {:>5}",
            "phase", "sent", "lost", "gap ms", "of block", "back ms", "tcp ms", "stalled", "dead"
        ));
        for (phase, figures) in &self.phases {
            let cell = |name: &str| figures.get(name).map_or_else(String::new, ToString::to_string);
            narrate(&format!(
                "{phase:<16} {:>9} {:>6} {:>9} {:>9} {:>9} {:>9} {:>8} {:>5}",
                cell("train_sent"),
                cell("train_lost"),
                cell("train_gap_ms"),
                cell(SINCE_BLOCK),
                cell("train_back_ms"),
                cell("tcp_gap_ms"),
                cell("tcp_stalled"),
                cell("tcp_dead")
            ));
        }
        let stood = |figures: &Figures| figures.get("sender_standstill_ms").and_then(Value::as_f64).unwrap_or(0.0);
        if let Some((phase, figures)) = self.phases.iter().find(|(_, figures)| stood(figures) > STANDSTILL) {
            narrate(&format!(
                "This machine stood still for {} ms in {phase}: it has too much else to do, and what follows may be its fault.",
                stood(figures)
            ));
        }
        let whole: Vec<_> = self.figures.iter().map(|(name, value)| format!("{name} {value}")).collect();
        narrate(&format!("in all: {}", whole.join(", ")));
        self.failed.iter().for_each(|what| narrate(&format!("NOT PASSED: {what}")));
        if self.failed.is_empty() {
            narrate("passed");
        }
    }
}

/// From the beginning of each phase to its end.
fn stretches(account: &Account, marks: &[Mark]) -> impl Iterator<Item = (Duration, Duration)> {
    let ends = marks.iter().skip(1).map(|mark| mark.at).chain([account.over()]);
    marks.iter().map(|mark| mark.at).zip(ends)
}

pub(crate) fn millis(time: Duration) -> Value {
    json!(rounded(time.as_secs_f64() * 1000.0))
}

/// To tenths.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
