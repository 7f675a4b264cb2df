//! Both ends of a channel in this process.

use std::{
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::Command as Program,
    sync::{Arc, atomic::AtomicUsize},
    time::{Duration, Instant},
};

use meshtun_dataplane::{
    ChannelId, ChannelParts, Command, Counters, DataPlane, DropReason, Event, Events, Filter, Format, PlaneConfig,
    ReceiveSession, SendSession, Stream, Transport,
};
use meshtun_sys::{
    device,
    netns::Namespace,
    thread,
    tun::Tun,
    udp::{Discovery, Udp, UdpOptions},
};

use crate::toy::{Opens, Seals};

pub(crate) const LEFT: ChannelId = ChannelId(1);
pub(crate) const RIGHT: ChannelId = ChannelId(2);
const MTU: u16 = 1500;

pub(crate) struct Bed {
    pub(crate) plane: DataPlane,
    events: Events,
    heard: Vec<Event>,
    pub(crate) sides: Vec<Side>,
}

/// One end of the channel.
pub(crate) struct Side {
    pub(crate) namespace: Namespace,
    pub(crate) counters: Arc<Counters>,
    pub(crate) socket: SocketAddr,
    /// The most datagrams that its session was asked about at once.
    pub(crate) together: Arc<AtomicUsize>,
}

impl Bed {
    /// Both ends, with at most `longest` bytes of payload in a datagram. `before` gets the ends' sockets while nobody reads them.
    pub(crate) fn up(longest: usize, before: impl FnOnce(&[SocketAddr; 2])) -> Bed {
        run("ip link set lo up");
        let sockets = [(); 2].map(|()| Arc::new(Udp::bind(&UdpOptions::new("127.0.0.1:0".parse().unwrap())).unwrap()));
        let addresses = sockets.each_ref().map(|socket| socket.local_addr());
        // As OpenVPN's sockets: the kernel cuts what is too long.
        sockets.iter().for_each(|socket| socket.set_discovery(Discovery::Wanted).unwrap());
        before(&addresses);
        let [left, right] = sockets.map(Transport::Udp);
        Bed::over(longest, [(left, addresses[0]), (right, addresses[1])])
    }

    /// Both ends with a connection between them.
    pub(crate) fn over_tcp(longest: usize) -> Bed {
        let (left, right) = connection();
        let ends = [left, right].map(|stream| (stream.local_addr().unwrap(), Stream::new(stream, 2000).unwrap()));
        Bed::over(longest, ends.map(|(address, stream)| (Transport::Tcp(stream), address)))
    }

    /// The left end alone, with the other side of its connection.
    pub(crate) fn half_over_tcp() -> (Bed, TcpStream) {
        let (left, right) = connection();
        let address = left.local_addr().unwrap();
        let bed = Bed::over(1 << 16, [(Transport::Tcp(Stream::new(left, 2000).unwrap()), address)]);
        right.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        (bed, right)
    }

    fn over<const N: usize>(longest: usize, transports: [(Transport, SocketAddr); N]) -> Bed {
        let config = PlaneConfig { cpus: vec![thread::available_cpus()[0]], pin: false, apart: false };
        let (mut plane, events) = DataPlane::start(&config).unwrap();
        let sockets = transports.each_ref().map(|(_, socket)| *socket);
        let mut ends = [(LEFT, 1, 2), (RIGHT, 2, 1)].into_iter();
        let sides = transports.map(|(transport, socket)| {
            let (id, own, peer) = ends.next().expect("two at the most");
            let (namespace, tun) = end(own, peer);
            let opens = Opens::default();
            let together = Arc::clone(&opens.most_together);
            let parts = ChannelParts {
                tun: Arc::new(tun),
                transport,
                format: Format::Sole,
                mtu: MTU,
                endpoint: sockets.into_iter().find(|other| *other != socket),
                filter: Arc::new(Filter::all()),
                first: vec![
                    Command::InstallReceive(ReceiveSession::Other(Box::new(opens))),
                    Command::Admit(0),
                    Command::InstallSend(SendSession::Other(Box::new(Seals::new(longest)))),
                    Command::Use(0),
                ],
            };
            Side { namespace, counters: plane.add_channel(id, parts).unwrap(), socket, together }
        });
        Bed { plane, events, heard: Vec::new(), sides: sides.into() }
    }

    /// What the control side has heard so far.
    pub(crate) fn events(&mut self) -> &[Event] {
        self.heard.extend(std::iter::from_fn(|| self.events.poll_event()));
        &self.heard
    }

    pub(crate) fn await_event(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) {
        eventually(what, || self.events().iter().any(&wanted));
    }

    /// A datagram of 1 to 1400 bytes, sent from the left end's host to the right end's and back.
    pub(crate) fn assert_echoes(&self, length: usize) {
        let [left, right] = &self.sides[..] else { panic!("two ends") };
        let answers = right.namespace.run_in(|| UdpSocket::bind("10.2.0.1:0").unwrap()).unwrap();
        let asks = left.namespace.run_in(|| UdpSocket::bind("10.1.0.1:0").unwrap()).unwrap();
        let sent: Vec<u8> = (0..length).map(|at| at as u8).collect();
        let mut buffer = [0; 2048];
        for socket in [&answers, &asks] {
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        }
        asks.send_to(&sent, answers.local_addr().unwrap()).unwrap();
        let (got, from) = answers.recv_from(&mut buffer).expect("the right end hears it");
        assert_eq!(buffer[..got], sent);
        answers.send_to(&buffer[..got], from).unwrap();
        let got = asks.recv(&mut buffer).expect("the left end hears it");
        assert_eq!(buffer[..got], sent);
    }
}

impl Side {
    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        let snapshot = self.counters.snapshot();
        let all = snapshot.sending.dropped.into_iter().chain(snapshot.receiving.dropped);
        all.filter(|(r, _)| *r == reason).map(|(_, n)| n).sum()
    }
}

fn connection() -> (TcpStream, TcpStream) {
    run("ip link set lo up");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let left = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (left, listener.accept().unwrap().0)
}

/// A host with a device towards the other.
fn end(own: usize, peer: usize) -> (Namespace, Tun) {
    let namespace = Namespace::new().unwrap();
    let tun = namespace
        .run_in(|| {
            std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
            run("ip link set lo up");
            run("ip tuntap add dev dp0 mode tun vnet_hdr");
            run(&format!("ip link set dp0 mtu {MTU} up"));
            run(&format!("ip address add 10.{own}.0.1/32 dev dp0"));
            run(&format!("ip route add 10.{peer}.0.0/16 dev dp0"));
            let tun = Tun::attach("dp0").unwrap();
            tun.carrier().unwrap().set(true).unwrap();
            eventually("the device runs", || device::is_running("dp0").unwrap());
            tun
        })
        .unwrap();
    (namespace, tun)
}

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn run(line: &str) {
    let mut words = line.split(' ');
    let status = Program::new(words.next().expect("a line has words")).args(words).status().expect("iproute2 runs");
    assert!(status.success(), "{line}");
}
