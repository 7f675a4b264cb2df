use proptest::prelude::*;
use zerocopy::IntoBytes;

use super::*;

/// A datagram of a type and a length.
fn datagram(kind: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0x5A; len];
    let head = [kind, 0, 0, 0];
    bytes[..len.min(4)].copy_from_slice(&head[..len.min(4)]);
    bytes
}

#[test]
fn each_kind_is_told_by_its_type_and_exact_length() {
    let cases = [
        (1, 147, None),
        (1, 148, Some(Kind::Initiation)),
        (1, 149, None),
        (2, 91, None),
        (2, 92, Some(Kind::Response)),
        (2, 93, None),
        (3, 63, None),
        (3, 64, Some(Kind::CookieReply)),
        (3, 65, None),
        (4, 31, None),
        (4, 32, Some(Kind::Transport)),
        (4, 1452, Some(Kind::Transport)),
        (4, 70_000, Some(Kind::Transport)),
        (0, 148, None),
        (5, 148, None),
        (255, 32, None),
        (1, 3, None),
        (4, 0, None),
    ];
    for (kind, len, expected) in cases {
        assert_eq!(classify(&datagram(kind, len)), expected, "type {kind}, {len} bytes");
    }
}

#[test]
fn a_reserved_byte_that_is_not_zero_is_refused() {
    for (kind, len) in [(1, 148), (2, 92), (3, 64), (4, 32)] {
        for reserved in 1..4 {
            let mut bytes = datagram(kind, len);
            bytes[reserved] = 1;
            assert_eq!(classify(&bytes), None, "type {kind}, byte {reserved}");
        }
    }
}

#[test]
fn a_view_is_given_only_of_its_own_kind() {
    let datagrams = [(1, 148), (2, 92), (3, 64), (4, 32)].map(|(kind, len)| datagram(kind, len));
    let views = datagrams.each_ref().map(|datagram| {
        [
            Initiation::view(datagram).is_some(),
            Response::view(datagram).is_some(),
            CookieReply::view(datagram).is_some(),
            transport_receiver(datagram).is_some(),
        ]
    });
    for (i, row) in views.iter().enumerate() {
        for (j, seen) in row.iter().enumerate() {
            assert_eq!(*seen, i == j, "datagram {} viewed as {}", i + 1, j + 1);
        }
    }
}

#[test]
fn the_fields_lie_where_the_paper_has_them() {
    let bytes: Vec<u8> = (0..148).collect();
    let at = |offset: usize, len: usize| &bytes[offset..offset + len];

    let initiation = Initiation::read_from_bytes(&bytes).unwrap();
    assert_eq!(initiation.sender.as_bytes(), at(4, 4));
    assert_eq!(initiation.ephemeral, at(8, 32));
    assert_eq!(initiation.sealed_static, at(40, 48));
    assert_eq!(initiation.sealed_stamp, at(88, 28));
    assert_eq!(initiation.macs.mac1, at(116, 16));
    assert_eq!(initiation.macs.mac2, at(132, 16));

    let response = Response::read_from_bytes(&bytes[..92]).unwrap();
    assert_eq!(response.sender.as_bytes(), at(4, 4));
    assert_eq!(response.receiver.as_bytes(), at(8, 4));
    assert_eq!(response.ephemeral, at(12, 32));
    assert_eq!(response.sealed_nothing, at(44, 16));
    assert_eq!(response.macs.mac1, at(60, 16));
    assert_eq!(response.macs.mac2, at(76, 16));

    let reply = CookieReply::read_from_bytes(&bytes[..64]).unwrap();
    assert_eq!(reply.receiver.as_bytes(), at(4, 4));
    assert_eq!(reply.nonce, at(8, 24));
    assert_eq!(reply.sealed_cookie, at(32, 32));
}

#[test]
fn indices_and_counters_are_little_endian() {
    let header = TransportHeader::new(0x0102_0304, 0x0506_0708_090A_0B0C);
    assert_eq!(header.as_bytes(), [4, 0, 0, 0, 4, 3, 2, 1, 0x0C, 0x0B, 0x0A, 9, 8, 7, 6, 5],);
    let mut datagram = header.as_bytes().to_vec();
    datagram.resize(OVERHEAD, 0);
    assert_eq!(transport_receiver(&datagram), Some(0x0102_0304));
}

#[test]
fn a_made_message_is_classified_as_what_it_is() {
    assert_eq!(classify(Initiation::blank(1).as_bytes()), Some(Kind::Initiation));
    assert_eq!(classify(Response::blank(1, 2).as_bytes()), Some(Kind::Response));
    let reply = CookieReply::new(1, [0; 24], [0; 32]);
    assert_eq!(classify(reply.as_bytes()), Some(Kind::CookieReply));
}

proptest! {
    #[test]
    fn garbage_is_classified_without_a_panic_and_views_agree(
        kind in 0u8..6,
        tail in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend(tail);
        let kind = classify(&bytes);
        prop_assert_eq!(Initiation::view(&bytes).is_some(), kind == Some(Kind::Initiation));
        prop_assert_eq!(Response::view(&bytes).is_some(), kind == Some(Kind::Response));
        prop_assert_eq!(CookieReply::view(&bytes).is_some(), kind == Some(Kind::CookieReply));
        prop_assert_eq!(transport_receiver(&bytes).is_some(), kind == Some(Kind::Transport));
    }
}
