//! Plain WireGuard at the other end: Debian's wireguard-go, one interface a channel.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use netns_lab::{
    gateway::{Gateway, Setup},
    load::{Direction, TcpLoad},
    mesh::MeshFile,
    topology::{Family, Options, Shape, Topology},
    trial,
    wireguard::{self, Peering, WireGuard},
};
use serde_json::Value;

use crate::bed::{PATIENCE, attempt, eventually, program, run};

/// First ports at the gateway and at the peer.
const PORTS: [u16; 2] = [6001, 7001];

/// The devices' MTU over an underlay of 1500 bytes.
const MTU: u64 = 1420;

/// What a transport message adds to a packet: header and tag.
const OVERHEAD: u64 = 32;

/// New sessions that are made one after the other: a message that overtakes its key is seen among so many.
const HANDSHAKES: u64 = 30;

/// What wireguard-go says of a plaintext that is no IP packet, as a control frame is none.
const NO_PACKET: &str = "invalid IP version";

/// A lab with a gateway at site 1 and plain WireGuard at site 2, linked by two channels.
struct Ends {
    // Before the topology: programs end before their namespaces go.
    gateway: Gateway,
    peer: WireGuard,
    topology: Topology,
}

/// Which end sends the first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Initiator {
    /// The peer learns from it where the gateway is.
    Gateway,
    /// The gateway learns from it where the peer is.
    Peer,
}

impl Ends {
    /// Both ends as they belong, but for what `change` does to the file and to the peer.
    fn new(underlay: Family, change: impl FnOnce(&Topology, &mut MeshFile, &mut wireguard::Setup)) -> Ends {
        let topology = Topology::build(Shape::TwoGateways, &Options { underlay, ..Options::default() }).unwrap();
        let program = program();
        let keys = program.keys(2).unwrap();
        let mut mesh = topology.mesh(&keys, 2);
        mesh.links[0].ports = Some(PORTS);
        mesh.gateways[1].options.push(pair("peer", "wireguard"));
        let mut setup = wireguard::Setup::opposite(&topology, &mesh, &keys);
        change(&topology, &mut mesh, &mut setup);

        let site = &topology.sites[0];
        let gateway = Setup::new(&program, &mesh, site.name(), &keys[0]);
        let gateway = Gateway::start(&topology.lab, &site.gateway, gateway).unwrap();
        let peer = WireGuard::start(&topology.lab, &topology.sites[1].gateway, &setup);
        let peer = peer.unwrap_or_else(|error| panic!("{error}"));
        Ends { gateway, peer, topology }
    }

    /// As [`Ends::new`], and every channel up.
    fn up(underlay: Family, change: impl FnOnce(&Topology, &mut MeshFile, &mut wireguard::Setup)) -> Ends {
        let mut ends = Ends::new(underlay, change);
        ends.wait_until_up();
        ends
    }

    fn wait_until_up(&mut self) {
        let up = self.gateway.wait_until_up(PATIENCE);
        up.unwrap_or_else(|error| panic!("{error}\nThe peer's log:\n{}", self.peer.log()));
    }

    fn channels(&self) -> Vec<Value> {
        self.link()["channels"].as_array().unwrap().clone()
    }

    fn link(&self) -> Value {
        self.gateway.status().unwrap()["links"][0].clone()
    }

    fn peerings(&self) -> Vec<Peering> {
        self.peer.peerings().unwrap()
    }

    /// Host 1's and host 2's addresses, IPv4 and IPv6.
    fn hosts(&self) -> [[IpAddr; 2]; 2] {
        [0, 1].map(|site| {
            let site = &self.topology.sites[site];
            [site.host_v4.into(), site.host_v6.into()]
        })
    }

    /// Pings from either host to the other, with these options.
    fn ping_both_ways(&self, family: usize, options: &str) {
        let [one, two] = self.hosts();
        for (site, to) in [(0, two[family]), (1, one[family])] {
            run(&self.topology.sites[site].host, &format!("ping -c 1 -W 10 {options} {to}"));
        }
    }

    /// Bytes that the peer received and sent on all channels.
    fn transferred(&self) -> [u64; 2] {
        self.peerings().iter().fold([0, 0], |[received, sent], one| [received + one.received, sent + one.sent])
    }

    /// Bytes that each channel has carried: sent and received by the gateway, and as the peer counts them.
    fn carried(&self) -> Vec<[u64; 4]> {
        let count = |(channel, peering): (&Value, Peering)| {
            let bytes = |key: &str| channel[key].as_u64().unwrap();
            [bytes("tx_bytes"), bytes("rx_bytes"), peering.received, peering.sent]
        };
        self.channels().iter().zip(self.peerings()).map(count).collect()
    }
}

/// A key of the file whose value is text.
fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), format!("{value:?}"))
}

/// A fresh pre-shared key for both ends, or one for each.
fn share_key(topology: &Topology, mesh: &mut MeshFile, setup: &mut wireguard::Setup, same: bool) {
    let fresh = || run(&topology.sites[0].gateway, "wg genpsk").trim().to_owned();
    let ours = fresh();
    let path = topology.lab.folder().join("preshared.key");
    fs::write(&path, &ours).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    mesh.links[0].options.push(pair("preshared_key_file", path.to_str().unwrap()));
    setup.preshared_key = Some(if same { ours } else { fresh() });
}

/// The whole of it, with and without a pre-shared key.
fn carries(underlay: Family, initiator: Initiator) {
    for preshared in [false, true] {
        let begun = now();
        let ends = Ends::up(underlay, |topology, mesh, setup| {
            if preshared {
                share_key(topology, mesh, setup, true);
            }
            match initiator {
                Initiator::Gateway => setup.endpoint = None,
                Initiator::Peer => {
                    mesh.gateways[1].underlay = None;
                    setup.keepalive = Some(1);
                }
            }
        });
        assert_eq!(ends.link()["preshared_key"], preshared);
        is_met_as_configured(&ends, begun);
        was_begun_by(&ends, initiator);
        for family in [0, 1] {
            ends.ping_both_ways(family, "-s 100");
        }
        both_channels_carry(&ends);
        assert_eq!(ends.peer.logged(NO_PACKET), 0, "no control frame is sent to a plain peer:\n{}", ends.peer.log());
    }
}

/// Each end sees the other at the port that the file says, and both know of a handshake.
fn is_met_as_configured(ends: &Ends, begun: u64) {
    let at = |site: usize, port: u16| SocketAddr::new(ends.topology.sites[site].underlay, port);
    for ((number, channel), peering) in (0..).zip(ends.channels()).zip(ends.peerings()) {
        let [ours, theirs] = PORTS.map(|first| first + number);
        assert_eq!(channel["endpoint"], at(1, theirs).to_string(), "{channel}");
        assert!(channel["local"].as_str().unwrap().ends_with(&format!(":{ours}")), "{channel}");
        assert_eq!(peering.listen_port, theirs);
        assert_eq!(peering.endpoint, Some(at(0, ours)));
        assert!((begun..=now()).contains(&peering.latest_handshake.expect("there was a handshake")), "{peering:?}");
        assert!(channel["last_handshake"].as_u64() >= Some(begun), "{channel}");
    }
}

fn was_begun_by(ends: &Ends, initiator: Initiator) {
    let [received, answered, was_answered] =
        ["Received handshake initiation", "Sending handshake response", "Received handshake response"]
            .map(|words| ends.peer.logged(words));
    let as_it_should = match initiator {
        Initiator::Gateway => received >= 2 && answered >= 2 && was_answered == 0,
        Initiator::Peer => received == 0 && answered == 0 && was_answered >= 2,
    };
    assert!(as_it_should, "{}", ends.peer.log());
}

/// TCP one way, then the other: by ports, the flows of each end are spread over the channels.
fn both_channels_carry(ends: &Ends) {
    let [one, two] = [&ends.topology.sites[0], &ends.topology.sites[1]];
    for direction in [Direction::ToServer, Direction::ToClient] {
        let mut load = TcpLoad::new(&one.host, &two.host, two.host_v4.into());
        (load.direction, load.duration, load.patience) = (direction, Duration::from_secs(1), PATIENCE);
        let before = ends.carried();
        let report = load.run(|_| {}).unwrap();
        let megabits = report.gigabits_per_second() * 1e3;
        assert!(megabits > 10.0, "{megabits:.1} Mb/s {direction:?}");
        assert!(report.flows.iter().all(|flow| flow.corrupt == 0), "{:?}", report.flows);
        let grown = ends.carried().into_iter().zip(before).map(|(after, before)| {
            let mut grown = after.into_iter().zip(before).map(|(after, before)| after - before);
            [(); 4].map(|()| grown.next().unwrap())
        });
        let grown: Vec<_> = grown.collect();
        // Acknowledgements alone, one for several segments, are more than this in a second.
        assert!(grown.iter().flatten().all(|bytes| *bytes > 1000), "{direction:?}: {grown:?}");
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn plain_wireguard_over_ipv4_carries_both_ways_when_meshtun_initiates() {
    trial::run_with_tun(|| carries(Family::V4, Initiator::Gateway));
}

#[test]
fn plain_wireguard_over_ipv6_carries_both_ways_when_meshtun_initiates() {
    trial::run_with_tun(|| carries(Family::V6, Initiator::Gateway));
}

#[test]
fn plain_wireguard_over_ipv4_carries_both_ways_when_it_initiates_from_an_unknown_endpoint() {
    trial::run_with_tun(|| carries(Family::V4, Initiator::Peer));
}

#[test]
fn plain_wireguard_over_ipv6_carries_both_ways_when_it_initiates_from_an_unknown_endpoint() {
    trial::run_with_tun(|| carries(Family::V6, Initiator::Peer));
}

#[test]
fn packets_of_every_length_up_to_the_mtu_pass_and_are_padded_as_wireguard_pads() {
    trial::run_with_tun(|| {
        // Over IPv6 the underlay has room for the MTU and not a byte of padding more.
        let ends = Ends::up(Family::V6, |_, _, _| {});
        for (family, headers) in [(0, 28), (1, 48)] {
            for length in (1404..=MTU).chain(headers..=headers + 16) {
                let ping = format!("ping -c 1 -W 10 -M do -s {} {}", length - headers, ends.hosts()[1][family]);
                let message = OVERHEAD + length.next_multiple_of(16).min(MTU);
                // Again if neighbour discovery or the like came between.
                eventually(&format!("`{ping}` is one message of {message} bytes each way"), || {
                    let before = ends.transferred();
                    run(&ends.topology.sites[0].host, &ping);
                    let after = ends.transferred();
                    after == before.map(|bytes| bytes + message)
                });
            }
        }
    });
}

#[test]
fn the_peers_of_a_channel_reach_each_other_by_link_local_addresses() {
    trial::run_with_tun(|| {
        let ends = Ends::up(Family::V4, |_, _, _| {});
        for (channel, interface) in ends.peer.interfaces().into_iter().enumerate() {
            let device = &ends.gateway.devices()[channel];
            run(ends.gateway.node(), &format!("ping -c 1 -W 10 fe80::2:{channel}%{device}"));
            run(&ends.topology.sites[1].gateway, &format!("ping -c 1 -W 10 fe80::1:{channel}%{interface}"));
        }
    });
}

#[test]
fn a_restarted_gateway_has_a_session_with_plain_wireguard_at_once() {
    trial::run_with_tun(|| {
        let mut ends = Ends::up(Family::V4, |_, _, setup| setup.endpoint = None);
        let answered = ends.peer.logged("Sending handshake response");
        ends.gateway.restart().unwrap();
        // Not by carrier: the kernel may take a second to see that the killed gateway's is gone.
        eventually("new handshakes are answered", || ends.peer.logged("Sending handshake response") >= answered + 2);
        eventually("both channels are up", || {
            ends.gateway.status().is_ok_and(|status| status["links"][0]["channels_up"] == 2)
        });
        ends.ping_both_ways(0, "-s 100");
    });
}

#[test]
fn a_wrong_preshared_key_keeps_the_link_down_and_the_log_says_so() {
    trial::run_with_tun(|| {
        let ends = Ends::new(Family::V4, |topology, mesh, setup| {
            share_key(topology, mesh, setup, false);
            setup.endpoint = None;
        });
        eventually("the log names the pre-shared key", || {
            ends.gateway.log().lines().any(|line| line.contains("refused") && line.contains("pre-shared key"))
        });
        // Three rounds of both channels: it is tried again and again.
        eventually("the gateway tries again", || ends.peer.logged("Received handshake initiation") >= 6);
        assert_eq!(ends.gateway.devices_without_carrier().unwrap(), ends.gateway.devices());
        assert!(ends.peerings().iter().all(|peering| peering.latest_handshake.is_none()));
        for (channel, to) in ends.channels().iter().zip(ends.hosts()[1]) {
            assert_ne!(channel["state"], "up");
            let problem = channel["problem"].as_str().expect("the status tells what is wrong");
            assert!(problem.contains("pre-shared key"), "{problem}");
            let (reached, said) = attempt(&ends.topology.sites[0].host, &format!("ping -c 1 -W 10 {to}"));
            assert!(!reached && said.contains("nreachable"), "{said}");
        }
    });
}

#[test]
fn a_plain_peer_that_the_file_takes_for_meshtun_stays_down_and_the_log_says_what_to_write() {
    trial::run_with_tun(|| {
        let ends = Ends::new(Family::V4, |_, mesh, setup| {
            mesh.gateways[1].options.clear();
            setup.endpoint = None;
        });
        eventually("the log says what to write", || ends.gateway.log().contains("peer = \"wireguard\""));
        assert_eq!(ends.gateway.devices_without_carrier().unwrap(), ends.gateway.devices());
        // By this the other tests know that no control frame was sent.
        assert!(ends.peer.logged(NO_PACKET) > 0, "{}", ends.peer.log());
    });
}

#[test]
fn aes_towards_plain_wireguard_is_refused_before_anything_is_touched() {
    trial::run_with_tun(|| {
        let mut ends = Ends::new(Family::V4, |_, mesh, _| mesh.links[0].options.push(pair("cipher", "aes-256-gcm")));
        let error = ends.gateway.wait_until_up(PATIENCE).expect_err("it ends by itself").to_string();
        assert!(error.contains("aes-256-gcm") && error.contains("chacha20-poly1305"), "{error}");
        let devices: Vec<_> = ends.gateway.node().links().unwrap().into_iter().map(|link| link.name).collect();
        assert!(!devices.iter().any(|device| ends.gateway.devices().contains(device)), "{devices:?}");
    });
}

#[test]
fn a_peer_that_initiates_may_speak_as_soon_as_it_is_answered() {
    trial::run_with_tun(|| {
        let ends = Ends::up(Family::V4, |_, _, setup| setup.keepalive = Some(25));
        let node = &ends.topology.sites[1].gateway;
        for round in 1..=HANDSHAKES {
            // Its stamps have steps of 17 ms, and meshtun answers no stamp twice.
            thread::sleep(Duration::from_millis(20));
            // Forgets the session, and has a keepalive to send at once.
            for interface in ends.peer.interfaces() {
                let file = ends.topology.lab.folder().join(format!("{interface}.conf"));
                run(node, &format!("wg setconf {interface} {}", file.display()));
            }
            // Both interfaces, or the next round would end a session before it was used.
            eventually("each session was confirmed by its first message", || {
                ends.channels().iter().all(|channel| channel["sessions"].as_u64() > Some(round))
            });
        }
        for channel in ends.channels() {
            assert!(channel["dropped"]["unknown-session"].is_null(), "{channel}");
        }
    });
}
