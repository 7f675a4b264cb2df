//! The underlay in userspace: each fault is really there, and seeded runs repeat.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use netns_lab::{
    faults::{Counts, Faults, Path},
    load::TcpLoad,
    topology::{Family, Options, Shape, Site, Topology},
    trial,
};

use crate::reaches;

const PORT: u16 = 16401;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Two sites that are joined in userspace.
fn lab(seed: u64) -> Topology {
    Topology::build(Shape::TwoGateways, &Options { faults: Some(seed), ..Options::default() }).unwrap()
}

fn faults(topology: &Topology) -> &Faults {
    topology.faults.as_ref().unwrap()
}

/// Sockets at both gateways, bound to the port; each knows the other's Ethernet address already.
fn sockets(topology: &Topology) -> [UdpSocket; 2] {
    let [one, two] = [&topology.sites[0], &topology.sites[1]].map(|site| bind(site, PORT));
    for (from, to) in [(&one, &two), (&two, &one)] {
        from.send_to(b"who is there", to.local_addr().unwrap()).unwrap();
        to.recv(&mut [0; 64]).unwrap();
    }
    [one, two]
}

fn bind(site: &Site, port: u16) -> UdpSocket {
    let bind = |address: IpAddr| move || UdpSocket::bind((address, port)).unwrap();
    let socket = site.gateway.run(bind(site.underlay)).unwrap();
    socket.set_read_timeout(Some(ms(5000))).unwrap();
    socket
}

/// Sends so many numbered datagrams, a few at a time, and gives the numbers in the order in which they arrive.
fn send([one, two]: &[UdpSocket; 2], count: u32) -> Vec<u32> {
    two.set_read_timeout(Some(ms(400))).unwrap();
    thread::scope(|scope| {
        let receiving = scope.spawn(|| {
            let (mut numbers, mut buffer) = (Vec::new(), [0; 2048]);
            while let Ok(len) = two.recv(&mut buffer) {
                assert_eq!(len, 100);
                numbers.push(u32::from_be_bytes(buffer[..4].try_into().unwrap()));
            }
            numbers
        });
        for number in 0..count {
            one.send_to(&[&number.to_be_bytes()[..], &[0xaa; 96]].concat(), two.local_addr().unwrap()).unwrap();
            // The receiver's buffer has room for 250.
            if number % 20 == 19 {
                thread::sleep(ms(2));
            }
        }
        receiving.join().unwrap()
    })
}

/// What became of the datagrams from the first gateway to the second's port.
fn counts(topology: &Topology) -> Counts {
    let all = faults(topology).counts();
    all.iter().find(|(key, _)| (key.from, key.to, key.port) == (0, 1, Some(PORT))).unwrap().1
}

fn with(change: impl FnOnce(&mut Path)) -> Path {
    let mut path = Path::after(Duration::ZERO);
    change(&mut path);
    path
}

#[test]
fn without_faults_everything_passes_in_order_and_adds_up() {
    trial::run_with_tun(|| {
        let topology = lab(1);
        let sockets = sockets(&topology);
        assert!(send(&sockets, 2000).into_iter().eq(0..2000));
        let counts = counts(&topology);
        // One more made the gateways known to each other.
        assert_eq!(
            (counts.sent, counts.delivered, counts.gone(), counts.under_way()),
            (2001, 2001, 0, 0),
            "{counts:?}"
        );
    });
}

#[test]
fn three_sites_and_ipv6_are_joined_too() {
    trial::run_with_tun(|| {
        let options = Options { underlay: Family::V6, faults: Some(1), ..Options::default() };
        let topology = Topology::build(Shape::ThreeSites, &options).unwrap();
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            let [from, to] = [from, to].map(|at: usize| &topology.sites[at]);
            assert!(reaches(&from.gateway, &to.gateway, to.underlay));
        }
    });
}

#[test]
fn loss_takes_its_share_and_the_same_seed_takes_the_same() {
    trial::run_with_tun(|| {
        let run = |seed, path: Path| {
            let topology = lab(seed);
            let sockets = sockets(&topology);
            faults(&topology).set_port(0, 1, PORT, Some(path));
            let numbers = send(&sockets, 2000);
            let counts = counts(&topology);
            assert_eq!(counts.lost, 2000 - numbers.len() as u64, "{counts:?}");
            assert_eq!(counts.under_way(), 0);
            numbers
        };
        let lossy = || with(|path| path.loss = 0.1);
        let first = run(7, lossy());
        assert!((1700..1900).contains(&first.len()), "{}", first.len());
        assert!(run(7, lossy()) == first, "the same seed, and another run");
        assert!(run(8, lossy()) != first, "another seed, and the same run");
        let bursts = run(7, with(|path| (path.loss, path.loss_burst) = (0.1, 10.0)));
        let rows = bursts.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
        assert!((1500..1950).contains(&bursts.len()) && rows < 45, "{} arrived, in {rows} rows", bursts.len());
    });
}

#[test]
fn a_port_that_is_blocked_one_way_leaves_the_others_and_the_way_back_alone() {
    trial::run_with_tun(|| {
        let topology = lab(1);
        let [one, two] = [&topology.sites[0], &topology.sites[1]];
        let pair = sockets(&topology);
        let other = [bind(one, 7), bind(two, 7)];
        faults(&topology).set_port(0, 1, PORT, Some(with(|path| path.blocked = true)));
        assert!(send(&pair, 10).is_empty());
        assert_eq!(send(&other, 10).len(), 10);
        let [one, two] = &pair;
        two.send_to(&[1], one.local_addr().unwrap()).unwrap();
        one.recv(&mut [0; 8]).unwrap();
        assert_eq!(counts(&topology).blocked, 10);
        faults(&topology).set_port(0, 1, PORT, None);
        assert_eq!(send(&pair, 10).len(), 10);
    });
}

#[test]
fn delay_is_there_and_jitter_keeps_the_order() {
    trial::run_with_tun(|| {
        let topology = lab(1);
        let pair = sockets(&topology);
        faults(&topology).set(0, 1, with(|path| (path.latency, path.jitter) = (ms(40), ms(20))));
        let begun = Instant::now();
        pair[0].send_to(&[0; 8], pair[1].local_addr().unwrap()).unwrap();
        pair[1].recv(&mut [0; 8]).unwrap();
        assert!(begun.elapsed() >= ms(40), "{:?}", begun.elapsed());
        assert_eq!(send(&pair, 500), (0..500).collect::<Vec<_>>());
    });
}

#[test]
fn duplicates_are_whole_and_those_held_back_come_later() {
    trial::run_with_tun(|| {
        let topology = lab(1);
        let pair = sockets(&topology);
        faults(&topology).set_port(0, 1, PORT, Some(with(|path| path.duplication = 0.5)));
        let numbers = send(&pair, 400);
        assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), 400, "each came at least once");
        assert_eq!(numbers.len() as u64, 400 + counts(&topology).duplicated);
        assert!(counts(&topology).duplicated > 100);
        let held = with(|path| (path.reordering, path.held_back) = (0.2, ms(30)));
        faults(&topology).set_port(0, 1, PORT, Some(held));
        let mut numbers = send(&pair, 400);
        assert!(!numbers.is_sorted() && counts(&topology).reordered > 40);
        numbers.sort_unstable();
        assert_eq!(numbers, (0..400).collect::<Vec<_>>());
    });
}

#[test]
fn damage_gets_past_the_networks_own_checks() {
    trial::run_with_tun(|| {
        let topology = lab(1);
        let [one, two] = sockets(&topology);
        faults(&topology).set_port(0, 1, PORT, Some(with(|path| path.corruption = 1.0)));
        for _ in 0..50 {
            one.send_to(&[0; 100], two.local_addr().unwrap()).unwrap();
            let mut buffer = [0; 200];
            let len = two.recv(&mut buffer).expect("the receiver's kernel does not drop it");
            assert_eq!(buffer[..len].iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        }
        assert_eq!(counts(&topology).corrupted, 50);
    });
}

#[test]
fn a_limit_lets_its_rate_through_and_its_queue_is_bounded() {
    trial::run_with_tun(|| {
        let topology = lab(1);
        let pair = sockets(&topology);
        // 142 bytes a frame: 100 of them fit the queue, and take 113 ms.
        faults(&topology).set(0, 1, with(|path| (path.rate, path.queue) = (Some(1_000_000), 14_200)));
        let begun = Instant::now();
        for number in 0..400u32 {
            pair[0].send_to(&[&number.to_be_bytes()[..], &[0; 96]].concat(), pair[1].local_addr().unwrap()).unwrap();
        }
        let (mut came, mut last, mut buffer) = (0, Duration::ZERO, [0; 200]);
        pair[1].set_read_timeout(Some(ms(300))).unwrap();
        while pair[1].recv(&mut buffer).is_ok() {
            (came, last) = (came + 1, begun.elapsed());
        }
        let counts = counts(&topology);
        assert!((100..400).contains(&came) && counts.overflowed == 400 - came, "{came}, {counts:?}");
        let least = Duration::from_secs_f64(came as f64 * 142.0 * 8.0 / 1e6).saturating_sub(ms(2));
        assert!(last >= least, "{came} in {last:?}");
    });
}

#[test]
fn what_is_sent_to_a_device_that_is_down_is_counted_and_it_comes_back() {
    trial::run_with_tun(|| {
        let topology = lab(1);
        let pair = sockets(&topology);
        let two = &topology.sites[1].gateway;
        two.set_up(netns_lab::topology::UNDERLAY, false).unwrap();
        assert!(send(&pair, 10).is_empty());
        assert_eq!(counts(&topology).refused, 10);
        two.set_up(netns_lab::topology::UNDERLAY, true).unwrap();
        let begun = Instant::now();
        // Its kernel may ask first who is there.
        while send(&pair, 10).is_empty() {
            assert!(begun.elapsed() < ms(5000));
        }
    });
}

#[test]
fn tcp_passes_with_over_a_gigabit_a_second_or_as_many_packets_as_this_build_can() {
    trial::run_with_tun(|| {
        let topology = lab(1);
        let [one, two] = [&topology.sites[0], &topology.sites[1]];
        let load = TcpLoad::new(&one.gateway, &two.gateway, two.underlay);
        let report = TcpLoad { flows: 4, duration: ms(1000), ..load }.run(|_| {}).unwrap();
        let (delivered, gone) = faults(&topology)
            .counts()
            .iter()
            .fold((0, 0), |(delivered, gone), (_, counts)| (delivered + counts.delivered, gone + counts.gone()));
        let line = format!("{:.2} Gb/s, {delivered} packets", report.gigabits_per_second());
        // No bound that a busy machine could miss; docs/faults.md tells what a quiet one does.
        assert!(report.bytes() > 10_000_000 && gone == 0, "{line}");
        let _unheard: io::Result<()> = io::Write::write_all(&mut io::stderr(), format!("{line}\n").as_bytes());
    });
}
