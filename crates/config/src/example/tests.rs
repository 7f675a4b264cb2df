use std::fs;
use std::path::Path;

use super::*;
use crate::{Environment, Mesh};

/// The file's content, after writing `now` into it if UPDATE_GOLDEN is set.
fn golden(name: &str, now: impl Fn(&str) -> String) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let content = fs::read_to_string(&path).unwrap_or_default();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, now(&content)).unwrap();
        return now(&content);
    }
    content
}

#[test]
fn the_example_file_in_the_tree_is_the_one_that_is_generated() {
    assert_eq!(golden("example.toml", |_| example()), example(), "run once with UPDATE_GOLDEN=1");
}

#[test]
fn the_example_is_right_and_gives_no_warning() {
    let checked = Mesh::check("example.toml", &example(), &Environment::default());
    assert_eq!(format!("{}{}", checked.errors, checked.warnings), "");
    let mesh = checked.mesh.unwrap();
    assert_eq!((mesh.gateways.len(), mesh.links.len()), (2, 1));
}

#[test]
fn every_key_of_the_example_that_is_commented_out_is_right_as_well() {
    let example = example();
    let lines: Vec<&str> = example.lines().collect();
    let is_key = |line: &str| line.strip_prefix("# ").is_some_and(|line| line.contains(" = ") && !line.ends_with('.'));
    let commented: Vec<usize> = (0..lines.len()).filter(|index| is_key(lines[*index])).collect();
    assert!(commented.len() > 10, "{commented:?}");
    for index in commented {
        let mut lines = lines.clone();
        lines[index] = &lines[index][2..];
        let checked = Mesh::check("example.toml", &lines.join("\n"), &Environment::default());
        assert!(checked.errors.is_empty(), "{}: {}", lines[index], checked.errors);
    }
}

#[test]
fn the_example_without_what_has_a_default_means_the_same() {
    let example = example();
    let defaults =
        ["base_port", "txqueuelen", "transit", "clamp_mss", "channels", "weight", "cipher", "priority", "peer"];
    let has_default = |line: &str| defaults.iter().any(|key| line.starts_with(&format!("{key} = ")));
    let shorter: Vec<&str> = example.lines().filter(|line| !has_default(line)).collect();
    assert!(shorter.len() + 6 < example.lines().count());
    assert_eq!(Mesh::parse("a", &shorter.join("\n")).unwrap(), Mesh::parse("a", &example).unwrap());
}

#[test]
fn the_readme_has_the_reference_of_every_key() {
    const BEGIN: &str = "<!-- reference: generated -->\n";
    const END: &str = "\n<!-- reference: end -->";
    let between = |readme: &str| -> (usize, usize) {
        let begin = readme.find(BEGIN).expect("the README has the mark of the reference's beginning") + BEGIN.len();
        (begin, readme.find(END).expect("the README has the mark of the reference's end"))
    };
    let readme = golden("README.md", |readme| {
        let (begin, end) = between(readme);
        format!("{}{}{}", &readme[..begin], reference(), &readme[end..])
    });
    let (begin, end) = between(&readme);
    assert_eq!(readme[begin..end], reference(), "run once with UPDATE_GOLDEN=1");
}

#[test]
fn every_key_is_in_the_reference_once_a_section_and_explained_in_one_line() {
    for section in schema::SECTIONS {
        for key in section.keys {
            assert_eq!(section.keys.iter().filter(|other| other.name == key.name).count(), 1, "{}", key.name);
            assert!(reference().contains(&format!("| `{}` |", key.name)), "{}", key.name);
            assert!(!key.doc.is_empty() && !key.doc.contains(['\n', '|']), "{}", key.name);
        }
    }
}
