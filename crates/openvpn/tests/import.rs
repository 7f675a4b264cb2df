//! `meshtun import` on directories of configurations as people have them.
//!
//! `golden/import/CASE` has this end's files in `here` and the other end's in `there`; `mesh.toml` and `said.txt` are what
//! comes of them. `UPDATE_GOLDEN=1 cargo test -p meshtun-openvpn --test import` writes these; then read the difference.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use meshtun_config::{Checked, Environment, Mesh};
use meshtun_openvpn::import::{Imported, Side, Source, Wishes, import};

/// Where this end's files are said to lie, and where copies of the other end's do.
const HERE: &str = "/etc/openvpn/";
const THERE: &str = "far/";

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/import");
    let mut cases: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 8, "only {} cases", cases.len());
    cases
}

fn name(case: &Path) -> &str {
    case.file_name().unwrap().to_str().unwrap()
}

fn sources(folder: &Path, prefix: &str) -> Vec<Source> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "conf"))
        .map(|path| Source { name: format!("{prefix}{}", name(&path)), text: fs::read(&path).unwrap().into() })
        .collect()
}

fn run(case: &Path, keep_ports: bool) -> Imported {
    let wishes = Wishes {
        here: sources(&case.join("here"), HERE),
        there: sources(&case.join("there"), THERE),
        name: (name(case) == "fastmail").then(|| "qvpn1".to_owned()),
        keep_ports,
    };
    import(&wishes, &mut |side, path| {
        let (folder, prefix) = if side == Side::Here { ("here", HERE) } else { ("there", THERE) };
        let inside = path.strip_prefix(prefix).ok_or_else(|| io::Error::other("no such file"))?;
        fs::read(case.join(folder).join(inside)).map_err(|_| io::Error::other("no such file"))
    })
}

fn said(imported: &Imported) -> String {
    let decisions: String = imported.decisions.iter().map(|decision| format!("{decision}\n")).collect();
    let explained: String = imported.explained.iter().map(|line| format!("{line}\n")).collect();
    format!("{} channels\n\n{decisions}\n{explained}", imported.channels)
}

/// The file with a key in the place of each placeholder, and a network where there is none.
fn filled(mesh: &str) -> String {
    let mut text = String::new();
    for (number, part) in (1_u8..).zip(mesh.split("\"PUBLIC KEY OF ")) {
        if number == 1 {
            text.push_str(part);
            continue;
        }
        let rest = part.split_once('"').unwrap().1;
        text.push_str(&format!("\"{}\"{rest}", STANDARD.encode([number; 32])));
    }
    let mut parts = text.split("networks = []");
    let first = parts.next().unwrap().to_owned();
    (1..).zip(parts).fold(first, |text, (number, part)| format!("{text}networks = [\"10.255.0.{number}/32\"]{part}"))
}

fn check(mesh: &str) -> Checked {
    Mesh::check("mesh.toml", &filled(mesh), &Environment::default())
}

#[test]
fn what_comes_of_a_directory_is_as_in_the_golden_files() {
    let mut differing = Vec::new();
    for case in cases() {
        let imported = run(&case, false);
        for (file, found) in [("mesh.toml", imported.mesh.clone().unwrap_or_default()), ("said.txt", said(&imported))] {
            let golden = case.join(file);
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(&golden, &found).unwrap();
            }
            let expected = fs::read_to_string(&golden).unwrap_or_default();
            if found != expected {
                differing.push(format!("== {} {file}\n-- expected\n{expected}-- found\n{found}", name(&case)));
            }
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn the_file_passes_the_check_once_keys_are_filled_in() {
    for case in cases() {
        for keep_ports in [false, true] {
            let imported = run(&case, keep_ports);
            let mesh = imported.mesh.expect("every case has a channel");
            let checked = check(&mesh);
            // A route of these files leads the tunnel into itself, which a comment tells.
            if name(&case) == "unknown-directives" {
                assert!(imported.decisions.iter().any(|decision| decision.text.contains("inside itself")));
                continue;
            }
            assert!(checked.errors.is_empty(), "{}: {}\n{mesh}", name(&case), checked.errors.render(false));
        }
    }
}

#[test]
fn every_line_of_every_file_is_explained_once() {
    for case in cases() {
        let imported = run(&case, false);
        let mut sources = sources(&case.join("here"), HERE);
        sources.extend(self::sources(&case.join("there"), THERE));
        let mut places: Vec<_> = imported.explained.iter().map(|line| line.place.to_string()).collect();
        let explained = places.len();
        places.sort();
        places.dedup();
        assert_eq!(places.len(), explained, "{}", name(&case));
        for source in sources {
            let unpaired = imported.decisions.iter().any(|decision| {
                decision.text.contains("belongs to none") && decision.places[0].to_string().starts_with(&source.name)
            });
            let empty = name(&case) == "stale" && source.name.ends_with("nq-empty.conf");
            let told = places.iter().any(|place| place.starts_with(&format!("{}:", source.name)));
            assert_eq!(told, !unpaired && !empty, "{}: {}", name(&case), source.name);
        }
    }
}

#[test]
fn no_key_is_shown() {
    for case in cases() {
        let imported = run(&case, false);
        assert!(!format!("{imported:?}").contains("10111213"), "{}", name(&case));
    }
}

#[test]
fn decisions_stand_in_the_file_too() {
    for case in cases() {
        let imported = run(&case, false);
        let mesh = imported.mesh.unwrap();
        let comments: String =
            mesh.lines().filter_map(|line| line.strip_prefix('#')).map(|line| format!("{} ", line.trim())).collect();
        for decision in imported.decisions.iter().filter(|decision| !decision.text.starts_with("left out")) {
            let asked = comments.contains(&format!("DECIDE: {decision}"));
            let about_files = [
                "if both are one gateway",
                "no file of the other end",
                "belongs to none",
                "the name is that of an old copy",
            ];
            assert!(
                asked || about_files.iter().any(|text| decision.text.contains(text)),
                "{}: {decision}",
                name(&case)
            );
        }
    }
}

#[test]
fn one_port_and_one_device_are_named_as_one() {
    let text = b"dev nq1\ndev-type tun\nlport 6011\nremote 203.0.113.2 6001\nsecret nq.key\ncipher AES-256-CBC\n";
    let here = vec![Source { name: "nq1.conf".to_owned(), text: text.to_vec().into() }];
    let imported = import(&Wishes { here, ..Wishes::default() }, &mut |_, _| Err(io::Error::other("no such file")));
    let mesh = imported.mesh.unwrap();
    assert!(mesh.contains("OpenVPN's device is nq1"), "{mesh}");
    assert!(mesh.contains("here 16416\n"), "{mesh}");
}
