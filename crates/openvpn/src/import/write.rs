//! `mesh.toml` as text, with what is to be decided where it belongs.

mod gateway;
mod link;

use std::fmt::Write;

use super::{Decision, group::Mesh, left_out::LeftOut};
use crate::directive::Place;

/// Columns of a comment.
const COLUMNS: usize = 110;

pub(super) fn write(mesh: &Mesh, here: &[LeftOut], there: &[LeftOut], decisions: &mut Vec<Decision>) -> String {
    let mut page = Page { text: String::new(), decisions };
    page.comment("", "Made by `meshtun import` from OpenVPN's files. The same file goes to every gateway, except for the key files that each keeps for itself. Lines with DECIDE want a person.");
    page.text.push_str("requires = \"0.1\"\n");
    for (number, gateway) in mesh.gateways.iter().enumerate() {
        gateway::write(&mut page, mesh, number, gateway);
    }
    for link in &mesh.links {
        link::write(&mut page, mesh, link);
    }
    write_left_out(&mut page, here, there);
    page.text
}

struct Page<'a> {
    text: String,
    decisions: &'a mut Vec<Decision>,
}

impl Page<'_> {
    /// A comment, broken into lines.
    fn comment(&mut self, mark: &str, text: &str) {
        let mut line = String::from("#");
        for word in mark.split_whitespace().chain(text.split_whitespace()) {
            if line.len() > 2 && line.len() + 1 + word.len() > COLUMNS {
                self.text.push_str(&line);
                line = String::from("\n#");
            }
            line.push(' ');
            line.push_str(word);
        }
        self.text.push_str(&line);
        self.text.push('\n');
    }

    fn decide(&mut self, places: impl IntoIterator<Item = Place>, text: &str) {
        let decision = Decision::new(places, text);
        self.comment("DECIDE:", &decision.to_string());
        self.decisions.push(decision);
    }

    fn line(&mut self, key: &str, value: impl std::fmt::Display) {
        writeln!(self.text, "{key} = {value}").expect("a string takes all");
    }
}

/// A name as a TOML key or string. Names are made of letters, digits, dashes and the like, hosts of what files hold.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => write!(quoted, "\\u{:04X}", u32::from(c)).expect("a string takes all"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}

fn write_left_out(page: &mut Page<'_>, here: &[LeftOut], there: &[LeftOut]) {
    if here.is_empty() && there.is_empty() {
        return;
    }
    page.text.push_str("\n# Left out:\n");
    for out in here.iter().chain(there) {
        page.comment("-", &format!("{}: {}", out.channel.file, out.reason));
    }
}
