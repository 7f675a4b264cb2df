//! What passes a device: packets that no link may cause, and samples of those that a link does.
//!
//! Two packet sockets, each with a filter in the kernel. One takes everything except UDP from or to the link's ports, ARP
//! and IPv6 neighbour discovery: on the underlay of a tunnel that is nothing, so it costs nothing at any speed. The other
//! takes a few of the link's own datagrams at random and looks at them.
//!
//! A train or super-packet that the device passes as one counts as one packet, and of a sampled train the first datagram's
//! header is looked at, but all of its bytes are searched for the marker.

mod packet;

use std::{
    io,
    num::NonZeroU32,
    ops::RangeInclusive,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use meshtun_sys::{
    capture::{Captured, Layer, MAX_RANGES, Neighbours, PacketSocket, all_but_udp, sample_udp},
    epoll::{Epoll, Events, Interest},
    udp::is_would_block,
};
use serde::Serialize;
use thiserror::Error;

use self::packet::{Packet, is_wireguard};
use crate::{LabError, Node, load::Marker};

/// How many clear packets are described.
const DESCRIBED: usize = 8;

/// What is watched for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The link's UDP ports, at either end; at most [`MAX_RANGES`] ranges.
    pub ports: Vec<RangeInclusive<u16>>,
    /// What the payload inside the tunnel repeats.
    pub marker: Option<Marker>,
    /// Of how many of the link's packets one is looked at.
    pub one_in: NonZeroU32,
}

/// A watch that goes on until it is stopped or dropped.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// What was seen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Packets that are not the link's: the figure that must be zero.
    pub clear_packets: u64,
    /// The first few of them, described.
    pub clear: Vec<String>,
    /// ICMP errors about the link's own datagrams, which carry nothing but a piece of those: a gateway that is not there
    /// yet causes them. Not among the clear packets.
    pub icmp_errors: u64,
    /// Packets of the link that were looked at.
    pub sampled: u64,
    /// Of these, the ones that are not WireGuard messages.
    pub not_wireguard: u64,
    /// Packets, clear or sampled, in which the marker showed.
    pub marked: u64,
}

/// Why a watch cannot be kept.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WatchError {
    /// Something in the lab.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// Too many ranges for a filter.
    #[error("{0} port ranges to watch, {MAX_RANGES} is the most: watch fewer links at once")]
    Ranges(usize),
    /// The packet sockets.
    #[error("cannot watch {device} in {node}: {source}")]
    Socket {
        /// The node.
        node: String,
        /// The device.
        device: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Options {
    /// Watches for these ports; looks at one packet in 64.
    pub fn new(ports: Vec<RangeInclusive<u16>>) -> Options {
        const ONE_IN: NonZeroU32 = NonZeroU32::new(64).unwrap();
        Options { ports, marker: None, one_in: ONE_IN }
    }
}

impl Report {
    /// Nothing clear, and everything that was looked at was the link's; false, too, if nothing of the link was seen.
    pub fn is_clean(&self) -> bool {
        self.clear_packets == 0 && self.not_wireguard == 0 && self.marked == 0 && self.sampled > 0
    }
}

impl Watch {
    /// Watches a device from here on, packets of both directions.
    ///
    /// # Errors
    /// [`WatchError`]; that there is no such device, for instance.
    pub fn start(node: &Node, device: &str, options: Options) -> Result<Watch, WatchError> {
        if options.ports.len() > MAX_RANGES {
            return Err(WatchError::Ranges(options.ports.len()));
        }
        let failed = |source| {
            let (node, device) = (node.name().to_owned(), device.to_owned());
            WatchError::Socket { node, device, source }
        };
        let watcher = node.run(|| Watcher::open(device, options))?.map_err(failed)?;
        let shared = watcher.shared.clone();
        let thread = std::thread::Builder::new().name("watch".into()).spawn(move || watcher.run()).map_err(failed)?;
        Ok(Watch { shared, thread: Some(thread) })
    }

    /// What was seen up to here.
    pub fn report(&self) -> Report {
        self.shared.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it and gives what was seen.
    ///
    /// # Errors
    /// If the packet sockets failed on the way, so that not all was seen.
    pub fn stop(mut self) -> io::Result<Report> {
        self.shared.over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("only this and drop take it, and this is the end of it");
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the watching thread panicked")))?;
        Ok(self.report())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The thread ends by itself within a tick.
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Shared {
    report: Mutex<Report>,
    over: AtomicBool,
}

/// The watching thread's own.
struct Watcher {
    clear: PacketSocket,
    samples: PacketSocket,
    epoll: Epoll,
    options: Options,
    shared: Arc<Shared>,
    buffer: Vec<u8>,
}

impl Watcher {
    fn open(device: &str, options: Options) -> io::Result<Watcher> {
        // Each accepted packet is a reference, not a copy; but it holds the sender's memory as long as it waits here.
        const WAITING: usize = 8 << 20;
        let clear = PacketSocket::open(device, Layer::Network, &all_but_udp(&options.ports, Neighbours::LeftOut))?;
        let samples = PacketSocket::open(device, Layer::Network, &sample_udp(&options.ports, options.one_in))?;
        let epoll = Epoll::new()?;
        for (token, socket) in (0..).zip([&clear, &samples]) {
            socket.set_receive_buffer(WAITING)?;
            epoll.add(socket, token, Interest::Read)?;
        }
        Ok(Watcher { clear, samples, epoll, options, shared: Arc::default(), buffer: vec![0; 1 << 16] })
    }

    fn run(mut self) -> io::Result<()> {
        const TICK: Duration = Duration::from_millis(20);
        let mut events = Events::with_capacity(2);
        while !self.shared.over.load(Ordering::Relaxed) {
            self.epoll.wait(&mut events, Some(TICK))?;
            self.look()?;
        }
        // What came before the end was asked for still counts.
        self.look()
    }

    fn look(&mut self) -> io::Result<()> {
        let Watcher { clear, samples, options, shared, buffer, .. } = self;
        while let Some(captured) = next(clear, buffer)? {
            shared.change(|report| report.note_clear(&buffer[..captured.len], captured, options));
        }
        while let Some(captured) = next(samples, buffer)? {
            shared.change(|report| report.note_sample(&buffer[..captured.len], options));
        }
        let kernel = clear.statistics()?;
        // The kernel's own count has those, too, for which there was no room.
        shared.change(|report| report.clear_packets = kernel.packets.saturating_sub(report.icmp_errors));
        Ok(())
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Report {
    fn note_clear(&mut self, bytes: &[u8], captured: Captured, options: &Options) {
        let packet = Packet::parse(bytes);
        if packet.is_some_and(|packet| packet.is_error_about(&options.ports)) {
            self.icmp_errors += 1;
            return;
        }
        self.look_for_marker(bytes, options);
        if self.clear.len() < DESCRIBED {
            let what = packet.map_or(format!("protocol {:#06x}", captured.protocol), |packet| packet.to_string());
            let way = if captured.outgoing { "out" } else { "in" };
            self.clear.push(format!("{what}, {} bytes, {way}", captured.wire_len));
        }
    }

    fn note_sample(&mut self, bytes: &[u8], options: &Options) {
        let datagram = Packet::parse(bytes).and_then(|packet| packet.datagram());
        self.sampled += 1;
        self.not_wireguard += u64::from(!datagram.is_some_and(is_wireguard));
        self.look_for_marker(bytes, options);
    }

    fn look_for_marker(&mut self, bytes: &[u8], options: &Options) {
        self.marked += u64::from(options.marker.is_some_and(|marker| marker.is_in(bytes)));
    }
}

/// The ports of a UDP datagram, source and destination.
pub(crate) fn udp_ports(bytes: &[u8]) -> Option<[u16; 2]> {
    Packet::parse(bytes)?.udp_ports()
}

/// The next packet that waits. That the device went down is told once by an error and is no end: it may come up again.
pub(crate) fn next(socket: &PacketSocket, buffer: &mut [u8]) -> io::Result<Option<Captured>> {
    match socket.receive(buffer) {
        Ok(captured) => Ok(Some(captured)),
        Err(error) if is_would_block(&error) || error.kind() == io::ErrorKind::NetworkDown => Ok(None),
        Err(error) => Err(error),
    }
}
