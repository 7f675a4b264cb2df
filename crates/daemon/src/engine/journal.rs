//! What a channel writes to the log, and how often.
//!
//! A change of carrier is written each time, because only an authenticated peer or its silence can cause it. What
//! anybody on the underlay can cause, and what repeats while a channel is down, is written at a limited rate.

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::limiter::Limiter;

/// One channel's log.
#[derive(Debug)]
pub(super) struct Journal {
    channel: String,
    handshake: Limiter,
    unmatched: Limiter,
    sending: Limiter,
    binding: Limiter,
    moving: Limiter,
    size: Limiter,
    slow_loss: Limiter,
}

impl Journal {
    /// For a channel by its name, as `nq/0`.
    pub(super) fn new(channel: String) -> Journal {
        Journal {
            channel,
            handshake: Limiter::new(MINUTE),
            unmatched: Limiter::new(Duration::from_secs(300)),
            sending: Limiter::new(MINUTE),
            binding: Limiter::new(MINUTE),
            moving: Limiter::new(MINUTE),
            size: Limiter::new(MINUTE),
            slow_loss: Limiter::new(Duration::from_secs(86_400)),
        }
    }

    /// The channel got carrier.
    pub(super) fn up(&self, peer: &str, place: &str, handshake: Duration, down_for: Duration) {
        let (handshake, down_for) = (Milliseconds(handshake), Span(down_for));
        tracing::info!(channel = self.channel, "up after {down_for}: {peer} at {place}, handshake {handshake}");
    }

    /// The channel lost carrier, for a reason that was meant.
    pub(super) fn down_as_told(&self, reason: &dyn fmt::Display, up_for: Duration) {
        tracing::info!(channel = self.channel, "down after {}: {reason}", Span(up_for));
    }

    /// The channel lost carrier.
    pub(super) fn down(&self, reason: &dyn fmt::Display, up_for: Duration) {
        tracing::warn!(channel = self.channel, "down after {}: {reason}", Span(up_for));
    }

    /// A handshake message was refused.
    pub(super) fn handshake_refused(&mut self, from: &dyn fmt::Display, error: &dyn fmt::Display, now: Instant) {
        if let Some(before) = self.handshake.admit(now) {
            tracing::warn!(channel = self.channel, "handshake from {from} refused: {error}{}", Repeated(before));
        }
    }

    /// The other end is not this channel's.
    pub(super) fn unmatched(&mut self, why: &dyn fmt::Display, now: Instant) {
        if self.unmatched.admit(now).is_some() {
            tracing::warn!(channel = self.channel, "unmatched: {why}");
        }
    }

    /// A handshake message could not be sent.
    pub(super) fn not_sent(&mut self, to: &dyn fmt::Display, error: &dyn fmt::Display, now: Instant) {
        if let Some(before) = self.sending.admit(now) {
            tracing::warn!(channel = self.channel, "cannot send to {to}: {error}{}", Repeated(before));
        }
    }

    /// The socket cannot be bound to its network device.
    pub(super) fn not_bound(&mut self, error: &dyn fmt::Display, now: Instant) {
        if let Some(before) = self.binding.admit(now) {
            tracing::error!(channel = self.channel, "{error}; it is tried again{}", Repeated(before));
        }
    }

    /// The peer was heard from a new place.
    pub(super) fn moved(&mut self, to: &dyn fmt::Display, now: Instant) {
        if let Some(before) = self.moving.admit(now) {
            tracing::info!(channel = self.channel, "the peer is at {to}{}", Repeated(before));
        }
    }

    /// The peer was heard from a place that the file does not allow.
    pub(super) fn not_followed(&mut self, from: &dyn fmt::Display, place: &str, now: Instant) {
        if let Some(before) = self.moving.admit(now) {
            tracing::warn!(
                channel = self.channel,
                "the peer speaks from {from}, but the file says {place}, and that is where packets go{}",
                Repeated(before)
            );
        }
    }

    /// The underlay does not take datagrams of this size, and no smaller MTU is left.
    pub(super) fn too_big(&mut self, datagram: usize, now: Instant) {
        if let Some(before) = self.size.admit(now) {
            tracing::error!(
                channel = self.channel,
                "the underlay refuses datagrams of {datagram} bytes: it is too narrow for a link{}",
                Repeated(before)
            );
        }
    }

    /// The kernel went on routing into the device after its carrier was lost.
    pub(super) fn slow_loss(&mut self, now: Instant) {
        if self.slow_loss.admit(now).is_some() {
            tracing::warn!(
                channel = self.channel,
                "this kernel may take up to a second to notice that carrier is lost (Linux 6.8 and later act at once)"
            );
        }
    }

    /// The kernel refused an offload.
    pub(super) fn offload_lost(&self, offload: &str) {
        tracing::info!(channel = self.channel, "the kernel refused {offload} here: going on without, more slowly");
    }

    /// The channel's device or socket is gone.
    pub(super) fn failed(&self, problem: &str) {
        tracing::error!(channel = self.channel, "{problem}");
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// How many like it were held back.
struct Repeated(u64);

impl fmt::Display for Repeated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            n => write!(f, " (and {n} times since the last such line)"),
        }
    }
}

/// A duration as people say it: the two largest units.
pub(super) struct Span(pub(super) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0..10 => write!(f, "{:.1} s", self.0.as_secs_f64()),
            10..60 => write!(f, "{seconds} s"),
            60..3600 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            3600..86_400 => write!(f, "{} h {} min", seconds / 3600, seconds % 3600 / 60),
            _ => write!(f, "{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
        }
    }
}

struct Milliseconds(Duration);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} ms", self.0.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_written_in_its_two_largest_units() {
        for (seconds, text) in [
            (0.04, "0.0 s"),
            (3.25, "3.2 s"),
            (59.9, "59 s"),
            (61.0, "1 min 1 s"),
            (7_325.0, "2 h 2 min"),
            (200_000.0, "2 d 7 h"),
        ] {
            assert_eq!(Span(Duration::from_secs_f64(seconds)).to_string(), text);
        }
    }
}
