//! What a real openvpn 2.6.14 (OpenSSL 3.0, Debian) said and sent, kept in `golden/`.
//!
//! Each capture is of two processes with `ping 4` and a session of their own: pings, `ping -s` of 56, 1400 and 5 bytes through
//! the tunnel, and after ten seconds the messages about options. `left` and `right` are their options, `>` a datagram from left
//! to right (of TCP: a piece of the stream), `<` one of the other way.

#[path = "captured/capture.rs"]
mod capture;

use std::{collections::BTreeMap, fs};

use capture::{Capture, Side, golden, options};
use meshtun_openvpn::{
    compress::UnpackError,
    occ::{Message, Whose, differences, options_string},
    session::{Drop, Kind},
};

#[test]
fn options_strings_are_those_that_openvpn_composes() {
    let text = fs::read_to_string(golden("options_strings.txt")).unwrap();
    let mut count = 0;
    for block in text.split("\n\n").filter(|block| !block.is_empty()) {
        let [arguments, ours, theirs] = block.lines().collect::<Vec<_>>()[..] else { panic!("three lines: {block}") };
        let options = options(&format!("--dev tun --secret static.key {arguments}"));
        let string = |whose| options_string(&options, options.protocol, whose);
        assert_eq!(string(Whose::Ours), ours.strip_prefix("ours ").unwrap(), "{arguments}");
        assert_eq!(string(Whose::Theirs), theirs.strip_prefix("theirs ").unwrap(), "{arguments}");
        count += 1;
    }
    assert!(count > 30, "{count} blocks");
}

#[test]
fn what_openvpn_sent_opens() {
    for name in Capture::names() {
        let capture = Capture::read(&name);
        let mut kinds: BTreeMap<(Side, &str), usize> = BTreeMap::new();
        let mut lengths = Vec::new();
        for (side, opened) in capture.opened() {
            let (kind, bytes) = match opened {
                Ok(opened) => opened,
                Err(Drop::Unpack(UnpackError::Compressed)) => {
                    *kinds.entry((side, "compressed")).or_default() += 1;
                    continue;
                }
                Err(error) => panic!("{name}: {error}"),
            };
            match kind {
                Kind::Packet => lengths.push(packet_len(&name, &bytes)),
                Kind::Message => {
                    let message = Message::decode(&bytes);
                    capture.judge(side, message.unwrap_or_else(|| panic!("{name}: {bytes:x?}")));
                }
                _ => {}
            }
            let kind = match kind {
                Kind::Packet => "packet",
                Kind::Ping => "ping",
                Kind::Message => "message",
                Kind::Part => "part",
                Kind::Empty => "empty",
            };
            *kinds.entry((side, kind)).or_default() += 1;
        }
        for side in [Side::Left, Side::Right] {
            let count = |kind| kinds.get(&(side, kind)).copied().unwrap_or(0);
            assert!(count("ping") >= 1, "{name}: pings of {side:?}: {kinds:?}");
            assert!(count("message") >= 1, "{name}: messages of {side:?}: {kinds:?}");
            assert_eq!(count("empty"), 0, "{name}");
            let fragments = capture.options(side).fragment.is_some();
            assert_eq!(count("part") > 0, fragments, "{name}: {kinds:?}");
            // Long pings have a pattern that compresses well.
            assert_eq!(count("compressed") > 0, name.ends_with("compressed"), "{name}: {kinds:?}");
        }
        if !name.ends_with("compressed") {
            for length in [20 + 8 + 56, 20 + 8 + 1_400, 20 + 8 + 5] {
                assert!(lengths.contains(&length), "{name}: no packet of {length} bytes: {lengths:?}");
            }
        }
    }
}

/// The length of an IPv4 or IPv6 packet, which is all of the payload.
fn packet_len(name: &str, packet: &[u8]) -> usize {
    let field = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    let length = match packet[0] >> 4 {
        4 => field(2),
        6 => 40 + field(4),
        _ => panic!("{name}: no packet: {packet:x?}"),
    };
    assert_eq!(length, packet.len(), "{name}");
    length
}

#[test]
fn what_openvpn_tells_of_its_options_is_what_ours_expect() {
    for name in Capture::names() {
        let capture = Capture::read(&name);
        let mut replies = 0;
        for (side, opened) in capture.opened() {
            let Ok((Kind::Message, bytes)) = opened else { continue };
            let Some(Message::Reply(theirs)) = Message::decode(&bytes) else { continue };
            let ours = capture.options(side.other());
            let expected = options_string(ours, ours.protocol, Whose::Theirs);
            assert_eq!(String::from_utf8_lossy(&theirs), expected, "{name}: what {side:?} says");
            assert!(differences(&expected, &theirs).is_empty());
            replies += 1;
        }
        assert!(replies >= 1 || name.ends_with("compressed"), "{name}: nobody told its options");
    }
}

/// Initialisation vectors are OpenVPN's own, so ours can't give the same bytes; all else can be compared with `cipher none`.
#[test]
fn without_a_cipher_our_datagrams_are_openvpns_to_the_bit() {
    for name in ["none-sha384", "none-none"] {
        let capture = Capture::read(name);
        for side in [Side::Left, Side::Right] {
            let mut outgoing = capture.sealer(side);
            for (number, (datagram, payload)) in capture.datagrams_of(side).into_iter().enumerate() {
                let mut sealed = outgoing.seal(&payload).unwrap().remove(0);
                // The time is the start of theirs.
                let tag = capture.options(side).digest.len();
                sealed[tag + 4..tag + 8].copy_from_slice(&datagram[tag + 4..tag + 8]);
                assert_eq!(sealed[tag..], datagram[tag..], "{name}: datagram {number} of {side:?}");
            }
        }
    }
}
