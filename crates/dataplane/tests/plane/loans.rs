//! A device that a sibling reads while its own channel is dead.

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use meshtun_dataplane::{ChannelId, Command, DropReason, Event, Half};
use meshtun_proto::{Suite, session::ReceiveKey};
use netns_lab::trial;

use super::bench::{Bench, ID, OURS, PEERS, channel_socket, device, eventually, in_namespace, ip, keys, parts};

/// The channel that reads in the place of the first.
const SIBLING: ChannelId = ChannelId(8);

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
                std::iter::from_fn(|| bench.events.poll_event())
                    .any(|event| matches!(event, Event::Failed { channel: ID, half: Half::Sending, .. }))
            });
            bench.plane.remove_channel(ID);
            ip("addr add 10.1.0.1/32 dev dp1");
            ip("route add 10.2.0.0/16 dev dp1");
            UdpSocket::bind((OURS, 0)).unwrap().send_to(&[0, 77], (PEERS, 5)).unwrap();
            assert_eq!(last_byte(&peer, &mut opens), 77);
        })
    });
}

/// A second channel with a session of its own, whose device nothing is routed to.
fn sibling(bench: &mut Bench) -> (UdpSocket, ReceiveKey) {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    bench.plane.add_channel(SIBLING, parts(device("dp1"), channel_socket(), &peer)).unwrap();
    let suite = Suite::ChaCha20Poly1305;
    let (send, _) = keys(suite, 0x3333, 0x4444, 3, 4).into_halves(Instant::now());
    bench.plane.send(SIBLING, Command::InstallSend(send.into()));
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
