//! A link of one channel, both ends in this process.
//!
//! ```text
//!   namespace left                                                              namespace right
//!   10.1.0.1, fd00:1::1: dp0 ─ channel 0 ─ 192.0.2.1 wire ═══ wire 192.0.2.2 ─ channel 1 ─ dp0: 10.2.0.1, fd00:2::1
//! ```

use std::{
    net::{IpAddr, SocketAddr},
    process::Command as Program,
    sync::Arc,
    time::{Duration, Instant},
};

use meshtun_dataplane::{
    ChannelId, ChannelParts, Command, Counters, DataPlane, Events, Filter, Format, PlaneConfig, Transport,
};
use meshtun_proto::{Suite, noise::SessionKeys};
use meshtun_sys::{
    device,
    netns::Namespace,
    thread,
    tun::Tun,
    udp::{Udp, UdpOptions},
};

const MTU: u16 = 1420;

/// What lies between the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// It takes what comes.
    Fast,
    /// As `Fast`, by sockets without trains: each datagram is sent and received by itself.
    WithoutTrains,
    /// The sockets are full all the time, and one takes a single train when it has room again: most super-packets wait
    /// in parts.
    Slow,
}

pub(crate) struct Bed {
    pub(crate) plane: DataPlane,
    pub(crate) events: Events,
    pub(crate) sides: [Side; 2],
}

/// One end of the channel, and what lies behind it.
pub(crate) struct Side {
    pub(crate) namespace: Namespace,
    pub(crate) channel: ChannelId,
    pub(crate) counters: Arc<Counters>,
    /// This end's IPv4 and IPv6 address inside the link.
    pub(crate) inner: [IpAddr; 2],
    /// Bytes that the channel's socket holds before it is full; the datagram or train that reaches them still passes.
    pub(crate) send_buffer: usize,
}

impl Bed {
    /// Both ends with a session that carries inner packets; with a worker for sending halves and one for receiving halves
    /// if `apart`, else with a single one.
    pub(crate) fn up(suite: Suite, apart: bool, wire: Wire) -> Bed {
        let namespaces = [Namespace::new().unwrap(), Namespace::new().unwrap()];
        lay_wire(&namespaces);
        let cpus = thread::available_cpus();
        let workers = if apart { 2 } else { 1 };
        let config = PlaneConfig { cpus: cpus.into_iter().cycle().take(workers).collect(), pin: false, apart };
        let (mut plane, events) = DataPlane::start(&config).unwrap();
        let mut number = 0;
        let sides = namespaces.map(|namespace| {
            let side = add_side(&mut plane, namespace, number, wire);
            number += 1;
            side
        });
        let bed = Bed { plane, events, sides };
        bed.agree(suite);
        bed
    }

    /// Takes the plane down; a worker that panicked shows.
    pub(crate) fn down(self) {
        self.plane.shutdown();
    }

    /// Keys of one session for both ends.
    fn agree(&self, suite: Suite) {
        for (own, peer) in [(0, 1), (1, 0)] {
            let keys = SessionKeys::new(suite, own, peer, [own as u8; 32].into(), [peer as u8; 32].into());
            let (send, receive) = keys.into_halves(Instant::now());
            let receive = Command::InstallReceive(receive.into());
            for command in [receive, Command::Admit(own), Command::InstallSend(send.into()), Command::Use(own)] {
                self.plane.send(self.sides[own as usize].channel, command);
            }
        }
        self.plane.settle();
    }
}

impl Side {
    /// Inner packets so far: sent, received.
    pub(crate) fn carried(&self) -> [u64; 2] {
        let snapshot = self.counters.snapshot();
        [snapshot.sending.packets, snapshot.receiving.packets]
    }

    /// Bytes that the channel's socket has handed to the kernel and that have not left.
    pub(crate) fn queued(&self) -> usize {
        let table = self.namespace.run_in(|| std::fs::read_to_string("/proc/thread-self/net/udp").unwrap()).unwrap();
        let of_port = |line: &&str| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(":1B58"));
        let line = table.lines().find(of_port).expect("the channel's socket is in the table");
        let queues = line.split_whitespace().nth(4).expect("the fifth column holds both queues");
        let (sending, _) = queues.split_once(':').expect("tx:rx");
        usize::from_str_radix(sending, 16).unwrap()
    }
}

fn lay_wire([left, right]: &[Namespace; 2]) {
    // The other namespace has no name, so it is named by the descriptor of a thread that waits in it.
    let (say, stays) = std::sync::mpsc::channel();
    let (leave, left_it) = std::sync::mpsc::channel::<()>();
    let waiting = right.spawn_in("right", move || {
        say.send(std::fs::read_link("/proc/thread-self").unwrap()).unwrap();
        let _gone = left_it.recv();
    });
    let thread = stays.recv().unwrap();
    let task = thread.file_name().expect("PID/task/TID").to_str().unwrap().to_owned();
    run_in(left, &format!("ip link add wire type veth peer name wire netns {task}"));
    drop(leave);
    waiting.unwrap().join().unwrap();
    for (number, namespace) in [(1, left), (2, right)] {
        run_in(namespace, &format!("ip address add 192.0.2.{number}/24 dev wire"));
        run_in(namespace, "ip link set wire addrgenmode none up");
    }
}

fn add_side(plane: &mut DataPlane, namespace: Namespace, number: u8, wire: Wire) -> Side {
    let (own, peer) = (number + 1, 2 - number);
    for line in [
        "ip link set lo up".to_owned(),
        "ip tuntap add dev dp0 mode tun vnet_hdr".to_owned(),
        format!("ip link set dp0 mtu {MTU} addrgenmode none up"),
        format!("ip address add 10.{own}.0.1/32 dev dp0"),
        format!("ip address add fd00:{own}::1/128 dev dp0 nodad"),
    ] {
        run_in(&namespace, &line);
    }
    let (device, udp) = namespace
        .run_in(|| {
            let device = Tun::attach("dp0").unwrap();
            device.carrier().unwrap().set(true).unwrap();
            eventually("the device runs", || device::is_running("dp0").unwrap());
            let mut options = UdpOptions::new(format!("192.0.2.{own}:7000").parse().unwrap());
            if wire == Wire::Slow {
                // The least that the kernel gives.
                options.send_buffer = 0;
            }
            options.gro = wire != Wire::WithoutTrains;
            (device, Udp::bind(&options).unwrap())
        })
        .unwrap();
    if wire == Wire::WithoutTrains {
        udp.disable_gso();
    }
    let send_buffer = udp.buffers().unwrap().1;
    if wire == Wire::Slow {
        // Takes more than the socket holds, so that nothing is lost there.
        run_in(&namespace, "tc qdisc add dev wire root tbf rate 200mbit burst 128k limit 1m");
    }
    // TCP over IPv4 has super-packets of so many segments that they take several trains.
    run_in(&namespace, &format!("ip route add 10.{peer}.0.0/16 dev dp0 advmss 256"));
    run_in(&namespace, &format!("ip route add fd00:{peer}::/64 dev dp0"));
    let networks = |of: u8| [format!("10.{of}.0.0/16"), format!("fd00:{of}::/64")].map(|text| text.parse().unwrap());
    let link_local = |of: u8| format!("fe80::{of}:0").parse().unwrap();
    let filter = Filter::new(&networks(peer), &networks(own), (link_local(peer), link_local(own)), false);
    let channel = ChannelId(number.into());
    let parts = ChannelParts {
        tun: Arc::new(device),
        transport: Transport::Udp(Arc::new(udp)),
        format: Format::WireGuard,
        mtu: MTU,
        endpoint: Some(SocketAddr::from(([192, 0, 2, peer], 7000))),
        filter: Arc::new(filter),
        first: Vec::new(),
    };
    let counters = plane.add_channel(channel, parts).unwrap();
    let inner = [format!("10.{own}.0.1"), format!("fd00:{own}::1")].map(|text| text.parse().unwrap());
    Side { namespace, channel, counters, inner, send_buffer }
}

/// Waits for what must come, a minute at the most.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 60 s: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn run_in(namespace: &Namespace, line: &str) {
    let mut words = line.split(' ');
    let mut program = Program::new(words.next().expect("a line has words"));
    namespace.command_in(program.args(words)).unwrap();
    assert!(program.status().expect("iproute2 is installed").success(), "{line}");
}
