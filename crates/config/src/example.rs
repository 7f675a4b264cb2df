//! The commented example file, written from the schema.

use std::fmt::Write;

use crate::schema::{self, Key, Preset, Section};

/// A mesh.toml with every key, its default and its meaning, which is itself right.
///
/// A key that is commented out shows an example; it holds nothing until it is uncommented.
pub fn example() -> String {
    let mut text = INTRODUCTION.to_owned();
    let [requires, ..] = schema::TOP.keys else { return text };
    write_key(&mut text, requires, "");
    write_section(&mut text, "[defaults]", &schema::DEFAULTS, &[]);
    write_section(&mut text, "[gateways.qvpn1]", &schema::GATEWAY, &GIVEN);
    text.push_str(SECOND_GATEWAY);
    write_section(&mut text, "[[links]]", &schema::LINK, &GIVEN);
    text
}

const INTRODUCTION: &str = "\
# mesh.toml: the same file on every gateway. A gateway finds itself by its private key:
#     meshtun check mesh.toml
#     meshtun up mesh.toml --key /etc/meshtun/private.key
#
# Every key is here with what it means. Keys that state their default can be left out;
# those that are commented out are examples, and hold nothing.

";

const SECOND_GATEWAY: &str = "
[gateways.nvpn1]
number = 2
public_key = \"HdvBVSqUMVLLuSsTabEUSv8MtsyzZoxuQ4smRm3T3jE=\"
underlay = \"203.0.113.2\"
address = \"10.202.0.1\"
address6 = \"fd00:202::1\"
networks = [\"10.202.0.0/16\", \"fd00:202::/48\"]
";

/// Optional keys that the example gives all the same, for hardly a mesh is without them.
const GIVEN: [&str; 3] = ["underlay", "address", "address6"];

fn write_section(text: &mut String, header: &str, section: &Section, given: &[&str]) {
    // Writing to a String does not fail.
    let _ = write!(text, "\n{header}\n");
    for (index, key) in section.keys.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        write_key(text, key, if given.contains(&key.name) { "" } else { "# " });
    }
}

fn write_key(text: &mut String, key: &Key, mark: &str) {
    let usage = key.usage();
    let (holds, line) = match key.preset {
        Preset::Required => ("required".to_owned(), usage),
        Preset::Is(preset) => (format!("default: {preset}"), format!("{} = {preset}", key.name)),
        Preset::Without(what) => (format!("without it: {what}"), format!("{mark}{usage}")),
    };
    let _ = write!(text, "# {}.\n# {}; {holds}.\n{line}\n", capitalised(key.doc), key.kind);
}

fn capitalised(sentence: &str) -> String {
    let mut rest = sentence.chars();
    rest.next().map_or(String::new(), |first| first.to_uppercase().chain(rest).collect())
}

/// The reference of all keys, as the README has it: a Markdown table for each section.
pub fn reference() -> String {
    let mut text = String::new();
    for section in schema::SECTIONS {
        let _ = write!(text, "\n### {}\n\n| key | type | default | meaning |\n|---|---|---|---|\n", section.title);
        for key in section.keys {
            let preset = match key.preset {
                Preset::Required => "required".to_owned(),
                Preset::Is(preset) => format!("`{preset}`"),
                Preset::Without(what) => what.to_owned(),
            };
            let _ = writeln!(text, "| `{}` | {} | {preset} | {} |", key.name, key.kind, key.doc);
        }
    }
    text
}

#[cfg(test)]
mod tests;
