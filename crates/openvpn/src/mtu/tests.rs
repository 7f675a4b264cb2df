use super::*;
use crate::{
    directive::Place,
    options::{Cipher, Digest, Mssfix, Secret, SecretSource},
};

fn options() -> Options {
    let place = Place { file: Some("test.conf".into()), line: 1 };
    let secret = Secret { source: SecretSource::File("key".into()), place };
    Options { cipher: Cipher::Aes256Cbc, ..Options::new(secret) }
}

const UDP: Protocol = Protocol::Udp;

/// Figures of openvpn 2.6.14's log ("Fragmentation MTU parms [ mss_fix:1163 max_frag:1251 …"), which has taken the underlay for
/// IPv6, because it does not know it by then.
#[test]
fn limits_are_those_of_openvpns_log() {
    let fragment = |fragment, counts: MssfixCounts, bytes| Options {
        fragment: Some(fragment),
        mssfix: Some(Mssfix { bytes, counts }),
        ..options()
    };
    let limits = |options: &Options| (max_segment(options, UDP, true), max_fragment(options, UDP, true));
    assert_eq!(limits(&fragment(1_300, MssfixCounts::Packet, 1_300)), (Some(1_163), Some(1_251)));
    let compressed = Options { compression: Compression::Lzo, ..fragment(1_300, MssfixCounts::Payload, 1_200) };
    assert_eq!(limits(&compressed), (Some(1_098), Some(1_251)));
    let blowfish = Options {
        compression: Compression::Lzo,
        cipher: Cipher::BfCbc,
        ..fragment(1_300, MssfixCounts::Packet, 1_300)
    };
    assert_eq!(limits(&blowfish), (Some(1_170), Some(1_259)));
    let whole = Options {
        digest: Digest::Sha256,
        fragment_counts_packet: true,
        ..fragment(1_400, MssfixCounts::Packet, 1_400)
    };
    assert_eq!(limits(&whole), (Some(1_243), Some(1_283)));
}

#[test]
fn a_segment_of_that_length_makes_a_datagram_that_fits_and_one_byte_more_does_not() {
    for cipher in Cipher::ALL {
        for digest in Digest::ALL {
            for (protocol, is_ipv6) in [(UDP, false), (UDP, true), (Protocol::TcpClient, false)] {
                for compression in [Compression::None, Compression::Lzo, Compression::V2] {
                    let options = Options { cipher, digest, compression, ..options() };
                    let segment = usize::from(max_segment(&options, protocol, is_ipv6).unwrap());
                    let shape = Shape::new(cipher, digest);
                    let header = if protocol == UDP { 0 } else { 2 };
                    let framed = usize::from(compression == Compression::Lzo);
                    let on_the_underlay = |segment: usize| {
                        underlay_overhead(protocol, is_ipv6)
                            + header
                            + shape.sealed_len(INNER_HEADERS + segment + framed)
                    };
                    assert!(on_the_underlay(segment) <= 1_492, "{cipher:?} {digest:?}");
                    assert!(on_the_underlay(segment + 1) > 1_492, "{cipher:?} {digest:?}");
                }
            }
        }
    }
}

#[test]
fn mssfix_counts_what_it_says() {
    let with = |bytes, counts| Options { mssfix: Some(Mssfix { bytes, counts }), ..options() };
    assert_eq!(max_segment(&with(1_400, MssfixCounts::Inner), UDP, false), Some(1_360));
    // 20 + 16 around 1,248 encrypted bytes, of which 8 are the packet id and one at least is padding.
    assert_eq!(max_segment(&with(1_300, MssfixCounts::Payload), UDP, false), Some(1_264 - 1 - 8 - 40));
    assert_eq!(max_segment(&with(1_300, MssfixCounts::Packet), UDP, false), Some(1_232 - 1 - 8 - 40));
    assert_eq!(max_segment(&Options { mssfix: None, ..options() }, UDP, false), None);
    assert_eq!(max_fragment(&options(), UDP, false), None);
    assert_eq!(max_segment(&with(10, MssfixCounts::Packet), UDP, false), Some(0), "no room at all");
}

/// openvpn 2.6.14 with `link-mtu 1500`: "tun_mtu:1448", and "link-mtu 1560,tun-mtu 1448" in its options string.
#[test]
fn link_mtu_makes_the_devices_mtu() {
    let options = Options { link_mtu: Some(1_500), ..options() };
    assert_eq!(tun_mtu(&options, UDP), 1_448);
    assert_eq!(told_link_mtu(&options, UDP), 1_560);
}
