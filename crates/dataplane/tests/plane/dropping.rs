//! What cannot be used is dropped under its reason, and ends nothing.

use std::net::{Ipv4Addr, UdpSocket};

use meshtun_dataplane::DropReason;
use meshtun_proto::Suite;
use meshtun_testkit::packet;
use netns_lab::trial;

use super::bench::{Bench, OUR_INDEX, OURS, PEERS, eventually, in_namespace};

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

/// A transport message for our session as long as UDP allows.
fn longest_transport() -> Vec<u8> {
    let mut message = vec![0; 65507];
    message[0] = 4;
    message[4..8].copy_from_slice(&OUR_INDEX.to_le_bytes());
    message[8] = 200;
    message
}
