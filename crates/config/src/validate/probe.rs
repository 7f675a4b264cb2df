//! How channels are probed: each key by itself, from the link, else from `[defaults]`, else as it is.

use std::time::Duration;

use super::scalar;
use crate::findings::{Findings, Located, Span};
use crate::model::Probe;
use crate::raw::RawProbe;

/// `probe` of one table, as far as it is given and right.
#[derive(Default)]
pub(super) struct ProbeKeys {
    /// Where it stands.
    pub(super) span: Option<Span>,
    interval: Option<Duration>,
    down_after: Option<u8>,
    up_after: Option<u8>,
    hold_down: Option<Duration>,
}

impl ProbeKeys {
    pub(super) fn check(raw: &RawProbe, findings: &mut Findings) -> Self {
        let count = |number: &Option<Located<i64>>, key, why, findings: &mut Findings| {
            number.as_ref().and_then(|number| scalar::ranged(number, key, 1..=255, why, findings)).map(|it| it.value)
        };
        let interval = raw.interval.as_ref();
        let hold_down = raw.hold_down.as_ref();
        ProbeKeys {
            span: Some(raw.span.clone()),
            interval: interval.and_then(|text| scalar::duration(text, "interval", &INTERVAL, INTERVAL_WHY, findings)),
            down_after: count(&raw.down_after, "down_after", DOWN_AFTER_WHY, findings),
            up_after: count(&raw.up_after, "up_after", UP_AFTER_WHY, findings),
            hold_down: hold_down.and_then(|text| scalar::duration(text, "hold_down", &HOLD_DOWN, HOLD_WHY, findings)),
        }
    }

    /// These keys, then those of `[defaults]`, then their presets.
    pub(super) fn over(&self, defaults: &ProbeKeys) -> Probe {
        let preset = Probe::default();
        Probe {
            interval: self.interval.or(defaults.interval).unwrap_or(preset.interval),
            down_after: self.down_after.or(defaults.down_after).unwrap_or(preset.down_after),
            up_after: self.up_after.or(defaults.up_after).unwrap_or(preset.up_after),
            hold_down: self.hold_down.or(defaults.hold_down).unwrap_or(preset.hold_down),
        }
    }
}

const INTERVAL: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(60)];
const HOLD_DOWN: [Duration; 2] = [Duration::ZERO, Duration::from_secs(3600)];

const INTERVAL_WHY: &str = "a loss is noticed after `down_after` times the interval: 750ms with the defaults";
const DOWN_AFTER_WHY: &str =
    "so many intervals in a row without a sign of life; 1 takes a channel out for a single lost packet";
const UP_AFTER_WHY: &str = "so many probes in a row must be answered before a channel that failed comes back";
const HOLD_WHY: &str =
    "the first failure in a long time costs nothing, the next ones from 1s to this; \"0s\" never holds a channel down";
