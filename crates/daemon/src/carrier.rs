//! A device's carrier: what the kernel's routing believes of a channel.
//!
//! ```text
//!  engine: ordered, at once ─► orders ─► thread: TUNSETCARRIER, ETHTOOL_GLINK, one after the other ─► kernel
//! ```
//! Both take the kernel's lock for devices, one for the whole machine whatever the namespace (rtnl): while somebody deletes
//! a thousand devices, or a driver waits for its hardware, it is not to be had. So they are called on a thread of its own,
//! in the order in which they were ordered. Meanwhile the engine answers probes, and what the kernel still gives to a
//! device that is to lose its carrier goes by a sibling (engine/rescue.rs).

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use meshtun_sys::tun::CarrierSwitch;

use crate::Error;

/// The carrier of one channel's device, down at first.
#[derive(Debug)]
pub(crate) struct Carrier {
    switch: Option<Arc<CarrierSwitch>>,
    up: bool,
    is_news: bool,
}

impl Carrier {
    /// Of a device that was just attached, which leaves it without carrier.
    pub(crate) fn down(switch: CarrierSwitch) -> Carrier {
        Carrier { switch: Some(Arc::new(switch)), up: false, is_news: false }
    }

    /// One that is up, of no device.
    #[cfg(test)]
    pub(crate) fn of_nothing() -> Carrier {
        Carrier { switch: None, up: true, is_news: false }
    }

    /// What was ordered last.
    pub(crate) fn is_up(&self) -> bool {
        self.up
    }

    /// Whether the kernel is known to act on a loss only later, at most once a second for the whole machine.
    pub(crate) fn is_slow(&self) -> bool {
        self.switch.as_ref().and_then(|switch| switch.settles_at_once()) == Some(false)
    }

    /// Orders carrier; whether that is news. The order waits for [`Carrier::take_order`].
    pub(crate) fn set(&mut self, up: bool) -> bool {
        let is_news = self.up != up;
        self.up = up;
        self.is_news |= is_news;
        is_news
    }

    /// What the kernel is to be told, if anything.
    pub(crate) fn take_order(&mut self) -> Option<impl FnOnce() -> io::Result<()> + Send + 'static> {
        let is_news = std::mem::take(&mut self.is_news);
        let (switch, up) = (self.switch.clone().filter(|_| is_news)?, self.up);
        Some(move || switch.set(up))
    }

    /// Lets go of the device, so that it may be attached anew.
    pub(crate) fn release(&mut self) {
        self.up = false;
        self.switch = None;
    }
}

/// The thread that tells the kernel. It ends when this is dropped and all that was ordered is done.
#[derive(Debug)]
pub(crate) struct Carriers {
    orders: mpsc::Sender<Order>,
    progress: Arc<Progress>,
}

/// How far the thread is.
#[derive(Debug, Default)]
struct Progress {
    /// Orders that are not done.
    waiting: AtomicUsize,
    doing: Mutex<Option<Doing>>,
}

/// Of which device, and what.
struct Order {
    device: String,
    up: bool,
    act: Box<dyn FnOnce() -> io::Result<()> + Send>,
}

/// What the thread is about, and since when.
#[derive(Debug)]
struct Doing {
    device: String,
    since: Instant,
}

impl Carriers {
    /// Starts the thread, in the network namespace of this one.
    ///
    /// # Errors
    /// If no thread is to be had.
    pub(crate) fn start() -> Result<Carriers, Error> {
        let (orders, ordered) = mpsc::channel();
        let progress = Arc::<Progress>::default();
        let does = Arc::clone(&progress);
        let work = move || ordered.iter().for_each(|order| carry_out(order, &does));
        let started = thread::Builder::new().name("meshtun-carrier".into()).spawn(work);
        started.map_err(Error::system("start a thread"))?;
        Ok(Carriers { orders, progress })
    }

    /// Has this done after all that was ordered before, and does not wait for it.
    pub(crate) fn order(&self, device: &str, up: bool, act: impl FnOnce() -> io::Result<()> + Send + 'static) {
        self.progress.waiting.fetch_add(1, SeqCst);
        // The thread lives as long as this does.
        let _taken = self.orders.send(Order { device: device.to_owned(), up, act: Box::new(act) });
    }

    /// Whether the kernel was told all that was ordered.
    pub(crate) fn is_idle(&self) -> bool {
        self.progress.waiting.load(SeqCst) == 0
    }

    /// The device whose carrier the kernel has kept for longer than [`LONG`], and for how long.
    pub(crate) fn held_up(&self, now: Instant) -> Option<(String, Duration)> {
        let doing = self.progress.doing.lock().unwrap_or_else(PoisonError::into_inner);
        let Doing { device, since } = doing.as_ref()?;
        let waited = now.saturating_duration_since(*since);
        (waited > LONG).then(|| (device.clone(), waited))
    }
}

fn carry_out(order: Order, progress: &Progress) {
    let note = |what| *progress.doing.lock().unwrap_or_else(PoisonError::into_inner) = what;
    let Order { device, up, act } = order;
    note(Some(Doing { device: device.clone(), since: Instant::now() }));
    let done = act();
    note(None);
    progress.waiting.fetch_sub(1, SeqCst);
    // A device that is gone has lost its carrier with it.
    if let (true, Err(error)) = (up, done) {
        tracing::error!("cannot give {device} carrier: {error}");
    }
}

/// What a kernel that is busy with devices may take for one: usual is a tenth of a millisecond.
const LONG: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender};

    use super::*;

    /// More than anything here takes.
    const DEADLINE: Duration = Duration::from_secs(20);

    /// An order that tells its number, and then waits to be let go.
    fn order(carriers: &Carriers, number: u32, tell: &Sender<u32>) -> Sender<()> {
        let (let_go, wait): (Sender<()>, Receiver<()>) = mpsc::channel();
        let tell = tell.clone();
        carriers.order(&format!("nq{number}"), false, move || {
            tell.send(number).unwrap();
            let _let_go = wait.recv();
            Ok(())
        });
        let_go
    }

    #[test]
    fn who_orders_does_not_wait_and_orders_are_done_one_after_the_other_in_their_order() {
        let carriers = Carriers::start().unwrap();
        let (tell, told) = mpsc::channel();
        let stuck: Vec<Sender<()>> = (0..5).map(|number| order(&carriers, number, &tell)).collect();
        for (number, stuck) in stuck.into_iter().enumerate() {
            assert!(!carriers.is_idle());
            assert_eq!(told.recv_timeout(DEADLINE), Ok(number as u32));
            assert!(told.try_recv().is_err(), "the next waits");
            drop(stuck);
        }
        let deadline = Instant::now() + DEADLINE;
        while !carriers.is_idle() {
            assert!(Instant::now() < deadline);
            thread::yield_now();
        }
    }

    #[test]
    fn what_the_kernel_keeps_waiting_is_told_with_its_device_and_time() {
        let carriers = Carriers::start().unwrap();
        let (tell, told) = mpsc::channel();
        assert_eq!(carriers.held_up(Instant::now() + DEADLINE), None);
        let stuck = order(&carriers, 7, &tell);
        told.recv_timeout(DEADLINE).unwrap();
        let now = Instant::now();
        assert_eq!(carriers.held_up(now), None, "not for long");
        let (device, waited) = carriers.held_up(now + 2 * LONG).unwrap();
        assert!(device == "nq7" && waited >= 2 * LONG, "{device} {waited:?}");
        drop(stuck);
        let next = order(&carriers, 8, &tell);
        told.recv_timeout(DEADLINE).unwrap();
        assert_eq!(carriers.held_up(Instant::now()).map(|(device, _)| device), None);
        drop(next);
    }
}
