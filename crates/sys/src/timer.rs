//! A timerfd: a descriptor that becomes readable at a moment, for epoll.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    io::Errno,
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime},
};

/// A timer that goes off once each time it is set.
#[derive(Debug)]
pub struct Timer(OwnedFd);

impl Timer {
    /// Makes one, not set, non-blocking, closed on exec.
    ///
    /// # Errors
    /// The kernel's, for want of descriptors.
    pub fn new() -> io::Result<Timer> {
        Ok(Timer(timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?))
    }

    /// Makes the descriptor readable after so long, and not before, whatever it was set to.
    ///
    /// # Errors
    /// The kernel's; none is expected.
    pub fn set(&self, after: Duration) -> io::Result<()> {
        // All zero would mean never.
        let after = after.max(Duration::from_nanos(1));
        let it_value = Timespec::try_from(after).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }

    /// Makes the descriptor unreadable, if it has gone off.
    ///
    /// # Errors
    /// The kernel's; none is expected.
    pub fn drain(&self) -> io::Result<()> {
        match rustix::io::read(&self.0, &mut [0; 8]) {
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::epoll::{Epoll, Events, Interest};

    #[test]
    fn a_timer_goes_off_once_and_not_before_its_time() {
        let (timer, epoll) = (Timer::new().unwrap(), Epoll::new().unwrap());
        epoll.add(&timer, 7, Interest::Read).unwrap();
        let mut events = Events::with_capacity(1);
        let mut goes_off = |within| {
            epoll.wait(&mut events, Some(within)).unwrap();
            events.iter().count() == 1
        };
        assert!(!goes_off(Duration::ZERO), "it is not set");
        let set = Instant::now();
        timer.set(Duration::from_millis(20)).unwrap();
        assert!(goes_off(Duration::from_secs(10)) && set.elapsed() >= Duration::from_millis(20));
        timer.drain().unwrap();
        assert!(!goes_off(Duration::from_millis(30)), "once");
        timer.set(Duration::ZERO).unwrap();
        assert!(goes_off(Duration::from_secs(10)));
        timer.set(Duration::from_secs(1000)).unwrap();
        assert!(!goes_off(Duration::ZERO), "setting it anew takes back that it went off");
    }
}
