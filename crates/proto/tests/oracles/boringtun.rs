//! Against boringtun, a whole WireGuard peer.

use std::{net::IpAddr, sync::Arc};

use boringtun::{
    noise::{Tunn, TunnResult, errors::WireGuardError, rate_limiter::RateLimiter},
    x25519::{PublicKey, StaticSecret},
};
use meshtun_proto::{
    Suite,
    control::{Frame, Reason},
    message::{Kind, classify},
    noise::{NoiseError, SessionKeys},
    session::padding_len,
};

use crate::end::{End, FROM, OUR_SECRET, THEIR_SECRET, public_key};

const MTU: usize = 1420;

/// boringtun's end.
struct Theirs(Tunn);

/// What boringtun did with a datagram.
#[derive(Debug, PartialEq)]
enum Outcome {
    Nothing,
    Send(Vec<u8>),
    Packet(Vec<u8>),
    Refused,
}

impl Theirs {
    /// It is under load once it saw `limit` handshake messages.
    fn new(preshared_key: Option<[u8; 32]>, limit: u64) -> Self {
        let limiter = Arc::new(RateLimiter::new(&PublicKey::from(public_key(THEIR_SECRET)), limit));
        let secret = StaticSecret::from(THEIR_SECRET);
        let our_key = PublicKey::from(public_key(OUR_SECRET));
        Self(Tunn::new(secret, our_key, preshared_key, None, 1, Some(limiter)))
    }

    fn take(&mut self, datagram: &[u8]) -> Outcome {
        let from: IpAddr = FROM.parse::<std::net::SocketAddr>().unwrap().ip();
        let mut buffer = [0; 2048];
        outcome(self.0.decapsulate(Some(from), datagram, &mut buffer))
    }

    fn send(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 2048];
        match outcome(self.0.encapsulate(packet, &mut buffer)) {
            Outcome::Send(datagram) => datagram,
            other => panic!("{other:?}"),
        }
    }

    fn initiate(&mut self) -> Vec<u8> {
        let mut buffer = [0; 2048];
        match outcome(self.0.format_handshake_initiation(&mut buffer, true)) {
            Outcome::Send(datagram) => datagram,
            other => panic!("{other:?}"),
        }
    }
}

fn outcome(result: TunnResult<'_>) -> Outcome {
    match result {
        TunnResult::Done => Outcome::Nothing,
        TunnResult::WriteToNetwork(datagram) => Outcome::Send(datagram.to_vec()),
        TunnResult::WriteToTunnelV4(packet, _) | TunnResult::WriteToTunnelV6(packet, _) => {
            Outcome::Packet(packet.to_vec())
        }
        TunnResult::Err(WireGuardError::InvalidMac) => panic!("MAC1 is wrong"),
        TunnResult::Err(_) => Outcome::Refused,
    }
}

fn sent(outcome: Outcome, kind: Kind) -> Vec<u8> {
    match outcome {
        Outcome::Send(datagram) if classify(&datagram) == Some(kind) => datagram,
        other => panic!("expected {kind:?}, not {other:?}"),
    }
}

/// A minimal IPv4 packet of `len` bytes, which is what boringtun lets through.
fn packet(len: usize) -> Vec<u8> {
    let mut packet = vec![0xAB; len];
    packet[..4].copy_from_slice(&[0x45, 0, (len >> 8) as u8, len as u8]);
    packet
}

/// Packets of several sizes both ways, keepalives and a control frame.
fn talk(keys: SessionKeys, end: &End, theirs: &mut Theirs) {
    let (mut send, mut receive) = keys.into_halves(end.now());
    let mut buffer = [0; 2048];
    for len in [20, 21, 36, 1000, 1419, 1420] {
        let packet = packet(len);
        let sealed = send.seal(&packet, padding_len(len, MTU), &mut buffer).unwrap();
        assert_eq!(theirs.take(&buffer[..sealed]), Outcome::Packet(packet.clone()), "{len} bytes to boringtun");

        let mut datagram = theirs.send(&packet);
        let opened = receive.open(&mut datagram).unwrap();
        assert_eq!(opened[..len], packet, "{len} bytes from boringtun");
        assert!(opened[len..].iter().all(|byte| *byte == 0));
    }
    let keepalive = send.seal(&[], 0, &mut buffer).unwrap();
    assert_eq!(theirs.take(&buffer[..keepalive]), Outcome::Nothing);

    // It authenticates a control frame and drops it; the session goes on.
    let frame = Frame::Goodbye { reason: Reason::Down, hold_ms: 0 }.encode();
    let sealed = send.seal(&frame, padding_len(frame.len(), MTU), &mut buffer).unwrap();
    assert_eq!(theirs.take(&buffer[..sealed]), Outcome::Refused);
    let sealed = send.seal(&packet(20), 0, &mut buffer).unwrap();
    let datagram = buffer[..sealed].to_vec();
    assert_eq!(theirs.take(&datagram), Outcome::Packet(packet(20)));
    assert_eq!(theirs.take(&datagram), Outcome::Refused, "a replay");
}

fn shake_as_initiator(end: &mut End, theirs: &mut Theirs) -> Result<SessionKeys, NoiseError> {
    let (initiator, initiation) = end.initiate(0x0102_0304);
    let response = sent(theirs.take(&initiation), Kind::Response);
    end.conclude(initiator, &response)
}

/// boringtun queues a packet, initiates, and confirms with a keepalive.
fn shake_as_responder(end: &mut End, theirs: &mut Theirs) -> SessionKeys {
    let initiation = theirs.initiate();
    let (keys, response) = end.respond(&initiation, 0x0506_0708).unwrap();
    sent(theirs.take(&response), Kind::Transport);
    keys
}

fn end(preshared_key: [u8; 32]) -> End {
    End::new(Suite::ChaCha20Poly1305, preshared_key)
}

#[test]
fn boringtun_answers_our_initiation_and_both_talk() {
    let (mut end, mut theirs) = (end([0; 32]), Theirs::new(None, 100));
    let keys = shake_as_initiator(&mut end, &mut theirs).unwrap();
    talk(keys, &end, &mut theirs);
}

#[test]
fn we_answer_boringtuns_initiation_and_both_talk() {
    let (mut end, mut theirs) = (end([0; 32]), Theirs::new(None, 100));
    let keys = shake_as_responder(&mut end, &mut theirs);
    talk(keys, &end, &mut theirs);
}

#[test]
fn boringtuns_first_message_confirms_the_session() {
    let (mut end, mut theirs) = (end([0; 32]), Theirs::new(None, 100));
    let initiation = theirs.initiate();
    let (keys, response) = end.respond(&initiation, 5).unwrap();
    let mut keepalive = sent(theirs.take(&response), Kind::Transport);
    let (_, mut receive) = keys.into_halves(end.now());
    assert_eq!(receive.open(&mut keepalive).unwrap(), b"");
}

#[test]
fn a_preshared_key_works_in_both_roles() {
    let (mut end, mut theirs) = (end([9; 32]), Theirs::new(Some([9; 32]), 100));
    let keys = shake_as_initiator(&mut end, &mut theirs).unwrap();
    talk(keys, &end, &mut theirs);
    let keys = shake_as_responder(&mut end, &mut theirs);
    talk(keys, &end, &mut theirs);
}

#[test]
fn a_preshared_key_that_differs_is_noticed() {
    let (mut end, mut theirs) = (end([9; 32]), Theirs::new(Some([8; 32]), 100));
    let refused = shake_as_initiator(&mut end, &mut theirs);
    assert_eq!(refused.unwrap_err(), NoiseError::Forged);
}

#[test]
fn no_preshared_key_and_an_all_zero_one_are_the_same() {
    let (mut end, mut theirs) = (end([0; 32]), Theirs::new(Some([0; 32]), 100));
    assert!(shake_as_initiator(&mut end, &mut theirs).is_ok());
}

#[test]
fn sessions_follow_each_other() {
    let (mut end, mut theirs) = (end([0; 32]), Theirs::new(None, 100));
    for _ in 0..3 {
        let keys = shake_as_initiator(&mut end, &mut theirs).unwrap();
        talk(keys, &end, &mut theirs);
    }
}

#[test]
fn boringtun_refuses_a_replayed_initiation() {
    let (mut end, mut theirs) = (end([0; 32]), Theirs::new(None, 100));
    let (_, initiation) = end.initiate(1);
    sent(theirs.take(&initiation), Kind::Response);
    assert_eq!(theirs.take(&initiation), Outcome::Refused);
}

#[test]
fn boringtun_under_load_gets_its_cookie_back() {
    let (mut end, mut theirs) = (end([0; 32]), Theirs::new(None, 0));
    let (_, initiation) = end.initiate(1);
    let reply = sent(theirs.take(&initiation), Kind::CookieReply);
    end.accept_cookie(&reply);
    let keys = shake_as_initiator(&mut end, &mut theirs).unwrap();
    talk(keys, &end, &mut theirs);
}

#[test]
fn boringtun_gives_our_cookie_back_when_we_are_under_load() {
    let (mut end, mut theirs) = (end([0; 32]), Theirs::new(None, 100));
    end.under_load = true;
    let initiation = theirs.initiate();
    let reply = end.respond(&initiation, 5).unwrap_err();
    assert_eq!(classify(&reply), Some(Kind::CookieReply));
    assert_eq!(theirs.take(&reply), Outcome::Nothing);
    let keys = shake_as_responder(&mut end, &mut theirs);
    talk(keys, &end, &mut theirs);
}

#[test]
fn boringtun_refuses_the_other_suite() {
    let mut end = End::new(Suite::Aes256Gcm, [0; 32]);
    let (_, initiation) = end.initiate(1);
    assert_eq!(Theirs::new(None, 100).take(&initiation), Outcome::Refused);
}
