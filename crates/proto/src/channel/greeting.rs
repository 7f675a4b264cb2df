//! An exchange of hellos, as one session has it.

use std::time::{Duration, Instant};

/// How long each hello of a session waits for its answer: the first is repeated soon, in case it was lost, and the last
/// waits for a slow path. Answers are apart.
const HELLO_WAITS: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_millis(900), Duration::from_millis(1800)];
/// All of them.
const HELLOS_TAKE: Duration = Duration::from_secs(3);

/// An exchange of hellos that goes on.
pub(super) struct Greeting {
    /// Hellos that were sent; as many as there may be if none is to be.
    said: usize,
    /// When the next one goes out or, when all were said, the exchange has failed.
    next: Instant,
}

impl Greeting {
    /// When something is to be done about it.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// We initiated, and the first hello goes out at once.
    pub(super) fn spoken(now: Instant) -> Self {
        Greeting { said: 1, next: now + HELLO_WAITS[0] }
    }

    /// We answered, and wait for the peer's hello as long as it may repeat it.
    pub(super) fn awaited(now: Instant) -> Self {
        Greeting { said: HELLO_WAITS.len(), next: now + HELLOS_TAKE }
    }

    /// Another hello goes out now, if one is left.
    pub(super) fn repeat(&mut self, now: Instant) -> bool {
        let Some(wait) = HELLO_WAITS.get(self.said) else { return false };
        self.next = now + *wait;
        self.said += 1;
        true
    }
}
