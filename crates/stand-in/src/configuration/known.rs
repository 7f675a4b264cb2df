//! Every option that OpenVPN 2.6 has stands in one of three lists: docs/openvpn-options.md.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use meshtun_openvpn::options::{Standing, standing};

use super::unserved::UNSERVED;
use crate::question;

/// Out of release/2.6's options.c, 2.6.22: what `add_option` compares a first word with.
const OPTIONS: &str = include_str!("../../tests/golden/openvpn-2.6-options.txt");

/// Where only some uses of a directive are refused.
const IN_PART: &[&str] = &["management"];

#[test]
fn every_option_of_openvpn_is_accepted_or_without_effect_or_refused_with_a_reason() {
    let shown = lists();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openvpn-options.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &shown).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == shown, "docs/openvpn-options.md is not what there is: UPDATE_GOLDEN=1 writes it\n{shown}");
}

fn lists() -> String {
    let mut accepted = Vec::new();
    let mut answered = Vec::new();
    let mut without_effect = Vec::new();
    let mut refused: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in OPTIONS.lines() {
        let unserved = UNSERVED.iter().find(|unserved| unserved.directive == name && !IN_PART.contains(&name));
        match (unserved, standing(name)) {
            (_, None) => panic!("`{name}` would be an unknown directive"),
            _ if question::is_question(name) => answered.push(name),
            (Some(unserved), _) => refused.entry(unserved.way_on).or_default().push(name),
            (None, Some(Standing::Accepted)) => accepted.push(name),
            (None, Some(Standing::WithoutEffect(why))) => without_effect.push((name, why)),
            (None, Some(Standing::Refused(why))) => refused.entry(why).or_default().push(name),
        }
    }
    assert!(without_effect.iter().all(|(_, why)| !why.is_empty()) && !refused.contains_key(""), "each has a reason");
    let mut text = format!(
        "# Every option of OpenVPN 2.6\n\nWhat `meshtun openvpn` does with each, out of the program itself (a test writes this page). What is refused is an error \
         at the start, with file and line. [openvpn.md](openvpn.md) tells what differs in those that are accepted.\n\n\
         ## Accepted ({})\n\n{}\n\n## Answered on the command line ({})\n\n{}\n\n## Accepted, without effect ({})\n\nA note in the log says so.\n\n| option | why |\n|---|---|\n",
        accepted.len(),
        in_code(&accepted),
        answered.len(),
        in_code(&answered),
        without_effect.len(),
    );
    for (name, why) in &without_effect {
        writeln!(text, "| `{name}` | {why} |").expect("a string takes all");
    }
    let count: usize = refused.values().map(Vec::len).sum();
    write!(text, "\n## Refused ({count})\n\n| option | why, and the way on |\n|---|---|\n")
        .expect("a string takes all");
    let mut refused: Vec<(&str, Vec<&str>)> = refused.into_iter().collect();
    refused.sort_by_key(|(_, names)| names[0]);
    for (why, names) in &refused {
        writeln!(text, "| {} | {why} |", in_code(names)).expect("a string takes all");
    }
    text
}

fn in_code(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
