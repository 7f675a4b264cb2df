//! So many bytes a second, and no more: what a sending half's wire keeps to, if it is told to.
//!
//! A train that has gone costs time: what its bytes take at this rate. Once that adds up to more than [`GRAIN`] the wire
//! rests until it is paid, and nothing is sealed meanwhile: packets wait in the half's queue, by flow, as they do where the
//! socket has no room. A timer ends the rest.

use std::{
    io,
    time::{Duration, Instant},
};

use meshtun_sys::timer::Timer;

/// The shortest rest: what is owed may add up to this, so that a fast wire is not woken for every packet.
const GRAIN: Duration = Duration::from_micros(500);

/// How far a rest that took too long is made up for.
const LATENESS: Duration = Duration::from_millis(2);

/// The least that a datagram counts, in bytes (OpenVPN's shaper.h, `shaper_wrote_bytes`).
const LEAST: usize = 100;

/// How fast a channel may send.
#[derive(Debug)]
pub struct Shaper {
    /// Bytes a second.
    rate: u32,
    /// What each datagram counts beyond its own bytes.
    overhead: usize,
    /// When all that has gone is paid for.
    paid: Option<Instant>,
    timer: Timer,
}

impl Shaper {
    /// At most `rate` bytes a second, which must not be 0. A datagram counts `overhead` bytes more than it has, for the headers
    /// of the underlay, and 100 at the least.
    ///
    /// # Errors
    /// The kernel's, for want of descriptors.
    pub fn new(rate: u32, overhead: usize) -> io::Result<Shaper> {
        Ok(Shaper { rate: rate.max(1), overhead, paid: None, timer: Timer::new()? })
    }

    /// The longest train that keeps a flow even, in bytes: what goes in two grains, but a whole datagram of `longest` bytes.
    fn longest_train(&self, longest: usize) -> usize {
        (self.rate as usize / 1000).max(longest)
    }

    /// So many bytes have gone, in datagrams of `segment`. For how long the wire rests; not at all if it need not.
    fn charge(&mut self, bytes: usize, segment: usize, now: Instant) -> Option<Duration> {
        let whole = bytes / segment.max(1);
        let cost = whole * self.cost(segment)
            + Some(bytes - whole * segment).filter(|rest| *rest > 0).map_or(0, |rest| self.cost(rest));
        let time = Duration::from_nanos(
            u64::try_from(cost).unwrap_or(u64::MAX).saturating_mul(1_000_000_000) / u64::from(self.rate),
        );
        let earliest = now.checked_sub(LATENESS).unwrap_or(now);
        let paid = self.paid.map_or(now, |paid| paid.max(earliest)) + time;
        self.paid = Some(paid);
        paid.checked_duration_since(now).filter(|owed| *owed >= GRAIN)
    }

    fn cost(&self, datagram: usize) -> usize {
        (datagram + self.overhead).max(LEAST)
    }

    /// For how long the wire rests still.
    fn owed(&self, now: Instant) -> Option<Duration> {
        self.paid?.checked_duration_since(now).filter(|owed| !owed.is_zero())
    }
}

/// How fast the wire goes: as fast as the socket takes it, or at a rate.
#[derive(Debug, Default)]
pub(super) struct Pace {
    shaper: Option<Box<Shaper>>,
    /// It has sent what it may for a while.
    rests: bool,
}

impl Pace {
    pub(super) fn keep_to(&mut self, shaper: Box<Shaper>) {
        self.shaper = Some(shaper);
    }

    #[inline]
    pub(super) fn rests(&self) -> bool {
        self.rests
    }

    /// Readable when a rest is over.
    pub(super) fn timer(&self) -> Option<&Timer> {
        self.shaper.as_ref().map(|shaper| &shaper.timer)
    }

    /// The part of the room for a train that is to be filled: all, unless that is more than may go at once.
    pub(super) fn room<'a>(&self, room: &'a mut [u8], mtu: usize) -> &'a mut [u8] {
        /// What a format adds to a packet, at the most: OpenVPN's MAC of 64 bytes, IV and padding of 16 each, and headers.
        const OVERHEAD: usize = 256;
        let Some(shaper) = &self.shaper else { return room };
        let length = shaper.longest_train(mtu + OVERHEAD).min(room.len());
        &mut room[..length]
    }

    /// So many bytes have gone, in datagrams of `segment`.
    #[inline]
    pub(super) fn charge(&mut self, bytes: usize, segment: usize) {
        if let Some(shaper) = &mut self.shaper {
            // A timer that cannot be set would end no rest.
            let rest = shaper.charge(bytes, segment, Instant::now());
            self.rests = rest.is_some_and(|rest| shaper.timer.set(rest).is_ok());
        }
    }

    /// A frame of so many bytes has gone. Frames are few, and go without rest.
    pub(super) fn charge_frame(&mut self, bytes: usize, now: Instant) {
        if let Some(shaper) = &mut self.shaper {
            shaper.charge(bytes, bytes, now);
        }
    }

    /// The timer has gone off, perhaps: rests on if it is too early.
    pub(super) fn resume(&mut self, now: Instant) {
        if let Some(shaper) = &self.shaper {
            let _went_off = shaper.timer.drain();
            self.rests = shaper.owed(now).is_some_and(|rest| shaper.timer.set(rest).is_ok());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long it takes to send so many trains of so many bytes, in datagrams of 1,000, each as soon as it may go and `late`
    /// after that.
    fn time(rate: u32, trains: u32, bytes: usize, late: Duration) -> Duration {
        let mut shaper = Shaper::new(rate, 0).unwrap();
        let start = Instant::now();
        let mut now = start;
        for _ in 0..trains {
            now += shaper.charge(bytes, 1000, now).map_or(Duration::ZERO, |rest| rest + late);
        }
        now - start
    }

    fn is_near(time: Duration, seconds: f64) -> bool {
        (time.as_secs_f64() - seconds).abs() < 0.01
    }

    #[test]
    fn bytes_take_their_time_in_small_trains_and_in_large_ones() {
        assert!(is_near(time(100_000, 100, 1000, Duration::ZERO), 1.0));
        assert!(is_near(time(100_000_000, 2000, 50_000, Duration::ZERO), 1.0));
        assert!(is_near(time(1_000_000, 999, 1001, Duration::ZERO), 0.999 * 1.1), "the last byte counts 100");
    }

    #[test]
    fn what_wakes_late_catches_up_a_little_and_no_more() {
        assert!(is_near(time(100_000, 100, 1000, Duration::from_millis(1)), 1.0));
        let slow = time(100_000, 100, 1000, Duration::from_millis(20));
        assert!(slow > Duration::from_millis(2500), "{slow:?}");
        let mut shaper = Shaper::new(1000, 0).unwrap();
        let start = Instant::now();
        assert!(shaper.charge(1000, 1000, start).is_some());
        let rest = shaper.charge(1000, 1000, start + Duration::from_secs(3600)).unwrap();
        assert!(rest > Duration::from_millis(990), "an hour of silence earns nothing: {rest:?}");
    }

    #[test]
    fn headers_count_and_a_train_is_never_shorter_than_a_datagram() {
        let mut shaper = Shaper::new(1000, 28).unwrap();
        let now = Instant::now();
        assert_eq!(shaper.charge(972, 972, now), Some(Duration::from_secs(1)));
        assert_eq!(shaper.charge(10, 10, now), Some(Duration::from_millis(1100)));
        assert_eq!(shaper.owed(now), Some(Duration::from_millis(1100)));
        assert_eq!(shaper.owed(now + Duration::from_secs(2)), None);
        assert_eq!(shaper.longest_train(1600), 1600);
        assert_eq!(Shaper::new(100_000_000, 28).unwrap().longest_train(1600), 100_000);
    }
}
