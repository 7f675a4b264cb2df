//! Whatever stands in a file, checking it ends with a mesh or with errors, never with a panic;
//! and whatever mesh comes out of it can be run.

use std::collections::HashSet;

use meshtun_config::{Checked, Environment, Mesh, ViewError, example};
use proptest::prelude::*;

/// Checks the text, and holds what comes of it to all that is promised of any file.
fn check(text: &str) -> Checked {
    let checked = Mesh::check("mesh.toml", text, &Environment::default());
    assert_eq!(checked.mesh.is_some(), checked.errors.is_empty());
    for diagnostics in [&checked.errors, &checked.warnings] {
        assert_eq!(diagnostics.render(false).is_empty(), diagnostics.is_empty());
        assert_eq!(diagnostics.render(true).is_empty(), diagnostics.is_empty());
        for it in diagnostics.iter() {
            assert!(it.line >= 1 && it.column >= 1 && it.line <= text.matches('\n').count() + 1, "{it:?}");
            assert!(!it.message.contains(char::is_control) && !it.hint.is_empty(), "{it:?}");
        }
    }
    if let Some(mesh) = &checked.mesh {
        assert_runnable(mesh);
    }
    checked
}

/// On every gateway, ports and devices are its links' own, and every name fits the kernel.
fn assert_runnable(mesh: &Mesh) {
    for gateway in &mesh.gateways {
        let view = match mesh.view(&gateway.public_key) {
            Ok(view) => view,
            Err(ViewError::PlainWireGuard { .. }) => continue,
            Err(error) => panic!("{error}"),
        };
        let channels = || view.links.iter().flat_map(|link| &link.channels);
        let ports: HashSet<u16> = channels().map(|channel| channel.local.port()).collect();
        let devices: HashSet<&str> = channels().map(|channel| channel.device.as_str()).collect();
        assert_eq!((ports.len(), devices.len()), (channels().count(), channels().count()), "{view:?}");
        assert!(devices.iter().all(|device| device.len() <= 15), "{devices:?}");
        assert!(channels().all(|channel| channel.link_local != channel.peer_link_local), "{view:?}");
    }
}

/// Pieces of mesh files, to be put together without sense.
fn pieces() -> impl Strategy<Value = String> {
    const PIECES: [&str; 49] = [
        "[defaults]",
        "[gateways.a]",
        "[gateways.b]",
        "[gateways.\"\u{7}é\"]",
        "[[links]]",
        "[links]",
        "requires",
        "channels",
        "mtu",
        "weight",
        "ports",
        "between",
        "name",
        "number",
        "public_key",
        "underlay",
        "listen",
        "endpoint",
        "address",
        "address6",
        "networks",
        "site",
        "priority",
        "peer",
        "cipher",
        "paths",
        "deal",
        "[[links.paths]]",
        "[{ a = {}, b = { device = \"eth0\" } }]",
        "device",
        "private_key",
        " = ",
        " = ",
        " = ",
        "\n",
        "\n",
        "\n",
        "1",
        "-1",
        "65535",
        "\"a\"",
        "\"b\"",
        "[\"a\", \"b\"]",
        "[1, 65535]",
        "\"10.0.0.0/8\"",
        "\"::1\"",
        "{ x = 1 }",
        "[",
        "\"\"\"",
    ];
    prop::collection::vec(prop::sample::select(PIECES.as_slice()), 0..40).prop_map(|pieces| pieces.concat())
}

/// Values for any key, right for some.
const VALUES: [&str; 22] = [
    "0",
    "1",
    "2",
    "16",
    "17",
    "256",
    "65535",
    "-9223372036854775808",
    "1.5",
    "true",
    "\"\"",
    "\"nq\"",
    "\"qvpn1\"",
    "\"10.207.0.0/16\"",
    "\"198.51.100.7\"",
    "\"::\"",
    "\"wireguard\"",
    "\"aes-256-gcm\"",
    "[]",
    "[\"qvpn1\", \"nvpn1\"]",
    "[65530, 1]",
    "1979-05-27",
];

proptest! {
    #[test]
    fn any_text_is_answered(text in "(?s).{0,200}") {
        check(&text);
    }

    #[test]
    fn any_heap_of_pieces_is_answered(text in pieces()) {
        check(&text);
    }

    #[test]
    fn the_example_with_a_value_replaced_is_answered(line in any::<prop::sample::Index>(), value in prop::sample::select(VALUES.as_slice())) {
        let example = example();
        let mut lines: Vec<&str> = example.lines().collect();
        let key_of = |line: &str| Some(line.trim_start_matches("# ").split_once(" = ")?.0.to_owned());
        let keys: Vec<(usize, String)> =
            lines.iter().enumerate().filter_map(|(index, line)| Some((index, key_of(line)?))).collect();
        let (index, key) = line.get(&keys);
        let replaced = format!("{key} = {value}");
        lines[*index] = &replaced;
        check(&lines.join("\n"));
    }

    #[test]
    fn the_example_with_bytes_changed_is_answered(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<char>(), 0..3u8), 1..6)) {
        let mut text: Vec<char> = example().chars().collect();
        for (at, new, kind) in changes {
            let at = at.index(text.len());
            match kind {
                0 => text[at] = new,
                1 => text.insert(at, new),
                _ => { text.remove(at); }
            }
        }
        check(&text.into_iter().collect::<String>());
    }

    #[test]
    fn the_example_with_lines_moved_and_lost_is_answered(order in prop::collection::vec(any::<prop::sample::Index>(), 1..120)) {
        let example = example();
        let lines: Vec<&str> = example.lines().filter(|line| !line.starts_with('#')).collect();
        let moved: Vec<&str> = order.iter().map(|index| *index.get(&lines)).collect();
        check(&moved.join("\n"));
    }

    #[test]
    fn a_mesh_of_random_numbers_ports_and_channels_is_refused_or_runs(
        numbers in prop::array::uniform3(1..40u16),
        ports in prop::collection::vec(prop::option::of(prop::array::uniform2(16300..17100u16)), 3),
        channels in prop::array::uniform3(1..20u16),
    ) {
        let mut text = String::new();
        for (index, number) in numbers.iter().enumerate() {
            let key = meshtun_config::PublicKey([index as u8 + 1; 32]);
            text += &format!("[gateways.g{index}]\nnumber = {number}\npublic_key = \"{key}\"\nunderlay = \"192.0.2.{}\"\nnetworks = [\"10.{index}.0.0/16\"]\n", index + 1);
        }
        for (index, (ports, channels)) in ports.iter().zip(channels).enumerate() {
            let ports = ports.map(|[a, b]| format!("ports = [{a}, {b}]\n")).unwrap_or_default();
            let other = (index + 1) % 3;
            text += &format!("[[links]]\nbetween = [\"g{index}\", \"g{other}\"]\nname = \"l{index}x\"\nchannels = {channels}\n{ports}");
        }
        check(&text);
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    for text in [
        "a=".to_owned() + &"[".repeat(100_000),
        "[".to_owned() + &"a.".repeat(100_000) + "a]\n",
        "a={b=".repeat(50_000),
    ] {
        assert!(!check(&text).errors.is_empty());
    }
}

#[test]
fn a_mesh_of_a_thousand_gateways_is_checked_and_viewed() {
    let gateways = 1000;
    let mut text = String::new();
    for number in 1..=gateways {
        let mut key = [7; 32];
        key[..2].copy_from_slice(&u16::to_le_bytes(number));
        let key = meshtun_config::PublicKey(key);
        let (high, low) = (number / 250, number % 250 + 1);
        text += &format!(
            "[gateways.g{number}]\nnumber = {number}\npublic_key = \"{key}\"\nunderlay = \"198.18.{high}.{low}\"\naddress = \"10.{high}.{low}.1\"\nnetworks = [\"10.{high}.{low}.0/24\"]\n"
        );
    }
    let letters = |mut number: u16| {
        let mut name = String::new();
        while number > 0 {
            name.push((b'a' + (number % 26) as u8) as char);
            number /= 26;
        }
        name
    };
    // A star around each of the first three.
    for hub in 1..=3u16 {
        for spoke in hub + 1..=gateways {
            text += &format!(
                "[[links]]\nbetween = [\"g{hub}\", \"g{spoke}\"]\nname = \"{}-{}\"\n",
                letters(hub),
                letters(spoke)
            );
        }
    }
    let checked = check(&text);
    let mesh = checked.mesh.unwrap_or_else(|| panic!("{}", checked.errors));
    assert_eq!(mesh.links.len(), 999 + 998 + 997);
    assert_eq!(checked.warnings.len(), 0, "{}", checked.warnings);
}
