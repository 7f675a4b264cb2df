//! Level-triggered epoll.

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::event::{Timespec, epoll};

/// An epoll instance.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

/// What to wait for. Errors and hang-ups are always reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Nothing but errors: the descriptor is kept registered.
    None,
    /// Something can be read.
    Read,
    /// Something can be written.
    Write,
    /// Either.
    ReadWrite,
}

/// What [`Epoll::wait`] found; made once, filled again and again.
pub struct Events(Vec<epoll::Event>);

/// One descriptor that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The token under which the descriptor was added.
    pub token: u64,
    /// Reading gives something: bytes, an error, or the end.
    pub readable: bool,
    /// Writing does something.
    pub writable: bool,
    /// An error waits. A deleted tun device shows in no other way.
    pub error: bool,
}

impl Epoll {
    /// Makes an instance, closed on exec.
    ///
    /// # Errors
    /// The kernel's, for want of descriptors.
    pub fn new() -> io::Result<Epoll> {
        Ok(Epoll(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    /// Registers `source` under `token`.
    ///
    /// # Errors
    /// `EEXIST` if this descriptor is registered; another descriptor of the same file may be.
    pub fn add(&self, source: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.0, source, epoll::EventData::new_u64(token), interest.flags())?)
    }

    /// Changes the token and the interest of a registered descriptor.
    ///
    /// # Errors
    /// `ENOENT` if it is not registered.
    pub fn modify(&self, source: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.0, source, epoll::EventData::new_u64(token), interest.flags())?)
    }

    /// Forgets a registered descriptor. One that is closed is forgotten by itself, but only when its duplicates are
    /// too.
    ///
    /// # Errors
    /// `ENOENT` if it is not registered.
    pub fn delete(&self, source: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.0, source)?)
    }

    /// Waits until something is ready or `timeout` is over (`None`: for ever), fills `events` and tells how many.
    ///
    /// A signal ends the wait with no events. Allocates nothing.
    ///
    /// # Errors
    /// The kernel's; none is expected.
    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        events.0.clear();
        let timeout = timeout.and_then(timespec);
        match epoll::wait(&self.0, rustix::buffer::spare_capacity(&mut events.0), timeout.as_ref()) {
            Ok(ready) => Ok(ready),
            Err(rustix::io::Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Events {
    /// Room for `capacity` descriptors (at least one) in one wait.
    pub fn with_capacity(capacity: usize) -> Events {
        Events(Vec::with_capacity(capacity.max(1)))
    }

    /// What the last wait found.
    pub fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.0.iter().map(|event| Event::new(*event))
    }

    /// Forgets what the last wait found.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Event {
    fn new(event: epoll::Event) -> Event {
        use epoll::EventFlags as Flags;
        let (token, flags) = (event.data.u64(), event.flags);
        Event {
            token,
            readable: flags.intersects(Flags::IN | Flags::HUP | Flags::RDHUP | Flags::ERR),
            writable: flags.intersects(Flags::OUT | Flags::ERR),
            error: flags.contains(Flags::ERR),
        }
    }
}

impl Interest {
    fn flags(self) -> epoll::EventFlags {
        match self {
            Interest::None => epoll::EventFlags::empty(),
            Interest::Read => epoll::EventFlags::IN,
            Interest::Write => epoll::EventFlags::OUT,
            Interest::ReadWrite => epoll::EventFlags::IN | epoll::EventFlags::OUT,
        }
    }
}

/// `None`, for ever, if the kernel's clock cannot hold it.
fn timespec(timeout: Duration) -> Option<Timespec> {
    Timespec::try_from(timeout).ok()
}
