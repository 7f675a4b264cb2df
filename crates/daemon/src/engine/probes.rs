//! What a channel's probes tell, in figures and in words.

use std::time::{Duration, Instant};

use meshtun_proto::{
    channel::{Channel as Conversation, liveness::Failure},
    control::{Diagnosis, LivenessState},
};

use crate::status::Probes;

/// The figures, between two meshtuns.
pub(super) fn report(conversation: &Conversation, now: Instant) -> Option<Probes> {
    let liveness = conversation.liveness()?;
    let statistics = liveness.statistics();
    let round_trip = statistics.round_trip;
    Some(Probes {
        interval_ms: millis(liveness.settings().interval),
        detection_ms: millis(liveness.detection_time()),
        heard_ms: round_trip.map(|_| millis(now.saturating_duration_since(liveness.last_heard()))),
        held_s: liveness.held_for(now).map(|left| (left.as_secs_f64() * 10.0).round() / 10.0),
        answered: statistics.probes - statistics.lost,
        lost: statistics.lost,
        loss: statistics.recent_loss,
        rtt_ms: round_trip.map(|times| millis(times.last)),
        rtt_smoothed_ms: round_trip.map(|times| millis(times.smoothed)),
        rtt_variation_ms: round_trip.map(|times| millis(times.variation)),
        rtt_least_ms: round_trip.map(|times| millis(times.least)),
        jitter_ms: round_trip.map(|times| millis(times.jitter)),
        delay_variation_out_ms: statistics.variation_out.map(millis),
        delay_variation_in_ms: statistics.variation_in.map(millis),
    })
}

/// Whether the channel kept failing, and waits.
pub(super) fn is_held(conversation: &Conversation, now: Instant) -> bool {
    conversation.liveness().is_some_and(|liveness| liveness.held_for(now).is_some())
}

/// Why a channel with a session is not up.
pub(super) fn problem(conversation: &Conversation, peer: &str, place: &str, now: Instant) -> Option<String> {
    let liveness = conversation.liveness()?;
    let held = liveness.held_for(now).filter(|_| !liveness.is_deaf());
    if let Some(left) = held {
        return Some(format!("it kept failing, and is held down for another {} s", left.as_secs() + 1));
    }
    let silence = now.saturating_duration_since(liveness.last_heard()).as_secs_f64();
    Some(match (liveness.peer(), liveness.failure()) {
        _ if liveness.is_deaf() => format!("nothing heard from {peer} at {place} for {silence:.1} s"),
        (Some((LivenessState::Down, Diagnosis::NotHeard)), _) => {
            format!("{peer} at {place} is heard, but hears nothing from here: look for what blocks this direction")
        }
        (_, Some(Failure::WithSibling(_) | Failure::WithSiblingAtPeer)) => {
            format!("it was taken down with another channel that failed, and waits for probes to be answered by {peer}")
        }
        (Some((LivenessState::Down, Diagnosis::HeldDown)), _) => format!("{peer} holds it down, since it kept failing"),
        (_, Some(Failure::NotHeardByPeer)) => format!("{peer} at {place} heard nothing from here: probing"),
        (_, Some(_)) => format!("it failed, and waits for probes to be answered by {peer} at {place}"),
        (_, None) => format!("waiting for the first answer of {peer} at {place} to a probe"),
    })
}

/// Milliseconds to the microsecond.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
