use meshtun_config::{Mesh, PresharedKey, PublicKey};
use meshtun_proto::LocalIdentity;

use super::*;
use crate::fixtures;

/// A gateway from the text of a mesh, which `edit` has changed.
fn gateway(edit: impl Fn(String) -> String) -> Gateway {
    let text = edit(fixtures::mesh("channels = 3"));
    let mesh = Mesh::parse("mesh.toml", &text).unwrap();
    Gateway {
        view: fixtures::view(&mesh),
        identity: LocalIdentity::new([1; 32]).into(),
        public_keys: mesh.gateways.iter().map(|gateway| gateway.public_key).collect(),
        preshared_keys: std::collections::BTreeMap::new(),
    }
}

fn replaced(from: &str, to: &str) -> Gateway {
    gateway(|text| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

/// What becomes of the channels of the first link, and whether its peer was revoked.
fn fates(new: &Gateway) -> (Vec<Fate>, bool) {
    let old = gateway(|text| text);
    let link = &old.view.links[0];
    let verdicts: Vec<Verdict> = link.channels.iter().map(|channel| verdict(&old, new, link, channel)).collect();
    let revoked = verdicts.iter().any(|verdict| verdict.revoked);
    (verdicts.iter().map(|verdict| verdict.fate).collect(), revoked)
}

#[test]
fn the_same_file_changes_nothing() {
    let (old, new) = (gateway(|text| text), gateway(|text| text));
    assert_eq!(describe(&old, &new), [""; 0]);
    assert_eq!(fates(&new), (vec![Fate::Stays; 3], false));
    assert_eq!(obstacle(&old, &new), None);
}

#[test]
fn settings_leave_the_channels_alone_and_are_told() {
    for (from, to, told) in [
        ("channels = 3", "channels = 3\nweight = [1, 2, 1]", "channel nq/1: weight: 1 -> 2"),
        ("channels = 3", "channels = 3\nmtu = 1400", "link nq: mtu: none -> 1400"),
        ("channels = 3", "channels = 3\ntransit = true", "link nq: transit: false -> true"),
        ("channels = 3", "channels = 3\nclamp_mss = true", "link nq: clamp_mss: false -> true"),
        (
            "channels = 3",
            "channels = 3\nprobe = { interval = \"50ms\" }",
            "link nq: probe: every 250ms, down after 3, up after 3, hold-down 180s -> \
             every 50ms, down after 3, up after 3, hold-down 180s",
        ),
        ("\"203.0.113.2\"", "\"203.0.113.9\"", "channel nq/0: endpoint: 203.0.113.2:16400 -> 203.0.113.9:16400"),
        ("priority = 1", "priority = 7", "link nq: peer's priority: 1 -> 7"),
    ] {
        let new = replaced(from, to);
        assert_eq!(fates(&new), (vec![Fate::Stays; 3], false), "{to}");
        let lines = describe(&gateway(|text| text), &new);
        assert!(lines.iter().any(|line| line == told), "{lines:?}");
    }
}

#[test]
fn a_channel_that_is_not_in_the_file_any_more_goes_and_one_that_is_new_is_told() {
    assert_eq!(fates(&replaced("channels = 3", "channels = 1")), (vec![Fate::Stays, Fate::Goes, Fate::Goes], false));
    let new = replaced("channels = 3", "channels = 4");
    assert_eq!(fates(&new).0, [Fate::Stays; 3]);
    assert_eq!(describe(&gateway(|text| text), &new), ["channel nq/3: added"]);
}

#[test]
fn a_port_of_ours_that_changes_has_its_channels_made_anew() {
    let new = replaced("channels = 3", "channels = 3\nports = [6011, 16400]");
    assert_eq!(fates(&new), (vec![Fate::Remade; 3], false));
}

#[test]
fn another_key_or_cipher_begins_new_sessions() {
    assert_eq!(fates(&replaced("channels = 3", "channels = 3\ncipher = \"aes-256-gcm\"")).0, [Fate::Rekeyed; 3]);
    let mut new = gateway(|text| text);
    new.preshared_keys.insert("nq".into(), PresharedKey::new([7; 32]));
    assert_eq!(fates(&new), (vec![Fate::Rekeyed; 3], false));
    assert_eq!(describe(&gateway(|text| text), &new), ["link nq: pre-shared key changed"]);
}

#[test]
fn a_peers_key_that_is_another_or_gone_revokes_the_old_one() {
    let [old, new] = [2, 9].map(|byte| PublicKey([byte; 32]).to_string());
    assert_eq!(fates(&replaced(&old, &new)), (vec![Fate::Rekeyed; 3], true));
    // The gateway stays in the file, and only its link goes.
    let without_link = |text: String| {
        let (before, after) = text.split_once("[[links]]").unwrap();
        let (_, others) = after.split_once("[[links]]").unwrap();
        format!("{before}[[links]]{others}")
    };
    assert_eq!(fates(&gateway(without_link)), (vec![Fate::Goes; 3], false));
    let without_gateway = |text: String| {
        let (before, after) =
            without_link(text).split_once("[gateways.nvpn1]").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let (_, others) = after.split_once("[gateways.nvpn2]").unwrap();
        format!("{before}[gateways.nvpn2]{others}")
    };
    assert_eq!(fates(&gateway(without_gateway)), (vec![Fate::Goes; 3], true));
}

#[test]
fn the_own_number_is_not_changed_while_the_gateway_runs() {
    let obstacle = obstacle(&gateway(|text| text), &replaced("number = 1", "number = 8")).unwrap();
    assert!(obstacle.contains("from 1 to 8") && obstacle.contains("restart"), "{obstacle}");
}

#[test]
fn other_paths_touch_only_the_channels_that_take_them() {
    let paths = |second: &str| {
        replaced(
            "channels = 3",
            &format!(
                "channels = 3\npaths = [{{ qvpn1 = {{}}, nvpn1 = {{}} }}, {{ qvpn1 = {second}, nvpn1 = {{ underlay = \"203.0.113.8\" }} }}]"
            ),
        )
    };
    let old = paths("{ underlay = \"198.51.100.8\" }");
    let fates = |new: &Gateway| -> Vec<Fate> {
        let link = &old.view.links[0];
        link.channels.iter().map(|channel| verdict(&old, new, link, channel).fate).collect()
    };
    let moved = paths("{ underlay = \"198.51.100.9\" }");
    assert_eq!(fates(&moved), [Fate::Stays, Fate::Remade, Fate::Stays]);
    assert!(
        describe(&old, &moved).contains(&"channel nq/1: bound to: 198.51.100.8:16417 -> 198.51.100.9:16417".into())
    );
    // The same socket, bound to a device besides: nothing ends.
    let bound = paths("{ underlay = \"198.51.100.8\", device = \"eth1\" }");
    assert_eq!(fates(&bound), [Fate::Stays; 3]);
    assert_eq!(describe(&old, &bound), ["channel nq/1: bound to device: none -> eth1"]);
    let one = gateway(|text| text);
    assert_eq!(fates(&one), [Fate::Stays, Fate::Remade, Fate::Stays]);
    assert!(describe(&old, &one).contains(&"channel nq/1: path: 1 -> none".into()), "{:?}", describe(&old, &one));
}

#[test]
fn what_was_found_out_of_a_links_width_holds_as_long_as_its_ways_and_its_mtu_do() {
    let old = gateway(|text| text);
    for (from, to, same) in [
        ("channels = 3", "channels = 3\nweight = [1, 2, 1]", true),
        ("channels = 3", "channels = 4", true),
        ("channels = 3", "channels = 3\nmtu = 1400", false),
        ("\"203.0.113.2\"", "\"203.0.113.9\"", false),
        (
            "channels = 3",
            "channels = 3\npaths = [{ qvpn1 = {}, nvpn1 = {} }, { qvpn1 = { device = \"eth1\" }, nvpn1 = {} }]",
            false,
        ),
    ] {
        assert_eq!(has_same_width(&old.view.links[0], &replaced(from, to).view.links[0]), same, "{to}");
    }
}
