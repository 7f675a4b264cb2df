//! Attaching, offloads, carrier.

use std::{
    fs,
    io::{IoSlice, Read, Write},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use meshtun_sys::{
    device,
    epoll::{Epoll, Events, Interest},
    netns::{self, Namespace},
    tun::{self, AttachError, LONGEST_READ, Tun, TunOffloads, VNET_HEADER_LEN},
    udp::{self, Udp, UdpOptions},
};

use crate::support::{eventually, fresh, ip, netns_tests, wait_for};

const ALL: TunOffloads = TunOffloads { tso: true, uso: true };

/// `virtio_net_hdr.gso_type` (linux/virtio_net.h).
const GSO_TCPV4: u8 = 1;
const GSO_UDP_L4: u8 = 5;

fn kernel_is_at_least(major: u32, minor: u32) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.trim().parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}

/// A device `mt0` that is up, with carrier and an address, attached with all offloads.
fn cable_end(number: u8) -> (Namespace, Tun) {
    let namespace = fresh();
    let tun = namespace.run_in(|| {
        tun::create("mt0").unwrap();
        let tun = Tun::attach("mt0").unwrap();
        tun.carrier().unwrap().set(true).unwrap();
        tun
    });
    ip(&namespace, &format!("address add 10.2.0.{number}/24 dev mt0"));
    ip(&namespace, "link set mt0 up");
    (namespace, tun.unwrap())
}

fn send_tcp(from: &Namespace, to: &str, bytes: &[u8]) {
    from.run_in(|| TcpStream::connect(to).unwrap().write_all(bytes).unwrap()).unwrap();
}

/// Carries packets between two devices until told to stop and counts the super-packets of each kind.
struct Relay {
    stop: AtomicBool,
    tcp: AtomicUsize,
    udp: AtomicUsize,
    longest: AtomicUsize,
}

impl Relay {
    /// Runs `work` while packets are carried.
    fn between(left: &Tun, right: &Tun, work: impl FnOnce(&Relay)) -> Relay {
        let relay = Relay { stop: false.into(), tcp: 0.into(), udp: 0.into(), longest: 0.into() };
        thread::scope(|scope| {
            scope.spawn(|| relay.carry(left, right));
            // Stops the carrier when the work panics, too.
            let stop = OnDrop(&relay.stop);
            work(&relay);
            drop(stop);
        });
        relay
    }

    fn carry(&self, left: &Tun, right: &Tun) {
        let epoll = Epoll::new().unwrap();
        epoll.add(left, 0, Interest::Read).unwrap();
        epoll.add(right, 1, Interest::Read).unwrap();
        let (mut events, mut buffer) = (Events::with_capacity(2), vec![0; LONGEST_READ]);
        while !self.stop.load(Ordering::Relaxed) {
            epoll.wait(&mut events, Some(Duration::from_millis(10))).unwrap();
            for event in events.iter() {
                let (from, to) = if event.token == 0 { (left, right) } else { (right, left) };
                self.pass(from, to, &mut buffer);
            }
        }
    }

    fn pass(&self, from: &Tun, to: &Tun, buffer: &mut [u8]) {
        let Ok(len) = from.read(buffer) else { return };
        match buffer[1] & 0x7f {
            GSO_TCPV4 => self.tcp.fetch_add(1, Ordering::Relaxed),
            GSO_UDP_L4 => self.udp.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        self.longest.fetch_max(len - VNET_HEADER_LEN, Ordering::Relaxed);
        let (header, packet) = buffer[..len].split_at(VNET_HEADER_LEN);
        let (head, tail) = packet.split_at(packet.len() / 2);
        let parts = [header, head, tail].map(IoSlice::new);
        assert_eq!(to.write(&parts).unwrap(), len);
    }
}

struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

netns_tests! {
    fn attaching_never_makes_a_device() {
        fresh().run_in(|| {
            assert!(matches!(Tun::attach("mt0"), Err(AttachError::Missing { name }) if name == "mt0"));
            assert_eq!(device::index_of("mt0").unwrap(), None);
        }).unwrap();
    }

    fn a_device_has_one_holder_and_the_next_is_told_that_it_is_busy() {
        fresh().run_in(|| {
            tun::create("mt0").unwrap();
            let held = Tun::attach("mt0").unwrap();
            assert_eq!(held.name(), "mt0");
            assert!(matches!(Tun::attach("mt0"), Err(AttachError::Busy { .. })));
            drop(held);
            Tun::attach("mt0").unwrap();
        }).unwrap();
    }

    fn an_interface_of_another_kind_is_not_taken_for_a_tun() {
        fresh().run_in(|| {
            assert!(matches!(Tun::attach("lo"), Err(AttachError::NotTun { .. })));
        }).unwrap();
        let namespace = fresh();
        ip(&namespace, "tuntap add mode tap tap0");
        ip(&namespace, "tuntap add mode tun multi_queue many0");
        namespace.run_in(|| {
            assert!(matches!(Tun::attach("tap0"), Err(AttachError::NotTun { .. })));
            assert!(matches!(Tun::attach("many0"), Err(AttachError::NotTun { .. })));
        }).unwrap();
    }

    fn a_name_that_no_interface_can_have_is_refused() {
        for name in ["", "sixteen_letters_", "a\0b"] {
            assert!(matches!(Tun::attach(name), Err(AttachError::Other { .. })), "{name:?}");
        }
    }

    fn a_machine_without_dev_net_tun_is_told_to_load_the_module() {
        let refused = fresh().run_in(|| {
            netns::own_mounts().unwrap();
            netns::cover_folder("/dev/net").unwrap();
            (Tun::attach("mt0").unwrap_err(), tun::access().unwrap_err())
        }).unwrap();
        assert!(matches!(refused, (AttachError::NoDevNetTun, AttachError::NoDevNetTun)));
        assert!(refused.0.to_string().contains("modprobe tun"));
        assert_eq!(std::io::Error::from(refused.0).kind(), std::io::ErrorKind::NotFound);
    }

    fn a_device_is_made_once_and_removed_only_when_free() {
        fresh().run_in(|| {
            tun::create("mt0").unwrap();
            assert!(matches!(tun::create("mt0"), Err(AttachError::Busy { .. })));
            let held = Tun::attach("mt0").unwrap();
            assert!(matches!(tun::remove("mt0"), Err(AttachError::Busy { .. })));
            drop(held);
            tun::remove("mt0").unwrap();
            // A child of another test may hold a copy of the descriptor until it runs its program.
            eventually("the device to go", || device::index_of("mt0").unwrap().is_none().then_some(()));
        }).unwrap();
    }

    fn a_device_keeps_its_address_and_loses_carrier_when_its_holder_goes() {
        let (namespace, tun) = cable_end(1);
        let carrier = || namespace.run_in(|| device::carrier("mt0").unwrap()).unwrap();
        assert!(carrier());
        drop(tun);
        // A child of another test may hold a copy of the descriptor until it runs its program.
        eventually("carrier to drop", || (!carrier()).then_some(()));
        assert!(ip(&namespace, "address show dev mt0").contains("10.2.0.1/24"));
    }

    fn carrier_stays_down_on_attaching_and_follows_its_switch() {
        let namespace = fresh();
        namespace.run_in(|| {
            tun::create("mt0").unwrap();
            device::set_up("mt0", true).unwrap();
            netns::see_own_sysfs().unwrap();
            let carrier = || fs::read_to_string("/sys/class/net/mt0/carrier").unwrap();
            let tun = Tun::attach("mt0").unwrap();
            let switch = tun.carrier().unwrap();
            // Where the kernel raised it by itself, that took 0.7 ms.
            thread::sleep(Duration::from_millis(20));
            assert_eq!(carrier(), "0\n");
            switch.set(true).unwrap();
            assert_eq!(carrier(), "1\n");
            switch.set(false).unwrap();
            assert_eq!(carrier(), "0\n");
        }).unwrap();
    }

    fn the_kernel_acts_at_once_on_every_one_of_several_losses() {
        fresh().run_in(|| {
            let names = ["mt0", "mt1", "mt2"];
            let tuns = names.map(|name| {
                tun::create(name).unwrap();
                device::set_up(name, true).unwrap();
                Tun::attach(name).unwrap()
            });
            for (name, tun) in names.iter().zip(&tuns) {
                let switch = tun.carrier().unwrap();
                assert_eq!(switch.settles_at_once(), None);
                switch.set(true).unwrap();
                eventually("a device that runs", || device::is_running(name).unwrap().then_some(()));
                switch.set(false).unwrap();
                // Link watch synchronises with ETHTOOL_GLINK since 6.8; before, later losses wait up to a second.
                if kernel_is_at_least(6, 8) {
                    assert_eq!(switch.settles_at_once(), Some(true), "{name}");
                    assert!(!device::is_running(name).unwrap());
                }
            }
        }).unwrap();
    }

    fn carrier_follows_the_switch_of_a_device_that_was_renamed() {
        let (namespace, tun) = cable_end(1);
        let switch = namespace.run_in(|| tun.carrier().unwrap()).unwrap();
        ip(&namespace, "link set mt0 down");
        ip(&namespace, "link set mt0 name renamed up");
        namespace.run_in(|| {
            eventually("a device that runs", || device::is_running("renamed").unwrap().then_some(()));
            switch.set(false).unwrap();
            assert!(!device::carrier("renamed").unwrap());
            assert!(switch.settles_at_once().is_some());
        }).unwrap();
    }

    fn offloads_are_accepted_or_given_up_one_by_one() {
        let (_namespace, tun) = cable_end(1);
        let none = TunOffloads::default();
        assert_eq!(tun.set_offloads(none).unwrap(), none);
        let accepted = tun.set_offloads(ALL).unwrap();
        assert_eq!(accepted, TunOffloads { tso: true, uso: kernel_is_at_least(6, 2) });
    }

    fn tcp_passes_as_super_packets_and_arrives_whole() {
        let ((left, left_tun), (right, right_tun)) = (cable_end(1), cable_end(2));
        left_tun.set_offloads(ALL).unwrap();
        right_tun.set_offloads(ALL).unwrap();
        let sent: Vec<u8> = (0..1 << 18).flat_map(u32::to_le_bytes).collect();
        let relay = Relay::between(&left_tun, &right_tun, |_| {
            let listener = right.run_in(|| TcpListener::bind("10.2.0.2:80").unwrap()).unwrap();
            let received = thread::scope(|scope| {
                scope.spawn(|| send_tcp(&left, "10.2.0.2:80", &sent));
                let mut received = Vec::new();
                listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
                received
            });
            assert!(received == sent, "{} bytes arrived", received.len());
        });
        assert!(relay.tcp.into_inner() > 0, "no TCP super-packet");
        assert!(relay.longest.into_inner() > 1500, "no packet over the MTU");
    }

    fn without_tso_no_packet_is_over_the_mtu() {
        let ((left, left_tun), (right, right_tun)) = (cable_end(1), cable_end(2));
        let relay = Relay::between(&left_tun, &right_tun, |_| {
            let listener = right.run_in(|| TcpListener::bind("10.2.0.2:80").unwrap()).unwrap();
            let sent = [7; 200_000];
            thread::scope(|scope| {
                scope.spawn(|| send_tcp(&left, "10.2.0.2:80", &sent));
                let mut received = Vec::new();
                assert_eq!(listener.accept().unwrap().0.read_to_end(&mut received).unwrap(), sent.len());
            });
        });
        assert_eq!(relay.tcp.into_inner(), 0);
        assert_eq!(relay.longest.into_inner(), 1500);
    }

    fn a_udp_train_passes_as_a_super_packet_and_arrives_as_a_train() {
        let ((left, left_tun), (right, right_tun)) = (cable_end(1), cable_end(2));
        let uso = left_tun.set_offloads(ALL).unwrap().uso;
        let bind = |address: &str| Udp::bind(&UdpOptions::new(address.parse().unwrap())).unwrap();
        let sender = left.run_in(|| bind("10.2.0.1:7000")).unwrap();
        let receiver = right.run_in(|| bind("10.2.0.2:7000")).unwrap();
        let train: Vec<u8> = (0..10_500).map(|byte: u32| byte as u8).collect();
        let relay = Relay::between(&left_tun, &right_tun, |_| {
            sender.send_train(&receiver.local_addr().into(), &train, 1000).unwrap();
            let (mut buffer, mut filled) = (vec![0; 65535], 0);
            while filled < train.len() {
                let received = wait_for("the train", || receiver.receive(&mut buffer[filled..]));
                assert_eq!(received.segment, if uso { 1000 } else { received.len });
                filled += received.len;
            }
            assert_eq!(buffer[..filled], train);
        });
        assert_eq!(relay.udp.into_inner(), usize::from(uso));
    }

    fn writing_is_refused_until_the_device_is_up() {
        fresh().run_in(|| {
            tun::create("mt0").unwrap();
            let tun = Tun::attach("mt0").unwrap();
            let parts = [IoSlice::new(&[0; VNET_HEADER_LEN]), IoSlice::new(&[0x45; 20])];
            assert!(tun::is_down(&tun.write(&parts).unwrap_err()));
            device::set_up("mt0", true).unwrap();
            assert_eq!(tun.write(&parts).unwrap(), VNET_HEADER_LEN + 20);
        }).unwrap();
    }

    fn an_empty_queue_would_block_and_a_deleted_device_shows_as_an_error() {
        let namespace = fresh();
        let tun = namespace.run_in(|| {
            tun::create("mt0").unwrap();
            Tun::attach("mt0").unwrap()
        }).unwrap();
        let mut buffer = [0; 100];
        assert!(udp::is_would_block(&tun.read(&mut buffer).unwrap_err()));
        let (epoll, mut events) = (Epoll::new().unwrap(), Events::with_capacity(1));
        epoll.add(&tun, 9, Interest::Read).unwrap();
        ip(&namespace, "link delete mt0");
        epoll.wait(&mut events, Some(Duration::from_secs(5))).unwrap();
        let event = events.iter().next().expect("epoll tells that the device is gone");
        assert!(event.token == 9 && event.error && event.readable);
        assert!(tun::is_gone(&tun.read(&mut buffer).unwrap_err()));
        assert!(tun::is_gone(&tun.write(&[IoSlice::new(&buffer)]).unwrap_err()));
    }

    fn a_packet_longer_than_the_buffer_loses_its_end_and_the_next_is_whole() {
        let (namespace, tun) = cable_end(1);
        let options = UdpOptions::new("10.2.0.1:7000".parse().unwrap());
        let socket = namespace.run_in(|| Udp::bind(&options).unwrap()).unwrap();
        for len in [1000, 100] {
            socket.send_to(&vec![1; len], &std::net::SocketAddr::from(([10, 2, 0, 2], 7000)).into()).unwrap();
        }
        let mut buffer = [0; 500];
        let mut next = || loop {
            let len = wait_for("a packet", || tun.read(&mut buffer));
            // The kernel sends IPv6 packets of its own.
            if buffer[VNET_HEADER_LEN] >> 4 == 4 {
                break len;
            }
        };
        assert_eq!([next(), next()], [500, VNET_HEADER_LEN + 128]);
    }
}
