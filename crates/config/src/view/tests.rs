use std::time::Duration;

use super::*;
use crate::{Environment, example};

/// The keys of the gateways below.
const A: PublicKey = PublicKey([1; 32]);
const B: PublicKey = PublicKey([2; 32]);
const C: PublicKey = PublicKey([3; 32]);

fn gateway(name: &str, number: u16, key: PublicKey, more: &str) -> String {
    format!(
        "[gateways.{name}]\nnumber = {number}\npublic_key = \"{key}\"\nnetworks = [\"10.{}.0.0/16\"]\n{more}\n",
        key.0[0]
    )
}

fn link(a: &str, b: &str, name: &str, more: &str) -> String {
    format!("[[links]]\nbetween = [\"{a}\", \"{b}\"]\nname = \"{name}\"\n{more}\n")
}

fn mesh(parts: &[String]) -> Mesh {
    Mesh::parse("mesh.toml", &parts.concat()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn two(a: &str, b: &str, of_link: &str) -> Mesh {
    mesh(&[gateway("a", 1, A, a), gateway("b", 207, B, b), link("a", "b", "ab", of_link)])
}

const V4: [&str; 2] = ["underlay = \"198.51.100.1\"", "underlay = \"203.0.113.2\""];

fn ends(mesh: &Mesh, own: PublicKey, link: usize, channel: usize) -> (String, String) {
    let view = mesh.view(&own).unwrap();
    let channel = &view.links[link].channels[channel];
    (channel.local.to_string(), channel.remote.as_ref().map_or("learned".to_owned(), ToString::to_string))
}

#[test]
fn ports_derive_from_the_base_and_the_other_ends_number() {
    // (base_port, numbers, channel) and the port at a and at b: base + 16 × the other's number + channel.
    for (base, numbers, channel, at_a, at_b) in [
        (16384, [1, 2], 0, 16384 + 32, 16384 + 16),
        (16384, [1, 2], 3, 16384 + 35, 16384 + 19),
        (16384, [1, 1023], 15, 32767, 16384 + 31),
        (1000, [5, 6], 2, 1098, 1082),
    ] {
        let mesh = mesh(&[
            format!("[defaults]\nbase_port = {base}\nchannels = 16\n"),
            gateway("a", numbers[0], A, V4[0]),
            gateway("b", numbers[1], B, V4[1]),
            link("a", "b", "ab", ""),
        ]);
        let (local, remote) = (format!("198.51.100.1:{at_a}"), format!("203.0.113.2:{at_b}"));
        assert_eq!(ends(&mesh, A, 0, channel), (local.clone(), remote.clone()));
        assert_eq!(ends(&mesh, B, 0, channel), (remote, local));
    }
}

#[test]
fn given_ports_are_in_the_order_of_between() {
    let mesh = mesh(&[
        gateway("q", 1, A, V4[0]),
        gateway("n", 2, B, V4[1]),
        link("q", "n", "nq", "ports = [6011, 6001]"),
        link("n", "q", "qn", "ports = [7001, 7011]"),
    ]);
    assert_eq!(ends(&mesh, A, 0, 3), ("198.51.100.1:6014".into(), "203.0.113.2:6004".into()));
    assert_eq!(ends(&mesh, B, 0, 3), ("203.0.113.2:6004".into(), "198.51.100.1:6014".into()));
    assert_eq!(ends(&mesh, A, 1, 0), ("198.51.100.1:7011".into(), "203.0.113.2:7001".into()));
}

#[test]
fn link_local_addresses_read_as_gateway_and_channel_in_decimal() {
    for (gateway, channel, address) in [
        (1, 0, "fe80::1:0"),
        (207, 12, "fe80::207:12"),
        (1023, 255, "fe80::1023:255"),
        (10, 10, "fe80::10:10"),
        (9999, 9999, "fe80::9999:9999"),
    ] {
        assert_eq!(link_local(gateway, channel), address.parse::<Ipv6Addr>().unwrap());
    }
}

#[test]
fn both_ends_agree_on_both_link_local_addresses() {
    let mesh = two(V4[0], V4[1], "channels = 16");
    let (a, b) = (mesh.view(&A).unwrap(), mesh.view(&B).unwrap());
    for (at_a, at_b) in a.links[0].channels.iter().zip(&b.links[0].channels) {
        assert_eq!((at_a.link_local, at_a.peer_link_local), (at_b.peer_link_local, at_b.link_local));
        assert_eq!((at_a.number, &at_a.device), (at_b.number, &at_b.device));
    }
    assert_eq!(a.links[0].channels[11].device, "ab11");
    assert_eq!(a.links[0].channels[11].link_local.to_string(), "fe80::1:11");
    assert_eq!(a.links[0].channels[11].peer_link_local.to_string(), "fe80::207:11");
}

#[test]
fn the_bound_and_the_remote_address_follow_listen_endpoint_and_underlay() {
    // What a and b say of themselves, then where a binds and sends to.
    for (a, b, local, remote) in [
        (V4[0], V4[1], "198.51.100.1:19696", "203.0.113.2:16400"),
        ("underlay = \"2001:db8::1\"", "underlay = \"2001:db8::2\"", "[2001:db8::1]:19696", "[2001:db8::2]:16400"),
        ("listen = \"192.0.2.10\"\nendpoint = \"198.51.100.1\"", V4[1], "192.0.2.10:19696", "203.0.113.2:16400"),
        ("listen = \"192.0.2.10\"\nunderlay = \"198.51.100.1\"", V4[1], "192.0.2.10:19696", "203.0.113.2:16400"),
        ("endpoint = \"198.51.100.1\"", V4[1], "0.0.0.0:19696", "203.0.113.2:16400"),
        ("endpoint = \"2001:db8::1\"", "underlay = \"2001:db8::2\"", "[::]:19696", "[2001:db8::2]:16400"),
        ("", "endpoint = \"gw.example.net\"", "[::]:19696", "gw.example.net:16400"),
        (V4[0], "", "198.51.100.1:19696", "learned"),
        ("endpoint = \"a.example\"", "", "[::]:19696", "learned"),
        (V4[0], "listen = \"203.0.113.2\"", "198.51.100.1:19696", "learned"),
        ("listen = \"::\"\nendpoint = \"a.example\"", V4[1], "[::]:19696", "203.0.113.2:16400"),
        (V4[0], "underlay = \"203.0.113.2\"\nendpoint = \"b.example\"", "198.51.100.1:19696", "b.example:16400"),
    ] {
        assert_eq!(ends(&two(a, b, ""), A, 0, 0), (local.into(), remote.into()), "{a} {b}");
    }
}

const PATHS: &str = r#"channels = 5
paths = [
    { a = {}, b = {} },
    { a = { underlay = "2001:db8::1", device = "eth1" }, b = { underlay = "2001:db8::2" } },
    { a = { listen = "192.0.2.10", endpoint = "a.example" }, b = { endpoint = "b.example", device = "wan" } },
]"#;

#[test]
fn channels_are_dealt_over_the_paths_in_turn_and_each_end_sees_the_other_ends_address() {
    let mesh = two(V4[0], V4[1], PATHS);
    let (at_a, at_b) = (16384 + 16 * 207, 16384 + 16);
    let expected = |number: usize| {
        let (a, b) = (at_a + number, at_b + number);
        match number % 3 {
            0 => [("198.51.100.1", "203.0.113.2", None), ("203.0.113.2", "198.51.100.1", None)],
            1 => [("[2001:db8::1]", "[2001:db8::2]", Some("eth1")), ("[2001:db8::2]", "[2001:db8::1]", None)],
            _ => [("192.0.2.10", "b.example", None), ("[::]", "a.example", Some("wan"))],
        }
        .into_iter()
        .zip([(a, b), (b, a)])
        .map(|((local, remote, device), (own, other))| {
            (format!("{local}:{own}"), format!("{remote}:{other}"), device.map(str::to_owned))
        })
        .collect::<Vec<_>>()
    };
    for number in 0..5 {
        for (end, key) in [A, B].into_iter().enumerate() {
            let view = mesh.view(&key).unwrap();
            let channel = &view.links[0].channels[number];
            let remote = channel.remote.as_ref().unwrap().to_string();
            let found = (channel.local.to_string(), remote, channel.underlay_device.clone());
            assert_eq!(found, expected(number)[end], "channel {number}");
            assert_eq!(channel.path, Some((number % 3) as u16));
        }
    }
}

#[test]
fn the_order_of_a_path_is_that_of_the_names_not_of_between() {
    let turned = PATHS.replace("{ a = {}, b = {} }", "{ b = {}, a = {} }");
    assert_eq!(two(V4[0], V4[1], PATHS), two(V4[0], V4[1], &turned));
}

#[test]
fn a_deal_says_which_path_each_channel_takes() {
    let mesh = two(V4[0], V4[1], &format!("{PATHS}\ndeal = [2, 1, 1, 0, 0]"));
    let view = mesh.view(&A).unwrap();
    let paths: Vec<_> = view.links[0].channels.iter().map(|channel| channel.path).collect();
    assert_eq!(paths, [2, 1, 1, 0, 0].map(Some));
    let plain = two(V4[0], V4[1], "").view(&A).unwrap();
    assert!(plain.links[0].channels.iter().all(|it| it.path.is_none() && it.underlay_device.is_none()));
}

#[test]
fn gateways_without_an_address_of_their_own_can_have_paths() {
    let paths = "paths = [{ a = { underlay = \"192.0.2.1\" }, b = {} }, { a = {}, b = { underlay = \"192.0.2.2\" } }]";
    let mesh = two("", "", paths);
    assert_eq!(ends(&mesh, A, 0, 0), ("192.0.2.1:19696".into(), "learned".into()));
    assert_eq!(ends(&mesh, A, 0, 1), ("0.0.0.0:19697".into(), "192.0.2.2:16401".into()));
}

#[test]
fn a_link_says_what_it_says_and_else_what_the_defaults_say() {
    let defaults = "[defaults]\nchannels = 2\nmtu = 1400\ntxqueuelen = 100\nqdisc = \"sfq\"\ncipher = \"aes-256-gcm\"\ntransit = true\nclamp_mss = true\nweight = 3\npreshared_key_file = \"all.psk\"\n";
    let own = "channels = 3\nmtu = 1300\ntxqueuelen = 7\nqdisc = \"fq\"\ncipher = \"chacha20-poly1305\"\ntransit = false\nclamp_mss = false\nweight = [1, 2, 256]\npreshared_key_file = \"/k/ac.psk\"\n";
    let text = [
        defaults.to_owned(),
        gateway("a", 1, A, V4[0]),
        gateway("b", 2, B, V4[1]),
        gateway("c", 3, C, "underlay = \"192.0.2.3\""),
        link("a", "b", "ab", ""),
        link("a", "c", "ac", own),
    ];
    let view = Mesh::parse("/etc/meshtun/mesh.toml", &text.concat()).unwrap().view(&A).unwrap();
    let summary = |link: &LinkView| {
        let weights: Vec<u16> = link.channels.iter().map(|channel| channel.weight).collect();
        let file = link.preshared_key_file.as_ref().map(|file| file.display().to_string());
        (weights, link.mtu, link.txqueuelen, link.qdisc.clone(), link.cipher, (link.transit, link.clamp_mss), file)
    };
    let (psk, sfq) = (Some("/etc/meshtun/all.psk".to_owned()), Some("sfq".to_owned()));
    assert_eq!(summary(&view.links[0]), (vec![3, 3], Some(1400), 100, sfq, Cipher::Aes256Gcm, (true, true), psk));
    let (psk, fq) = (Some("/k/ac.psk".to_owned()), Some("fq".to_owned()));
    assert_eq!(
        summary(&view.links[1]),
        (vec![1, 2, 256], Some(1300), 7, fq, Cipher::ChaCha20Poly1305, (false, false), psk)
    );
}

#[test]
fn a_link_without_anything_has_the_documented_defaults() {
    let view = two(V4[0], V4[1], "").view(&A).unwrap();
    let link = &view.links[0];
    assert_eq!(link.channels.iter().map(|channel| channel.weight).collect::<Vec<_>>(), [1, 1, 1, 1]);
    assert_eq!((link.mtu, link.clamp_mss, link.txqueuelen, &link.qdisc), (None, false, 500, &None));
    assert_eq!((link.cipher, link.transit, &link.preshared_key_file), (Cipher::ChaCha20Poly1305, false, &None));
}

#[test]
fn a_view_has_its_own_links_alone_and_each_peer_as_the_file_describes_it() {
    let site = "site = \"s\"\naddress = \"10.1.0.9\"\naddress6 = \"fd00::9\"\npriority = 7\npeer = \"wireguard\"\nunderlay = \"192.0.2.9\"";
    let mesh = mesh(&[
        gateway("a", 1, A, V4[0]),
        gateway("b", 2, B, V4[1]),
        gateway("c", 3, C, site),
        link("a", "b", "ab", ""),
        link("c", "b", "cb", ""),
    ]);
    let view = mesh.view(&B).unwrap();
    assert_eq!((view.gateway.as_str(), view.number, view.public_key), ("b", 2, B));
    assert_eq!(view.local_networks, ["10.2.0.0/16".parse().unwrap()]);
    assert_eq!(view.links.iter().map(|link| link.peer.name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    let expected = PeerView {
        name: "c".into(),
        number: 3,
        public_key: C,
        networks: vec!["10.3.0.0/16".parse().unwrap()],
        address: Some("10.1.0.9".parse().unwrap()),
        address6: Some("fd00::9".parse().unwrap()),
        site: Some("s".into()),
        priority: 7,
        is_wireguard: true,
    };
    assert_eq!(view.links[1].peer, expected);
    let view = mesh.view(&A).unwrap();
    assert_eq!(view.links.iter().map(|link| link.name.as_str()).collect::<Vec<_>>(), ["ab"]);
}

#[test]
fn a_key_that_is_no_meshtun_gateways_has_no_view() {
    let mesh = two(V4[0], "peer = \"wireguard\"\nunderlay = \"203.0.113.2\"", "");
    let unknown = mesh.view(&C).unwrap_err().to_string();
    assert!(unknown.contains(&C.to_string()) && unknown.contains("gateways: a, b"), "{unknown}");
    let plain = mesh.view(&B).unwrap_err();
    assert_eq!(plain, ViewError::PlainWireGuard { gateway: "b".into() });
}

#[test]
fn meshes_and_views_compare_by_what_they_mean() {
    let (one, other) = (two(V4[0], V4[1], ""), two(V4[0], V4[1], "# a comment\nchannels = 4 # the default"));
    assert_eq!(one, other);
    let changed = two(V4[0], V4[1], "weight = 2");
    assert_ne!(one, changed);
    assert_ne!(one.view(&A).unwrap(), changed.view(&A).unwrap());
}

#[test]
fn a_view_serialises_with_keys_and_addresses_as_text() {
    let json = serde_json::to_value(two(V4[0], V4[1], "").view(&A).unwrap()).unwrap();
    assert_eq!(json["public_key"], A.to_string());
    assert_eq!(json["links"][0]["cipher"], "chacha20-poly1305");
    let channel = &json["links"][0]["channels"][0];
    assert_eq!(channel["local"], "198.51.100.1:19696");
    assert_eq!(channel["remote"]["host"]["address"], "203.0.113.2");
    assert_eq!(channel["link_local"], "fe80::1:0");
}

#[test]
fn the_ephemeral_range_is_the_callers() {
    let text = [gateway("a", 1, A, V4[0]), gateway("b", 2, B, V4[1]), link("a", "b", "ab", "")].concat();
    let warnings = |range| {
        let environment = Environment { ephemeral_ports: range, ..Environment::default() };
        Mesh::check("mesh.toml", &text, &environment)
            .warnings
            .iter()
            .filter(|it| it.message.contains("ephemeral"))
            .count()
    };
    assert_eq!(warnings(32768..=60999), 0);
    assert_eq!(warnings(10000..=65535), 1);
    assert_eq!(warnings(10000..=16399), 0);
}

#[test]
fn each_key_of_probe_holds_as_the_link_says_else_as_the_defaults_say_else_as_it_is() {
    let text = example()
        .replace(
            "probe = { interval = \"250ms\", down_after = 3, up_after = 3, hold_down = \"180s\" }",
            "probe = { interval = \"50ms\", up_after = 7 }",
        )
        .replace("# probe = { interval = \"50ms\" }", "probe = { interval = \"1s\", hold_down = \"0s\" }");
    let mesh = Mesh::parse("mesh.toml", &text).unwrap();
    let own = mesh.gateways[0].public_key;
    let probe = mesh.view(&own).unwrap().links[0].probe;
    let expected =
        Probe { interval: Duration::from_secs(1), up_after: 7, hold_down: Duration::ZERO, ..Probe::default() };
    assert_eq!((probe, probe.down_after), (expected, 3));
}
