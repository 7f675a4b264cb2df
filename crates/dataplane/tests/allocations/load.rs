//! Traffic through the link, by the kernel's own TCP and UDP.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use meshtun_sys::udp::{Udp, UdpOptions};

use crate::bed::{Bed, Side};

/// A kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// As much as goes: super-packets one way, acknowledgements the other.
    Tcp(Family),
    /// 64 bytes a write, `TCP_NODELAY`.
    SmallTcp(Family),
    /// Datagrams of this many bytes.
    Udp(Family, usize),
    /// `UDP_SEGMENT`: 40 datagrams of 1,300 bytes in one super-packet.
    UdpTrains(Family),
}

/// IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Load {
    pub(crate) const ALL: [Load; 10] = [
        Load::Tcp(Family::V4),
        Load::Tcp(Family::V6),
        Load::SmallTcp(Family::V4),
        Load::SmallTcp(Family::V6),
        Load::Udp(Family::V4, 36),
        Load::Udp(Family::V6, 36),
        Load::Udp(Family::V4, 1372),
        Load::Udp(Family::V6, 1372),
        Load::UdpTrains(Family::V4),
        Load::UdpTrains(Family::V6),
    ];
}

/// Load that runs until it is dropped.
pub(crate) struct Running {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts load both ways.
    pub(crate) fn start(bed: &Bed, loads: &[Load]) -> Running {
        let mut running = Running { stop: Arc::default(), threads: Vec::new() };
        let [left, right] = &bed.sides;
        for (number, load) in loads.iter().enumerate() {
            running.one_way(left, right, *load, 5000 + number as u16);
            running.one_way(right, left, *load, 5000 + number as u16);
        }
        running
    }

    fn one_way(&mut self, from: &Side, to: &Side, load: Load, port: u16) {
        let family = match load {
            Load::Tcp(family) | Load::SmallTcp(family) | Load::Udp(family, _) | Load::UdpTrains(family) => family,
        };
        let (source, to_address) = (from.inner[family as usize], SocketAddr::new(to.inner[family as usize], port));
        match load {
            Load::Tcp(_) => self.tcp(from, to, to_address, &[0xA5; 64 << 10], false),
            Load::SmallTcp(_) => self.tcp(from, to, to_address, &[0xA5; 64], true),
            Load::Udp(_, length) => self.udp(from, to, source, to_address, length),
            Load::UdpTrains(_) => self.udp_trains(from, to, source, to_address),
        }
    }

    fn tcp(&mut self, from: &Side, to: &Side, address: SocketAddr, piece: &'static [u8], at_once: bool) {
        let listener = to.namespace.run_in(|| TcpListener::bind(address).unwrap()).unwrap();
        self.spawn(to, move |_| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = vec![0; 256 << 10];
            while stream.read(&mut buffer).is_ok_and(|length| length > 0) {}
        });
        self.spawn(from, move |stop| {
            let mut stream = TcpStream::connect(address).expect("the link is up");
            stream.set_nodelay(at_once).unwrap();
            // A stream that has nowhere to go must see the end all the same.
            stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
            while !stop.load(Relaxed) {
                let _full = stream.write(piece);
            }
        });
    }

    fn udp(&mut self, from: &Side, to: &Side, source: IpAddr, address: SocketAddr, length: usize) {
        let sink = bind(to, address);
        let socket = bind(from, (source, 0).into());
        self.spawn(from, move |stop| {
            let _nobody_reads = sink;
            let datagram = vec![0xA5; length];
            while !stop.load(Relaxed) {
                for _ in 0..64 {
                    let _full = socket.send_to(&datagram, address);
                }
                thread::yield_now();
            }
        });
    }

    fn udp_trains(&mut self, from: &Side, to: &Side, source: IpAddr, address: SocketAddr) {
        let sink = bind(to, address);
        let socket = from.namespace.run_in(|| Udp::bind(&UdpOptions::new((source, 0).into())).unwrap()).unwrap();
        assert!(socket.offloads().gso, "the kernel has UDP_SEGMENT");
        self.spawn(from, move |stop| {
            let _nobody_reads = sink;
            let train = vec![0xA5; 40 * 1300];
            while !stop.load(Relaxed) {
                let _full = socket.send_train(&address.into(), &train, 1300);
                thread::yield_now();
            }
        });
    }

    fn spawn(&mut self, side: &Side, work: impl FnOnce(&AtomicBool) + Send + 'static) {
        let stop = Arc::clone(&self.stop);
        self.threads.push(side.namespace.spawn_in("load", move || work(&stop)).unwrap());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "a load thread panicked");
        }
    }
}

fn bind(side: &Side, address: SocketAddr) -> UdpSocket {
    side.namespace.run_in(|| UdpSocket::bind(address).unwrap()).unwrap()
}
