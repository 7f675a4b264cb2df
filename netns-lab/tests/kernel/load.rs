use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use netns_lab::{
    load::{Direction, LoadError, Marker, TcpLoad, UdpTrain},
    topology::{Options, Shape, Topology, UNDERLAY},
    trial,
};

use crate::routed;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn every_flow_carries_in_the_directions_that_were_asked_for() {
    trial::run(|| {
        let topology = routed();
        let [one, two] = [&topology.sites[0], &topology.sites[1]];
        for direction in [Direction::ToServer, Direction::ToClient, Direction::Both] {
            let marker = Some(Marker::new(*b"0123456789abcdef"));
            let load = TcpLoad::new(&one.host, &two.host, two.host_v4.into());
            let load = TcpLoad { flows: 4, direction, duration: ms(400), every: ms(50), marker, ..load };
            let mut progress = Vec::new();
            let report = load.run(|so_far| progress.push(so_far.clone())).unwrap();
            assert_eq!(report.flows.len(), 4);
            for flow in &report.flows {
                assert_eq!(flow.to_server > 0, direction != Direction::ToClient, "{direction:?} {flow:?}");
                assert_eq!(flow.to_client > 0, direction != Direction::ToServer, "{direction:?} {flow:?}");
                assert_eq!(flow.corrupt, 0);
                assert!(flow.longest_gap > Duration::ZERO && flow.longest_gap < report.elapsed, "{flow:?}");
            }
            let ports: BTreeSet<_> = report.flows.iter().map(|flow| flow.port).collect();
            assert_eq!(ports.len(), 4, "each flow has a source port of its own");
            assert!(report.elapsed >= ms(400) && report.elapsed < ms(2000), "{:?}", report.elapsed);
            assert!(report.cpu_seconds > 0.0 && report.cpu_seconds_per_gigabyte() > 0.0);
            assert!(progress.len() >= 2, "{}", progress.len());
            let bytes = |at: usize| progress[at].flows.iter().map(|flow| flow.to_server + flow.to_client).sum::<u64>();
            assert!(bytes(0) <= bytes(progress.len() - 1) && bytes(progress.len() - 1) <= report.bytes());
        }
    });
}

#[test]
fn loads_use_the_ports_and_the_congestion_control_that_they_are_told() {
    trial::run(|| {
        let topology = routed();
        let [one, two] = [&topology.sites[0], &topology.sites[1]];
        let ports = vec![40_001, 40_007, 40_003];
        let load = TcpLoad::new(&one.host, &two.host, two.host_v4.into());
        let load = TcpLoad { flows: 3, duration: ms(50), port: 5001, source_ports: ports.clone(), ..load };
        let load = TcpLoad { congestion_control: Some("reno".into()), ..load };
        let report = load.run(|_| {}).unwrap();
        assert_eq!(report.flows.iter().map(|flow| flow.port).collect::<Vec<_>>(), ports);
        assert!(report.flows.iter().all(|flow| flow.to_server > 0), "{:?}", report.flows);
        // Not from the same ports: the kernel remembers them for a while.
        let load = TcpLoad { source_ports: Vec::new(), ..load };
        let unknown = TcpLoad { congestion_control: Some("no-such-one".into()), ..load }.run(|_| {}).unwrap_err();
        assert!(matches!(unknown, LoadError::Client { flow: 0, .. }), "{unknown}");
        let train = UdpTrain::new(&one.host, &two.host, two.host_v4.into());
        let train = UdpTrain { flows: 3, duration: ms(50), patience: ms(50), port: 5001, ..train };
        let train = UdpTrain { source_ports: ports.clone(), gro: false, receive_buffer: 4 << 20, ..train };
        let report = train.run().unwrap();
        assert_eq!(report.flows.iter().map(|flow| flow.port).collect::<Vec<_>>(), ports);
        assert_eq!((report.total().sent, report.total().lost()), (150, 0));
    });
}

#[test]
fn a_network_that_goes_away_stops_the_bytes_and_not_the_load() {
    trial::run(|| {
        let topology = routed();
        let [one, two] = [&topology.sites[0], &topology.sites[1]];
        let load = TcpLoad::new(&one.host, &two.host, two.host_v4.into());
        let load = TcpLoad { flows: 2, duration: ms(1200), every: ms(100), ..load };
        let begun = Instant::now();
        let mut cut = false;
        let report = load.run(|_| {
            if !cut {
                one.gateway.set_up(UNDERLAY, false).unwrap();
                cut = true;
            }
        });
        let report = report.unwrap();
        assert!(begun.elapsed() < ms(3000), "{:?}", begun.elapsed());
        assert!(report.bytes() > 0);
        assert!(report.flows.iter().all(|flow| flow.longest_gap > ms(800)), "{:?}", report.flows);
    });
}

#[test]
fn a_server_that_cannot_be_reached_is_an_error_that_names_the_client() {
    trial::run(|| {
        let topology = Topology::build(Shape::TwoGateways, &Options::default()).unwrap();
        let [one, two] = [&topology.sites[0], &topology.sites[1]];
        let load = TcpLoad { patience: ms(300), ..TcpLoad::new(&one.host, &two.host, two.host_v4.into()) };
        let error = load.run(|_| {}).unwrap_err();
        assert!(matches!(&error, LoadError::Client { node, flow: 0, .. } if node == "host1"), "{error}");
        let elsewhere = Ipv4Addr::new(192, 0, 2, 99);
        let error = TcpLoad::new(&one.host, &two.host, elsewhere.into()).run(|_| {}).unwrap_err();
        assert!(matches!(&error, LoadError::Server { node, .. } if node == "host2"), "{error}");
    });
}

#[test]
fn a_train_over_a_healthy_path_arrives_whole_and_in_order() {
    trial::run(|| {
        let topology = routed();
        let [one, two] = [&topology.sites[0], &topology.sites[1]];
        let train = UdpTrain::new(&one.host, &two.host, two.host_v4.into());
        let report = UdpTrain { flows: 4, size: 200, duration: ms(300), patience: ms(100), ..train }.run().unwrap();
        assert_eq!(report.flows.len(), 4);
        for flow in &report.flows {
            assert_eq!((flow.sent, flow.received, flow.lost()), (300, 300, 0), "{flow:?}");
            assert_eq!((flow.duplicates, flow.reordered, flow.longest_loss), (0, 0, 0), "{flow:?}");
        }
        assert_eq!((report.total().received, report.overrun), (1200, 0));
        let ports: BTreeSet<_> = report.flows.iter().map(|flow| flow.port).collect();
        assert_eq!(ports.len(), 4);
        assert!(report.elapsed >= ms(299) && report.elapsed < ms(2000), "{:?}", report.elapsed);
    });
}

#[test]
fn a_punctual_train_ends_in_time_however_much_it_should_send() {
    trial::run(|| {
        let topology = routed();
        let [one, two] = [&topology.sites[0], &topology.sites[1]];
        // More than any machine can send.
        let train = UdpTrain {
            flows: 16,
            rate: 10_000_000,
            duration: ms(300),
            patience: ms(100),
            punctual: true,
            ..UdpTrain::new(&one.host, &two.host, two.host_v4.into())
        };
        let report = train.run().unwrap();
        let total = report.total();
        assert!(total.sent > 0 && total.sent < 48_000_000 && total.received <= total.sent, "{total:?}");
        assert!(report.elapsed >= ms(300) && report.elapsed < ms(2000), "{:?}", report.elapsed);
    });
}

#[test]
fn a_gap_in_the_path_shows_in_a_train_as_loss_and_as_time() {
    trial::run(|| {
        let topology = routed();
        let [one, two] = [&topology.sites[0], &topology.sites[1]];
        let train = UdpTrain::new(&one.host, &two.host, two.host_v4.into());
        let train = UdpTrain { duration: ms(1000), patience: ms(100), ..train };
        let report = thread::scope(|scope| {
            let running = scope.spawn(|| train.run().unwrap());
            // Not the gateway's own: a device that goes down takes its routes with it.
            let cut = |up| two.gateway.set_up(UNDERLAY, up).unwrap();
            thread::sleep(ms(300));
            cut(false);
            thread::sleep(ms(300));
            cut(true);
            running.join().unwrap()
        });
        let flow = report.flows[0];
        assert!(flow.longest_gap >= ms(250) && flow.longest_gap < ms(950), "{flow:?}");
        assert!(flow.longest_loss >= 200 && flow.lost() >= flow.longest_loss, "{flow:?}");
        assert!(flow.received >= 200, "{flow:?}");
    });
}
