//! Packets cross, in order and unharmed; and what a peer that moves, or a device that goes, brings about.

use std::{net::UdpSocket, sync::Arc};

use meshtun_dataplane::{DropReason, Event};
use meshtun_proto::Suite;
use meshtun_sys::{thread, tun::Tun};
use netns_lab::trial;

use super::bench::{Bench, ID, MTU, OURS, PEERS, eventually, in_namespace, ip};

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
