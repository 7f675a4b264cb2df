//! A channel whose sessions are not WireGuard's: a toy format of this file's, both ends in one process, over real devices
//! and sockets.
//!
//! ```text
//!   namespace left: 10.1.0.1, dp0 ─ channel 1 ─ 127.0.0.1 ◄─ UDP ─► 127.0.0.1 ─ channel 2 ─ dp0: namespace right, 10.2.0.1
//! ```

mod bed;
mod stream;
mod toy;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream, UdpSocket},
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use meshtun_dataplane::{Command, DropReason, Event};
use meshtun_sys::netns::Namespace;
use netns_lab::trial;

use crate::{
    bed::{Bed, LEFT, RIGHT, eventually},
    toy::{CONTROL, PING, Seals},
};

/// More than any packet: each is one datagram.
const WHOLE: usize = 1 << 16;

#[test]
fn packets_and_trains_of_another_format_cross_unharmed() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let bed = Bed::up(WHOLE, |_| ());
            for length in [1, 100, 1400] {
                bed.assert_echoes(length);
            }
            assert_stream_crosses(&bed, 8 << 20);
            let [left, right] = [&bed.sides[0], &bed.sides[1]].map(|side| side.counters.snapshot());
            assert!(left.sending.trains * 4 < left.sending.messages, "trains are long: {left:?}");
            assert!(right.receiving.super_packets * 4 < right.receiving.packets, "packets are joined: {right:?}");
            assert_eq!(left.sending.messages, left.sending.packets);
            assert_eq!(right.receiving.dropped, []);
            assert!(bed.sides[1].together.load(Relaxed) > 20, "a train is looked at together");
        });
    });
}

#[test]
fn lone_datagrams_that_wait_are_looked_at_together_and_each_gets_what_was_found_of_it() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut seals = Seals::new(WHOLE);
            let frames: Vec<_> = (0..10_u8).map(|number| [CONTROL, &[number]].concat()).collect();
            let mut bed = Bed::up(WHOLE, |[_, right]| {
                let [one, other] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
                for (number, frame) in frames.iter().enumerate() {
                    let from = if number < 7 { &one } else { &other };
                    from.send_to(&seals.datagram(frame), right).unwrap();
                    if number % 3 == 1 {
                        from.send_to(&[9; 40], right).unwrap();
                    }
                }
            });
            for frame in &frames {
                bed.await_event(
                    "each frame",
                    |event| matches!(event, Event::Frame { channel: RIGHT, plaintext, .. } if **plaintext == **frame),
                );
            }
            assert_eq!(bed.sides[1].dropped(DropReason::Forged), 3);
            assert_eq!(bed.sides[1].together.load(Relaxed), 7 + 2, "those of one peer, forged or not");
        });
    });
}

#[test]
fn a_frame_that_comes_in_parts_reaches_control_whole() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut bed = Bed::up(400, |_| ());
            let frame = [CONTROL, &[7; 1000]].concat();
            bed.plane.send(LEFT, Command::Seal { session: 0, plaintext: frame.clone() });
            bed.await_event("the whole frame", |event| {
                matches!(event, Event::Frame { channel: RIGHT, session: 0, plaintext, .. } if **plaintext == frame)
            });
            let right = bed.sides[1].counters.snapshot().receiving;
            assert_eq!((right.messages, right.packets, right.dropped), (3, 0, vec![]));
            assert_eq!(right.authentic_bytes, frame.len() as u64);
            bed.assert_echoes(1400);
        });
    });
}

#[test]
fn datagrams_that_the_kernel_must_cut_cross_and_shorter_ones_still_go_in_trains() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let bed = Bed::up(WHOLE, |_| underlay_mtu(1300));
            bed.assert_echoes(1400);
            assert_stream_crosses(&bed, 1 << 20);
            let left = bed.sides[0].counters.snapshot().sending;
            assert_eq!(left.dropped, [], "nothing is too long");
            underlay_mtu(65536);
            bed.plane.send(LEFT, Command::Endpoint(bed.sides[1].socket));
            let before = bed.sides[0].counters.snapshot().sending;
            assert_stream_crosses(&bed, 4 << 20);
            let after = bed.sides[0].counters.snapshot().sending;
            let (trains, messages) = (after.trains - before.trains, after.messages - before.messages);
            assert!(trains * 4 < messages, "trains are long again: {messages} in {trains}");
            assert_eq!(bed.sides[1].counters.snapshot().receiving.dropped, [], "and nothing came twice");
        });
    });
}

#[test]
fn a_packet_that_goes_in_parts_comes_out_whole() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let bed = Bed::up(400, |_| ());
            for length in [1, 371, 372, 373, 1400] {
                bed.assert_echoes(length);
            }
            let [left, right] = [&bed.sides[0], &bed.sides[1]].map(|side| side.counters.snapshot());
            assert_eq!(
                (left.sending.packets, left.sending.messages),
                (5, 1 + 1 + 1 + 2 + 4),
                "371 + 29 is more than 400"
            );
            assert_eq!((right.receiving.packets, right.receiving.messages), (5, 9));
            assert_eq!(right.receiving.authentic_bytes, left.sending.bytes);
            assert_stream_crosses(&bed, 1 << 20);
        });
    });
}

#[test]
fn the_format_keeps_its_pings_and_hands_its_frames_to_control() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut bed = Bed::up(WHOLE, |_| ());
            let right = std::sync::Arc::clone(&bed.sides[1].counters);
            assert_eq!((right.heard(), right.said()), (None, None));
            bed.plane.send(LEFT, Command::Seal { session: 0, plaintext: PING.to_vec() });
            eventually("the ping is heard", || right.heard().is_some());
            assert!(bed.sides[0].counters.said().is_some(), "its sender knows that it spoke");
            let frame = [CONTROL, b"who are you?"].concat();
            bed.plane.send(LEFT, Command::Seal { session: 0, plaintext: frame.clone() });
            bed.await_event("the frame", |event| {
                matches!(event, Event::Frame { channel: RIGHT, session: 0, plaintext, .. } if **plaintext == frame)
            });
            let is_confirmed = |event: &&Event| matches!(event, Event::Confirmed { channel: RIGHT, session: 0 });
            assert_eq!(bed.events().iter().filter(is_confirmed).count(), 1, "the session is confirmed once");
            let frames = bed.events().iter().filter(|event| matches!(event, Event::Frame { .. })).count();
            let snapshot = right.snapshot().receiving;
            assert_eq!((frames, snapshot.messages, snapshot.packets), (1, 2, 0), "the ping went nowhere");
            assert_eq!(snapshot.authentic_bytes, (PING.len() + frame.len()) as u64);
            assert_eq!(snapshot.wire_bytes, bed.sides[0].counters.snapshot().sending.wire_bytes);
            assert_eq!(snapshot.wire_bytes, snapshot.authentic_bytes + 2 * 9);
        });
    });
}

#[test]
fn what_is_refused_is_counted_each_time_and_told_once() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut bed = Bed::up(WHOLE, |_| ());
            let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
            let from = stranger.local_addr().unwrap();
            let mut seals = Seals::new(WHOLE);
            let ping = seals.datagram(PING);
            let to = bed.sides[1].socket;
            let send = |datagram: &[u8]| assert_eq!(stranger.send_to(datagram, to).unwrap(), datagram.len());

            (0..20).for_each(|_| send(&[9; 40]));
            eventually("forgeries are counted", || bed.sides[1].dropped(DropReason::Forged) == 20);
            send(&ping);
            bed.await_event(
                "authentic, from elsewhere",
                |e| matches!(e, Event::Moved { channel: RIGHT, from: f, .. } if *f == from),
            );
            (0..20).for_each(|_| send(&ping));
            eventually("replays are counted", || bed.sides[1].dropped(DropReason::Replayed) == 20);
            bed.await_event("the session's words", |event| {
                matches!(event, Event::Refused { channel: RIGHT, reason: DropReason::Replayed, why, from: f }
                    if why == "number 0 was here before" && *f == from)
            });

            bed.plane.send(RIGHT, Command::Sources(vec![bed.sides[0].socket]));
            bed.plane.settle();
            let heard = bed.sides[1].counters.snapshot().receiving.messages;
            (0..20).for_each(|_| send(&seals.datagram(PING)));
            eventually("a stranger's are counted", || bed.sides[1].dropped(DropReason::WrongPeer) == 20);
            assert_eq!(bed.sides[1].counters.snapshot().receiving.messages, heard, "and not opened");
            bed.await_event(
                "a stranger",
                |event| matches!(event, Event::Refused { reason: DropReason::WrongPeer, from: f, .. } if *f == from),
            );
            let refused = bed.events().iter().filter(|event| matches!(event, Event::Refused { .. })).count();
            assert!(refused < 10, "{refused} words for 40 datagrams");
            bed.plane.send(RIGHT, Command::Sources(Vec::new()));
            bed.plane.settle();
            send(&seals.datagram(PING));
            eventually("anybody is heard again", || bed.sides[1].counters.snapshot().receiving.messages == heard + 1);
        });
    });
}

#[test]
fn what_came_before_the_channel_was_there_is_not_lost() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let early = [CONTROL, b"early"].concat();
            let mut bed = Bed::up(WHOLE, |[left, right]| {
                let datagram = Seals::new(WHOLE).datagram(&early);
                UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&datagram, right).unwrap();
                assert_ne!(left, right);
            });
            bed.await_event(
                "the frame that waited",
                |event| matches!(event, Event::Frame { channel: RIGHT, plaintext, .. } if **plaintext == early),
            );
        });
    });
}

fn underlay_mtu(mtu: u32) {
    bed::run(&format!("ip link set lo mtu {mtu}"));
}

/// A TCP flow through the channel.
pub(crate) fn assert_stream_crosses(bed: &Bed, length: usize) {
    let [left, right] = &bed.sides[..] else { panic!("two ends") };
    let listener = right.namespace.run_in(|| TcpListener::bind("10.2.0.1:0").unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let receives = std::thread::spawn(move || {
        let mut received = Vec::new();
        let mut stream = listener.accept().unwrap().0;
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.read_to_end(&mut received).unwrap();
        received
    });
    let sent: Vec<u8> = (0..length).map(|at| (at * 7 / 5) as u8).collect();
    let mut stream =
        left.namespace.run_in(|| TcpStream::connect_timeout(&address, Duration::from_secs(30)).unwrap()).unwrap();
    stream.write_all(&sent).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(receives.join().unwrap() == sent, "{length} bytes come out as they went in");
}

/// Runs a test in a fresh network namespace.
pub(crate) fn in_namespace(test: impl FnOnce() + Send) {
    Namespace::new().expect("a trial may make namespaces").run_in(test).expect("the namespace can be entered");
}
