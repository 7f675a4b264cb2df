//! Trains, endpoints, errors, buffers.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    os::fd::{AsFd, AsRawFd},
};

use meshtun_sys::{
    epoll::{Epoll, Events, Interest},
    netns::Namespace,
    udp::{self, BindError, Discovery, Endpoint, MAX_SEGMENTS, MAX_TRAIN, Received, Udp, UdpOffloads, UdpOptions},
};

use crate::{
    allocations,
    support::{Cable, eventually, fresh, ip, netns_tests, wait_for},
};

fn bind_in(namespace: &Namespace, local: &str) -> Udp {
    namespace.run_in(|| Udp::bind(&UdpOptions::new(local.parse().unwrap())).unwrap()).unwrap()
}

fn endpoint(of: &Udp) -> Endpoint {
    of.local_addr().into()
}

/// Two sockets, `left` 10.1.0.1:7000 and `right` 10.1.0.2:7000, at the ends of a cable.
fn pair() -> (Udp, Udp, Cable) {
    let cable = Cable::new();
    (bind_in(&cable.left, "10.1.0.1:7000"), bind_in(&cable.right, "10.1.0.2:7000"), cable)
}

fn receive(socket: &Udp, buffer: &mut [u8]) -> Received {
    wait_for("a datagram", || socket.receive(buffer))
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

fn truncated(truncated: bool, len: usize, segment: usize, from: &Udp) -> Received {
    Received { len, segment, from: endpoint(from), truncated }
}

fn without_checksums(socket: &Udp) {
    let on: libc::c_int = 1;
    let (fd, len) = (socket.as_fd().as_raw_fd(), size_of_val(&on) as libc::socklen_t);
    // SAFETY: the descriptor is borrowed and open; the kernel reads `len` bytes of the int.
    let result = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_NO_CHECK, (&raw const on).cast(), len) };
    assert_eq!(result, 0);
}

netns_tests! {
    fn this_kernel_sends_and_receives_trains() {
        // Without these, most of what follows proves less than it says.
        assert_eq!(bind_in(&fresh(), "127.0.0.1:0").offloads(), UdpOffloads { gso: true, gro: true });
    }

    fn a_train_arrives_as_a_train() {
        let (left, right, _cable) = pair();
        let mut buffer = vec![0; 65535];
        for (len, segment) in [(40 * 1200, 1200), (3 * 1200 + 1, 1200), (64 * 1000, 1000), (44 * 1472, 1472), (2, 1)] {
            let train = pattern(len);
            left.send_train(&endpoint(&right), &train, segment).unwrap();
            assert_eq!(receive(&right, &mut buffer), truncated(false, len, segment, &left), "{len} by {segment}");
            assert!(buffer[..len] == train);
        }
    }

    fn a_train_of_one_is_a_datagram() {
        let (left, right, _cable) = pair();
        let mut buffer = vec![0; 65535];
        for (len, segment) in [(1000, 1000), (999, 1000), (0, 1000)] {
            left.send_train(&endpoint(&right), &pattern(len), segment).unwrap();
            assert_eq!(receive(&right, &mut buffer), truncated(false, len, len, &left));
        }
    }

    fn a_train_over_loopback_and_over_ipv6_arrives_as_a_train() {
        let namespace = fresh();
        let mut buffer = vec![0; 65535];
        for address in ["127.0.0.1:7000", "[::1]:7000"] {
            let (sender, receiver) = (bind_in(&namespace, &address.replace("7000", "0")), bind_in(&namespace, address));
            sender.send_train(&endpoint(&receiver), &pattern(50_000), 1280).unwrap();
            assert_eq!(receive(&receiver, &mut buffer), truncated(false, 50_000, 1280, &sender));
        }
    }

    fn the_longest_train_arrives_whole_in_both_families() {
        let cable = Cable::new();
        let mut buffer = vec![0; 65535];
        for (from, to) in [("10.1.0.1:7000", "10.1.0.2:7000"), ("[fd01::1]:7000", "[fd01::2]:7000")] {
            let (left, right) = (bind_in(&cable.left, from), bind_in(&cable.right, to));
            left.send_train(&endpoint(&right), &pattern(MAX_TRAIN), 1400).unwrap();
            assert_eq!(receive(&right, &mut buffer), truncated(false, MAX_TRAIN, 1400, &left));
        }
    }

    fn more_bytes_or_segments_than_a_train_holds_are_refused() {
        let (left, right, _cable) = pair();
        let bytes = pattern(65_508);
        assert!(udp::is_message_too_long(&left.send_train(&endpoint(&right), &bytes, 1400).unwrap_err()));
        left.send_train(&endpoint(&right), &bytes[..MAX_SEGMENTS * 10], 10).unwrap();
        assert_eq!(receive(&right, &mut vec![0; 65535]).len, MAX_SEGMENTS * 10);
        for segment in [10, 0] {
            let refused = left.send_train(&endpoint(&right), &bytes[..=MAX_SEGMENTS * 10], segment).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        }
        assert!(left.offloads().gso);
    }

    fn a_datagram_over_the_mtu_is_refused_and_the_socket_goes_on() {
        let (left, right, _cable) = pair();
        let mut buffer = vec![0; 65535];
        let (longest, bytes) = (1500 - 28, pattern(20_000));
        let refused = [
            left.send_train(&endpoint(&right), &bytes, longest + 1).unwrap_err(),
            left.send_to(&bytes[..=longest], &endpoint(&right)).unwrap_err(),
            left.send_each(&endpoint(&right), &bytes, longest + 1).unwrap_err(),
        ];
        for error in refused {
            assert!(udp::is_message_too_long(&error) && !udp::is_gso_unsupported(&error), "{error}");
        }
        left.send_train(&endpoint(&right), &bytes, longest).unwrap();
        assert_eq!(receive(&right, &mut buffer).len, bytes.len());
        left.send_to(&bytes[..longest], &endpoint(&right)).unwrap();
        assert_eq!(receive(&right, &mut buffer).len, longest);
    }

    fn the_kernels_path_mtu_is_not_consulted() {
        let (left, right, cable) = pair();
        ip(&cable.left, "route add 10.1.0.2/32 dev wire mtu 1000");
        left.send_to(&pattern(1472), &endpoint(&right)).unwrap();
        assert_eq!(receive(&right, &mut vec![0; 65535]).len, 1472);
    }

    fn what_is_longer_than_the_buffer_is_reported_as_truncated() {
        let (left, right, _cable) = pair();
        let mut buffer = vec![0; 65535];
        left.send_train(&endpoint(&right), &pattern(MAX_TRAIN), 1400).unwrap();
        assert_eq!(receive(&right, &mut buffer[..60_000]), truncated(true, 60_000, 1400, &left));
        left.send_to(&pattern(1000), &endpoint(&right)).unwrap();
        assert_eq!(receive(&right, &mut buffer[..999]), truncated(true, 999, 999, &left));
        left.send_to(&pattern(1000), &endpoint(&right)).unwrap();
        assert_eq!(receive(&right, &mut buffer[..1000]), truncated(false, 1000, 1000, &left));
    }

    fn a_datagram_of_64_kib_in_fragments_is_received_and_reported() {
        let cable = Cable::new();
        let right = bind_in(&cable.right, "10.1.0.2:7000");
        let attacker = cable.left.run_in(|| UdpSocket::bind("10.1.0.1:7000").unwrap()).unwrap();
        attacker.send_to(&pattern(65_507), right.local_addr()).unwrap();
        let received = receive(&right, &mut vec![0; 65_507]);
        assert_eq!((received.len, received.segment, received.truncated), (65_507, 65_507, false));
        attacker.send_to(&pattern(65_507), right.local_addr()).unwrap();
        let received = receive(&right, &mut vec![0; 65_506]);
        assert_eq!((received.len, received.segment, received.truncated), (65_506, 65_506, true));
    }

    fn several_trains_and_datagrams_come_with_one_call() {
        const STRIDE: usize = 66_000;
        let (left, right, _cable) = pair();
        let (to, mut buffer) = (endpoint(&right), vec![0; 20 * STRIDE]);
        let sent = [(2500, 1000), (100, 100), (44 * 1472, 1472), (0, 1)];
        for (len, segment) in sent {
            left.send_train(&to, &pattern(len), segment).unwrap();
        }
        let mut received = [Received::nothing(); 20];
        assert_eq!(right.receive_each(&mut buffer, STRIDE, &mut received[..3]).unwrap(), 3);
        assert_eq!(right.receive_each(&mut buffer[3 * STRIDE..], STRIDE, &mut received[3..]).unwrap(), 1);
        for (index, (len, segment)) in sent.into_iter().enumerate() {
            assert_eq!(received[index], truncated(false, len, segment.min(len), &left));
            assert!(buffer[index * STRIDE..][..len] == pattern(len), "number {index}");
        }
        assert!(udp::is_would_block(&right.receive_each(&mut buffer, STRIDE, &mut received).unwrap_err()));
        (0..udp::RECEIVE_BATCH + 1).for_each(|_| left.send_to(b"one", &to).unwrap());
        assert_eq!(right.receive_each(&mut buffer, STRIDE, &mut received).unwrap(), udp::RECEIVE_BATCH);
        assert_eq!(right.receive_each(&mut buffer, 2, &mut received).unwrap(), 1);
        assert!(received[0].truncated && received[0].len == 2);
    }

    fn without_gro_a_train_comes_datagram_by_datagram() {
        let cable = Cable::new();
        let left = bind_in(&cable.left, "10.1.0.1:7000");
        let options = UdpOptions { gro: false, ..UdpOptions::new("10.1.0.2:7000".parse().unwrap()) };
        let right = cable.right.run_in(|| Udp::bind(&options).unwrap()).unwrap();
        assert!(!right.offloads().gro);
        let (train, mut buffer) = (pattern(2500), vec![0; 65535]);
        left.send_train(&endpoint(&right), &train, 1000).unwrap();
        let came = [0; 3].map(|_| receive(&right, &mut buffer)).map(|received| (received.len, received.segment));
        assert_eq!(came, [(1000, 1000), (1000, 1000), (500, 500)]);
    }

    fn without_gso_a_train_goes_out_datagram_by_datagram() {
        let (left, right, _cable) = pair();
        left.disable_gso();
        assert!(!left.offloads().gso);
        let (train, mut buffer) = (pattern(100 * 700 + 1), vec![0; 65535]);
        left.send_train(&endpoint(&right), &train[..5001], 1000).unwrap();
        let sizes: Vec<_> = (0..6).map(|_| receive(&right, &mut buffer).len).collect();
        assert_eq!(sizes, [1000, 1000, 1000, 1000, 1000, 1]);
        assert_eq!(left.send_each(&endpoint(&right), &train, 700).unwrap(), train.len());
        let mut arrived = Vec::new();
        while arrived.len() < train.len() {
            let received = receive(&right, &mut buffer);
            arrived.extend_from_slice(&buffer[..received.len]);
        }
        assert!(arrived == train);
    }

    fn a_train_that_the_kernel_cannot_cut_goes_out_datagram_by_datagram() {
        let (left, right, _cable) = pair();
        // A train without UDP checksums is refused with EINVAL.
        without_checksums(&left);
        let (train, mut buffer, mut arrived) = (pattern(10_001), vec![0; 65535], Vec::new());
        let refused = left.send_train(&endpoint(&right), &train, 1000).unwrap_err();
        assert!(udp::is_gso_unsupported(&refused), "{refused}");
        assert_eq!(left.send_each(&endpoint(&right), &train, 1000).unwrap(), train.len());
        while arrived.len() < train.len() {
            let received = receive(&right, &mut buffer);
            arrived.extend_from_slice(&buffer[..received.len]);
        }
        assert!(arrived == train);
    }

    fn a_datagram_that_is_longer_than_the_path_is_refused_or_cut_as_it_was_chosen() {
        let (left, right, _cable) = pair();
        let (datagram, mut buffer) = (pattern(2000), vec![0; 65535]);
        assert!(udp::is_message_too_long(&left.send_to(&datagram, &endpoint(&right)).unwrap_err()));
        left.set_discovery(Discovery::Always).unwrap();
        assert!(udp::is_message_too_long(&left.send_to(&datagram, &endpoint(&right)).unwrap_err()));
        for cut in [Discovery::Wanted, Discovery::Never] {
            left.set_discovery(cut).unwrap();
            left.send_to(&datagram, &endpoint(&right)).unwrap();
            assert_eq!(receive(&right, &mut buffer).len, datagram.len());
            let train = [&datagram[..], &datagram[..]].concat();
            let refused = left.send_train(&endpoint(&right), &train, datagram.len()).unwrap_err();
            assert!(udp::is_message_too_long(&refused) || udp::is_gso_unsupported(&refused), "{refused}");
            assert_eq!(left.send_each(&endpoint(&right), &train, datagram.len()).unwrap(), train.len());
            assert_eq!([0; 2].map(|_| receive(&right, &mut buffer).len), [datagram.len(); 2]);
            assert!(left.offloads().gso, "shorter ones go by trains");
        }
    }

    fn a_route_that_refuses_everything_looks_like_a_kernel_without_gso_until_each_is_sent() {
        let (left, _right, cable) = pair();
        ip(&cable.left, "route add blackhole 203.0.113.0/24");
        let nowhere = SocketAddr::from(([203, 0, 113, 1], 1)).into();
        assert!(udp::is_gso_unsupported(&left.send_train(&nowhere, &[0; 2000], 1000).unwrap_err()));
        assert!(left.send_each(&nowhere, &[0; 2000], 1000).is_err());
    }

    fn sending_each_stops_at_a_whole_datagram_when_the_buffer_is_full() {
        let cable = Cable::new();
        let options = UdpOptions { send_buffer: 0, ..UdpOptions::new("10.1.0.1:7000".parse().unwrap()) };
        let left = cable.left.run_in(|| Udp::bind(&options).unwrap()).unwrap();
        // Nobody answers for this neighbour: what is sent waits, and holds the send buffer.
        let nobody = Endpoint::from(SocketAddr::from(([10, 1, 0, 99], 7000)));
        let bytes = pattern(64 * 1000);
        let sent = left.send_each(&nobody, &bytes, 1000).unwrap();
        assert!(sent > 0 && sent < bytes.len() && sent.is_multiple_of(1000), "{sent} bytes");
        assert!(udp::is_would_block(&left.send_each(&nobody, &bytes[sent..], 1000).unwrap_err()));
        assert!(udp::is_would_block(&left.send_train(&nobody, &bytes[sent..], 1000).unwrap_err()));
        assert!(udp::is_would_block(&left.send_to(&bytes[..1000], &nobody).unwrap_err()));
    }

    fn nothing_to_receive_would_block_and_epoll_tells_when_something_came() {
        let (left, right, _cable) = pair();
        let mut buffer = [0; 100];
        assert!(udp::is_would_block(&right.receive(&mut buffer).unwrap_err()));
        let (epoll, mut events) = (Epoll::new().unwrap(), Events::with_capacity(1));
        epoll.add(&right, 5, Interest::Read).unwrap();
        left.send_to(b"now", &endpoint(&right)).unwrap();
        assert_eq!(epoll.wait(&mut events, None).unwrap(), 1);
        assert_eq!(right.receive(&mut buffer).unwrap().len, 3);
    }

    fn a_socket_for_both_families_sends_to_either_and_knows_its_peers() {
        let cable = Cable::new();
        let (both, mut buffer) = (bind_in(&cable.right, "[::]:7000"), [0; 2000]);
        for (from, to) in [("10.1.0.1:7001", "10.1.0.2:7000"), ("[fd01::1]:7001", "[fd01::2]:7000")] {
            let peer = bind_in(&cable.left, from);
            peer.send_to(b"hello", &to.parse::<SocketAddr>().unwrap().into()).unwrap();
            let received = receive(&both, &mut buffer);
            assert_eq!(received.from, endpoint(&peer));
            assert_eq!(SocketAddr::from(received.from), peer.local_addr());
            both.send_train(&received.from, &pattern(3000), 1000).unwrap();
            let answer = receive(&peer, &mut [0; 3000]);
            let to: SocketAddr = to.parse().unwrap();
            assert_eq!((answer.len, answer.segment, answer.from), (3000, 1000, to.into()));
        }
        // DF on IPv4 from a dual-stack socket, too.
        let far = Endpoint::from(SocketAddr::from(([10, 1, 0, 1], 7001)));
        assert!(udp::is_message_too_long(&both.send_to(&[0; 1473], &far).unwrap_err()));
    }

    fn a_link_local_peer_keeps_its_scope() {
        let cable = Cable::new();
        for (side, address) in [(&cable.left, "fe80::1"), (&cable.right, "fe80::2")] {
            ip(side, &format!("address add {address}/64 dev wire nodad"));
        }
        let bind = |namespace: &Namespace, address: &str| namespace.run_in(|| {
            let scope = meshtun_sys::device::index_of("wire").unwrap().unwrap();
            Udp::bind(&UdpOptions::new(format!("[{address}%{scope}]:7000").parse().unwrap())).unwrap()
        }).unwrap();
        let (left, right) = (bind(&cable.left, "fe80::1"), bind(&cable.right, "fe80::2"));
        let SocketAddr::V6(mut to) = right.local_addr() else { panic!("{}", right.local_addr()) };
        let SocketAddr::V6(from) = left.local_addr() else { panic!("{}", left.local_addr()) };
        to.set_scope_id(from.scope_id());
        // The kernel is still busy with addresses of its own there, and now and then loses the first datagram.
        let received = eventually("a datagram", || {
            left.send_to(b"hello", &SocketAddr::from(to).into()).unwrap();
            right.receive(&mut [0; 10]).ok()
        });
        right.send_to(b"hello", &received.from).unwrap();
        assert_eq!(receive(&left, &mut [0; 10]).from, SocketAddr::from(to).into());
    }

    fn an_icmp_error_that_came_back_disturbs_no_later_call() {
        let (left, right, _cable) = pair();
        let closed = SocketAddr::from((Ipv4Addr::new(10, 1, 0, 2), 7999));
        for _ in 0..3 {
            left.send_to(b"nobody listens", &closed.into()).unwrap();
        }
        assert!(udp::is_would_block(&left.receive(&mut [0; 10]).unwrap_err()));
        left.send_to(b"hello", &endpoint(&right)).unwrap();
        assert_eq!(receive(&right, &mut [0; 10]).len, 5);
    }

    fn no_route_and_a_device_that_is_down_are_unreachable() {
        let (left, right, cable) = pair();
        let refused = left.send_to(b"x", &SocketAddr::from(([203, 0, 113, 1], 1)).into()).unwrap_err();
        assert!(udp::is_unreachable(&refused), "{refused}");
        ip(&cable.left, "route add unreachable 203.0.113.0/24");
        let refused = left.send_train(&SocketAddr::from(([203, 0, 113, 1], 1)).into(), &[0; 2000], 1000).unwrap_err();
        assert!(udp::is_unreachable(&refused), "{refused}");
        ip(&cable.left, "link set wire down");
        let refused = left.send_to(b"x", &endpoint(&right)).unwrap_err();
        assert!(udp::is_unreachable(&refused), "{refused}");
    }

    fn datagrams_that_find_the_buffer_full_are_counted() {
        let namespace = fresh();
        let options = UdpOptions { receive_buffer: 0, ..UdpOptions::new("127.0.0.1:7000".parse().unwrap()) };
        let receiver = namespace.run_in(|| Udp::bind(&options).unwrap()).unwrap();
        let sender = bind_in(&namespace, "127.0.0.1:0");
        assert_eq!(receiver.drops().unwrap(), 0);
        for _ in 0..50 {
            sender.send_to(&[0; 1000], &endpoint(&receiver)).unwrap();
        }
        let mut kept = 0;
        while receiver.receive(&mut [0; 1000]).is_ok() {
            kept += 1;
        }
        assert!(kept < 50);
        assert_eq!(eventually("drops", || receiver.drops().ok().filter(|&drops| drops > 0)), 50 - kept);
    }

    fn buffers_go_beyond_the_machines_limit_with_the_right_to() {
        let any = UdpOptions::new("127.0.0.1:0".parse().unwrap());
        let options = UdpOptions { receive_buffer: 32 << 20, send_buffer: 16 << 20, ..any };
        let (receive, send) = fresh().run_in(|| Udp::bind(&options).unwrap().buffers().unwrap()).unwrap();
        let limit: usize = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap().trim().parse().unwrap();
        // In a user namespace the right is missing: the limit is the machine's.
        let forced = (receive, send) == (64 << 20, 32 << 20);
        assert!(forced || receive == 2 * limit.min(32 << 20), "{receive} {send}");
    }

    fn a_refused_bind_names_what_is_at_fault() {
        let namespace = fresh();
        let bind = |options: &UdpOptions| namespace.run_in(|| Udp::bind(options).unwrap_err()).unwrap();
        let held = bind_in(&namespace, "127.0.0.1:7000");
        let refused = bind(&UdpOptions::new(held.local_addr()));
        assert!(matches!(refused, BindError::InUse(address) if address == held.local_addr()));
        assert!(refused.to_string().starts_with("UDP 127.0.0.1:7000 is in use"), "{refused}");
        assert_eq!(io::Error::from(refused).kind(), io::ErrorKind::AddrInUse);
        let foreign = UdpOptions::new("192.0.2.1:7000".parse().unwrap());
        assert!(matches!(bind(&foreign), BindError::NoAddress(_)));
        for later in ["192.0.2.1:7000", "[2001:db8::1]:7000"] {
            let later = UdpOptions { free: true, ..UdpOptions::new(later.parse().unwrap()) };
            namespace.run_in(|| Udp::bind(&later).map(drop).unwrap()).unwrap();
        }
        let device = UdpOptions { device: Some("eth99".into()), ..UdpOptions::new("127.0.0.1:0".parse().unwrap()) };
        assert!(matches!(bind(&device), BindError::NoDevice { device, .. } if device == "eth99"));
    }

    fn a_socket_that_another_process_bound_is_taken_over_with_what_waits_in_it() {
        let namespace = fresh();
        let sender = bind_in(&namespace, "127.0.0.1:7000");
        let before = bind_in(&namespace, "127.0.0.1:7001");
        sender.send_to(b"waits", &endpoint(&before)).unwrap();
        let kept = before.as_fd().try_clone_to_owned().unwrap();
        drop(before);
        let options = UdpOptions::new("127.0.0.1:7001".parse().unwrap());
        let after = Udp::adopt(kept, &options).unwrap().expect("it is bound so");
        assert_eq!(after.local_addr(), options.local);
        let mut buffer = [0; 100];
        let received = receive(&after, &mut buffer);
        assert_eq!(&buffer[..received.len], b"waits");
        assert!(udp::is_would_block(&after.receive(&mut buffer).unwrap_err()));
    }

    fn a_descriptor_that_is_not_bound_as_wanted_is_not_taken_over() {
        let namespace = fresh();
        let other = bind_in(&namespace, "127.0.0.1:7001").as_fd().try_clone_to_owned().unwrap();
        let options = UdpOptions::new("127.0.0.1:7000".parse().unwrap());
        assert!(Udp::adopt(other, &options).unwrap().is_none());
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(Udp::adopt(file.into(), &options).unwrap().is_none());
    }

    fn a_socket_bound_to_a_device_receives_from_it_only() {
        let cable = Cable::new();
        let [on_lo, on_wire] = ["lo", "wire"].map(|device| {
            let any = UdpOptions::new("0.0.0.0:7000".parse().unwrap());
            let options = UdpOptions { device: Some(device.into()), mark: Some(7), ..any };
            cable.right.run_in(|| Udp::bind(&options).unwrap()).unwrap()
        });
        let left = bind_in(&cable.left, "10.1.0.1:7000");
        left.send_to(b"hello", &SocketAddr::from(([10, 1, 0, 2], 7000)).into()).unwrap();
        assert_eq!(receive(&on_wire, &mut [0; 10]).len, 5);
        assert!(udp::is_would_block(&on_lo.receive(&mut [0; 10]).unwrap_err()));
    }

    fn a_device_that_is_made_anew_is_another_until_the_socket_is_bound_to_it_again() {
        for (left, right) in [("10.1.0.1:7000", "10.1.0.2:7000"), ("[fd01::1]:7000", "[fd01::2]:7000")] {
            let cable = Cable::new();
            let (left, to): (_, SocketAddr) = (bind_in(&cable.left, left), right.parse().unwrap());
            let options = UdpOptions { device: Some("wire".into()), free: true, ..UdpOptions::new(to) };
            let bound = cable.right.run_in(|| Udp::bind(&options).unwrap()).unwrap();
            let rebind = |device: Option<&str>| cable.right.run_in(|| bound.bind_device(device).unwrap()).unwrap();
            let is_deaf = || {
                left.send_to(b"hello", &to.into()).unwrap();
                bound.send_to(b"hello", &endpoint(&left)).is_err()
                    && udp::is_would_block(&bound.receive(&mut [0; 10]).unwrap_err())
            };
            let passes = || {
                left.send_to(b"hello", &to.into()).unwrap();
                receive(&bound, &mut [0; 10]).len == 5 && bound.send_to(b"hello", &endpoint(&left)).is_ok()
            };
            assert!(passes(), "{right}");
            cable.replace();
            assert!(is_deaf(), "{right}: bound to the one that is gone");
            assert_eq!(rebind(Some("gone")), None);
            assert!(is_deaf(), "{right}: bound to no device");
            assert!(rebind(Some("wire")).is_some());
            assert!(passes(), "{right}");
            assert_eq!(rebind(None), None);
            assert!(passes(), "{right}");
        }
    }

    fn a_socket_waits_for_its_device() {
        for local in ["192.0.2.1:7000", "[2001:db8::1]:7000", "0.0.0.0:7000", "[::]:7000"] {
            let options =
                UdpOptions { device: Some("later".into()), free: true, ..UdpOptions::new(local.parse().unwrap()) };
            let namespace = fresh();
            let bound = namespace.run_in(|| Udp::bind(&options).unwrap()).unwrap();
            let to = SocketAddr::from(([127, 0, 0, 1], 9)).into();
            assert!(bound.send_to(b"hello", &to).is_err(), "{local}");
            ip(&namespace, "link add later type veth peer name other");
            assert!(namespace.run_in(|| bound.bind_device(Some("later")).unwrap()).unwrap().is_some(), "{local}");
        }
    }

    fn a_socket_that_is_taken_over_has_the_device_and_mark_of_who_takes_it() {
        let cable = Cable::new();
        let options = |device: Option<&str>, mark| UdpOptions {
            device: device.map(Into::into),
            mark,
            ..UdpOptions::new("10.1.0.2:7000".parse().unwrap())
        };
        let before = cable.right.run_in(|| Udp::bind(&options(Some("lo"), Some(7))).unwrap()).unwrap();
        let kept = before.as_fd().try_clone_to_owned().unwrap();
        let after = cable.right.run_in(|| Udp::adopt(kept, &options(None, None)).unwrap().unwrap()).unwrap();
        let left = bind_in(&cable.left, "10.1.0.1:7000");
        left.send_to(b"hello", &endpoint(&after)).unwrap();
        assert_eq!(receive(&after, &mut [0; 10]).len, 5, "it is bound to no device");
        assert_eq!(socket2::SockRef::from(&after).mark().unwrap(), 0);
    }

    fn sending_and_receiving_allocate_nothing() {
        let (left, right, _cable) = pair();
        let (to, train, mut buffer) = (endpoint(&right), pattern(40_000), vec![0; 65535]);
        left.send_train(&to, &train, 1000).unwrap();
        let _waited = receive(&right, &mut buffer);
        let allocations = allocations::during(|| {
            left.send_train(&to, &train, 1000).unwrap();
            left.send_each(&to, &train, 1000).unwrap();
            left.send_to(&train[..100], &to).unwrap();
            assert!(left.send_to(&train, &to).is_err());
            let mut received = [Received::nothing(); 4];
            right.receive_each(&mut buffer, 16_000, &mut received).unwrap();
            while right.receive(&mut buffer).is_ok() {}
        });
        assert_eq!(allocations, 0);
        assert_eq!(allocations::during(|| drop(vec![0_u8; 10])), 1, "the count works");
    }
}
