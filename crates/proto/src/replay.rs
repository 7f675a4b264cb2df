//! The sliding window that refuses replayed transport messages (RFC 6479; the kernel's
//! `drivers/net/wireguard/receive.c`).

/// How far behind the greatest counter a late message may be.
///
/// Of the ring's 8192 bits the 64 of the word that is being entered are not counted on, as in the
/// kernel.
pub const WINDOW: u64 = BITS - u64::BITS as u64;

const BITS: u64 = 8192;
const WORDS: usize = (BITS / u64::BITS as u64) as usize;

/// Which counters were seen: check first, mark only once the message is authentic.
#[derive(Clone, Debug)]
pub struct Window {
    /// One more than the greatest counter marked; zero before the first.
    next: u64,
    /// A ring of bits: counter `c` is bit `c % 64` of word `c / 64 % WORDS`.
    ring: [u64; WORDS],
}

impl Window {
    /// A window that has seen nothing.
    pub fn new() -> Self {
        Self { next: 0, ring: [0; WORDS] }
    }

    /// Whether `counter` is neither marked nor further than [`WINDOW`] behind the greatest.
    ///
    /// `u64::MAX` is never fresh; a suite's own limit lies far below it.
    #[inline]
    pub fn is_fresh(&self, counter: u64) -> bool {
        if counter >= self.next {
            return counter != u64::MAX;
        }
        let behind = self.next - 1 - counter;
        behind <= WINDOW && self.ring[word(counter)] & bit(counter) == 0
    }

    /// Marks a counter that [`Self::is_fresh`]; any other leaves the window as it is.
    #[inline]
    pub fn mark(&mut self, counter: u64) {
        if !self.is_fresh(counter) {
            return;
        }
        if counter >= self.next {
            self.advance(counter);
        }
        self.ring[word(counter)] |= bit(counter);
    }

    /// Makes `counter` the greatest, forgetting the words that are entered on the way.
    fn advance(&mut self, counter: u64) {
        let entered = counter / 64 - self.next.saturating_sub(1) / 64;
        for i in 0..entered.min(WORDS as u64) {
            self.ring[word(counter - i * 64)] = 0;
        }
        self.next = counter + 1;
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::new()
    }
}

fn word(counter: u64) -> usize {
    (counter / 64) as usize % WORDS
}

fn bit(counter: u64) -> u64 {
    1 << (counter % 64)
}

#[cfg(test)]
mod tests;
