use proptest::prelude::*;

use super::*;

#[test]
fn messages_have_openvpns_bytes() {
    let body = |message: Message| message.encode().split_off(MAGIC.len());
    assert_eq!(body(Message::Request), [0]);
    assert_eq!(body(Message::Reply(b"V4,x".to_vec())), *b"\x01V4,x\0");
    assert_eq!(body(Message::MtuLoadRequest(0x1234)), [2, 0x12, 0x34]);
    assert_eq!(body(Message::MtuLoad(3)), [3, 0, 0, 0]);
    assert_eq!(body(Message::MtuRequest), [4]);
    assert_eq!(body(Message::MtuReply { received: 1, sent: 0x0203 }), [5, 0, 1, 2, 3]);
    assert_eq!(body(Message::Exit), [6]);
}

#[test]
fn a_message_that_means_nothing_is_still_no_packet() {
    for end in [&[][..], &[7], &[255, 1], &[2, 1], &[5, 0, 1, 2], &[1]] {
        let payload = [&MAGIC[..], end].concat();
        assert!(is_message(&payload));
        assert_eq!(Message::decode(&payload), None, "{end:?}");
    }
    assert!(!is_message(&MAGIC[..15]));
}

#[test]
fn the_last_byte_of_a_reply_counts_as_its_end() {
    let reply = |end: &[u8]| Message::decode(&[&MAGIC[..], &[1], end].concat());
    assert_eq!(reply(b"V4,x!"), Some(Message::Reply(b"V4,x".to_vec())));
    assert_eq!(reply(b"V4\0x\0"), Some(Message::Reply(b"V4".to_vec())));
    assert_eq!(reply(b"\0"), Some(Message::Reply(Vec::new())));
}

proptest! {
    #[test]
    fn what_was_encoded_decodes(length in any::<u16>(), sent in any::<u16>(), options in "[ -~]{0,80}") {
        for message in [
            Message::Request,
            Message::Reply(options.clone().into_bytes()),
            Message::MtuLoadRequest(length),
            Message::MtuLoad(usize::from(length % 2_000)),
            Message::MtuRequest,
            Message::MtuReply { received: length, sent },
            Message::Exit,
        ] {
            prop_assert_eq!(Message::decode(&message.encode()), Some(message));
        }
    }

    #[test]
    fn no_payload_does_harm(end in prop::collection::vec(any::<u8>(), 0..40), expected in "[ -~]{0,40}") {
        if let Some(Message::Reply(theirs)) = Message::decode(&[&MAGIC[..], &end].concat()) {
            let _told = differences(&expected, &theirs);
        }
    }
}

#[test]
fn differences_are_told_as_openvpn_tells_them() {
    let ours = "V4,dev-type tun,link-mtu 1560,tun-mtu 1500,proto UDPv4,cipher AES-256-CBC,auth SHA1,keysize 256,secret";
    assert!(differences(ours, ours.as_bytes()).is_empty());
    let theirs = "V4,dev-type tun,link-mtu 1544,tun-mtu 1500,proto TCPv4_CLIENT,comp-lzo,cipher BF-CBC,auth SHA1,keysize 128,secret";
    assert_eq!(
        differences(ours, theirs.as_bytes()),
        [
            "'link-mtu' is used inconsistently, local='link-mtu 1560', remote='link-mtu 1544'",
            "'keysize' is used inconsistently, local='keysize 256', remote='keysize 128'",
            "'comp-lzo' is present in remote config but missing in local config, remote='comp-lzo'",
        ]
    );
    assert_eq!(
        differences(ours, &ours.as_bytes()[..ours.len() - 7]),
        ["'secret' is present in local config but missing in remote config, local='secret'"]
    );
    assert_eq!(differences("V4", b"V3"), ["'version' is used inconsistently, local='version V4', remote='version V3'"]);
    let odd = differences("V4", b"V4,\x1b[2Jx y");
    assert_eq!(odd, ["'.[2Jx' is present in remote config but missing in local config, remote='.[2Jx y'"]);
}
