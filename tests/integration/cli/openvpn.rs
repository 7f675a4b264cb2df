//! This program under the name `openvpn`, where it runs nothing: what it answers, and what it says of files that it refuses.

use std::{
    fs,
    os::unix::fs::symlink,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// Lines of a key, as they are in no file of anybody's.
const DIGITS: &str = "1582dc64f2b4a2f1c3d4e5f60718293a\n0badc0de0badc0de0badc0de0badc0de\n";

/// A directory with this program in it, by OpenVPN's name.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let folder = TempDir::new().expect("a folder can be made");
        symlink(env!("CARGO_BIN_EXE_meshtun"), folder.path().join("openvpn")).expect("a link can be made");
        Place(folder)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.0.path().join(name), text).expect("it can be written");
    }

    /// Code, and what was printed and complained of.
    fn run(&self, line: &str) -> (Option<i32>, String) {
        let mut command = Command::new(self.0.path().join("openvpn"));
        command.args(line.split_whitespace()).current_dir(self.0.path()).stdin(Stdio::null());
        let Output { status, stdout, stderr } = command.output().expect("cargo built it");
        (status.code(), String::from_utf8([stdout, stderr].concat()).expect("text"))
    }
}

#[test]
fn version_and_help_are_answers_and_no_errors() {
    let place = Place::new();
    let (code, said) = place.run("--version");
    assert!(code == Some(0) && said.starts_with("OpenVPN 2.6 "), "{said}");
    // OpenVPN's exit code, too.
    let (code, said) = place.run("--help");
    assert!(code == Some(1) && said.contains("Usage: openvpn --config FILE") && !said.contains("missing"), "{said}");
    for (line, word) in
        [("--show-ciphers", "AES-256-CBC"), ("--show-digests", "SHA256"), ("--show-engines", "no engines")]
    {
        let (code, said) = place.run(line);
        assert!(code == Some(0) && said.contains(word), "{line}: {said}");
    }
}

#[test]
fn a_key_is_made_where_it_is_asked_for() {
    let place = Place::new();
    assert_eq!(place.run("--genkey secret nq.key"), (Some(0), String::new()));
    place.write("nq1.conf", "dev tun\nsecret nq.key\ncipher AES-256-CBC\nverb x\n");
    let (code, said) = place.run("--config nq1.conf");
    assert!(code == Some(1) && said.matches("Options error").count() == 1 && said.contains("`verb`"), "{said}");
    let (code, said) = place.run("--genkey");
    assert!(code == Some(0) && said.contains("-----END OpenVPN Static key V1-----"), "{said}");
}

#[test]
fn the_lines_of_a_key_are_never_echoed() {
    let place = Place::new();
    let key = format!("#\n-----BEGIN OpenVPN Static key V1-----\n{DIGITS}-----END OpenVPN Static key V1-----\n");
    let sound = "dev tun\ncipher AES-256-CBC\nlog-append log\n";
    place.write("key.conf", &key);
    place.write("pasted.conf", format!("{sound}secret\n{key}"));
    place.write("bare.conf", format!("{sound}secret k\n{DIGITS}"));
    place.write("tag.conf", format!("{sound}<secret> x\n{key}</secret>\n"));
    for file in ["key.conf", "pasted.conf", "bare.conf", "tag.conf"] {
        let (code, said) = place.run(&format!("--config {file}"));
        let log = fs::read_to_string(place.0.path().join("log")).unwrap_or_default();
        let all = format!("{said}{log}");
        assert!(code == Some(1) && said.contains("Options error: "), "{file}: {said}");
        assert!(!all.contains("1582dc") && !all.contains("badc0de"), "{file}: {all}");
    }
}

#[test]
fn of_a_file_that_is_none_the_first_errors_are_told() {
    let place = Place::new();
    place.write("nq1.conf", (0..200).map(|n| format!("nonsense-{}\n", ["a", "b", "c"][n % 3])).collect::<String>());
    let (code, said) = place.run("nq1.conf");
    assert!(code == Some(1) && said.lines().count() < 15 && said.contains("more"), "{said}");
}

#[test]
fn a_directory_that_cannot_be_entered_is_the_one_error() {
    let place = Place::new();
    place.write("nq1.conf", "dev tun\nsecret nq.key\ncipher AES-256-CBC\n");
    for line in ["--cd /no/such/place --dev tun --secret k", "--cd gone --config nq1.conf"] {
        let (code, said) = place.run(line);
        let errors: Vec<&str> = said.lines().filter(|line| line.contains("Options error: ")).collect();
        assert!(code == Some(1) && errors.len() == 1 && errors[0].contains("failed: No such file"), "{said}");
    }
}
