//! By which device flows leave a gateway, seen in samples of their datagrams: nothing asks the kernel, which would act on
//! what it has put off.

use std::{
    io,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use meshtun_sys::{
    capture::{Layer, PacketSocket, sample_udp},
    epoll::{Epoll, Events, Interest},
};

use crate::{
    Node,
    watch::{WatchError, next, udp_ports},
};

/// A flow was seen on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// When.
    pub at: Instant,
    /// By which of the devices.
    pub device: usize,
    /// The UDP port that it comes from.
    pub port: u16,
    /// Whether it is IPv6.
    pub ipv6: bool,
}

/// Samples are taken until it is stopped or dropped.
#[derive(Debug)]
pub struct Whereabouts {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<Vec<Sighting>>>>,
}

impl Whereabouts {
    /// Takes one of `one_in` of the datagrams to a UDP port that leave a node by these devices.
    ///
    /// # Errors
    /// [`WatchError`]; that there is no such device, for instance.
    pub fn start(node: &Node, devices: &[String], port: u16, one_in: NonZeroU32) -> Result<Whereabouts, WatchError> {
        let failed = |source| {
            let (node, device) = (node.name().to_owned(), devices.join(", "));
            WatchError::Socket { node, device, source }
        };
        let open = |device: &String| PacketSocket::open(device, Layer::Network, &sample_udp(&[port..=port], one_in));
        let sockets = node.run(|| devices.iter().map(open).collect::<io::Result<Vec<_>>>())?.map_err(failed)?;
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let look = std::thread::Builder::new().name("whereabouts".into());
        let thread = look.spawn(move || watch(&sockets, &told)).map_err(failed)?;
        Ok(Whereabouts { over, thread: Some(thread) })
    }

    /// Ends it and gives what was seen, in order.
    ///
    /// # Errors
    /// If a packet socket failed on the way.
    pub fn stop(mut self) -> io::Result<Vec<Sighting>> {
        self.over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("only this and drop take it, and this is the end of it");
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the watching thread panicked")))
    }
}

impl Drop for Whereabouts {
    fn drop(&mut self) {
        // The thread ends by itself within a tick.
        self.over.store(true, Ordering::Relaxed);
    }
}

fn watch(sockets: &[PacketSocket], over: &AtomicBool) -> io::Result<Vec<Sighting>> {
    const TICK: Duration = Duration::from_millis(20);
    let (epoll, mut events) = (Epoll::new()?, Events::with_capacity(16));
    for (token, socket) in (0..).zip(sockets) {
        epoll.add(socket, token, Interest::Read)?;
    }
    let (mut seen, mut buffer) = (Vec::new(), [0; 128]);
    while !over.load(Ordering::Relaxed) {
        epoll.wait(&mut events, Some(TICK))?;
        let at = Instant::now();
        for (device, socket) in sockets.iter().enumerate() {
            while let Some(captured) = next(socket, &mut buffer)? {
                let bytes = &buffer[..captured.len];
                let Some([port, _]) = udp_ports(bytes).filter(|_| captured.outgoing) else { continue };
                seen.push(Sighting { at, device, port, ipv6: bytes[0] >> 4 == 6 });
            }
        }
    }
    Ok(seen)
}
