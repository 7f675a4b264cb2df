//! Every kind of error and warning as a person sees it: `golden/NAME.toml` is checked, and
//! `golden/NAME.stderr` is what is said about it. Files whose name begins with `warning` are
//! accepted, all others are refused.
//!
//! `UPDATE_GOLDEN=1 cargo test -p meshtun-config` writes them; then read the difference.

use std::fs;
use std::path::{Path, PathBuf};

use meshtun_config::{Checked, Diagnostic, Environment, Mesh};

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    cases.sort();
    assert!(cases.len() > 40, "only {} golden files", cases.len());
    cases
}

fn check(case: &Path) -> (String, Checked) {
    let name = case.file_stem().unwrap().to_str().unwrap().to_owned();
    let text = fs::read_to_string(case).unwrap();
    let checked = Mesh::check(&format!("{name}.toml"), &text, &Environment::default());
    (name, checked)
}

fn all(checked: &Checked) -> impl Iterator<Item = &Diagnostic> {
    checked.errors.iter().chain(checked.warnings.iter())
}

#[test]
fn what_is_said_about_a_file_is_as_in_the_golden_file() {
    let mut differing = Vec::new();
    for case in cases() {
        let (name, checked) = check(&case);
        let said: Vec<_> = [&checked.errors, &checked.warnings].map(|it| it.render(false)).into();
        let said = said.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join("\n");
        let golden = case.with_extension("stderr");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &said).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if said != expected {
            differing.push(format!("== {name}\n-- expected\n{expected}-- found\n{said}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn a_file_has_a_mesh_exactly_if_it_has_no_errors() {
    for case in cases() {
        let (name, checked) = check(&case);
        assert_eq!(checked.mesh.is_some(), checked.errors.is_empty(), "{name}");
        assert_eq!(checked.mesh.is_some(), name.starts_with("warning"), "{name}");
    }
}

#[test]
fn every_diagnostic_has_a_place_a_message_of_one_line_and_a_hint() {
    for case in cases() {
        let (name, checked) = check(&case);
        for diagnostic in all(&checked) {
            assert_eq!(diagnostic.file, format!("{name}.toml"));
            assert!(!diagnostic.message.is_empty() && !diagnostic.hint.is_empty(), "{name}: {diagnostic:?}");
            assert!(!diagnostic.message.contains(char::is_control), "{name}: {diagnostic:?}");
            assert!(!diagnostic.hint.contains(char::is_control), "{name}: {diagnostic:?}");
        }
    }
}

#[test]
fn people_and_programs_are_told_the_same_places() {
    for case in cases() {
        let (name, checked) = check(&case);
        let rendered = checked.errors.render(false) + &checked.warnings.render(false);
        let heads: Vec<&str> = rendered.lines().filter_map(|line| line.trim_start().strip_prefix("--> ")).collect();
        let places = all(&checked).map(|it| format!("{}:{}:{}", it.file, it.line, it.column));
        assert_eq!(places.collect::<Vec<_>>(), heads, "{name}");
    }
}

#[test]
fn a_diagnostic_serialises_to_file_line_column_message_and_hint() {
    let checked = Mesh::check("mesh.toml", "[gateways]\n\n[[links]]\nname = 7\n", &Environment::default());
    let name = checked.errors.iter().find(|it| it.line == 4).unwrap();
    let json = serde_json::to_value(name).unwrap();
    assert_eq!(json["severity"], "error");
    assert_eq!((&json["file"], &json["line"], &json["column"]), (&"mesh.toml".into(), &4.into(), &8.into()));
    assert_eq!(json["message"], "`name` must be a name, unique, not an integer");
    assert!(json["hint"].as_str().unwrap().starts_with("write `name = \"nq\"`"));
    assert_eq!(json.as_object().unwrap().len(), 6);
}

#[test]
fn a_secret_in_the_file_is_not_shown() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/unknown-key-secret.toml");
    let text = fs::read_to_string(&path).unwrap();
    let secrets: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("private_key") || line.starts_with("preshared_key"))
        .filter_map(|line| line.split('"').nth(1))
        .collect();
    assert_eq!(secrets.len(), 2);
    let errors = Mesh::parse("mesh.toml", &text).unwrap_err();
    for said in [errors.render(false), errors.render(true), format!("{errors:?}")] {
        assert!(secrets.iter().all(|secret| !said.contains(secret)), "{said}");
    }
}

#[test]
fn all_errors_of_a_file_are_found_in_one_run() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("example.toml")).unwrap();
    let text = text
        .replace("number = 2", "number = 1")
        .replace("\"10.202.0.1\"", "\"10.202.0\"")
        .replace("txqueuelen = 500", "txqueuelen = \"500\"")
        .replace("\"198.51.100.7\"", "\"10.202.7.7\"")
        .replace("name = \"nq\"", "name = \"nq1\"\ncolour = \"red\"");
    let errors = Mesh::parse("mesh.toml", &text).unwrap_err();
    assert_eq!(errors.len(), 6, "{errors}");
}
