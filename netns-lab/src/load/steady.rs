//! A load that goes on while things happen, and tells afterwards what it suffered in each stretch of time.
//!
//! Trains: each a flow of numbered datagrams at a steady rate, from a source port of its own, so that it stays in one
//! channel; every datagram's time of sending and of arrival is kept. Flows: independent TCP connections that write a
//! little at a steady pace, far below what the path carries, so that a pause in what arrives is the network's.
//!
//! One thread sends all trains, one receives them, one writes all flows, one reads them.

mod account;
mod datagrams;
mod streams;

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

pub use self::account::{Account, FlowFigures, Gap, TrainFigures};
use self::{datagrams::Datagrams, streams::Streams};
use super::{LoadError, Marker};
use crate::Node;

/// One train of datagrams.
#[derive(Clone, Debug)]
pub struct Train {
    /// What it is called in reports.
    pub name: String,
    /// The node that sends.
    pub from: Node,
    /// The address that it sends from.
    pub source: IpAddr,
    /// The port that it sends from.
    pub port: u16,
    /// The node that receives.
    pub to: Node,
    /// The address that it sends to.
    pub destination: IpAddr,
}

/// One TCP flow.
#[derive(Clone, Debug)]
pub struct Stream {
    /// What it is called in reports.
    pub name: String,
    /// The node that connects and sends.
    pub from: Node,
    /// The node that listens and receives.
    pub to: Node,
    /// The address of the latter.
    pub destination: IpAddr,
}

/// What is to be sent.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The trains.
    pub trains: Vec<Train>,
    /// Datagrams a second of each train, at most 10,000.
    pub rate: u32,
    /// The flows.
    pub streams: Vec<Stream>,
    /// How often each flow writes.
    pub every: Duration,
    /// How many bytes it writes each time.
    pub size: usize,
    /// What the payload repeats.
    pub marker: Marker,
}

/// A load that runs. Dropping it ends it.
#[derive(Debug)]
pub struct Steady {
    start: Instant,
    sending: Arc<AtomicBool>,
    receiving: Arc<AtomicBool>,
    paused: Arc<AtomicBool>,
    trains: Option<datagrams::Threads>,
    streams: Option<streams::Threads>,
    plan: Plan,
}

/// What the threads are told.
#[derive(Clone, Debug)]
struct Flags {
    sending: Arc<AtomicBool>,
    receiving: Arc<AtomicBool>,
    paused: Arc<AtomicBool>,
}

impl Flags {
    /// Whether to go on sending; waits while that is paused.
    fn may_send(&self) -> bool {
        while self.sending.load(Ordering::Relaxed) {
            if !self.paused.load(Ordering::Relaxed) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }

    fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    fn may_receive(&self) -> bool {
        self.receiving.load(Ordering::Relaxed)
    }
}

/// The UDP port at which every train is received.
pub const TRAIN_PORT: u16 = 7001;

impl Steady {
    /// Opens all sockets, makes the connections and begins to send.
    ///
    /// # Errors
    /// [`LoadError::Server`], [`LoadError::Client`]: an address or port is not to be had, or no connection can be made.
    pub fn start(plan: Plan) -> Result<Steady, LoadError> {
        let datagrams = Datagrams::open(&plan)?;
        let streams = Streams::connect(&plan)?;
        let [sending, receiving] = [(); 2].map(|()| Arc::new(AtomicBool::new(true)));
        let (paused, start) = (Arc::new(AtomicBool::new(false)), Instant::now());
        let flags = Flags { sending: sending.clone(), receiving: receiving.clone(), paused: paused.clone() };
        let trains = datagrams.start(&plan, start, &flags)?;
        let streams = streams.start(&plan, start, &flags)?;
        Ok(Steady { start, sending, receiving, paused, trains: Some(trains), streams: Some(streams), plan })
    }

    /// Now, on the load's clock: to be given to [`Account`].
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Where the load's clock begins.
    pub fn start_of_clock(&self) -> Instant {
        self.start
    }

    /// Sends nothing for a while, or goes on.
    pub fn pause(&self, pause: bool) {
        self.paused.store(pause, Ordering::Relaxed);
    }

    /// Stops sending, waits so long for what is under way, and gives the account.
    ///
    /// # Errors
    /// If a socket failed on the way, so that not all was counted.
    pub fn stop(mut self, patience: Duration) -> io::Result<Account> {
        self.sending.store(false, Ordering::Relaxed);
        let over = self.start.elapsed();
        std::thread::sleep(patience);
        self.receiving.store(false, Ordering::Relaxed);
        let panicked = |_| io::Error::other("a thread of the load panicked");
        let mut trains = Vec::new();
        if let Some((sent, arrived)) = self.trains.take() {
            let (sent, arrived) = (sent.join().map_err(panicked)?, arrived.join().map_err(panicked)??);
            trains = sent.into_iter().zip(arrived).map(|(sent, arrived)| sent.with_arrivals(arrived)).collect();
        }
        let mut flows = Vec::new();
        if let Some((writer, reader)) = self.streams.take() {
            writer.join().map_err(panicked)?;
            flows = reader.join().map_err(panicked)??;
        }
        Ok(Account {
            train_names: self.plan.trains.iter().map(|train| train.name.clone()).collect(),
            trains,
            flow_names: self.plan.streams.iter().map(|stream| stream.name.clone()).collect(),
            flows,
            every: self.plan.every,
            over,
        })
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        // The threads end by themselves within a tick.
        self.sending.store(false, Ordering::Relaxed);
        self.receiving.store(false, Ordering::Relaxed);
    }
}
