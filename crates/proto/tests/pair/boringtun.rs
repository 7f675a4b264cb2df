//! Plain WireGuard that nobody here wrote, at the other end. Its clock is the real one, so its
//! handshakes are forced; ours is virtual.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use meshtun_proto::channel::{HandshakeError, Peer};
use meshtun_proto::noise::NoiseError;
use meshtun_testkit::{Datagram, Packet};

use super::world::*;

const PRESHARED: [u8; 32] = [77; 32];

/// A pair of one end of ours and one of boringtun.
struct Mixed {
    world: World,
    tunn: Tunn,
    address: SocketAddr,
    /// Payloads of the inner packets that boringtun received.
    received: Vec<u32>,
    sent: u32,
}

impl Mixed {
    /// `limit` is how many handshake messages a second boringtun takes before it asks for cookies.
    fn new(preshared_key: [u8; 32], limit: u64) -> Mixed {
        let [ours, theirs] = Setup::pair();
        let secret = StaticSecret::from(theirs.secret);
        let public = PublicKey::from(&secret);
        let our_public = PublicKey::from(&StaticSecret::from(ours.secret));
        let limiter = Arc::new(RateLimiter::new(&public, limit));
        let setup = Setup { peer: Peer::WireGuard, preshared_key, ..ours };
        Mixed {
            world: World::new(1, [setup]),
            tunn: Tunn::new(secret, our_public, Some(PRESHARED), None, 1, Some(limiter)),
            address: theirs.address,
            received: Vec::new(),
            sent: 0,
        }
    }

    /// Our end initiates.
    fn started() -> Mixed {
        let mut mixed = Mixed::new(PRESHARED, 1000);
        mixed.world.start(A);
        mixed.run(SECOND);
        mixed
    }

    fn run(&mut self, time: Duration) {
        let end = self.world.elapsed() + time;
        while self.world.elapsed() < end {
            self.world.run(5 * MS);
            for datagram in std::mem::take(&mut self.world.astray) {
                assert_eq!(datagram.to, self.address);
                self.take(&datagram);
            }
        }
    }

    fn take(&mut self, datagram: &Datagram) {
        let mut bytes = &datagram.bytes[..];
        loop {
            let mut out = [0; 2048];
            match self.tunn.decapsulate(Some(datagram.from.ip()), bytes, &mut out) {
                TunnResult::WriteToNetwork(reply) => {
                    let reply = reply.to_vec();
                    self.transmit(reply);
                }
                TunnResult::WriteToTunnelV4(packet, _) => {
                    let number = packet[28..].first_chunk().copied().map(u32::from_le_bytes).unwrap();
                    return self.received.push(number);
                }
                _ => return,
            }
            bytes = &[];
        }
    }

    fn transmit(&mut self, bytes: Vec<u8>) {
        let (now, to) = (self.world.clock.now(), self.world.ends[A].setup.address);
        self.world.underlay.send(now, self.address, to, bytes);
    }

    fn boringtun_initiates(&mut self) {
        let mut out = [0; 2048];
        let TunnResult::WriteToNetwork(initiation) = self.tunn.format_handshake_initiation(&mut out, true) else {
            panic!("an initiation was forced");
        };
        let initiation = initiation.to_vec();
        self.transmit(initiation);
    }

    fn boringtun_sends(&mut self) {
        let mut out = [0; 2048];
        let packet = Packet::between("10.0.0.2", "10.0.0.1").udp(1, 2, &self.sent.to_le_bytes());
        self.sent += 1;
        let TunnResult::WriteToNetwork(message) = self.tunn.encapsulate(&packet, &mut out) else {
            panic!("it has a session");
        };
        let message = message.to_vec();
        self.transmit(message);
    }

    /// Inner packets pass both ways, all of them and in order.
    fn assert_carries_packets(&mut self) {
        let (received, theirs) = (self.world.ends[A].log.received.len(), self.received.len());
        let (sent, ours) = (self.sent, self.world.ends[A].log.sent.len());
        self.world.ends[A].sends_every = Some(10 * MS);
        for _ in 0..50 {
            self.boringtun_sends();
            self.run(10 * MS);
        }
        self.world.ends[A].sends_every = None;
        self.run(100 * MS);
        assert_eq!(self.world.ends[A].log.received[received..], (sent..self.sent).collect::<Vec<_>>());
        assert_eq!(self.received[theirs..], self.world.ends[A].log.sent[ours..]);
        assert!(self.received.len() >= theirs + 50);
    }
}

#[test]
fn boringtun_answers_our_initiation_and_packets_pass_both_ways() {
    let mut mixed = Mixed::started();
    assert!(mixed.world.ends[A].is_up());
    assert_eq!(mixed.world.ends[A].log.handshakes.len(), 1);
    mixed.assert_carries_packets();
}

#[test]
fn we_answer_boringtuns_initiation_and_packets_pass_both_ways() {
    let mut mixed = Mixed::new(PRESHARED, 1000);
    mixed.boringtun_initiates();
    mixed.run(SECOND);
    assert!(mixed.world.ends[A].is_up(), "its keepalive confirmed the session");
    assert_eq!(mixed.world.ends[A].log.initiations, []);
    assert_eq!(mixed.world.ends[A].log.endpoints, [mixed.address]);
    mixed.assert_carries_packets();
}

#[test]
fn our_renewals_with_boringtun_lose_no_packet() {
    let mut mixed = Mixed::started();
    mixed.world.ends[A].sends_every = Some(50 * MS);
    for _ in 0..400 {
        mixed.boringtun_sends();
        mixed.run(SECOND);
    }
    assert_eq!(mixed.world.ends[A].uses(), 4, "at 120, 240 and 360 s");
    mixed.world.ends[A].sends_every = None;
    mixed.run(SECOND);
    assert_eq!(mixed.received, mixed.world.ends[A].log.sent);
    assert_eq!(mixed.world.ends[A].log.received, (0..mixed.sent).collect::<Vec<_>>());
}

#[test]
fn boringtuns_renewals_lose_no_packet() {
    let mut mixed = Mixed::started();
    mixed.world.ends[A].sends_every = Some(10 * MS);
    for renewal in 0..5 {
        mixed.boringtun_initiates();
        mixed.run(SECOND);
        mixed.boringtun_sends();
        assert_eq!(mixed.world.ends[A].uses(), renewal + 2);
    }
    mixed.world.ends[A].sends_every = None;
    mixed.run(SECOND);
    assert_eq!(mixed.received, mixed.world.ends[A].log.sent);
    mixed.assert_carries_packets();
}

#[test]
fn initiations_that_cross_boringtuns_end_in_a_session_that_carries() {
    let mut mixed = Mixed::new(PRESHARED, 1000);
    mixed.world.start(A);
    mixed.world.run_until(|world| !world.ends[A].log.initiations.is_empty());
    mixed.boringtun_initiates();
    mixed.run(5 * SECOND);
    assert!(mixed.world.ends[A].is_up());
    mixed.assert_carries_packets();
}

#[test]
fn a_preshared_key_that_boringtun_has_not_is_an_error_and_no_session() {
    let mut mixed = Mixed::new([1; 32], 1000);
    mixed.world.start(A);
    mixed.run(5 * SECOND);
    assert_eq!(mixed.world.ends[A].channel.last_error(), Some(HandshakeError::Noise(NoiseError::Forged)));
    assert!(!mixed.world.ends[A].is_up());
}

#[test]
fn a_cookie_of_boringtun_under_load_is_understood() {
    let mut mixed = Mixed::new(PRESHARED, 0);
    mixed.world.start(A);
    mixed.run(2 * SECOND);
    assert!(mixed.world.ends[A].is_up());
    assert_eq!(mixed.world.ends[A].log.initiations.len(), 2, "the first one was answered with a cookie");
}

#[test]
fn boringtun_understands_our_cookie() {
    let mut mixed = Mixed::new(PRESHARED, 1000);
    mixed.world.ends[A].under_load = true;
    mixed.boringtun_initiates();
    mixed.run(SECOND);
    assert_eq!((mixed.world.ends[A].log.cookies, mixed.world.ends[A].is_up()), (1, false));
    mixed.boringtun_initiates();
    mixed.run(SECOND);
    assert!(mixed.world.ends[A].is_up());
}
