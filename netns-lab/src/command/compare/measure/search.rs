//! The search for the highest rate that is carried without loss.

use std::iter;

/// Of how many datagrams one may be lost: 0.1 %.
const ONE_IN: f64 = 1000.0;

/// How near the rate that holds and the one that does not must be: 5 %.
const NEAR: f64 = 1.05;

/// A loss so high that trying again would change nothing.
const HOPELESS: f64 = 0.05;

/// What part of the rate must have been sent for the try to count.
const SENT: f64 = 0.95;

/// Where the search gives up: datagrams a second.
const LEAST: f64 = 100.0;

/// By which factors a rate that did not hold for long is lowered, one after the other; by the last one as often as it
/// takes.
const LOWER: [f64; 4] = [0.95, 0.9, 0.8, 0.6];

/// What came of sending at a rate.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Try {
    /// Datagrams a second that were sent: fewer than asked for, if the sender could not.
    pub(super) sent: f64,
    /// The part of them that never came.
    pub(super) loss: f64,
}

/// Where a search begins, and by which factor it goes on from there.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Start {
    pub(super) rate: f64,
    pub(super) factor: f64,
}

impl Try {
    /// Whether a rate was carried.
    pub(super) fn holds(self, rate: f64) -> bool {
        self.loses_little() && self.sent >= SENT * rate
    }

    fn loses_little(self) -> bool {
        self.loss < 1.0 / ONE_IN
    }
}

impl Start {
    /// Where nothing is known: doubling from there.
    pub(super) const ANYWHERE: Start = Start { rate: 50_000.0, factor: 2.0 };

    /// Where a rate was found before: steps of 10 %, then of 21 %, and so on up to doubling.
    pub(super) fn at(rate: f64) -> Start {
        Start { rate, factor: 1.1 }
    }
}

/// What a search found.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Found {
    /// Datagrams a second.
    pub(super) rate: f64,
    /// More would have been carried, perhaps, but could not be sent.
    pub(super) limited_by_sender: bool,
}

/// What a rate turned out to be.
enum Verdict {
    Holds,
    Loses,
    /// Only so much of it could be sent, and that holds.
    CannotBeSent(f64),
}

/// The highest rate that holds, to 5 %, by short tries: up or down from the start by growing factors until one holds and
/// one does not, then between them; or what could be sent, where that is less. `None` if not even the least holds.
///
/// # Errors
/// Those of `attempt`, which sends at a rate.
pub(super) fn highest<E>(start: Start, mut attempt: impl FnMut(f64) -> Result<Try, E>) -> Result<Option<Found>, E> {
    let mut judge = |rate| judge(rate, &mut attempt);
    let (mut low, mut high, mut factor, mut rate) = (None, None, start.factor, start.rate);
    loop {
        match judge(rate)? {
            Verdict::Holds => low = Some(rate),
            Verdict::Loses if rate <= LEAST => return Ok(None),
            Verdict::Loses => high = Some(rate),
            Verdict::CannotBeSent(sent) => {
                let rate = low.map_or(sent, |low: f64| low.max(sent));
                return Ok(Some(Found { rate, limited_by_sender: true }));
            }
        }
        rate = match (low, high) {
            (Some(low), Some(high)) if high / low <= NEAR => {
                return Ok(Some(Found { rate: low, limited_by_sender: false }));
            }
            (Some(low), Some(high)) => (low * high).sqrt(),
            (Some(low), None) => low * factor,
            (None, _) => (rate / factor).max(LEAST),
        };
        factor = (factor * factor).min(2.0);
    }
}

/// Tries a rate, and once more if something else on the machine may have spoiled it.
fn judge<E>(rate: f64, attempt: &mut impl FnMut(f64) -> Result<Try, E>) -> Result<Verdict, E> {
    let first = attempt(rate)?;
    if first.holds(rate) {
        return Ok(Verdict::Holds);
    }
    if first.loss >= HOPELESS {
        return Ok(Verdict::Loses);
    }
    let second = attempt(rate)?;
    Ok(match [first, second].map(Try::loses_little) {
        _ if second.holds(rate) => Verdict::Holds,
        [true, true] => Verdict::CannotBeSent(first.sent.max(second.sent)),
        _ => Verdict::Loses,
    })
}

/// What a rate gives that holds for long: the one found, or the first of lower ones that loses as little. `None` if not
/// even the least does.
///
/// That the sender may be slower than asked for does not matter: what it sent counts.
///
/// # Errors
/// Those of `attempt`, which sends at a rate.
pub(super) fn confirm<T, E>(
    mut rate: f64,
    mut attempt: impl FnMut(f64) -> Result<(Try, T), E>,
) -> Result<Option<(f64, T)>, E> {
    let mut factors = LOWER.into_iter().chain(iter::repeat(LOWER[LOWER.len() - 1]));
    while rate >= LEAST {
        let (came, account) = attempt(rate)?;
        if came.loses_little() {
            return Ok(Some((rate, account)));
        }
        rate *= factors.next().unwrap_or_default();
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, convert::Infallible};

    use super::*;

    /// Carries so much, and loses what is beyond it; the sender can so much.
    struct Wire {
        carries: f64,
        can_send: f64,
        tries: Cell<usize>,
    }

    impl Wire {
        fn new(carries: f64) -> Wire {
            Wire { carries, can_send: f64::INFINITY, tries: Cell::new(0) }
        }

        fn send(&self, rate: f64) -> Result<Try, Infallible> {
            self.tries.set(self.tries.get() + 1);
            let sent = rate.min(self.can_send);
            Ok(Try { sent, loss: (1.0 - self.carries / sent).max(0.0) })
        }

        fn highest(&self, start: Start) -> Option<f64> {
            highest(start, |rate| self.send(rate)).unwrap().map(|found| found.rate)
        }
    }

    fn is_near(found: f64, right: f64) -> bool {
        found <= right * 1.001 && found * NEAR >= right
    }

    #[test]
    fn the_highest_rate_is_found_to_5_percent_wherever_it_is() {
        for carries in [101.0, 150.0, 1234.0, 49_000.0, 51_000.0, 94_000.0, 187_654.0, 3_000_000.0] {
            let found = Wire::new(carries).highest(Start::ANYWHERE).unwrap();
            assert!(is_near(found, carries), "{found} of {carries}");
        }
    }

    #[test]
    fn a_search_that_begins_near_is_shorter() {
        let tries = |start| {
            let wire = Wire::new(190_000.0);
            assert!(is_near(wire.highest(start).unwrap(), 190_000.0));
            wire.tries.get()
        };
        assert!(2 * tries(Start::at(185_000.0)) <= tries(Start::ANYWHERE) + 1);
        assert!(2 * tries(Start::at(197_000.0)) <= tries(Start::ANYWHERE) + 1);
        assert!(tries(Start::ANYWHERE) <= 12);
    }

    #[test]
    fn a_start_that_is_far_off_is_no_obstacle() {
        assert!(is_near(Wire::new(400_000.0).highest(Start::at(20_000.0)).unwrap(), 400_000.0));
        assert!(is_near(Wire::new(20_000.0).highest(Start::at(400_000.0)).unwrap(), 20_000.0));
    }

    #[test]
    fn what_the_sender_cannot_send_is_not_carried() {
        let wire = Wire { can_send: 300_000.0, ..Wire::new(f64::INFINITY) };
        let found = highest(Start::ANYWHERE, |rate| wire.send(rate)).unwrap();
        assert_eq!(found, Some(Found { rate: 300_000.0, limited_by_sender: true }));
        let found = highest(Start::ANYWHERE, |rate| Wire::new(200_000.0).send(rate)).unwrap().unwrap();
        assert!(!found.limited_by_sender, "{found:?}");
    }

    #[test]
    fn a_sender_that_was_held_up_once_is_tried_again() {
        let wire = Wire::new(190_000.0);
        let found = highest(Start::ANYWHERE, |rate| {
            let came = wire.send(rate)?;
            Ok::<_, Infallible>(if wire.tries.get() == 2 { Try { sent: came.sent / 3.0, ..came } } else { came })
        });
        assert!(is_near(found.unwrap().unwrap().rate, 190_000.0));
    }

    #[test]
    fn a_wire_that_loses_always_carries_nothing() {
        let lossy = highest(Start::ANYWHERE, |sent| Ok::<_, Infallible>(Try { sent, loss: 0.01 }));
        assert_eq!(lossy, Ok(None));
    }

    #[test]
    fn a_few_datagrams_lost_by_accident_are_tried_again() {
        let wire = Wire::new(190_000.0);
        let found = highest(Start::ANYWHERE, |rate| {
            let came = wire.send(rate)?;
            let accident = wire.tries.get() == 2;
            Ok::<_, Infallible>(if accident { Try { loss: 0.002, ..came } } else { came })
        });
        assert!(is_near(found.unwrap().unwrap().rate, 190_000.0));
    }

    #[test]
    fn a_rate_that_does_not_hold_for_long_is_lowered_until_it_does() {
        let wire = Wire::new(90_000.0);
        let run = |rate| wire.send(rate).map(|came| (came, rate));
        let (rate, account) = confirm(100_000.0, run).unwrap().unwrap();
        assert!((85_499.0..85_501.0).contains(&rate) && account == rate, "{rate}");
        assert_eq!(wire.tries.get(), 3);
        assert!(confirm(10_000_000.0, run).unwrap().is_some(), "however long it takes");
        let lossy = |sent| Ok::<_, Infallible>((Try { sent, loss: 0.01 }, ()));
        assert_eq!(confirm(100_000.0, lossy), Ok(None));
    }

    #[test]
    fn what_a_slow_sender_has_sent_without_loss_counts() {
        let wire = Wire { can_send: 50_000.0, ..Wire::new(90_000.0) };
        let (rate, sent) = confirm(80_000.0, |rate| wire.send(rate).map(|came| (came, came.sent))).unwrap().unwrap();
        assert_eq!((rate, sent), (80_000.0, 50_000.0));
    }

    #[test]
    fn one_of_a_thousand_is_too_many() {
        assert!(Try { sent: 1000.0, loss: 0.000_99 }.holds(1000.0));
        assert!(!Try { sent: 1000.0, loss: 0.001 }.holds(1000.0));
        assert!(!Try { sent: 900.0, loss: 0.0 }.holds(1000.0));
    }
}
