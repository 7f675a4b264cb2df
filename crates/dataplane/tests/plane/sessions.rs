//! What a session allows, from before it is there until it is gone.

use std::{net::UdpSocket, time::Instant};

use meshtun_dataplane::{Command, DropReason, Event};
use meshtun_proto::{
    Suite,
    control::{Frame, Signal},
};
use meshtun_sys::thread;
use meshtun_testkit::packet;
use netns_lab::trial;

use super::bench::{Bench, ID, OUR_INDEX, OURS, PEER_INDEX, PEERS, eventually, in_namespace, keys};

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
            bench.plane.send(ID, Command::InstallSend(send.into()));
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
            bench.plane.send(ID, Command::InstallSend(send.into()));
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
                bench.plane.send(ID, Command::InstallSend(send.into()));
                bench.plane.send(ID, Command::Use(session));
                bench.plane.settle();
                for number in 0..150_u8 {
                    socket.send_to(&[number; 100], (PEERS, 5)).unwrap();
                }
                bench.plane.send(ID, Command::Drain(session));
                for number in 0..150_u8 {
                    assert_eq!(bench.receive()[28..128], [number; 100], "in order and unharmed");
                }
                assert_eq!(bench.dropped(DropReason::NoSession), u64::from(session) - 1, "but the late ones");
                await_end_of_drain(&bench, &socket);
                bench.plane.send(ID, Command::Retire(session));
            }
        })
    });
}

/// Until the device's packets are dropped. Takes what is carried till then off the underlay.
fn await_end_of_drain(bench: &Bench, socket: &UdpSocket) {
    let before = bench.dropped(DropReason::NoSession);
    eventually("a packet after the drain is dropped", || {
        let sent = bench.counters.snapshot().sending.packets;
        socket.send_to(b"late", (PEERS, 5)).unwrap();
        let dropped = || bench.dropped(DropReason::NoSession) > before;
        eventually("it has gone either way", || dropped() || bench.counters.snapshot().sending.packets > sent);
        dropped()
    });
    bench.peer.set_nonblocking(true).unwrap();
    while bench.peer.recv(&mut [0; 2048]).is_ok() {}
    bench.peer.set_nonblocking(false).unwrap();
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
