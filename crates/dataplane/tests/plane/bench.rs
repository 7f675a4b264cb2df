//! The data plane with one channel, the peer's end of it, and what tests of them need.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    process::Command as Program,
    sync::Arc,
    time::{Duration, Instant},
};

use meshtun_dataplane::{
    ChannelId, ChannelParts, Command, Counters, DataPlane, DropReason, Event, Events, Filter, Format, PlaneConfig,
    Transport,
};
use meshtun_proto::{
    Suite,
    noise::SessionKeys,
    session::{ReceiveKey, SendKey, padding_len},
};
use meshtun_sys::{
    netns, thread,
    tun::{self, Tun},
    udp::{Udp, UdpOptions},
};
use meshtun_testkit::packet;

pub(super) const ID: ChannelId = ChannelId(7);
pub(super) const OURS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
pub(super) const PEERS: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 1);
pub(super) const MTU: u16 = 1420;
/// How the data plane and the peer call the session.
pub(super) const OUR_INDEX: u32 = 0x1111;
pub(super) const PEER_INDEX: u32 = 0x2222;

/// The data plane with its one channel, and the peer's end of it.
pub(super) struct Bench {
    pub(super) plane: DataPlane,
    pub(super) events: Events,
    pub(super) counters: Arc<Counters>,
    pub(super) channel: SocketAddr,
    pub(super) peer: UdpSocket,
    pub(super) seals: SendKey,
    pub(super) opens: ReceiveKey,
}

impl Bench {
    /// The channel with a session that carries inner packets both ways.
    pub(super) fn up(suite: Suite) -> Bench {
        let bench = Bench::without_session(suite);
        let (send, receive) = keys(suite, OUR_INDEX, PEER_INDEX, 1, 2).into_halves(Instant::now());
        for command in [
            Command::InstallReceive(receive.into()),
            Command::InstallSend(send.into()),
            Command::Use(OUR_INDEX),
            Command::Admit(OUR_INDEX),
        ] {
            bench.plane.send(ID, command);
        }
        bench.plane.settle();
        bench
    }

    pub(super) fn without_session(suite: Suite) -> Bench {
        Bench::on_workers(1, suite)
    }

    pub(super) fn on_workers(workers: usize, suite: Suite) -> Bench {
        ip("link set lo up");
        // Or the kernel would send router solicitations and multicast reports of its own.
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let device = device("dp0");
        ip(&format!("addr add {OURS}/32 dev dp0"));
        ip("route add 10.2.0.0/16 dev dp0");
        let udp = channel_socket();
        let channel = udp.local_addr();
        let config = PlaneConfig { cpus: vec![thread::available_cpus()[0]; workers], pin: false, apart: false };
        let (mut plane, events) = DataPlane::start(&config).unwrap();
        let counters = plane.add_channel(ID, parts(device, udp, &peer)).unwrap();
        let (seals, opens) = keys(suite, PEER_INDEX, OUR_INDEX, 2, 1).into_halves(Instant::now());
        Bench { plane, events, counters, channel, peer, seals, opens }
    }

    pub(super) fn sealed(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let mut message = vec![0; plaintext.len() + 64];
        let padding = padding_len(plaintext.len(), MTU.into());
        let length = self.seals.seal(plaintext, padding, &mut message).unwrap();
        message.truncate(length);
        message
    }

    pub(super) fn send(&self, datagram: &[u8]) {
        self.peer.send_to(datagram, self.channel).unwrap();
    }

    pub(super) fn send_sealed(&mut self, plaintext: &[u8]) {
        let message = self.sealed(plaintext);
        self.send(&message);
    }

    /// The next datagram that the channel sends to the peer, opened.
    pub(super) fn receive(&mut self) -> Vec<u8> {
        let mut datagram = [0; 65536];
        let (length, _) = self.peer.recv_from(&mut datagram).expect("the channel sends");
        self.opens.open(&mut datagram[..length]).expect("what the channel sends is authentic").to_vec()
    }

    pub(super) fn dropped(&self, reason: DropReason) -> u64 {
        let snapshot = self.counters.snapshot();
        let all = snapshot.sending.dropped.into_iter().chain(snapshot.receiving.dropped);
        all.filter(|(r, _)| *r == reason).map(|(_, n)| n).sum()
    }

    pub(super) fn await_drop(&self, reason: DropReason, expected: u64, what: &str) {
        eventually(&format!("{what} is counted under {}", reason.label()), || self.dropped(reason) == expected);
    }

    pub(super) fn await_event(&self, what: &str, wanted: impl Fn(&Event) -> bool) {
        eventually(what, || std::iter::from_fn(|| self.events.poll_event()).any(|event| wanted(&event)));
    }

    /// An inner packet arrives at a socket of this machine: the channel still works.
    pub(super) fn assert_delivers(&mut self) {
        let receiver = UdpSocket::bind((OURS, 0)).unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let port = receiver.local_addr().unwrap().port();
        self.send_sealed(&packet::udp4(PEERS, OURS, 9, port, b"hello"));
        let mut payload = [0; 64];
        let (length, from) = receiver.recv_from(&mut payload).expect("the inner packet arrives");
        assert_eq!((&payload[..length], from), (&b"hello"[..], (PEERS, 9).into()));
    }
}

/// A device that runs.
pub(super) fn device(name: &str) -> Tun {
    tun::create(name).expect("a tun device can be made");
    ip(&format!("link set {name} mtu {MTU} up"));
    let device = Tun::attach(name).expect("the device can be attached");
    device.carrier().unwrap().set(true).unwrap();
    // Until the kernel has acted on the carrier it drops what is sent to the device.
    eventually("the device runs", || meshtun_sys::device::is_running(name).unwrap());
    device
}

pub(super) fn channel_socket() -> Udp {
    let buffers =
        UdpOptions { receive_buffer: 4 << 20, send_buffer: 4 << 20, ..UdpOptions::new(([127, 0, 0, 1], 0).into()) };
    Udp::bind(&buffers).unwrap()
}

pub(super) fn parts(tun: Tun, udp: Udp, peer: &UdpSocket) -> ChannelParts {
    let filter = Filter::new(
        &["10.2.0.0/16".parse().unwrap(), "fd00:2::/64".parse().unwrap()],
        &["10.1.0.0/16".parse().unwrap(), "fd00:1::/64".parse().unwrap()],
        ("fe80::2:0".parse().unwrap(), "fe80::1:0".parse().unwrap()),
        false,
    );
    ChannelParts {
        tun: Arc::new(tun),
        transport: Transport::Udp(Arc::new(udp)),
        format: Format::WireGuard,
        mtu: MTU,
        endpoint: Some(peer.local_addr().unwrap()),
        filter: Arc::new(filter),
        first: Vec::new(),
    }
}

pub(super) fn keys(suite: Suite, local: u32, peer: u32, send: u8, receive: u8) -> SessionKeys {
    SessionKeys::new(suite, local, peer, [send; 32].into(), [receive; 32].into())
}

pub(super) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(super) fn ip(arguments: &str) {
    let status = Program::new("ip").args(arguments.split(' ')).status().expect("ip runs");
    assert!(status.success(), "ip {arguments}");
}

/// Runs a test in a fresh network namespace.
pub(super) fn in_namespace(test: impl FnOnce() + Send) {
    let namespace = netns::Namespace::new().expect("a trial may make namespaces");
    namespace.run_in(test).expect("the namespace can be entered");
}
