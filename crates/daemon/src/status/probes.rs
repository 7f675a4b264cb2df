//! What a channel's probes tell, as `status` shows it.

use serde::{Deserialize, Serialize};

/// Loss and delay of one channel, of its own probes alone, since the channel was made. Times are in milliseconds where
/// the name ends in `_ms`; none before there is something to measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probes {
    /// How often this end probes.
    pub interval_ms: f64,
    /// After a silence of so long the channel is down: `down_after` times the longer of both ends' intervals.
    pub detection_ms: f64,
    /// How long ago the last authentic message came; none before the first.
    pub heard_ms: Option<f64>,
    /// For how many seconds a channel that kept failing is still held down.
    pub held_s: Option<f64>,
    /// Probes that were answered in time.
    pub answered: u64,
    /// Probes that were not: they were lost, or their answers.
    pub lost: u64,
    /// The share of the last hundred probes that was lost, from 0 to 1.
    pub loss: Option<f64>,
    /// The last round trip, without the time that the other end held the probe.
    pub rtt_ms: Option<f64>,
    /// The smoothed round trip (SRTT of RFC 6298).
    pub rtt_smoothed_ms: Option<f64>,
    /// Its variation (RTTVAR of RFC 6298).
    pub rtt_variation_ms: Option<f64>,
    /// The shortest round trip.
    pub rtt_least_ms: Option<f64>,
    /// How far round trips differ from one to the next, smoothed (RFC 3550, section 6.4.1).
    pub jitter_ms: Option<f64>,
    /// How far the delay towards the peer differs from one probe to the next, smoothed likewise.
    pub delay_variation_out_ms: Option<f64>,
    /// The same for the delay from the peer.
    pub delay_variation_in_ms: Option<f64>,
}
