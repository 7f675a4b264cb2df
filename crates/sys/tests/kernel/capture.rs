//! Packet sockets and their filters.

use std::{
    cell::Cell,
    net::{SocketAddr, TcpStream, UdpSocket},
    num::NonZeroU32,
    ops::RangeInclusive,
    time::Duration,
};

use meshtun_sys::{
    capture::{Captured, Instruction, Layer, MAX_RANGES, Neighbours, PacketSocket, all_but_udp, sample_udp},
    netns::Namespace,
    udp::{self, Udp, UdpOptions},
};

use crate::support::{Cable, eventually, fresh, netns_tests, wait_for};

/// The ports of a link in these tests: one range at each end.
const PORTS: [RangeInclusive<u16>; 2] = [6001..=6004, 6011..=6014];

/// Ends every exchange: no filter of these tests leaves it out.
const LAST: &[u8] = b"the last packet of this test";

struct Watch {
    socket: PacketSocket,
    layer: Layer,
    /// ICMP errors seen so far.
    answers: Cell<usize>,
}

impl Watch {
    fn on(namespace: &Namespace, layer: Layer, filter: &[Instruction]) -> Watch {
        let socket = namespace.run_in(|| PacketSocket::open("wire", layer, filter).unwrap()).unwrap();
        Watch { socket, layer, answers: Cell::new(0) }
    }

    /// The network packets captured until both that [`send_last`] sent, without the ICMP errors that closed ports
    /// answer with, as often as they may.
    fn until_last(&self) -> Vec<(Captured, Vec<u8>)> {
        let (mut captured, mut last) = (Vec::new(), 0);
        while last < 2 {
            let mut buffer = vec![0; 65_549];
            let one = wait_for("the last packet", || self.socket.receive(&mut buffer));
            buffer.truncate(one.len);
            if self.layer == Layer::Link {
                buffer.drain(..14);
            }
            match classify(&one, &buffer) {
                Seen::Answer => self.answers.set(self.answers.get() + 1),
                _ if buffer.ends_with(LAST) => last += 1,
                _ => captured.push((one, buffer)),
            }
        }
        captured
    }
}

/// Sends `payload` from the left end to the right end of the cable, both addresses of the given family.
fn send(cable: &Cable, v6: bool, from: u16, to: u16, payload: &[u8]) {
    let (left, right) = if v6 { ("fd01::1", "fd01::2") } else { ("10.1.0.1", "10.1.0.2") };
    let to = SocketAddr::new(right.parse().unwrap(), to);
    let socket = cable.left.run_in(|| UdpSocket::bind(SocketAddr::new(left.parse().unwrap(), from)).unwrap()).unwrap();
    socket.send_to(payload, to).unwrap();
}

/// One packet in each family, which waits behind what that family still has to resolve a neighbour for.
fn send_last(cable: &Cable) {
    send(cable, false, 9, 9, LAST);
    send(cable, true, 9, 9, LAST);
}

/// What a captured packet is, for comparison with what was sent.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Arp,
    Neighbours,
    Udp { from: u16, to: u16 },
    Fragment,
    Tcp,
    Answer,
    Other(u8),
}

fn classify(captured: &Captured, packet: &[u8]) -> Seen {
    let port = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    match (captured.protocol, packet[0] >> 4) {
        (0x0806, _) => Seen::Arp,
        (0x0800, 4) if port(6) & 0x3fff != 0 => Seen::Fragment,
        (0x0800, 4) if packet[9] == 17 => Seen::Udp { from: port(20), to: port(22) },
        (0x0800, 4) if packet[9] == 6 => Seen::Tcp,
        (0x0800, 4) if packet[9] == 1 && packet[20] == 3 => Seen::Answer,
        (0x86dd, 6) if packet[6] == 58 && packet[40] == 1 => Seen::Answer,
        (0x86dd, 6) if packet[6] == 17 => Seen::Udp { from: port(40), to: port(42) },
        (0x86dd, 6) if packet[6] == 44 => Seen::Fragment,
        (0x86dd, 6) if packet[6] == 58 && (133..=137).contains(&packet[40]) => Seen::Neighbours,
        (0x86dd, 6) if packet[6] == 0 && packet[40] == 58 && [131, 143].contains(&packet[48]) => Seen::Neighbours,
        _ => Seen::Other(packet[9]),
    }
}

/// Sorted, because the families do not wait for each other.
fn seen(watch: &Watch) -> Vec<Seen> {
    let mut seen: Vec<_> = watch.until_last().iter().map(|(captured, packet)| classify(captured, packet)).collect();
    seen.sort();
    seen
}

netns_tests! {
    fn everything_but_the_links_udp_is_captured_and_neighbours_can_be_left_out() {
        for layer in [Layer::Link, Layer::Network] {
            let cable = Cable::new();
            let with = Watch::on(&cable.right, layer, &all_but_udp(&PORTS, Neighbours::Captured));
            let without = Watch::on(&cable.right, layer, &all_but_udp(&PORTS, Neighbours::LeftOut));
            let mut expected = Vec::new();
            let ours = [(6001, 6011), (6004, 9), (9, 6014), (6002, 6003)];
            for (from, to) in ours.into_iter().chain([(6000, 6005), (6010, 6015), (65_535, 1)]) {
                for v6 in [false, true] {
                    send(&cable, v6, from, to, b"hello");
                    if !ours.contains(&(from, to)) {
                        expected.push(Seen::Udp { from, to });
                    }
                }
            }
            // No answer comes: the port is closed, a reset is.
            cable.left.run_in(|| TcpStream::connect("10.1.0.2:6001").unwrap_err()).unwrap();
            expected.extend([Seen::Tcp, Seen::Tcp]);
            expected.sort();
            send_last(&cable);
            assert_eq!(seen(&without), expected, "{layer:?}");
            assert!(without.answers.get() > 0, "{layer:?}: ICMP errors are captured");
            let with = seen(&with);
            assert!(with.contains(&Seen::Arp) && with.contains(&Seen::Neighbours), "{layer:?}: {with:?}");
            let neither = |seen: &Seen| !matches!(seen, Seen::Arp | Seen::Neighbours);
            assert_eq!(with.into_iter().filter(neither).collect::<Vec<_>>(), expected, "{layer:?}");
        }
    }

    fn fragments_of_the_links_udp_are_captured() {
        let cable = Cable::new();
        let watch = Watch::on(&cable.left, Layer::Network, &all_but_udp(&PORTS, Neighbours::LeftOut));
        for v6 in [false, true] {
            send(&cable, v6, 6001, 6011, &[0; 4000]);
        }
        send_last(&cable);
        let fragments = seen(&watch).iter().filter(|seen| **seen == Seen::Fragment).count();
        assert_eq!(fragments, 6, "three of 4000 bytes in each family");
    }

    fn a_sample_of_one_in_one_is_every_packet_of_the_link_and_nothing_else() {
        let cable = Cable::new();
        let watch = Watch::on(&cable.right, Layer::Network, &sample_udp(&PORTS, NonZeroU32::MIN));
        for (from, to) in [(6001, 6011), (9, 9), (6004, 7), (7, 6014), (6005, 6015)] {
            send(&cable, false, from, to, b"hello");
            send(&cable, true, from, to, b"hello");
        }
        send(&cable, false, 6001, 9, LAST);
        send(&cable, true, 6001, 9, LAST);
        let expected = [(7, 6014), (6001, 6011), (6004, 7)].into_iter().flat_map(|(from, to)| {
            [Seen::Udp { from, to }, Seen::Udp { from, to }]
        });
        assert_eq!(seen(&watch), expected.collect::<Vec<_>>());
    }

    fn a_sample_of_one_in_four_is_about_a_quarter() {
        let cable = Cable::new();
        let watch = Watch::on(&cable.left, Layer::Network, &sample_udp(&PORTS, NonZeroU32::new(4).unwrap()));
        let sender = cable.left.run_in(|| UdpSocket::bind("10.1.0.1:6001").unwrap()).unwrap();
        for _ in 0..400 {
            sender.send_to(b"hello", "10.1.0.2:6011").unwrap();
        }
        // A mean of 100 with a deviation of 8.7.
        let sampled = watch.socket.statistics().unwrap().packets;
        assert!((40..=160).contains(&sampled), "{sampled} of 400");
    }

    fn a_capture_tells_directions_lengths_and_what_a_short_buffer_cost() {
        let cable = Cable::new();
        let all = sample_udp(&PORTS, NonZeroU32::MIN);
        let watches = [&cable.left, &cable.right].map(|side| Watch::on(side, Layer::Network, &all));
        send(&cable, false, 6001, 6011, &[7; 100]);
        let mut buffer = [0; 50];
        for (watch, outgoing) in watches.iter().zip([true, false]) {
            let captured = wait_for("a packet", || watch.socket.receive(&mut buffer));
            assert_eq!(captured, Captured { len: 50, wire_len: 128, outgoing, protocol: 0x0800 });
            assert_eq!((buffer[0], buffer[49]), (0x45, 7));
        }
    }

    fn a_train_is_captured_as_one_packet() {
        let cable = Cable::new();
        let watch = Watch::on(&cable.right, Layer::Network, &sample_udp(&PORTS, NonZeroU32::MIN));
        let options = UdpOptions::new("10.1.0.1:6001".parse().unwrap());
        let sender = cable.left.run_in(|| Udp::bind(&options).unwrap()).unwrap();
        sender.send_train(&SocketAddr::from(([10, 1, 0, 2], 6011)).into(), &[1; 10_000], 1000).unwrap();
        assert_eq!(wait_for("the train", || watch.socket.receive(&mut [0; 65_535])).wire_len, 10_028);
    }

    fn statistics_add_up_and_count_what_did_not_fit() {
        let cable = Cable::new();
        let watch = Watch::on(&cable.left, Layer::Network, &sample_udp(&PORTS, NonZeroU32::MIN));
        watch.socket.set_receive_buffer(0).unwrap();
        assert_eq!(watch.socket.statistics().unwrap().packets, 0);
        let sender = cable.left.run_in(|| UdpSocket::bind("10.1.0.1:6001").unwrap()).unwrap();
        for sent in [30, 60] {
            for _ in 0..30 {
                sender.send_to(&[0; 1000], "10.1.0.2:6011").unwrap();
            }
            let statistics = eventually("packets", || watch.socket.statistics().ok().filter(|s| s.packets >= sent));
            assert_eq!(statistics.packets, sent);
            assert!(statistics.drops > 0 && statistics.drops < sent, "{statistics:?}");
        }
    }

    fn a_filter_can_be_replaced() {
        let cable = Cable::new();
        let watch = Watch::on(&cable.left, Layer::Link, &sample_udp(&PORTS, NonZeroU32::MIN));
        watch.socket.attach_filter(&all_but_udp(&PORTS, Neighbours::LeftOut)).unwrap();
        send(&cable, false, 6001, 6011, b"left out");
        send_last(&cable);
        assert_eq!(watch.until_last(), []);
    }

    fn without_a_filter_everything_is_captured() {
        let cable = Cable::new();
        let watch = Watch::on(&cable.left, Layer::Link, &[]);
        send(&cable, false, 6001, 6011, b"hello");
        send_last(&cable);
        let seen = seen(&watch);
        assert!(seen.contains(&Seen::Udp { from: 6001, to: 6011 }) && seen.contains(&Seen::Arp), "{seen:?}");
    }

    fn the_kernel_accepts_the_longest_programs() {
        let ports: Vec<_> = (0..MAX_RANGES as u16).map(|number| number * 10..=number * 10 + 5).collect();
        fresh().run_in(|| {
            let none = sample_udp(&[], NonZeroU32::MIN);
            for filter in [all_but_udp(&ports, Neighbours::LeftOut), sample_udp(&ports, NonZeroU32::MAX), none] {
                PacketSocket::open("lo", Layer::Network, &filter).unwrap();
            }
        }).unwrap();
    }

    fn an_interface_that_does_not_exist_is_named() {
        let refused = fresh().run_in(|| PacketSocket::open("eth99", Layer::Link, &[]).unwrap_err()).unwrap();
        assert_eq!(refused.to_string(), "there is no interface eth99");
    }

    fn an_empty_capture_would_block() {
        let socket = fresh().run_in(|| PacketSocket::open("lo", Layer::Link, &[]).unwrap()).unwrap();
        std::thread::sleep(Duration::from_millis(1));
        assert!(udp::is_would_block(&socket.receive(&mut [0; 10]).unwrap_err()));
    }
}
