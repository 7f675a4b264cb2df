//! `meshtun import`.

use std::fs;

use tempfile::TempDir;

use super::{complaint, run};

const FILE: &str = "dev tun\nlport 6011\nremote 203.0.113.2 6001\nifconfig 10.9.1.1 10.9.1.2\nsecret nq.key\n\
                    cipher AES-256-CBC\nscript-security 2\nup ./up.sh\n";

/// A directory with one configuration and its script.
fn directory() -> TempDir {
    let folder = TempDir::new().expect("a folder can be made");
    fs::write(folder.path().join("nq1.conf"), FILE).expect("it can be written");
    fs::write(folder.path().join("up.sh"), "#!/bin/sh\nip route add 10.202.0.0/16 dev $1\n")
        .expect("it can be written");
    folder
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().expect("a path of letters").to_owned()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

#[test]
fn import_prints_a_mesh_file_and_what_is_to_be_decided() {
    let folder = directory();
    let output = run(&["import", &path(&folder, "nq1.conf"), "--name", "qvpn1"]);
    let (said, complained) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{complained}");
    assert!(said.contains("[gateways.qvpn1]") && said.contains("name = \"nq\""), "{said}");
    assert!(said.contains(&format!("\"10.202.0.0/16\", # {}:2", path(&folder, "up.sh"))), "{said}");
    assert!(complained.contains("to decide:") && complained.contains("meshtun keygen"), "{complained}");
}

#[test]
fn import_explains_each_line() {
    let folder = directory();
    let file = path(&folder, "nq1.conf");
    let output = run(&["import", &file, "--explain"]);
    let said = text(output.stdout);
    assert_eq!(said.lines().count(), FILE.lines().count(), "{said}");
    assert!(said.starts_with(&format!("{file}:1  dev tun  →  device nq0 of link nq\n")), "{said}");
}

#[test]
fn import_writes_no_file_over_another() {
    let folder = directory();
    let (file, mesh) = (path(&folder, "nq1.conf"), path(&folder, "mesh.toml"));
    let import = || run(&["import", &file, "--output", &mesh]);
    assert!(import().status.success());
    let written = fs::read_to_string(&mesh).expect("it is written");
    assert!(written.contains("DECIDE"), "{written}");
    assert!(complaint(import(), 1).contains("it is there already"));
    assert_eq!(fs::read_to_string(&mesh).expect("it is still there"), written);
}

#[test]
fn import_of_nothing_that_fits_is_an_error_with_reasons() {
    let folder = directory();
    let file = path(&folder, "client.conf");
    fs::write(&file, "client\ndev tun\nremote a 1194\nca ca.crt\n").expect("it can be written");
    let said = complaint(run(&["import", &file]), 78);
    assert!(said.contains("client.conf:1: left out: it is a client of a server over TLS"), "{said}");
    assert!(said.contains("no file describes a channel"), "{said}");
    let missing = path(&folder, "missing.conf");
    assert!(complaint(run(&["import", &missing]), 78).contains("missing.conf: No such file"));
}

#[test]
fn import_of_a_file_that_is_no_configuration_asks_for_nothing_else() {
    let folder = directory();
    let key = path(&folder, "nq.key");
    let digits = "1582dc64f2b4a2f1c3d4e5f60718293a\n";
    fs::write(&key, format!("-----BEGIN OpenVPN Static key V1-----\n{digits}-----END OpenVPN Static key V1-----\n"))
        .expect("it can be written");
    let output = run(&["import", &key, "--explain"]);
    let (said, complained) = (text(output.stdout), text(output.stderr));
    assert!(!output.status.success() && complained.contains("nothing was written"), "{complained}");
    assert_eq!(complained.lines().filter(|line| line.starts_with("- ")).count(), 1, "{complained}");
    assert!(!said.contains("1582dc") && !complained.contains("1582dc"), "{said}{complained}");
}
