//! Dependencies point one way. The tables are the rule; `ARCHITECTURE.md` explains it.

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::Value;

/// Which of our crates a crate may build upon (dev-dependencies aside).
const MAY_USE: &[(&str, &[&str])] = &[
    ("meshtun-proto", &[]),
    ("meshtun-offload", &[]),
    ("meshtun-config", &[]),
    ("meshtun-openvpn", &[]),
    ("meshtun-sys", &[]),
    ("meshtun-testkit", &[]),
    ("meshtun-netlink", &[]),
    ("meshtun-dataplane", &["meshtun-proto", "meshtun-offload", "meshtun-sys"]),
    (
        "meshtun-daemon",
        &["meshtun-config", "meshtun-dataplane", "meshtun-netlink", "meshtun-offload", "meshtun-proto", "meshtun-sys"],
    ),
    ("meshtun-stand-in", &["meshtun-dataplane", "meshtun-netlink", "meshtun-openvpn", "meshtun-sys"]),
    ("netns-lab", &["meshtun-sys", "meshtun-testkit"]),
    ("meshtun-fuzz", &["meshtun-config", "meshtun-offload", "meshtun-openvpn", "meshtun-proto"]),
    ("meshtun", &["meshtun-config", "meshtun-daemon", "meshtun-openvpn", "meshtun-stand-in", "netns-lab"]),
];

/// Crates from elsewhere that only some of ours may use (dev-dependencies aside).
const ONLY_FOR: &[(&str, &[&str])] = &[
    ("tokio", &["meshtun-netlink", "meshtun-daemon", "meshtun-stand-in", "netns-lab", "meshtun"]),
    ("libc", &["meshtun-sys"]),
    ("nix", &["meshtun-sys"]),
    ("rustix", &["meshtun-sys"]),
    ("socket2", &["meshtun-sys"]),
    ("rtnetlink", &["meshtun-netlink", "netns-lab"]),
    ("aws-lc-rs", &["meshtun-proto"]),
    ("clap", &["meshtun", "netns-lab"]),
];

/// Crates that must contain no unsafe code: all but one.
const UNSAFE_ALLOWED: &[&str] = &["meshtun-sys"];

#[test]
fn our_crates_depend_on_each_other_in_one_direction() {
    for (name, dependencies) in workspace() {
        let ours: BTreeSet<&str> = dependencies.iter().map(String::as_str).filter(|d| is_ours(d)).collect();
        let allowed = MAY_USE.iter().find(|(n, _)| *n == name).map(|(_, allowed)| *allowed);
        let allowed = allowed.unwrap_or_else(|| panic!("{name} is not in the table: say what it may build upon"));
        let forbidden: Vec<_> = ours.iter().filter(|d| !allowed.contains(d)).collect();
        assert!(forbidden.is_empty(), "{name} must not build upon {forbidden:?}");
    }
}

#[test]
fn crates_from_elsewhere_stay_where_they_belong() {
    for (name, dependencies) in workspace() {
        for (dependency, users) in ONLY_FOR {
            let used = dependencies.iter().any(|d| d == dependency);
            assert!(!used || users.contains(&name.as_str()), "{name} must not use {dependency}: only {users:?} may");
        }
    }
}

#[test]
fn only_the_system_crate_may_contain_unsafe_code() {
    for package in packages() {
        let name = package["name"].as_str().expect("a package has a name");
        for target in package["targets"].as_array().expect("a package has targets") {
            let kinds = target["kind"].as_array().expect("a target has a kind");
            if !kinds.iter().any(|k| k == "lib" || k == "bin") || UNSAFE_ALLOWED.contains(&name) {
                continue;
            }
            let root = target["src_path"].as_str().expect("a target has a source");
            let text = std::fs::read_to_string(root).expect("the source can be read");
            assert!(text.contains("#![forbid(unsafe_code)]"), "{root} does not forbid unsafe code");
        }
    }
}

/// Every package of the workspace with its normal and build dependencies.
fn workspace() -> Vec<(String, Vec<String>)> {
    packages().iter().map(|package| (text(package, "name"), dependencies(package))).collect()
}

fn dependencies(package: &Value) -> Vec<String> {
    let all = package["dependencies"].as_array().expect("a package lists its dependencies");
    all.iter().filter(|d| d["kind"] != "dev").map(|d| text(d, "name")).collect()
}

fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    metadata["packages"].as_array().expect("a workspace has packages").clone()
}

fn is_ours(name: &str) -> bool {
    MAY_USE.iter().any(|(ours, _)| *ours == name)
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().expect("metadata is as cargo documents it").to_owned()
}
