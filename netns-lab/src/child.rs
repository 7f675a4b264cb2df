//! Programs that run in nodes and end with their lab.

use std::{
    io,
    process::{self, Command, ExitStatus},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use meshtun_sys::process::{Signal, die_with_parent, signal};

/// A program in a node, ended by SIGKILL when this is dropped, the lab is closed or this process ends.
#[derive(Debug)]
pub struct Child(process::Child);

impl Child {
    /// Its process number.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Its exit status, if it has ended.
    ///
    /// # Errors
    /// The kernel's; none is expected.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// Sends it a signal; nothing happens if it has ended.
    ///
    /// # Errors
    /// The kernel's; none is expected.
    pub fn signal(&mut self, which: Signal) -> io::Result<()> {
        if self.ended()?.is_some() { Ok(()) } else { signal(self.id(), which) }
    }

    /// Waits for its end, however long that takes.
    ///
    /// # Errors
    /// The kernel's; none is expected.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.0.wait()
    }

    /// Waits for its end, but no longer than `limit`; `None` if it runs on.
    ///
    /// # Errors
    /// The kernel's; none is expected.
    pub fn wait_for(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + limit;
        loop {
            match self.ended()? {
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                ended => return Ok(ended),
            }
        }
    }

    /// Ends it by SIGKILL and waits.
    ///
    /// # Errors
    /// The kernel's; none is expected.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.0.kill()?;
        self.0.wait()
    }

    /// The pipes that were asked for.
    pub fn pipes(&mut self) -> &mut process::Child {
        &mut self.0
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Already ended and waited for: nothing is left to do.
        let _ended = self.kill();
    }
}

/// The end of what a program wrote: so many lines at the most.
pub fn last_lines(log: &str, count: usize) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The thread that starts a lab's programs. The kernel ends them when it ends (`PR_SET_PDEATHSIG` follows the thread, not
/// the process), so it must be neither a caller's thread nor one that outlives the lab.
#[derive(Debug)]
pub(crate) struct Keeper {
    orders: Orders,
    thread: Option<thread::JoinHandle<()>>,
}

/// The way to a lab's [`Keeper`].
#[derive(Clone, Debug)]
pub(crate) struct Orders(mpsc::Sender<Order>);

enum Order {
    Start(Box<Command>, mpsc::Sender<io::Result<process::Child>>),
    End,
}

impl Keeper {
    pub(crate) fn new() -> io::Result<Keeper> {
        let (sender, orders) = mpsc::channel();
        let thread = thread::Builder::new().name("lab-keeper".into()).spawn(move || keep(&orders))?;
        Ok(Keeper { orders: Orders(sender), thread: Some(thread) })
    }

    pub(crate) fn orders(&self) -> Orders {
        self.orders.clone()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Gone only if it panicked, and then its programs are gone, too.
        let _gone = self.orders.0.send(Order::End);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Orders {
    /// Starts a program that ends with the lab; `None` if the lab is closed.
    pub(crate) fn start(&self, command: Command) -> Option<io::Result<Child>> {
        let (answer, started) = mpsc::channel();
        self.0.send(Order::Start(Box::new(command), answer)).ok()?;
        Some(started.recv().ok()?.map(Child))
    }
}

fn keep(orders: &mpsc::Receiver<Order>) {
    while let Ok(Order::Start(mut command, answer)) = orders.recv() {
        die_with_parent(&mut command);
        // If nobody waits for the answer the child is dropped here, and runs until the lab is closed.
        let _unheard = answer.send(command.spawn());
    }
}
