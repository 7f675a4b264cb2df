use std::{
    net::{Shutdown, TcpListener},
    time::Duration,
};

use meshtun_openvpn::{directive::read_file, key::StaticKey, options::Options};

use super::*;
use crate::wire::{self, memory::Memory};

const LONGEST: u16 = 1_768;

/// A waiting link over TCP, the other end of its connection, and what seals for it.
struct Bed {
    waiting: Waiting,
    peer: TcpStream,
    peers: Outgoing,
    runtime: tokio::runtime::Runtime,
}

fn options(more: &str) -> Options {
    let text = format!("dev tun\nproto tcp-server\nsecret k\n{more}");
    Options::read(&read_file("nq1.conf", text.as_bytes(), &mut |_| unreachable!("nothing is named"))).options
}

/// A waiting link over UDP to the first of these addresses, all of which are the peer's name's.
fn over_udp(addresses: Vec<SocketAddr>) -> (Bed, SocketAddr) {
    let mut bed = Bed::new("", "");
    let udp = udp::Udp::bind(&udp::UdpOptions::new("127.0.0.1:0".parse().unwrap())).unwrap();
    let local = udp.local_addr();
    let link = Link {
        local,
        carrier: Carrier::Udp(std::sync::Arc::new(udp)),
        protocol: meshtun_openvpn::options::Protocol::Udp,
        remote: addresses.first().copied(),
        addresses,
        longest: LONGEST,
    };
    let key = StaticKey::from_bytes(&std::array::from_fn(|at| at as u8));
    let wire = wire::make(&options(""), &key, &link, &Memory::default()).unwrap();
    bed.waiting = {
        let _entered = bed.runtime.enter();
        Waiting::new(link, wire, false).unwrap()
    };
    (bed, local)
}

#[test]
fn a_peer_is_heard_from_each_address_of_its_name_and_a_stranger_is_not() {
    let sockets = [(); 3].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    let [first, second, stranger] = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
    let (mut bed, to) = over_udp(vec![first, second]);
    sockets[2].send_to(&bed.peers.frame(b"a packet").concat(), to).unwrap();
    let event = bed.event();
    assert!(matches!(event, Event::Refused(Refusal::Source(from)) if from == stranger), "{event:?}");
    sockets[1].send_to(&bed.peers.frame(b"a packet").concat(), to).unwrap();
    let event = bed.event();
    assert!(matches!(event, Event::Heard(from) if from == second), "{event:?}");
    assert_eq!(bed.waiting.link.remote, Some(second), "that is where it is answered");
}

fn link() -> (Link, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, from) = listener.accept().unwrap();
    let link = Link {
        local: stream.local_addr().unwrap(),
        carrier: Carrier::Tcp(stream),
        protocol: meshtun_openvpn::options::Protocol::TcpServer,
        remote: Some(from),
        addresses: Vec::new(),
        longest: LONGEST,
    };
    (link, peer)
}

impl Bed {
    /// `peers`: the peer's options, beyond those of both.
    fn new(own: &str, peers: &str) -> Bed {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _entered = runtime.enter();
        let (link, peer) = link();
        let key = StaticKey::from_bytes(&std::array::from_fn(|at| at as u8));
        let make = |more| wire::make(&options(more), &key, &link, &Memory::default()).unwrap();
        let (peers, _) = make(peers);
        let wire = make(own);
        let waiting = Waiting::new(link, wire, false).unwrap();
        Bed { waiting, peer, peers, runtime }
    }

    fn write(&mut self, datagram: &[u8]) {
        let framed = [&tcp::header(datagram.len()).unwrap()[..], datagram].concat();
        self.peer.write_all(&framed).unwrap();
    }

    fn seal_and_write(&mut self, payload: &[u8]) {
        for datagram in self.peers.frame(payload) {
            self.write(&datagram);
        }
    }

    fn event(&mut self) -> Event {
        let event = async { tokio::time::timeout(Duration::from_secs(30), self.waiting.event()).await };
        self.runtime.block_on(event).expect("there is an event in time")
    }
}

#[test]
fn a_stranger_in_the_only_connection_is_told_and_sent_away() {
    let mut bed = Bed::new("", "");
    bed.write(&[9; 100]);
    let why = bed.event();
    assert!(matches!(&why, Event::Refused(Refusal::Packet(why)) if why.contains("HMAC")), "{why:?}");
    assert!(matches!(bed.event(), Event::Unreadable));
}

#[test]
fn a_replay_ends_a_stream_since_it_keeps_its_order() {
    let mut bed = Bed::new("", "");
    let datagram = bed.peers.frame(b"a packet").concat();
    bed.write(&datagram);
    bed.write(&datagram);
    assert!(matches!(bed.event(), Event::Heard(_)));
    let why = bed.event();
    assert!(matches!(&why, Event::Refused(Refusal::Replay(_))), "{why:?}");
    assert!(matches!(bed.event(), Event::Unreadable));
}

#[test]
fn a_length_that_no_datagram_has_is_not_waited_for() {
    for (length, bytes) in [(u16::from_be_bytes(*b"GE"), &b"GET / HTTP/1.0\r\n\r\n"[..]), (0, &[0, 0, 1, 2])] {
        let mut bed = Bed::new("", "");
        bed.peer.write_all(bytes).unwrap();
        let event = bed.event();
        assert!(
            matches!(event, Event::BadLength { length: l, longest: LONGEST } if l == length),
            "{length}: {event:?}"
        );
    }
}

#[test]
fn a_stream_that_ends_is_reset() {
    let mut bed = Bed::new("", "");
    bed.peer.shutdown(Shutdown::Both).unwrap();
    assert!(matches!(bed.event(), Event::Reset(0)));
}

#[test]
fn what_the_peer_has_compressed_is_told_and_does_not_end_the_stream() {
    let mut bed = Bed::new("comp-lzo yes\n", "");
    // What LZO's compression begins with, behind it whatever.
    bed.seal_and_write(&[0x66, 1, 2, 3, 4, 5]);
    bed.seal_and_write(&[0xfa, 0x45, 1, 2]);
    let why = bed.event();
    assert!(matches!(&why, Event::Refused(Refusal::Packet(why)) if why.contains("compress")), "{why:?}");
    assert!(matches!(bed.event(), Event::Heard(_)), "what comes behind it is taken");
}
