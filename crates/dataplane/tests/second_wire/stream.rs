//! Datagrams in a TCP connection.

use std::{
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use meshtun_dataplane::{Command, DropReason, Event, Opened, Opening, StreamError};
use netns_lab::trial;

use crate::{
    assert_stream_crosses,
    bed::{Bed, LEFT, eventually},
    in_namespace,
    toy::{CONTROL, Opens, PING, Seals},
};

#[test]
fn packets_cross_in_a_connection_whole_and_in_parts() {
    for longest in [1 << 16, 400] {
        trial::run_with_tun(move || {
            in_namespace(|| {
                let bed = Bed::over_tcp(longest);
                for length in [1, 100, 1400] {
                    bed.assert_echoes(length);
                }
                assert_stream_crosses(&bed, 4 << 20);
                for side in &bed.sides {
                    let snapshot = side.counters.snapshot();
                    assert_eq!(snapshot.receiving.dropped, [], "nothing is out of order or altered");
                    assert!(side.counters.heard().is_some() && side.counters.said().is_some());
                }
                eventually("the last acknowledgement arrives, and every byte is counted at both ends", || {
                    let [left, right] = [&bed.sides[0], &bed.sides[1]].map(|side| side.counters.snapshot());
                    left.sending.wire_bytes == right.receiving.wire_bytes
                });
            });
        });
    }
}

#[test]
fn what_comes_byte_by_byte_is_put_together() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let (mut bed, mut peer) = Bed::half_over_tcp();
            peer.set_nodelay(true).unwrap();
            let mut seals = Seals::new(1 << 16);
            let frames = ["one", "two", "three"].map(|word| [CONTROL, word.as_bytes()].concat());
            let bytes: Vec<u8> = frames.iter().flat_map(|frame| framed(&seals.datagram(frame))).collect();
            bytes.iter().for_each(|byte| peer.write_all(&[*byte]).unwrap());
            for expected in &frames {
                bed.await_event(
                    "each frame",
                    |event| matches!(event, Event::Frame { channel: LEFT, plaintext, .. } if **plaintext == **expected),
                );
            }
        });
    });
}

#[test]
fn a_peer_that_reads_nothing_for_a_while_misses_nothing_that_was_sealed() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let (bed, mut peer) = Bed::half_over_tcp();
            let counters = std::sync::Arc::clone(&bed.sides[0].counters);
            let socket = bed.sides[0].namespace.run_in(|| UdpSocket::bind("10.1.0.1:0").unwrap()).unwrap();
            // Until the connection and the queue behind it are full.
            let deadline = Instant::now() + Duration::from_secs(60);
            let lost = |reason| bed.sides[0].dropped(reason);
            while lost(DropReason::QueueFull) + lost(DropReason::QueueDelay) == 0 {
                assert!(Instant::now() < deadline, "the queue fills up");
                let _device_full = socket.send_to(&[7; 1400], "10.2.0.1:9");
            }
            for _ in 0..100 {
                bed.plane.send(LEFT, Command::Seal { session: 0, plaintext: PING.to_vec() });
            }
            bed.plane.settle();
            let mut opens = Opens::default();
            let (mut packets, mut pings) = (0, 0);
            // The toy refuses what is not in order; here there must be no gap either.
            let mut next = 0;
            while packets < counters.snapshot().sending.packets || pings == 0 {
                let mut datagram = receive(&mut peer);
                let opened = opens.open(&mut datagram, None, Instant::now()).expect("whole and in order");
                assert_eq!(opens.next(), next + 1, "no number is missing");
                next += 1;
                match opened {
                    Opened::Swallowed(_) => pings += 1,
                    _ => packets += 1,
                }
            }
            assert!(packets > 100, "{packets} packets and {pings} pings");
        });
    });
}

#[test]
fn a_stream_that_ends_or_makes_no_sense_fails_once_and_says_why() {
    for (what, bytes, expected) in [
        ("its end", vec![], StreamError::Closed),
        ("its end in the middle", vec![0, 40, 1, 2, 3], StreamError::Closed),
        ("no length", vec![0, 0, 1, 2, 3], StreamError::Length { length: 0, longest: 2000 }),
        ("too great a length", vec![0x07, 0xD1, 1], StreamError::Length { length: 2001, longest: 2000 }),
        ("a forgery", framed(&[9; 50]), StreamError::Refused(DropReason::Forged)),
    ] {
        trial::run_with_tun(move || {
            in_namespace(|| {
                let (mut bed, mut peer) = Bed::half_over_tcp();
                peer.write_all(&framed(&Seals::new(100).datagram(PING))).unwrap();
                peer.write_all(&bytes).unwrap();
                if expected == StreamError::Closed {
                    drop(peer);
                }
                bed.await_event(what, |event| why(event) == Some(expected));
                bed.plane.settle();
                let failures = bed.events().iter().filter(|event| why(event).is_some()).count();
                assert_eq!(failures, 1, "{what}");
                eventually("what came before is heard", || bed.sides[0].counters.heard().is_some());
                bed.plane.remove_channel(LEFT);
            });
        });
    }
}

#[test]
fn what_is_bad_inside_alone_does_not_end_a_stream() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let (mut bed, mut peer) = Bed::half_over_tcp();
            let mut seals = Seals::new(100);
            for _ in 0..3 {
                peer.write_all(&framed(&seals.stray_part())).unwrap();
            }
            peer.write_all(&framed(&seals.datagram(PING))).unwrap();
            eventually("what comes behind is heard", || bed.sides[0].counters.heard().is_some());
            assert_eq!(bed.sides[0].dropped(DropReason::BadFragment), 3);
            bed.plane.settle();
            assert!(!bed.events().iter().any(|event| why(event).is_some()), "{:?}", bed.events());
        });
    });
}

fn why(event: &Event) -> Option<StreamError> {
    let Event::Failed { channel: LEFT, error, .. } = event else { return None };
    error.get_ref().and_then(|error| error.downcast_ref()).copied()
}

fn framed(datagram: &[u8]) -> Vec<u8> {
    [&(datagram.len() as u16).to_be_bytes()[..], datagram].concat()
}

fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("another datagram");
    let mut datagram = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut datagram).expect("a whole one");
    datagram
}
