//! Whether handshakes come so fast that a cookie is asked for first (WireGuard paper, section 5.3).

use std::time::{Duration, Instant};

/// A measure of the rate of handshake messages, over all channels of this gateway.
#[derive(Debug)]
pub(crate) struct HandshakeLoad {
    limit: u32,
    window_end: Instant,
    seen: u32,
    loaded_until: Option<Instant>,
}

impl HandshakeLoad {
    /// For a gateway with this many channels.
    pub(crate) fn new(channels: usize, now: Instant) -> HandshakeLoad {
        let own = u32::try_from(channels).unwrap_or(u32::MAX).saturating_mul(MESSAGES_A_CHANNEL);
        HandshakeLoad { limit: own.max(LEAST_LIMIT), window_end: now + WINDOW, seen: 0, loaded_until: None }
    }

    /// Counts one handshake message and says whether the gateway is under load.
    pub(crate) fn count(&mut self, now: Instant) -> bool {
        if now >= self.window_end {
            self.window_end = now + WINDOW;
            self.seen = 0;
        }
        self.seen = self.seen.saturating_add(1);
        if self.seen > self.limit {
            self.loaded_until = Some(now + LINGER);
        }
        self.loaded_until.is_some_and(|until| now < until)
    }
}

const WINDOW: Duration = Duration::from_millis(100);

/// A load is a load for a second after it was last seen, as in WireGuard.
const LINGER: Duration = Duration::from_secs(1);

/// What an honest peer sends a channel within a window, at worst: its initiation and its response, each once again.
const MESSAGES_A_CHANNEL: u32 = 4;

/// An initiation costs four X25519 operations, 100 to 200 µs: 100 of them in 100 ms are a fifth of one core at most.
const LEAST_LIMIT: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn flood(load: &mut HandshakeLoad, start: Instant, a_second: u32) -> usize {
        let gap = Duration::from_secs(1) / a_second;
        (0..a_second).filter(|n| load.count(start + gap * *n)).count()
    }

    #[test]
    fn the_start_of_all_channels_at_once_is_no_load() {
        let start = Instant::now();
        let mut load = HandshakeLoad::new(1000, start);
        assert!((0..2 * 1000).all(|_| !load.count(start)));
    }

    #[test]
    fn a_flood_is_a_load_until_a_second_after_its_end() {
        let start = Instant::now();
        let mut load = HandshakeLoad::new(4, start);
        assert_eq!(flood(&mut load, start, 500), 0);
        assert!(flood(&mut load, start + Duration::from_secs(1), 10_000) > 9_800);
        assert!(load.count(start + Duration::from_millis(2900)));
        assert!(!load.count(start + Duration::from_millis(3100)));
    }
}
