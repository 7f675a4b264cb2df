use proptest::prelude::*;

use super::*;
use crate::{
    compress::UnpackError,
    fragment::FragmentError,
    key::StaticKey,
    occ::Message,
    options::{Cipher, Compression, Digest, KeyDirection, Secret, SecretSource},
    ping::PING,
};

fn options() -> Options {
    let place = crate::directive::Place { file: Some("test.conf".into()), line: 1 };
    Options::new(Secret { source: SecretSource::File("key".into()), place })
}

fn start() -> Start {
    Start { protocol: Protocol::Udp, is_ipv6: false, now: 1_000, persisted: Persisted::default(), seed: [3; 32] }
}

fn ends(options: &Options) -> (Outgoing, Incoming) {
    let mut bytes = [0; 256];
    bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8);
    let keys = StaticKey::from_bytes(&bytes).pair(KeyDirection::Both, options.cipher, options.digest).unwrap();
    begin(options, &keys, &start()).unwrap()
}

fn any_options() -> impl Strategy<Value = Options> {
    (
        prop::sample::select(&Cipher::ALL),
        prop::sample::select(&Digest::ALL),
        prop::sample::select(&[Compression::None, Compression::Lzo, Compression::Swap, Compression::V2]),
        prop::option::of(200..1_500_u16),
    )
        .prop_map(|(cipher, digest, compression, fragment)| Options {
            cipher,
            digest,
            compression,
            fragment,
            ..options()
        })
}

/// What a packet arrives as.
fn carried(outgoing: &mut Outgoing, incoming: &mut Incoming, packet: &[u8]) -> (Kind, Vec<u8>) {
    let mut datagrams = outgoing.seal(packet).unwrap();
    let (last, parts) = datagrams.split_last_mut().unwrap();
    for part in parts {
        assert_eq!(incoming.open(part, 0).unwrap().kind, Kind::Part);
    }
    let opened = incoming.open(last, 0).unwrap();
    let bytes = if opened.is_assembled { incoming.assembled() } else { last };
    (opened.kind, bytes[opened.range].to_vec())
}

proptest! {
    #[test]
    fn the_longest_datagram_of_a_message_is_as_long_as_was_reckoned(options in any_options(), length in 1..1_600_usize) {
        let (mut outgoing, _) = ends(&options);
        let datagrams = outgoing.seal(&vec![0x45; length]).unwrap();
        let longest = datagrams.iter().map(Vec::len).max().unwrap();
        prop_assert_eq!(crate::mtu::Datagrams::new(&options, Protocol::Udp, false).longest(length), longest);
    }

    #[test]
    fn packets_arrive_as_they_were(options in any_options(), lengths in prop::collection::vec(1..1_600_usize, 1..10)) {
        let (mut outgoing, mut incoming) = ends(&options);
        for length in lengths {
            let mut packet = vec![0x5a; length];
            packet[0] = 0x45;
            prop_assert_eq!(carried(&mut outgoing, &mut incoming, &packet), (Kind::Packet, packet));
        }
    }

    /// With `fragment`, no datagram is longer than it says, and each has the length that was told.
    #[test]
    fn datagrams_have_the_lengths_that_were_told(options in any_options(), length in 1..1_600_usize) {
        let (mut outgoing, _) = ends(&options);
        let Pieces { count, each, last } = outgoing.pieces(length).unwrap();
        let lengths: Vec<usize> = outgoing.seal(&vec![0x45; length]).unwrap().iter().map(Vec::len).collect();
        prop_assert_eq!(lengths.len(), count);
        prop_assert_eq!(lengths.last(), Some(&last));
        prop_assert!(last <= each && lengths[..count - 1].iter().all(|length| *length == each));
        if let Some(limit) = options.fragment {
            prop_assert!(each <= usize::from(limit), "{} bytes", each);
        }
    }

    #[test]
    fn pings_and_messages_are_told_from_packets(options in any_options()) {
        let (mut outgoing, mut incoming) = ends(&options);
        prop_assert_eq!(carried(&mut outgoing, &mut incoming, &PING), (Kind::Ping, PING.to_vec()));
        let reply = Message::Reply(vec![b'x'; 700]);
        let (kind, payload) = carried(&mut outgoing, &mut incoming, &reply.encode());
        prop_assert_eq!((kind, Message::decode(&payload)), (Kind::Message, Some(reply)));
    }

    /// Whatever is authentic but no packet ends in an error or in something of that length.
    #[test]
    fn no_datagram_does_harm(options in any_options(), datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..20)) {
        let (_, mut incoming) = ends(&options);
        for mut datagram in datagrams {
            let authentic = true;
            if let Ok(opened) = incoming.open_authentic(&mut datagram, authentic, 0) {
                let bytes = if opened.is_assembled { incoming.assembled() } else { &mut datagram };
                prop_assert!(bytes.get(opened.range).is_some());
            }
        }
    }
}

#[test]
fn a_predecessors_packets_are_refused_by_its_successor() {
    let options = options();
    let (mut outgoing, mut incoming) = ends(&options);
    let old = outgoing.seal(b"Eold").unwrap().remove(0);
    incoming.open(&mut old.clone(), 0).unwrap();
    let kept = persisted(incoming.newest(), outgoing.time());
    assert_eq!(kept, Persisted { received: Some(PacketId { time: 1_000, id: 1 }), sent: Some(1_000) });

    let keys = StaticKey::from_bytes(&[7; 256]).pair(KeyDirection::Both, options.cipher, options.digest).unwrap();
    // The clock went back by a day, and still the peer hears what is sent.
    let restarted = Start { now: 1, persisted: kept, ..start() };
    let (mut outgoing, _) = begin(&options, &keys, &restarted).unwrap();
    assert_eq!(outgoing.time(), 1_001);
    assert!(outgoing.seal(b"Enew").is_ok());
}

#[test]
fn a_stream_must_keep_its_order() {
    let options = options();
    let keys = StaticKey::from_bytes(&[7; 256]).pair(KeyDirection::Both, options.cipher, options.digest).unwrap();
    let stream = Start { protocol: Protocol::TcpClient, ..start() };
    let (mut outgoing, mut incoming) = begin(&options, &keys, &stream).unwrap();
    let mut datagrams: Vec<Vec<u8>> = (0..3).map(|_| outgoing.seal(b"Epacket").unwrap().remove(0)).collect();
    incoming.open(&mut datagrams[0], 0).unwrap();
    assert!(matches!(incoming.open(&mut datagrams[2], 0), Err(Drop::Open(_))), "one is missing");
}

#[test]
fn nothing_is_not_even_a_sign_of_life() {
    let (mut outgoing, mut incoming) = ends(&options());
    let mut datagram = outgoing.seal(&[]).unwrap().remove(0);
    assert_eq!(incoming.open(&mut datagram, 0).unwrap().kind, Kind::Empty);
}

#[test]
fn ends_that_are_configured_differently_say_what_they_get() {
    let framed = Options { compression: Compression::Lzo, ..options() };
    let fragmented = Options { fragment: Some(500), ..options() };
    let carried = |from: &Options, to: &Options, packet: &[u8]| {
        let mut datagram = ends(from).0.seal(packet).unwrap().remove(0);
        ends(to).1.open(&mut datagram, 0).map(|opened| opened.kind)
    };
    assert_eq!(carried(&options(), &framed, b"Epacket"), Err(Drop::Unpack(UnpackError::BadHeader(b'E'))));
    assert_eq!(carried(&options(), &framed, b"\x66lzo"), Err(Drop::Unpack(UnpackError::Compressed)));
    assert_eq!(carried(&options(), &fragmented, b"E\0\0\x04"), Err(Drop::Fragment(FragmentError::SpuriousWhole)));
}
