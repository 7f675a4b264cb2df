//! Numbered datagrams of one flow, as they arrive: what is missing, doubled, late, and how long nothing came.

use std::time::Duration;

/// What became of one flow of datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpFlow {
    /// The client's port.
    pub port: u16,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams that could not be sent: no route, no buffer.
    pub refused: u64,
    /// Different datagrams received.
    pub received: u64,
    /// Further copies of datagrams received.
    pub duplicates: u64,
    /// Datagrams that came after one that was sent later.
    pub reordered: u64,
    /// The longest time without a datagram between the first one sent and the last.
    pub longest_gap: Duration,
    /// The most datagrams in a row that never came.
    pub longest_loss: u64,
}

/// What came of a train.
#[derive(Clone, Debug)]
pub struct UdpReport {
    /// Each flow.
    pub flows: Vec<UdpFlow>,
    /// From the first datagram sent to the last.
    pub elapsed: Duration,
    /// Busy seconds of the whole machine meanwhile.
    pub cpu_seconds: f64,
    /// Datagrams that came to the receiver and found its buffer full: the load's own fault, not the network's.
    pub overrun: u64,
}

impl UdpFlow {
    /// Datagrams sent that never came.
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }
}

impl UdpReport {
    /// All flows together; gaps and losses in a row are the longest of any.
    pub fn total(&self) -> UdpFlow {
        let mut total = UdpFlow::default();
        for flow in &self.flows {
            total.sent += flow.sent;
            total.refused += flow.refused;
            total.received += flow.received;
            total.duplicates += flow.duplicates;
            total.reordered += flow.reordered;
            total.longest_gap = total.longest_gap.max(flow.longest_gap);
            total.longest_loss = total.longest_loss.max(flow.longest_loss);
        }
        total
    }
}

/// The receiver's account of one flow. Times are since the start of the load.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// A bit for each datagram that came.
    seen: Vec<u64>,
    /// One more than the highest number that came.
    next: u64,
    received: u64,
    duplicates: u64,
    reordered: u64,
    last: Duration,
    gap: Duration,
}

impl Arrivals {
    /// `began`: when the flow's first datagram was sent.
    pub(super) fn new(began: Duration) -> Arrivals {
        Arrivals { last: began, ..Arrivals::default() }
    }

    pub(super) fn arrived(&mut self, number: u64, now: Duration) {
        self.gap = self.gap.max(now.saturating_sub(self.last));
        self.last = now;
        if !self.mark(number) {
            self.duplicates += 1;
            return;
        }
        self.received += 1;
        self.reordered += u64::from(number < self.next);
        self.next = self.next.max(number + 1);
    }

    /// The account, when so many were sent, the last of them at `ended`.
    pub(super) fn close(&self, sent: u64, ended: Duration) -> UdpFlow {
        UdpFlow {
            sent,
            received: self.received,
            duplicates: self.duplicates,
            reordered: self.reordered,
            longest_gap: self.gap.max(ended.saturating_sub(self.last)),
            longest_loss: self.longest_loss(sent),
            ..UdpFlow::default()
        }
    }

    /// Whether the number is new.
    fn mark(&mut self, number: u64) -> bool {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if word >= self.seen.len() {
            self.seen.resize(word + 1, 0);
        }
        let new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        new
    }

    fn longest_loss(&self, sent: u64) -> u64 {
        let came =
            |number: u64| self.seen.get((number / 64) as usize).is_some_and(|word| word >> (number % 64) & 1 == 1);
        let (mut longest, mut row) = (0, 0);
        for number in 0..sent {
            row = if came(number) { 0 } else { row + 1 };
            longest = longest.max(row);
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn account(numbers: &[u64], sent: u64) -> UdpFlow {
        let mut arrivals = Arrivals::new(ms(0));
        numbers.iter().for_each(|number| arrivals.arrived(*number, ms(0)));
        arrivals.close(sent, ms(0))
    }

    #[test]
    fn a_datagram_behind_a_later_one_is_reordered_and_not_lost() {
        let flow = account(&[0, 2, 1, 3], 4);
        assert_eq!((flow.received, flow.reordered, flow.lost(), flow.duplicates), (4, 1, 0, 0));
    }

    #[test]
    fn a_second_copy_is_a_duplicate_and_no_arrival() {
        let flow = account(&[0, 1, 1, 0, 2], 3);
        assert_eq!((flow.received, flow.duplicates, flow.reordered), (3, 2, 0));
    }

    #[test]
    fn losses_in_a_row_count_to_the_very_end() {
        assert_eq!(account(&[0, 3, 4, 200], 201).longest_loss, 195);
        assert_eq!(account(&[0], 101).longest_loss, 100);
        assert_eq!(account(&[0, 1, 2], 3).longest_loss, 0);
    }

    #[test]
    fn silence_before_the_first_and_after_the_last_arrival_is_a_gap() {
        let mut arrivals = Arrivals::new(ms(10));
        arrivals.arrived(5, ms(60));
        arrivals.arrived(6, ms(80));
        assert_eq!(arrivals.close(7, ms(85)).longest_gap, ms(50));
        assert_eq!(arrivals.close(100, ms(1080)).longest_gap, ms(1000));
    }

    #[test]
    fn nothing_that_came_is_all_that_was_lost() {
        let flow = Arrivals::new(ms(0)).close(10, ms(100));
        assert_eq!((flow.lost(), flow.longest_loss, flow.longest_gap), (10, 10, ms(100)));
    }
}
