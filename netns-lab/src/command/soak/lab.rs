//! One soak: a lab with a gateway and a plain peer, and what is sent through it.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use netns_lab::{
    gateway::{self, Gateway},
    load::{LoadError, UdpReport, UdpTrain},
    program::Program,
    topology::{Options, Shape, Topology},
    wireguard::{Peering, Setup, WireGuard},
};
use serde_json::Value;

use super::{
    Initiator,
    conversation::{Account, Conversation},
    figures::{Channel, Figures, Tcp, round},
};

/// Channels of the link.
const CHANNELS: u16 = 2;

/// How long the link may take to come up.
const PATIENCE: Duration = Duration::from_secs(30);

/// UDP flows of each direction: enough that their ports spread them over both channels, but for one time in 128.
const FLOWS: u16 = 8;

/// Datagrams a second of each flow: together one every few milliseconds, so that no change of sessions goes unseen.
const RATE: u32 = 50;

/// TCP flows that are opened from either side, half of them IPv6.
const CONVERSATIONS: usize = 4;

/// Both ends of a link that is up.
struct Ends {
    // Before the topology: programs end before their namespaces go.
    gateway: Gateway,
    peer: WireGuard,
    topology: Topology,
}

/// The link at one moment.
struct Moment {
    channels: Vec<Value>,
    peerings: Vec<Peering>,
    /// Handshakes that meshtun initiated, and that the peer did.
    handshakes: [usize; 2],
    /// Datagrams for which the peer's sockets had no room.
    overruns: u64,
    /// What the lab's devices dropped, by node and device.
    device_drops: BTreeMap<String, u64>,
}

/// Makes a lab, sends for so long, and tells what became of it.
pub(super) fn run(initiator: Initiator, program: &Program, duration: Duration) -> anyhow::Result<Figures> {
    let ends = Ends::up(initiator, program)?;
    let before = ends.look()?;
    let begun = Instant::now();
    let ([to_peer, to_meshtun], accounts) = ends.load(duration)?;
    let seconds = begun.elapsed();
    let after = ends.look().context("after the load")?;
    let [renewed_by_meshtun, renewed_by_peer] = [0, 1].map(|end| after.handshakes[end] - before.handshakes[end]);
    Ok(Figures {
        initiator: initiator.name(),
        seconds: round(seconds.as_secs_f64()),
        datagrams_to_peer: to_peer.total().into(),
        datagrams_to_meshtun: to_meshtun.total().into(),
        tcp: accounts.into_iter().collect::<Tcp>(),
        channels: ends.compare(&before, &after),
        renewed_by_meshtun,
        renewed_by_peer,
        dropped: after.dropped(),
        dropped_by_devices: after.device_drops_since(&before),
        peer_overruns: after.overruns - before.overruns,
    })
}

impl Ends {
    fn up(initiator: Initiator, program: &Program) -> anyhow::Result<Ends> {
        let topology = Topology::build(Shape::TwoGateways, &Options::default())?;
        let keys = program.keys(2)?;
        let mut mesh = topology.mesh(&keys, CHANNELS);
        mesh.gateways[1].options.push(("peer".into(), "\"wireguard\"".into()));
        let mut setup = Setup::opposite(&topology, &mesh, &keys);
        match initiator {
            Initiator::Meshtun => setup.endpoint = None,
            Initiator::Peer => {
                mesh.gateways[1].underlay = None;
                setup.keepalive = Some(25);
            }
        }
        let site = &topology.sites[0];
        let gateway = gateway::Setup::new(program, &mesh, site.name(), &keys[0]);
        let mut gateway = Gateway::start(&topology.lab, &site.gateway, gateway)?;
        let peer = WireGuard::start(&topology.lab, &topology.sites[1].gateway, &setup)?;
        gateway.wait_until_up(PATIENCE)?;
        Ok(Ends { gateway, peer, topology })
    }

    /// Sends datagrams both ways and talks, all at once.
    fn load(&self, duration: Duration) -> anyhow::Result<([UdpReport; 2], Vec<Account>)> {
        let [one, two] = [&self.topology.sites[0], &self.topology.sites[1]];
        let mut conversations = Vec::new();
        for (from, to) in [(one, two), (two, one)] {
            for _ in 0..CONVERSATIONS / 2 {
                conversations.push(Conversation::open(&from.host, &to.host, to.host_v4.into())?);
                conversations.push(Conversation::open(&from.host, &to.host, to.host_v6.into())?);
            }
        }
        let trains = [(one, two, two.host_v4.into()), (two, one, one.host_v6.into())];
        let trains = trains.map(|(from, to, address)| UdpTrain {
            flows: FLOWS,
            rate: RATE,
            size: 200,
            duration,
            ..UdpTrain::new(&from.host, &to.host, address)
        });
        let until = Instant::now() + duration;
        let (reports, accounts) = thread::scope(|scope| {
            let sending = trains.each_ref().map(|train| scope.spawn(|| train.run()));
            let talking: Vec<_> = conversations.iter().map(|one| scope.spawn(move || one.talk(until))).collect();
            let accounts = talking.into_iter().map(|thread| thread.join().expect("talking does not panic"));
            let accounts: Vec<_> = accounts.collect();
            (sending.map(|thread| thread.join().expect("sending does not panic")), accounts)
        });
        Ok((both(reports)?, accounts))
    }

    fn look(&self) -> anyhow::Result<Moment> {
        let status = self.gateway.status()?;
        let channels = status["links"][0]["channels"].as_array().context("the status has no channels")?.clone();
        let handshakes =
            ["Received handshake initiation", "Received handshake response"].map(|words| self.peer.logged(words));
        let overruns = self.topology.sites[1].gateway.run(overruns)?.context("/proc/net/snmp has no RcvbufErrors")?;
        let mut device_drops = BTreeMap::new();
        for node in self.topology.lab.nodes() {
            for link in node.links()? {
                device_drops.insert(format!("{} {}", node.name(), link.name), link.rx_dropped + link.tx_dropped);
            }
        }
        Ok(Moment { channels, peerings: self.peer.peerings()?, handshakes, overruns, device_drops })
    }

    fn compare(&self, before: &Moment, after: &Moment) -> Vec<Channel> {
        let compare = |(at, interface): (usize, &str)| {
            let count = |moment: &Moment, key: &str| moment.channels[at][key].as_u64().unwrap_or_default();
            let grown = |key: &str| count(after, key).saturating_sub(count(before, key));
            let handshake = |moment: &Moment| moment.peerings[at].latest_handshake.unwrap_or_default();
            Channel {
                device: after.channels[at]["device"].as_str().unwrap_or_default().to_owned(),
                interface: interface.to_owned(),
                sessions_before: count(before, "sessions"),
                sessions_after: count(after, "sessions"),
                handshake_moved: handshake(after).saturating_sub(handshake(before)),
                tx_packets: grown("tx_packets"),
                rx_packets: grown("rx_packets"),
            }
        };
        self.peer.interfaces().into_iter().enumerate().map(compare).collect()
    }
}

impl Moment {
    fn device_drops_since(&self, before: &Moment) -> BTreeMap<String, u64> {
        let grown = |(device, drops): (&String, &u64)| {
            let before = before.device_drops.get(device).copied().unwrap_or_default();
            Some((device.clone(), drops.saturating_sub(before))).filter(|(_, drops)| *drops > 0)
        };
        self.device_drops.iter().filter_map(grown).collect()
    }

    fn dropped(&self) -> BTreeMap<String, u64> {
        let mut dropped = BTreeMap::new();
        let reasons = self.channels.iter().filter_map(|channel| channel["dropped"].as_object()).flatten();
        for (reason, count) in reasons {
            *dropped.entry(reason.clone()).or_default() += count.as_u64().unwrap_or_default();
        }
        dropped
    }
}

fn both(reports: [Result<UdpReport, LoadError>; 2]) -> Result<[UdpReport; 2], LoadError> {
    let [one, other] = reports;
    Ok([one?, other?])
}

/// `RcvbufErrors` of all UDP sockets of the calling thread's namespace (RFC 4113's udpInErrors, in part).
fn overruns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/net/snmp").ok()?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split(' ').position(|name| name == "RcvbufErrors")?;
    values.split(' ').nth(at)?.parse().ok()
}
