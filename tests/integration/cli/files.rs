//! Commands that read a mesh file, and commands that look for a daemon.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::{complaint, printed, run};

/// The public keys are Alice's and Bob's of RFC 7748, section 6.1.
const MESH: &str = r#"
[gateways.one]
number     = 1
public_key = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
underlay   = "198.51.100.1"
address    = "10.1.0.1"
networks   = ["10.1.0.0/16"]

[gateways.two]
number     = 2
public_key = "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="
underlay   = "198.51.100.2"
address    = "10.2.0.1"
networks   = ["10.2.0.0/16", "fd00:2::/48"]

[[links]]
between  = ["one", "two"]
name     = "cable"
channels = 4
"#;

/// Alice's private key.
const KEY: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";

#[test]
fn check_counts_what_a_good_file_describes() {
    let files = Files::new(MESH);
    let said = printed(run(&["check", files.mesh()]));
    assert_eq!(said, format!("{}: no errors; 2 gateways, 1 link, 4 channels\n", files.mesh()));
}

#[test]
fn check_with_a_key_lists_the_links_of_its_gateway() {
    let files = Files::new(MESH);
    let said = printed(run(&["check", files.mesh(), "--key", files.key()]));
    assert!(said.contains("this is gateway one (number 1)"), "{said}");
    assert!(said.contains("link cable to two: devices cable0 … cable3"), "{said}");
    assert!(said.contains("198.51.100.1:16416"), "{said}");
}

#[test]
fn check_shows_every_mistake_at_once_with_its_place_and_a_hint() {
    let bad = MESH
        .replace("number     = 2", "number     = 1")
        .replace("channels = 4", "chanels = 4")
        .replace("\"10.2.0.0/16\"", "\"10.1.2.0/24\"");
    let files = Files::new(&bad);
    let said = complaint(run(&["check", files.mesh()]), 78);
    for line in ["number     = 1", "chanels = 4", "10.1.2.0/24"] {
        let at = (1..).zip(bad.lines()).filter(|(_, text)| text.contains(line)).last().expect("it is in the file").0;
        let place = format!("{}:{at}:", files.mesh());
        let column = said.split_once(&place).and_then(|(_, rest)| rest.chars().next());
        assert!(column.is_some_and(|digit| digit.is_ascii_digit()), "{place}, {line}, in {said}");
    }
    assert!(said.contains("channels"), "what was meant: {said}");
}

#[test]
fn a_bad_file_is_refused_by_all_that_read_it_in_the_same_words() {
    let files = Files::new(&MESH.replace("between ", "betwixt "));
    let said = ["check", "plan", "up"].map(|command| {
        let arguments = [command, files.mesh(), "--key", files.key()];
        complaint(run(&arguments[..if command == "check" { 2 } else { 4 }]), 78)
    });
    assert!(said[0].contains("betwixt"), "{said:?}");
    assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
}

#[test]
fn a_file_that_is_not_there_is_named_with_exit_code_78() {
    for arguments in [&["check", "/nowhere/mesh.toml"][..], &["plan", "/nowhere/mesh.toml", "--key", "/nowhere/key"]] {
        let said = complaint(run(arguments), 78);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("/nowhere/mesh.toml"), "{said}");
    }
}

#[test]
fn status_without_a_daemon_says_so_with_exit_code_69() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let empty = folder.path().to_str().expect("a plain name");
    for arguments in [&["status", "--runtime-dir", empty][..], &["status", "--json", "--runtime-dir", empty]] {
        let said = complaint(run(arguments), 69);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("no meshtun daemon runs") && said.contains(empty), "{said}");
    }
}

/// A mesh file and its first gateway's key.
struct Files {
    mesh: PathBuf,
    key: PathBuf,
    _folder: TempDir,
}

impl Files {
    fn new(mesh: &str) -> Files {
        let folder = tempfile::Builder::new().prefix("mesh").tempdir().expect("a folder can be made");
        let [mesh_file, key] = ["mesh.toml", "private.key"].map(|name| folder.path().join(name));
        fs::write(&mesh_file, mesh).expect("the folder is ours");
        fs::write(&key, KEY).expect("the folder is ours");
        fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("it is ours");
        Files { mesh: mesh_file, key, _folder: folder }
    }

    fn mesh(&self) -> &str {
        self.mesh.to_str().expect("a plain name")
    }

    fn key(&self) -> &str {
        self.key.to_str().expect("a plain name")
    }
}
