//! One channel of a real data plane, in a network namespace of its own, against a peer that this file plays with a
//! plain socket and the session's keys.
//!
//! ```text
//!   this file: peer's socket 127.0.0.1 ◄──── UDP ────► channel socket ─ data plane ─ dp0 ─ kernel: 10.1.0.1
//! ```

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    process::Command as Program,
    sync::Arc,
    time::{Duration, Instant},
};

use meshtun_dataplane::{
    ChannelId, ChannelParts, Command, Counters, DataPlane, DropReason, Event, Events, Filter, PlaneConfig,
};
use meshtun_proto::{
    Suite,
    control::{Frame, Signal},
    noise::SessionKeys,
    session::{ReceiveKey, SendKey, padding_len},
};
use meshtun_sys::{
    netns, thread,
    tun::{self, Tun},
    udp::{Udp, UdpOptions},
};
use meshtun_testkit::packet;
use netns_lab::trial;

const ID: ChannelId = ChannelId(7);
const OURS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const PEERS: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 1);
const MTU: u16 = 1420;
/// How the data plane and the peer call the session.
const OUR_INDEX: u32 = 0x1111;
const PEER_INDEX: u32 = 0x2222;

/// The data plane with its one channel, and the peer's end of it.
struct Bench {
    plane: DataPlane,
    events: Events,
    counters: Arc<Counters>,
    channel: SocketAddr,
    peer: UdpSocket,
    seals: SendKey,
    opens: ReceiveKey,
}

impl Bench {
    /// The channel with a session that carries inner packets both ways.
    fn up(suite: Suite) -> Bench {
        let bench = Bench::without_session(suite);
        let (send, receive) = keys(suite, OUR_INDEX, PEER_INDEX, 1, 2).into_halves(Instant::now());
        for command in [
            Command::InstallReceive(receive.into()),
            Command::InstallSend(send),
            Command::Use(OUR_INDEX),
            Command::Admit(OUR_INDEX),
        ] {
            bench.plane.send(ID, command);
        }
        bench.plane.settle();
        bench
    }

    fn without_session(suite: Suite) -> Bench {
        Bench::on_workers(1, suite)
    }

    fn on_workers(workers: usize, suite: Suite) -> Bench {
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

    fn sealed(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let mut message = vec![0; plaintext.len() + 64];
        let padding = padding_len(plaintext.len(), MTU.into());
        let length = self.seals.seal(plaintext, padding, &mut message).unwrap();
        message.truncate(length);
        message
    }

    fn send(&self, datagram: &[u8]) {
        self.peer.send_to(datagram, self.channel).unwrap();
    }

    fn send_sealed(&mut self, plaintext: &[u8]) {
        let message = self.sealed(plaintext);
        self.send(&message);
    }

    /// The next datagram that the channel sends to the peer, opened.
    fn receive(&mut self) -> Vec<u8> {
        let mut datagram = [0; 65536];
        let (length, _) = self.peer.recv_from(&mut datagram).expect("the channel sends");
        self.opens.open(&mut datagram[..length]).expect("what the channel sends is authentic").to_vec()
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        let snapshot = self.counters.snapshot();
        let all = snapshot.sending.dropped.into_iter().chain(snapshot.receiving.dropped);
        all.filter(|(r, _)| *r == reason).map(|(_, n)| n).sum()
    }

    fn await_drop(&self, reason: DropReason, expected: u64, what: &str) {
        eventually(&format!("{what} is counted under {}", reason.label()), || self.dropped(reason) == expected);
    }

    fn await_event(&self, what: &str, wanted: impl Fn(&Event) -> bool) {
        eventually(what, || std::iter::from_fn(|| self.events.poll_event()).any(|event| wanted(&event)));
    }

    /// An inner packet arrives at a socket of this machine: the channel still works.
    fn assert_delivers(&mut self) {
        let receiver = UdpSocket::bind((OURS, 0)).unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let port = receiver.local_addr().unwrap().port();
        self.send_sealed(&packet::udp4(PEERS, OURS, 9, port, b"hello"));
        let mut payload = [0; 64];
        let (length, from) = receiver.recv_from(&mut payload).expect("the inner packet arrives");
        assert_eq!((&payload[..length], from), (&b"hello"[..], (PEERS, 9).into()));
    }
}

#[test]
fn inner_packets_cross_both_ways_under_either_suite() {
    for suite in [Suite::ChaCha20Poly1305, Suite::Aes256Gcm] {
        trial::run_with_tun(|| {
            in_namespace(|| {
                let mut bench = Bench::up(suite);
                bench.assert_delivers();
                let socket = UdpSocket::bind((OURS, 0)).unwrap();
                for length in [0, 1, 100, 1000, usize::from(MTU) - 28] {
                    socket.send_to(&vec![0xAB; length], (PEERS, 5)).unwrap();
                    let plaintext = bench.receive();
                    let total = usize::from(u16::from_be_bytes([plaintext[2], plaintext[3]]));
                    assert_eq!(total, 28 + length, "the inner packet is whole");
                    assert!(
                        plaintext.len() <= MTU.into() && plaintext[total..].iter().all(|b| *b == 0),
                        "padded with zeros"
                    );
                }
                eventually("five packets are counted", || bench.counters.snapshot().sending.packets == 5);
                eventually("one packet is counted", || bench.counters.snapshot().receiving.packets == 1);
                let snapshot = bench.counters.snapshot();
                assert_eq!(snapshot.sending.bytes, 5 * 28 + 1101 + u64::from(MTU) - 28);
                assert_eq!((snapshot.receiving.packets, snapshot.receiving.bytes), (1, 33));
            })
        });
    }
}

#[test]
fn what_cannot_be_used_is_dropped_under_its_reason_and_ends_nothing() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut bench = Bench::up(Suite::ChaCha20Poly1305);
            let inner = packet::udp4(PEERS, OURS, 1, 2, b"inner");
            let good = bench.sealed(&inner);
            let mut forged = bench.sealed(&inner);
            forged[20] ^= 1;
            let mut unknown = bench.sealed(&inner);
            unknown[4] ^= 0xFF;
            let mut reserved = bench.sealed(&inner);
            reserved[2] = 1;
            let replay = good.clone();
            let mut short = packet::udp4(PEERS, OURS, 1, 2, b"inner");
            short[3] = 255; // states a total length that is not there
            let cases: Vec<(&str, Vec<u8>, DropReason)> = vec![
                ("an empty datagram", vec![], DropReason::Malformed),
                ("a single byte", vec![4], DropReason::Malformed),
                ("a transport message shorter than its tag", good[..31].to_vec(), DropReason::Malformed),
                ("an unknown type", [vec![5, 0, 0, 0], vec![0; 60]].concat(), DropReason::Malformed),
                ("set reserved bytes", reserved, DropReason::Malformed),
                ("an initiation of a wrong length", [vec![1, 0, 0, 0], vec![0; 145]].concat(), DropReason::Malformed),
                ("the longest datagram that there is", vec![7; 65507], DropReason::Malformed),
                ("a flipped bit", forged, DropReason::Forged),
                ("another session's index", unknown, DropReason::UnknownSession),
                ("the longest transport message", longest_transport(), DropReason::Forged),
                ("a truncated message", good[..good.len() - 1].to_vec(), DropReason::Forged),
                ("a total length beyond the packet", bench.sealed(&short), DropReason::BadInner),
                ("a lone nibble of IPv6", bench.sealed(&[0x60]), DropReason::BadInner),
                (
                    "a source that is not the peer's",
                    {
                        let spoofed = packet::udp4(Ipv4Addr::new(10, 3, 0, 1), OURS, 1, 2, b"");
                        bench.sealed(&spoofed)
                    },
                    DropReason::BadSource,
                ),
                (
                    "our own address as source",
                    {
                        let spoofed = packet::udp4(OURS, OURS, 1, 2, b"");
                        bench.sealed(&spoofed)
                    },
                    DropReason::BadSource,
                ),
                (
                    "a destination that is not ours",
                    {
                        let astray = packet::udp4(PEERS, Ipv4Addr::new(10, 3, 0, 1), 1, 2, b"");
                        bench.sealed(&astray)
                    },
                    DropReason::BadDestination,
                ),
            ];
            for (what, datagram, reason) in cases {
                let before = bench.dropped(reason);
                bench.send(&datagram);
                bench.await_drop(reason, before + 1, what);
            }
            bench.send(&replay);
            eventually("the message itself passes once", || bench.counters.snapshot().receiving.packets == 1);
            bench.send(&replay);
            bench.await_drop(DropReason::Replayed, 1, "a replay");
            bench.assert_delivers();
        })
    });
}

#[test]
fn a_reflected_message_is_dropped() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut bench = Bench::up(Suite::ChaCha20Poly1305);
            UdpSocket::bind((OURS, 0)).unwrap().send_to(b"out", (PEERS, 5)).unwrap();
            let mut datagram = [0; 2048];
            let (length, _) = bench.peer.recv_from(&mut datagram).unwrap();
            bench.send(&datagram[..length]);
            bench.await_drop(DropReason::UnknownSession, 1, "a message sent back as it is");
            datagram[4..8].copy_from_slice(&OUR_INDEX.to_le_bytes());
            bench.send(&datagram[..length]);
            bench.await_drop(DropReason::Forged, 1, "a message sent back with our index");
            bench.assert_delivers();
        })
    });
}

#[test]
fn an_icmp_error_of_a_router_on_the_way_passes_and_is_counted() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut bench = Bench::up(Suite::ChaCha20Poly1305);
            let offender = packet::udp4(OURS, PEERS, 1, 2, b"");
            let error = packet::icmp4(Ipv4Addr::new(192, 0, 2, 77), OURS, 11, 0, &[&[0; 4][..], &offender].concat());
            bench.send_sealed(&error);
            eventually("the error passes", || bench.counters.snapshot().receiving.icmp_errors == 1);
            assert_eq!(bench.counters.snapshot().receiving.packets, 1);
            let echo = packet::icmp4(Ipv4Addr::new(192, 0, 2, 77), OURS, 8, 0, &[0; 8]);
            bench.send_sealed(&echo);
            bench.await_drop(DropReason::BadSource, 1, "an echo request of a stranger");
        })
    });
}

#[test]
fn without_a_session_nothing_leaves_and_nothing_enters() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut bench = Bench::without_session(Suite::ChaCha20Poly1305);
            UdpSocket::bind((OURS, 0)).unwrap().send_to(b"secret", (PEERS, 5)).unwrap();
            bench.await_drop(DropReason::NoSession, 1, "a packet from the device");
            bench.peer.set_nonblocking(true).unwrap();
            assert!(bench.peer.recv(&mut [0; 2048]).is_err(), "nothing reached the underlay");

            let (send, receive) =
                keys(Suite::ChaCha20Poly1305, OUR_INDEX, PEER_INDEX, 1, 2).into_halves(Instant::now());
            bench.plane.send(ID, Command::InstallReceive(receive.into()));
            bench.plane.send(ID, Command::InstallSend(send));
            bench.plane.settle();
            bench.send_sealed(&packet::udp4(PEERS, OURS, 1, 2, b"early"));
            bench.await_drop(DropReason::NotAdmitted, 1, "an inner packet before the hello");
            bench.await_event("the session is confirmed all the same", |event| {
                matches!(event, Event::Confirmed { channel: ID, session: OUR_INDEX })
            });
        })
    });
}

#[test]
fn control_frames_travel_both_ways_before_inner_packets_may() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut bench = Bench::without_session(Suite::ChaCha20Poly1305);
            let (send, receive) =
                keys(Suite::ChaCha20Poly1305, OUR_INDEX, PEER_INDEX, 1, 2).into_halves(Instant::now());
            bench.plane.send(ID, Command::InstallReceive(receive.into()));
            bench.plane.send(ID, Command::InstallSend(send));
            let frame = Frame::Probe { sequence: 9, interval_micros: 10, signal: Signal::default() }.encode();
            bench.plane.send(ID, Command::Seal { session: OUR_INDEX, plaintext: frame.clone() });
            assert_eq!(bench.receive()[..frame.len()], frame);
            bench.plane.send(ID, Command::Seal { session: OUR_INDEX, plaintext: Vec::new() });
            assert!(bench.receive().is_empty(), "a keepalive");
            bench.send_sealed(&frame);
            bench.await_event("the frame reaches the control side", |event| {
            matches!(event, Event::Frame { session: OUR_INDEX, plaintext, .. } if plaintext.starts_with(&frame))
        });
        })
    });
}

#[test]
fn a_retired_session_opens_and_seals_nothing() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut bench = Bench::up(Suite::ChaCha20Poly1305);
            bench.assert_delivers();
            bench.plane.send(ID, Command::Retire(OUR_INDEX));
            bench.plane.settle();
            bench.send_sealed(&packet::udp4(PEERS, OURS, 1, 2, b"late"));
            bench.await_drop(DropReason::UnknownSession, 1, "a message under a retired session");
            UdpSocket::bind((OURS, 0)).unwrap().send_to(b"late", (PEERS, 5)).unwrap();
            bench.await_drop(DropReason::NoSession, 1, "a packet for a retired session");
        })
    });
}

#[test]
fn a_session_that_is_drained_before_it_retires_carries_all_that_waited() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut bench = Bench::without_session(Suite::Aes256Gcm);
            // On the worker's processor, so that it often finds many packets beside the order.
            thread::pin_current(thread::available_cpus()[0]).unwrap();
            let socket = UdpSocket::bind((OURS, 0)).unwrap();
            for session in 1..20 {
                let (send, _) = keys(Suite::Aes256Gcm, session, PEER_INDEX, 1, 2).into_halves(Instant::now());
                let (_, opens) = keys(Suite::Aes256Gcm, PEER_INDEX, session, 2, 1).into_halves(Instant::now());
                bench.opens = opens;
                bench.plane.send(ID, Command::InstallSend(send));
                bench.plane.send(ID, Command::Use(session));
                bench.plane.settle();
                for number in 0..150_u8 {
                    socket.send_to(&[number; 100], (PEERS, 5)).unwrap();
                }
                bench.plane.send(ID, Command::Drain(session));
                bench.plane.send(ID, Command::Retire(session));
                bench.plane.settle();
                for number in 0..150_u8 {
                    assert_eq!(bench.receive()[28..128], [number; 100], "in order and unharmed");
                }
                socket.send_to(b"late", (PEERS, 5)).unwrap();
                bench.await_drop(DropReason::NoSession, session.into(), "nothing but the packet after the drain");
            }
        })
    });
}

#[test]
fn a_drain_of_a_session_that_carries_nothing_changes_nothing() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut bench = Bench::up(Suite::ChaCha20Poly1305);
            bench.plane.send(ID, Command::Drain(OUR_INDEX + 1));
            bench.plane.settle();
            UdpSocket::bind((OURS, 0)).unwrap().send_to(b"on", (PEERS, 5)).unwrap();
            assert_eq!(bench.receive()[28..30], *b"on");
        })
    });
}

#[test]
fn an_authentic_message_from_elsewhere_tells_where_the_peer_is() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut bench = Bench::up(Suite::ChaCha20Poly1305);
            let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
            let from = elsewhere.local_addr().unwrap();
            let mut forged = bench.sealed(&[]);
            forged[16] ^= 1;
            elsewhere.send_to(&forged, bench.channel).unwrap();
            bench.await_drop(DropReason::Forged, 1, "a forged message from elsewhere");
            assert!(!std::iter::from_fn(|| bench.events.poll_event()).any(|e| matches!(e, Event::Moved { .. })));
            let keepalive = bench.sealed(&[]);
            elsewhere.send_to(&keepalive, bench.channel).unwrap();
            bench.await_event("the peer moved", |e| matches!(e, Event::Moved { from: f, .. } if *f == from));
        })
    });
}

#[test]
fn a_deleted_device_is_reported_and_the_worker_goes_on() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let bench = Bench::up(Suite::ChaCha20Poly1305);
            ip("link del dp0");
            bench.await_event("the sending half has failed", |e| matches!(e, Event::Failed { channel: ID, .. }));
            let mut plane = bench.plane;
            plane.remove_channel(ID);
            plane.settle();
            plane.shutdown();
        })
    });
}

#[test]
fn a_removed_channel_leaves_no_descriptor_behind() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let bench = Bench::up(Suite::ChaCha20Poly1305);
            let Bench { mut plane, counters, .. } = bench;
            plane.remove_channel(ID);
            assert_eq!(Arc::strong_count(&counters), 1, "both halves are gone");
            Tun::attach("dp0").expect("nobody holds the device any more");
            plane.shutdown();
        })
    });
}

#[test]
fn a_burst_crosses_in_order_and_unharmed() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut bench = Bench::up(Suite::ChaCha20Poly1305);
            let socket = UdpSocket::bind((OURS, 0)).unwrap();
            for number in 0..100_u8 {
                socket.send_to(&[number; 1000], (PEERS, 5)).unwrap();
            }
            for number in 0..100_u8 {
                let plaintext = bench.receive();
                assert_eq!(plaintext[28..1028], [number; 1000], "in order and unharmed");
            }
        })
    });
}

/// More lone packets at once than one turn seals: those that wait do so by flow, and overtake others, but not their own.
#[test]
fn flows_that_wait_keep_their_order() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut bench = Bench::up(Suite::Aes256Gcm);
            // On the worker's processor, so that it often finds many packets at once.
            thread::pin_current(thread::available_cpus()[0]).unwrap();
            let flows = [(); 3].map(|()| UdpSocket::bind((OURS, 0)).unwrap());
            for round in 0..20_u8 {
                for number in 0..70_u8 {
                    for (flow, socket) in (0_u8..).zip(&flows) {
                        socket.send_to(&[round, flow, number, 0], (PEERS, 5)).unwrap();
                    }
                }
                let mut next = [0_u8; 3];
                for _ in 0..3 * 70 {
                    let plaintext = bench.receive();
                    let [.., of_round, flow, number, _] = plaintext[..32] else {
                        panic!("four bytes behind the headers")
                    };
                    assert_eq!((of_round, number), (round, next[usize::from(flow)]), "flow {flow}");
                    next[usize::from(flow)] += 1;
                }
            }
            assert_eq!(bench.dropped(DropReason::QueueFull) + bench.dropped(DropReason::QueueDelay), 0);
        })
    });
}

/// A transport message for our session as long as UDP allows.
fn longest_transport() -> Vec<u8> {
    let mut message = vec![0; 65507];
    message[0] = 4;
    message[4..8].copy_from_slice(&OUR_INDEX.to_le_bytes());
    message[8] = 200;
    message
}

/// A device that runs.
fn device(name: &str) -> Tun {
    tun::create(name).expect("a tun device can be made");
    ip(&format!("link set {name} mtu {MTU} up"));
    let device = Tun::attach(name).expect("the device can be attached");
    device.carrier().unwrap().set(true).unwrap();
    // Until the kernel has acted on the carrier it drops what is sent to the device.
    eventually("the device runs", || meshtun_sys::device::is_running(name).unwrap());
    device
}

fn channel_socket() -> Udp {
    let buffers =
        UdpOptions { receive_buffer: 4 << 20, send_buffer: 4 << 20, ..UdpOptions::new(([127, 0, 0, 1], 0).into()) };
    Udp::bind(&buffers).unwrap()
}

fn parts(tun: Tun, udp: Udp, peer: &UdpSocket) -> ChannelParts {
    let filter = Filter::new(
        &["10.2.0.0/16".parse().unwrap(), "fd00:2::/64".parse().unwrap()],
        &["10.1.0.0/16".parse().unwrap(), "fd00:1::/64".parse().unwrap()],
        ("fe80::2:0".parse().unwrap(), "fe80::1:0".parse().unwrap()),
        false,
    );
    ChannelParts {
        tun: Arc::new(tun),
        udp: Arc::new(udp),
        mtu: MTU,
        endpoint: Some(peer.local_addr().unwrap()),
        filter: Arc::new(filter),
    }
}

fn keys(suite: Suite, local: u32, peer: u32, send: u8, receive: u8) -> SessionKeys {
    SessionKeys::new(suite, local, peer, [send; 32].into(), [receive; 32].into())
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn ip(arguments: &str) {
    let status = Program::new("ip").args(arguments.split(' ')).status().expect("ip runs");
    assert!(status.success(), "ip {arguments}");
}

/// Runs a test in a fresh network namespace.
fn in_namespace(test: impl FnOnce() + Send) {
    let namespace = netns::Namespace::new().expect("a trial may make namespaces");
    namespace.run_in(test).expect("the namespace can be entered");
}

const SIBLING: ChannelId = ChannelId(8);

/// A second channel with a session of its own, whose device nothing is routed to.
fn sibling(bench: &mut Bench) -> (UdpSocket, ReceiveKey) {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    bench.plane.add_channel(SIBLING, parts(device("dp1"), channel_socket(), &peer)).unwrap();
    let suite = Suite::ChaCha20Poly1305;
    let (send, _) = keys(suite, 0x3333, 0x4444, 3, 4).into_halves(Instant::now());
    bench.plane.send(SIBLING, Command::InstallSend(send));
    bench.plane.send(SIBLING, Command::Use(0x3333));
    bench.plane.settle();
    (peer, keys(suite, 0x4444, 0x3333, 4, 3).into_halves(Instant::now()).1)
}

/// What a channel sends next, opened: the last byte of the inner packet.
fn last_byte(peer: &UdpSocket, opens: &mut ReceiveKey) -> u8 {
    let mut datagram = [0; 2048];
    let (length, _) = peer.recv_from(&mut datagram).expect("the channel sends");
    let inner = opens.open(&mut datagram[..length]).expect("authentic");
    inner[usize::from(u16::from_be_bytes([inner[2], inner[3]])) - 1]
}

#[test]
fn a_sibling_carries_what_the_kernel_still_gives_to_a_channel_that_is_dead() {
    for workers in [1, 2] {
        trial::run_with_tun(move || {
            in_namespace(|| {
                let mut bench = Bench::on_workers(workers, Suite::ChaCha20Poly1305);
                let (peer, mut opens) = sibling(&mut bench);
                let socket = UdpSocket::bind((OURS, 0)).unwrap();
                let send = |number: u8| assert_eq!(socket.send_to(&[0, number], (PEERS, 5)).unwrap(), 2);

                send(1); // The owner reads it, and has no session.
                eventually("it is dropped", || bench.dropped(DropReason::NoSession) == 1);
                bench.plane.lend(ID, Some(SIBLING)).unwrap();
                (2..100).for_each(send);
                assert!((2..100).all(|number| last_byte(&peer, &mut opens) == number), "all of them, in order");
                assert_eq!(bench.plane.borrower(ID), Some(SIBLING));

                bench.plane.lend(ID, None).unwrap();
                send(100);
                eventually("the owner reads again", || bench.dropped(DropReason::NoSession) == 2);

                bench.plane.lend(ID, Some(SIBLING)).unwrap();
                bench.plane.remove_channel(SIBLING);
                assert_eq!(bench.plane.borrower(ID), None);
                send(101);
                eventually("the owner has it back", || bench.dropped(DropReason::NoSession) == 3);
            })
        });
    }
}

#[test]
fn a_borrowed_device_that_is_deleted_fails_its_owner_and_not_the_borrower() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut bench = Bench::on_workers(1, Suite::ChaCha20Poly1305);
            let (peer, mut opens) = sibling(&mut bench);
            bench.plane.lend(ID, Some(SIBLING)).unwrap();
            ip("link delete dp0");
            eventually("the owner has failed", || {
                std::iter::from_fn(|| bench.events.poll_event()).any(|event| {
                    matches!(event, Event::Failed { channel: ID, half: meshtun_dataplane::Half::Sending, .. })
                })
            });
            bench.plane.remove_channel(ID);
            ip("addr add 10.1.0.1/32 dev dp1");
            ip("route add 10.2.0.0/16 dev dp1");
            UdpSocket::bind((OURS, 0)).unwrap().send_to(&[0, 77], (PEERS, 5)).unwrap();
            assert_eq!(last_byte(&peer, &mut opens), 77);
        })
    });
}
