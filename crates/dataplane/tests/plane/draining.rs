//! Sessions that carry their last packets, on a worker that takes its time for each packet.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use meshtun_dataplane::{
    ChannelId, Command, Counters, DataPlane, Datagrams, DropReason, Pieces, PlaneConfig, Sealing, SendSession,
};
use meshtun_sys::{thread, tun::Tun};
use netns_lab::trial;

use super::bench::{OURS, channel_socket, device, eventually, in_namespace, ip, parts};

const SESSION: u32 = 5;

/// More than three turns seal.
const PACKETS: usize = 400;

#[test]
fn channels_of_one_worker_that_drain_at_once_lose_nothing() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut plane = plane();
            let loaded = [0, 1].map(Loaded::device);
            // Each takes some 60 ms.
            let loaded = loaded.map(|loaded| loaded.drain(&mut plane, Duration::from_micros(100)));
            loaded.iter().for_each(Loaded::assert_carries_all);
            for channel in &loaded {
                eventually("a packet after the drain is dropped", || {
                    channel.host.send_to(b"late", to(channel.number)).unwrap();
                    channel.dropped() > 0
                });
            }
            plane.shutdown();
        });
    });
}

#[test]
fn what_drains_is_carried_before_a_worker_stops() {
    trial::run_with_tun(|| {
        in_namespace(|| {
            let mut plane = plane();
            // The order to stop comes while the first turn goes on.
            let channel = Loaded::device(0).drain(&mut plane, Duration::from_micros(10));
            plane.shutdown();
            channel.assert_carries_all();
        });
    });
}

fn plane() -> DataPlane {
    ip("link set lo up");
    std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
    let config = PlaneConfig { cpus: vec![thread::available_cpus()[0]], pin: false, apart: false };
    DataPlane::start(&config).unwrap().0
}

/// A channel that drains from its first turn on, with packets in its device.
struct Loaded {
    number: u8,
    host: UdpSocket,
    _peer: UdpSocket,
    counters: Arc<Counters>,
}

/// It before a worker has it.
struct Waiting {
    number: u8,
    host: UdpSocket,
    tun: Tun,
}

impl Loaded {
    fn device(number: u8) -> Waiting {
        let name = format!("dp{number}");
        let tun = device(&name);
        if number == 0 {
            ip(&format!("addr add {OURS}/32 dev {name}"));
        }
        ip(&format!("route add 10.2.{number}.0/24 dev {name} src {OURS}"));
        let host = UdpSocket::bind((OURS, 0)).unwrap();
        for _ in 0..PACKETS {
            host.send_to(&[0; 100], to(number)).unwrap();
        }
        Waiting { number, host, tun }
    }
}

impl Waiting {
    fn drain(self, plane: &mut DataPlane, each: Duration) -> Loaded {
        let Waiting { number, host, tun } = self;
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut parts = parts(tun, channel_socket(), &peer);
        parts.first = vec![
            Command::InstallSend(SendSession::Other(Box::new(Slow { each }))),
            Command::Use(SESSION),
            Command::Drain(SESSION),
        ];
        let counters = plane.add_channel(ChannelId(number.into()), parts).unwrap();
        Loaded { number, host, _peer: peer, counters }
    }
}

impl Loaded {
    fn assert_carries_all(&self) {
        let sent = || self.counters.snapshot().sending.packets;
        eventually("all that waited has gone", || sent() + self.dropped() >= PACKETS as u64);
        assert_eq!((sent(), self.dropped()), (PACKETS as u64, 0));
    }

    fn dropped(&self) -> u64 {
        let dropped = self.counters.snapshot().sending.dropped;
        dropped.into_iter().filter(|(reason, _)| *reason == DropReason::NoSession).map(|(_, count)| count).sum()
    }
}

/// Behind a channel.
fn to(number: u8) -> (Ipv4Addr, u16) {
    (Ipv4Addr::new(10, 2, number, 1), 5)
}

/// Protects nothing, slowly.
#[derive(Debug)]
struct Slow {
    each: Duration,
}

impl Sealing for Slow {
    fn session(&self) -> u32 {
        SESSION
    }

    fn expires(&self) -> Option<Instant> {
        None
    }

    fn pieces(&self, length: usize, _mtu: usize) -> Pieces {
        Pieces { count: 1, each: length, last: length }
    }

    fn seal(&mut self, packet: &[u8], _piece: usize, room: &mut [u8]) -> Result<(), DropReason> {
        sleep(self.each);
        room.copy_from_slice(packet);
        Ok(())
    }

    fn finish(&mut self, _datagrams: Datagrams<'_>) {}
}
