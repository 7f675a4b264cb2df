//! `keygen` and `pubkey`, beside wg(8)'s.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use super::{complaint, feed, meshtun, printed, run};

#[test]
fn keygen_and_pubkey_agree_with_wg() {
    let ours = printed(run(&["keygen"]));
    let theirs = printed(wg("genkey", ""));
    for key in [&ours, &theirs] {
        assert_eq!(printed(feed(meshtun(&["pubkey"]), key)), printed(wg("pubkey", key)));
    }
    assert_ne!(ours, printed(run(&["keygen"])), "no two are the same");
}

#[test]
fn pubkey_takes_a_key_from_a_file_and_with_white_space_around_it() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("private.key");
    let key = printed(run(&["keygen"]));
    let public = printed(feed(meshtun(&["pubkey"]), &key));
    assert_eq!(printed(feed(meshtun(&["pubkey"]), &format!("\n  {}\r\n", key.trim()))), public);

    fs::write(&file, &key).expect("the folder is ours");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let path = file.to_str().expect("a plain name");
    assert_eq!(printed(run(&["pubkey", "--key", path])), public);

    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let said = complaint(run(&["pubkey", "--key", path]), 78);
    assert!(said.contains(path) && said.contains("chmod 600"), "{said}");
}

#[test]
fn pubkey_of_garbage_is_refused_and_does_not_repeat_it() {
    let long = "A".repeat(100_000);
    for garbage in ["", "\n", "secret-of-mine", "c2VjcmV0LW9mLW1pbmU=", &long] {
        let said = complaint(feed(meshtun(&["pubkey"]), garbage), 78);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("meshtun: standard input: "), "{said}");
        assert!(garbage.trim().is_empty() || !said.contains(garbage.trim()), "{said}");
    }
}

#[test]
fn keygen_warns_of_a_file_that_others_can_read() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for (mode, warns) in [(0o600, false), (0o644, true)] {
        let file = fs::File::create(folder.path().join(format!("{mode:o}"))).expect("the folder is ours");
        file.set_permissions(fs::Permissions::from_mode(mode)).expect("it is ours");
        let output = meshtun(&["keygen"]).stdout(file).output().expect("cargo built it");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success());
        assert_eq!(said.contains("umask 077"), warns, "{said}");
    }
}

fn wg(command: &str, input: &str) -> std::process::Output {
    let mut wg = Command::new("wg");
    wg.arg(command);
    feed(wg, input)
}
