//! An attacker on the underlay: what he sends, what he hears, and that traffic goes on meanwhile.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, UdpSocket},
    num::NonZeroU32,
    thread,
    time::Duration,
};

use meshtun_sys::{
    capture::{Layer, PacketSocket, sample_udp},
    udp::{Endpoint, Udp, UdpOptions},
};
use netns_lab::{
    load::UdpTrain,
    topology::{Family, UNDERLAY},
};

use crate::bed::{Bed, eventually, run};

/// The attacked gateway's port of channel 0, and its peer's.
const PORT: u16 = 16416;
const PEERS_PORT: u16 = 16400;

/// From where the attacker sends; what comes from the second is made to come from the peer's port.
const STRANGER: u16 = 40_000;
const DISGUISED: u16 = 40_001;

/// IPv4's and UDP's headers.
const HEADERS: usize = 28;

/// A link of one channel, and somebody who can send from the second gateway's address to the first gateway, and hear what
/// the two say to each other.
pub(super) struct Attack {
    pub(super) bed: Bed,
    stranger: UdpSocket,
    disguised: UdpSocket,
    tap: PacketSocket,
}

/// A datagram of the link.
pub(super) struct Heard {
    /// Sent by the attacked gateway, not to it.
    pub(super) outgoing: bool,
    pub(super) bytes: Vec<u8>,
}

impl Attack {
    pub(super) fn new() -> Attack {
        let bed = Bed::two_gateways(1, Family::V4);
        let node = bed.gateway(1);
        // The peer's port is bound by the peer itself, so the datagrams change theirs on their way out.
        run(node, "nft add table ip attack");
        run(node, "nft add chain ip attack out { type filter hook output priority -300 ; }");
        run(node, &format!("nft add rule ip attack out udp sport {DISGUISED} udp sport set {PEERS_PORT}"));
        let from = |port| {
            let open = || -> std::io::Result<UdpSocket> {
                let socket = UdpSocket::bind((bed.topology.sites[1].underlay, port))?;
                socket.connect((bed.topology.sites[0].underlay, PORT))?;
                Ok(socket)
            };
            node.run(open).expect("the node can be entered").expect("the port is free")
        };
        let every = sample_udp(&bed.mesh.ports(), NonZeroU32::MIN);
        let tap = bed.gateway(0).run(|| PacketSocket::open(UNDERLAY, Layer::Network, &every));
        let tap = tap.expect("the node can be entered").expect("the underlay can be tapped");
        Attack { stranger: from(STRANGER), disguised: from(DISGUISED), tap, bed }
    }

    /// Sends a datagram twice: once from a port of nobody's, once from the peer's.
    pub(super) fn send(&self, datagram: &[u8]) {
        for socket in [&self.stranger, &self.disguised] {
            socket.send(datagram).expect("the underlay takes it");
        }
    }

    /// Sends a train of datagrams by one system call, from a port of nobody's.
    pub(super) fn send_train(&self, bytes: &[u8], segment: usize) {
        let [local, to] = [1, 0].map(|site| self.bed.topology.sites[site].underlay);
        let open = || Udp::bind(&UdpOptions::new((local, 0).into()));
        let socket = self.bed.gateway(1).run(open).expect("the node can be entered").expect("a port is free");
        let to = Endpoint::from(SocketAddr::new(to, PORT));
        socket.send_train(&to, bytes, segment).expect("the underlay takes it");
    }

    /// What passed the underlay of the link since the last time.
    pub(super) fn hear(&self) -> Vec<Heard> {
        let mut buffer = vec![0; 1 << 16];
        let mut heard = Vec::new();
        while let Ok(captured) = self.tap.receive(&mut buffer) {
            let bytes = buffer[HEADERS..captured.len].to_vec();
            heard.push(Heard { outgoing: captured.outgoing, bytes });
        }
        heard
    }

    /// What the attacked gateway has dropped, by reason.
    pub(super) fn dropped(&self) -> BTreeMap<String, u64> {
        let status = self.bed.status(0);
        let mut dropped: BTreeMap<_, _> = serde_json::from_value(status["dropped"].clone()).expect("a map of counters");
        // What a kernel says by itself into a new device goes to everybody there, and comes when it likes.
        dropped.remove("bad-destination");
        dropped
    }

    /// Attacks while the peer's host sends datagrams, none of which may be lost; then so many datagrams more than before
    /// must be counted under exactly these reasons, and the channel must be the one that it was.
    pub(super) fn expect(&self, reasons: &[(&str, u64)], attack: impl FnOnce(&Attack) + Send) {
        let (before, dropped) = (self.identity(), self.dropped());
        let traffic = UdpTrain {
            flows: 4,
            rate: 100,
            duration: Duration::from_millis(500),
            ..UdpTrain::new(self.bed.host(1), self.bed.host(0), self.bed.addresses(0)[0])
        };
        let report = thread::scope(|scope| {
            let traffic = scope.spawn(|| traffic.run());
            attack(self);
            traffic.join().expect("a load does not panic").unwrap_or_else(|error| panic!("{error}"))
        });
        assert_eq!(report.total().lost(), 0, "{:?}", report.total());
        let mut expected = dropped;
        for (reason, more) in reasons {
            *expected.entry((*reason).to_owned()).or_default() += more;
        }
        eventually(&format!("{reasons:?} are counted"), || {
            let now = self.dropped();
            let over = now.iter().find(|(reason, n)| expected.get(*reason).is_none_or(|most| *n > most));
            assert!(over.is_none(), "{now:?} where {expected:?} was expected");
            now == expected
        });
        assert_eq!(self.identity(), before, "the same process with the same session");
    }

    /// What must not change: the gateway's process, that its channel is up, and how many sessions it had.
    fn identity(&self) -> [serde_json::Value; 3] {
        let status = self.bed.status(0);
        let channel = &status["links"][0]["channels"][0];
        [&status["pid"], &channel["state"], &channel["sessions"]].map(Clone::clone)
    }
}
