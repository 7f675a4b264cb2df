//! An underlay in userspace, which does to datagrams what networks do: seeded delay, jitter, loss by itself and in bursts,
//! reordering, duplication, corruption, a rate limit with a bounded queue, and blocks in one direction.
//!
//! ```text
//!  g1:underlay ── tap ──┐
//!  g2:underlay ── tap ──┼── one thread: who it is for, which line, when it arrives
//!  g3:underlay ── tap ──┘
//! ```
//!
//! The gateways' underlay devices are taps on one segment; frames go where their destination address was last seen, as in
//! a switch. From each gateway to each other there is a line for everything, and one for a UDP port (which is a channel)
//! where that was given faults of its own. Anything can be changed while it runs. All that happens is counted by
//! direction, port and reason, so that it adds up:
//! `sent + duplicated = delivered + lost + blocked + too_long + overflowed + refused + under way`.

mod classify;
mod damage;
mod key;
mod switch;

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use meshtun_sys::tun::Tap;

pub use self::key::Key;
use self::switch::Switch;
pub use meshtun_testkit::{Counts, Path};

/// A running underlay. Dropping it takes the devices away.
#[derive(Debug)]
pub struct Faults {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    switch: Mutex<Switch>,
    over: AtomicBool,
}

impl Shared {
    fn switch(&self) -> MutexGuard<'_, Switch> {
        self.switch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Faults {
    /// Joins these devices, which count as gateways 0, 1 and so on; everything passes at once. `seed` decides over fates:
    /// the same frames in the same order suffer the same.
    ///
    /// # Errors
    /// If no thread or epoll instance is to be had.
    pub fn start(taps: Vec<Tap>, seed: u64) -> io::Result<Faults> {
        let taps = Arc::new(taps);
        let shared =
            Arc::new(Shared { switch: Mutex::new(Switch::new(taps.len(), seed)), over: AtomicBool::new(false) });
        let (ours, poll) = (shared.clone(), switch::Poll::new(&taps)?);
        let carry = move || poll.run(&taps, &ours.switch, &ours.over);
        let thread = std::thread::Builder::new().name("underlay".into()).spawn(carry)?;
        Ok(Faults { shared, thread: Some(thread) })
    }

    /// Says how everything from one gateway to another behaves from here on, but for ports that have faults of their own.
    pub fn set(&self, from: usize, to: usize, path: Path) {
        self.shared.switch().set(from, to, None, Some(path));
    }

    /// Says how UDP to this port of the other gateway behaves from here on; without a path, as everything else.
    pub fn set_port(&self, from: usize, to: usize, port: u16, path: Option<Path>) {
        self.shared.switch().set(from, to, Some(port), path);
    }

    /// How UDP to a port behaves now; without a port, everything that has no faults of its own.
    pub fn path(&self, from: usize, to: usize, port: Option<u16>) -> Path {
        self.shared.switch().path(from, to, port)
    }

    /// Lets everything pass again; what is under way arrives as it would have.
    pub fn clear(&self) {
        self.shared.switch().clear();
    }

    /// What became of all frames so far: by direction, and by port for UDP.
    pub fn counts(&self) -> Vec<(Key, Counts)> {
        self.shared.switch().counts()
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its devices go with it, so it must have ended.
            let _panicked = thread.join();
        }
    }
}
