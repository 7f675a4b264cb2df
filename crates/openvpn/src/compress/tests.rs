use proptest::prelude::*;

use super::*;

const ALL: [Compression; 4] = [Compression::None, Compression::Lzo, Compression::Swap, Compression::V2];

fn pack(compression: Compression, packet: &[u8]) -> Vec<u8> {
    let packed = Packed::new(compression, packet);
    let mut bytes = vec![0; packed.len()];
    packed.write(0, &mut bytes);
    bytes
}

proptest! {
    #[test]
    fn what_was_packed_unpacks(
        compression in prop::sample::select(&ALL),
        packet in prop::collection::vec(any::<u8>(), 0..100),
        first in prop::sample::select(&[V2, 0x45, 0x60, PLAIN, PLAIN_SWAPPED]),
    ) {
        let mut packet = packet;
        if let Some(byte) = packet.first_mut() {
            *byte = first;
        }
        let mut bytes = pack(compression, &packet);
        if first != V2 {
            prop_assert_eq!(bytes.len(), packed_len(compression, packet.len()));
        }
        let range = unpack(compression, &mut bytes).unwrap();
        prop_assert_eq!(&bytes[range], &packet[..]);
    }

    #[test]
    fn any_part_can_be_written(
        compression in prop::sample::select(&ALL),
        packet in prop::collection::vec(any::<u8>(), 0..50),
        from in 0..60_usize,
        count in 0..60_usize,
    ) {
        let whole = pack(compression, &packet);
        let (from, packed) = (from.min(whole.len()), Packed::new(compression, &packet));
        let mut part = vec![0; count.min(whole.len() - from)];
        packed.write(from, &mut part);
        prop_assert_eq!(&part[..], &whole[from..from + part.len()]);
    }

    #[test]
    fn no_bytes_do_harm(compression in prop::sample::select(&ALL), mut bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        if let Ok(range) = unpack(compression, &mut bytes) {
            prop_assert!(range.end <= bytes.len());
        }
    }
}

#[test]
fn bytes_are_openvpns() {
    assert_eq!(pack(Compression::None, b"Epacket"), b"Epacket");
    assert_eq!(pack(Compression::Lzo, b"Epacket"), b"\xfaEpacket");
    assert_eq!(pack(Compression::Swap, b"Epacket"), b"\xfbpacketE");
    assert_eq!(pack(Compression::Swap, b"E"), b"\xfbE");
    assert_eq!(pack(Compression::V2, b"Epacket"), b"Epacket");
    assert_eq!(pack(Compression::V2, b"Ppacket"), b"P\0Ppacket");
}

#[test]
fn what_is_compressed_or_framed_otherwise_is_refused_by_name() {
    let verdict = |compression, bytes: &[u8]| unpack(compression, &mut bytes.to_vec());
    for (compression, bytes) in [
        (Compression::Lzo, &b"\x66data"[..]),
        (Compression::Lzo, b"\x69data"),
        (Compression::Swap, b"\x66data"),
        (Compression::Swap, b"\x69data"),
        (Compression::V2, b"P\x01data"),
        (Compression::V2, b"P\x02data"),
    ] {
        assert_eq!(verdict(compression, bytes), Err(UnpackError::Compressed), "{compression:?} {bytes:?}");
    }
    assert_eq!(verdict(Compression::Lzo, b"\xfbdata"), Err(UnpackError::BadHeader(0xfb)));
    assert_eq!(verdict(Compression::Swap, b"\xfadata"), Err(UnpackError::BadHeader(0xfa)));
    assert_eq!(verdict(Compression::V2, b"P\x07data"), Err(UnpackError::BadHeader(7)));
    assert_eq!(verdict(Compression::V2, b"P"), Err(UnpackError::BadHeader(0x50)));
    assert_eq!(verdict(Compression::Swap, b"\xfb"), Ok(0..0), "nothing, packed");
}
