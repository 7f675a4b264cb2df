//! The workers as a whole: started, given channels, told things, stopped.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use crossbeam_channel::Sender;
use meshtun_offload::coalesce::Joining;
use meshtun_sys::{
    event::EventFd,
    tun::{Tun, TunOffloads},
};

use crate::{
    ChannelId, Command, Counters, Event, Events, Filter, Format, Half, Transport,
    events::{EventSender, event_queue},
    receiving::{ReceivingHalf, ReceivingParts},
    sending::{SendingHalf, SendingParts},
    worker::{Order, Worker},
};

/// How the workers are set up.
#[derive(Clone, Debug)]
pub struct PlaneConfig {
    /// The processors to pin workers to, one worker each. At least one.
    pub cpus: Vec<usize>,
    /// Whether workers are pinned at all.
    pub pin: bool,
    /// Whether a channel's halves go to different workers: worth it when channels are fewer than workers.
    pub apart: bool,
}

/// What a channel needs of the kernel, and what may come out of it.
#[derive(Debug)]
pub struct ChannelParts {
    /// The tun device.
    pub tun: Arc<Tun>,
    /// What carries the datagrams.
    pub transport: Transport,
    /// How they name their session.
    pub format: Format,
    /// The device's MTU in bytes.
    pub mtu: u16,
    /// The peer's channel socket, if it is known.
    pub endpoint: Option<SocketAddr>,
    /// Which inner packets may come out.
    pub filter: Arc<Filter>,
    /// Obeyed before anything is read, from the device or from the peer.
    pub first: Vec<Command>,
}

/// Why the data plane could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum PlaneError {
    /// No processor was named.
    #[error("the data plane needs at least one worker")]
    NoWorkers,
    /// A thread or one of its descriptors could not be made.
    #[error("cannot start a data-plane worker: {0}")]
    Start(#[source] io::Error),
    /// The channel is already there.
    #[error("channel {} is in the data plane already", .0.0)]
    Duplicate(ChannelId),
    /// The device's offloads could not be set, not even checksums.
    #[error("cannot set the device's offloads: {0}")]
    Offloads(#[source] io::Error),
    /// A half's descriptors could not be watched.
    #[error("cannot watch the channel's device or socket: {0}")]
    Watch(#[source] io::Error),
    /// A worker has ended, which is a bug.
    #[error("data-plane worker {0} has ended")]
    WorkerGone(usize),
}

/// The workers and which of them owns which half.
#[derive(Debug)]
pub struct DataPlane {
    workers: Vec<WorkerThread>,
    places: HashMap<ChannelId, Places>,
    /// Who reads the device of a channel instead of its own sending half.
    borrowers: HashMap<ChannelId, ChannelId>,
    apart: bool,
    events: EventSender,
}

#[derive(Clone, Copy, Debug)]
struct Places {
    sending: usize,
    receiving: usize,
}

#[derive(Debug)]
struct WorkerThread {
    orders: Sender<Order>,
    wake: Arc<EventFd>,
    thread: JoinHandle<()>,
    halves: usize,
}

impl DataPlane {
    /// Starts the workers.
    ///
    /// # Errors
    /// If there is no processor in `config`, or a thread or descriptor cannot be made.
    pub fn start(config: &PlaneConfig) -> Result<(DataPlane, Events), PlaneError> {
        if config.cpus.is_empty() {
            return Err(PlaneError::NoWorkers);
        }
        let (sender, events) = event_queue().map_err(PlaneError::Start)?;
        let workers = config.cpus.iter().enumerate();
        let workers = workers
            .map(|(number, &cpu)| WorkerThread::start(number, config.pin.then_some(cpu)))
            .collect::<io::Result<Vec<_>>>()
            .map_err(PlaneError::Start)?;
        let plane = DataPlane {
            workers,
            places: HashMap::new(),
            borrowers: HashMap::new(),
            apart: config.apart,
            events: sender,
        };
        Ok((plane, events))
    }

    /// Asks the device for super-packets, gives the channel's halves to workers and returns its counters.
    ///
    /// # Errors
    /// If the channel is there already, or its descriptors cannot be watched.
    pub fn add_channel(&mut self, id: ChannelId, parts: ChannelParts) -> Result<Arc<Counters>, PlaneError> {
        self.add_channel_again(id, parts, Arc::default())
    }

    /// As [`Self::add_channel`], with the counters of a channel that was there before, in whose place this one comes: it
    /// goes on counting where that one stopped. Nobody else may count with them.
    ///
    /// # Errors
    /// As [`Self::add_channel`].
    pub fn add_channel_again(
        &mut self,
        id: ChannelId,
        parts: ChannelParts,
        counters: Arc<Counters>,
    ) -> Result<Arc<Counters>, PlaneError> {
        if self.places.contains_key(&id) {
            return Err(PlaneError::Duplicate(id));
        }
        let (sends, receives): (Vec<_>, Vec<_>) = parts.first.into_iter().map(Command::for_halves).unzip();
        let events = self.events.of_channel();
        let joining = offer_offloads(id, &parts.tun, &events).map_err(PlaneError::Offloads)?;
        let places = self.place();
        let sending = SendingHalf::new(SendingParts {
            channel: id,
            tun: Arc::clone(&parts.tun),
            transport: parts.transport.clone(),
            mtu: parts.mtu,
            endpoint: parts.endpoint,
            counters: Arc::clone(&counters),
            events: events.clone(),
        })
        .map_err(PlaneError::Watch)?;
        let receiving = ReceivingHalf::new(ReceivingParts {
            channel: id,
            tun: parts.tun,
            transport: parts.transport,
            format: parts.format,
            endpoint: parts.endpoint,
            filter: parts.filter,
            mtu: parts.mtu,
            joining,
            counters: Arc::clone(&counters),
            events,
        });
        let (sends, receives) = (sends.into_iter().flatten().collect(), receives.into_iter().flatten().collect());
        self.adopt(places.sending, |answer| Order::AddSending(Box::new(sending), sends, answer))?;
        if let Err(error) =
            self.adopt(places.receiving, |answer| Order::AddReceiving(Box::new(receiving), receives, answer))
        {
            self.release(places.sending, id, Half::Sending);
            return Err(error);
        }
        self.places.insert(id, places);
        Ok(counters)
    }

    /// Passes a command on to the half or halves that it is for. A command for a channel that is not there is
    /// forgotten: its keys die with it.
    pub fn send(&self, id: ChannelId, command: Command) {
        let Some(places) = self.places.get(&id) else { return };
        let (for_sending, for_receiving) = command.for_halves();
        if let Some(command) = for_sending {
            self.order(places.sending, Order::Command(id, Half::Sending, command));
        }
        if let Some(command) = for_receiving {
            self.order(places.receiving, Order::Command(id, Half::Receiving, command));
        }
    }

    /// Lets the sending half of `borrower` read the device of `owner`, in place of the owner's own; with none, the owner
    /// reads it again. What the kernel still gives to a channel that is dead goes by a sibling so.
    ///
    /// Waits until the device has exactly one reader again. The borrower should have a session in use: otherwise what it
    /// reads is dropped, as its own.
    ///
    /// # Errors
    /// [`PlaneError::Watch`] if the device cannot be watched by whoever shall read it; then nobody does.
    pub fn lend(&mut self, owner: ChannelId, borrower: Option<ChannelId>) -> Result<(), PlaneError> {
        let borrower = borrower.filter(|borrower| *borrower != owner && self.places.contains_key(borrower));
        if self.borrowers.get(&owner) == borrower.as_ref() {
            return Ok(());
        }
        let Some(at) = self.places.get(&owner).map(|places| places.sending) else { return Ok(()) };
        if let Some(before) = self.borrowers.remove(&owner) {
            self.ask(self.places[&before].sending, |answer| Order::GiveBack(before, owner, answer));
        }
        let Some(borrower) = borrower else {
            return self.ask(at, |answer| Order::Reclaim(owner, answer)).unwrap_or(Ok(())).map_err(PlaneError::Watch);
        };
        let Some(device) = self.ask(at, |answer| Order::Lend(owner, answer)) else { return Ok(()) };
        let borrows = |answer| Order::Borrow(borrower, owner, device, answer);
        let borrowed = self.ask(self.places[&borrower].sending, borrows).unwrap_or(Ok(()));
        self.borrowers.insert(owner, borrower);
        borrowed.map_err(PlaneError::Watch)
    }

    /// Who reads the device of a channel in its stead.
    pub fn borrower(&self, owner: ChannelId) -> Option<ChannelId> {
        self.borrowers.get(&owner).copied()
    }

    /// Takes a channel out and waits until no worker holds its device or socket. Devices that it had borrowed go back.
    pub fn remove_channel(&mut self, id: ChannelId) {
        let lent: Vec<ChannelId> =
            self.borrowers.iter().filter(|(_, by)| **by == id).map(|(owner, _)| *owner).collect();
        for owner in lent.into_iter().chain([id]) {
            let _device_gone = self.lend(owner, None);
        }
        if let Some(places) = self.places.remove(&id) {
            self.release(places.sending, id, Half::Sending);
            self.release(places.receiving, id, Half::Receiving);
        }
    }

    /// Waits until every command sent so far has been obeyed.
    pub fn settle(&self) {
        for worker in 0..self.workers.len() {
            let (answer, done) = mpsc::channel();
            self.order(worker, Order::Settle(answer));
            let _worker_gone = done.recv();
        }
    }

    /// Waits until the receiving half of this channel has obeyed every command sent to it so far.
    pub fn settle_receiving(&self, id: ChannelId) {
        if let Some(places) = self.places.get(&id) {
            let _worker_gone = self.ask(places.receiving, Order::Settle);
        }
    }

    /// Stops the workers and waits for their end; devices and sockets are closed then.
    pub fn shutdown(self) {
        for worker in 0..self.workers.len() {
            self.order(worker, Order::Stop);
        }
        for worker in self.workers {
            let _panicked = worker.thread.join();
        }
    }

    fn place(&self) -> Places {
        let sending = self.least_loaded(None);
        let receiving = if self.apart { self.least_loaded(Some(sending)) } else { sending };
        Places { sending, receiving }
    }

    /// The worker with the fewest halves; `but` counts as having one more.
    fn least_loaded(&self, but: Option<usize>) -> usize {
        let load = |number: &usize| self.workers[*number].halves + usize::from(Some(*number) == but);
        (0..self.workers.len()).min_by_key(load).unwrap_or(0)
    }

    fn adopt(
        &mut self,
        worker: usize,
        order: impl FnOnce(mpsc::Sender<io::Result<()>>) -> Order,
    ) -> Result<(), PlaneError> {
        let (answer, done) = mpsc::channel();
        self.order(worker, order(answer));
        done.recv().map_err(|_| PlaneError::WorkerGone(worker))?.map_err(PlaneError::Watch)?;
        self.workers[worker].halves += 1;
        Ok(())
    }

    /// Gives an order and waits for the answer; `None` if the half is not there or the worker has ended.
    fn ask<T>(&self, worker: usize, order: impl FnOnce(mpsc::Sender<T>) -> Order) -> Option<T> {
        let (answer, done) = mpsc::channel();
        self.order(worker, order(answer));
        done.recv().ok()
    }

    fn release(&mut self, worker: usize, id: ChannelId, half: Half) {
        let (answer, done) = mpsc::channel();
        self.order(worker, Order::Remove(id, half, answer));
        let _worker_gone = done.recv();
        self.workers[worker].halves -= 1;
    }

    fn order(&self, worker: usize, order: Order) {
        let worker = &self.workers[worker];
        // A worker that has ended takes no orders; its absence shows when something waits for it.
        let _ended = worker.orders.send(order);
        let _full = worker.wake.notify();
    }
}

impl WorkerThread {
    fn start(number: usize, cpu: Option<usize>) -> io::Result<WorkerThread> {
        let (orders, inbox) = crossbeam_channel::unbounded();
        let wake = Arc::new(EventFd::new()?);
        let worker = Worker::new(inbox, Arc::clone(&wake))?;
        let thread = std::thread::Builder::new().name(format!("meshtun-w{number}")).spawn(move || worker.run(cpu))?;
        Ok(WorkerThread { orders, wake, thread, halves: 0 })
    }
}

/// A kernel that has an offload on reading takes the same kind of super-packet on writing.
fn offer_offloads(channel: ChannelId, tun: &Tun, events: &EventSender) -> io::Result<Joining> {
    let given = tun.set_offloads(TunOffloads { tso: true, uso: true })?;
    for (offload, given) in [("TCP segmentation", given.tso), ("UDP segmentation", given.uso)] {
        if !given {
            events.send(Event::OffloadLost { channel, offload });
        }
    }
    Ok(Joining { tcp: given.tso, udp: given.uso })
}
