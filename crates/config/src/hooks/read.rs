//! The `hooks` of a section: read and checked.

use std::{path::Path, time::Duration};

use toml::de::DeTable;

use super::{HookEvent, HookTable};
use crate::findings::{Findings, List, Located, Span};
use crate::reader::Reader;
use crate::schema;

/// Whose hooks they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `[defaults]` or a gateway: every event.
    Gateway,
    /// A link: the events of links and channels.
    Link,
}

/// Reads and checks a `hooks` table; what is wrong is reported, and left out.
pub(crate) fn read(table: &DeTable<'_>, span: &Span, place: Place, findings: &mut Findings) -> HookTable {
    let mut hooks = Reader::open(&schema::HOOKS, table, "`hooks`", span, findings);
    let mut read = HookTable::default();
    for event in HookEvent::ALL {
        let Some(command) = hooks.strings(event.name()) else { continue };
        if place == Place::Link && event.is_of_gateway() {
            let hint = "put it into the `hooks` of [defaults] or of a gateway";
            hooks.findings().error(&command.span, format!("`{event}` is no event of a link"), hint);
        } else if is_right(&command, event, hooks.findings()) {
            read.commands.insert(event, command.value.into_iter().map(|word| word.value).collect());
        }
    }
    read.timeout = hooks.string("timeout").and_then(|text| timeout(&text, hooks.findings()));
    read
}

fn is_right(command: &List<String>, event: HookEvent, findings: &mut Findings) -> bool {
    if let Some(word) = command.value.iter().find(|word| word.value.contains('\0')) {
        findings.error(&word.span, format!("`{event}` has a zero byte in a word"), "a program cannot be given one");
        return false;
    }
    let Some(program) = command.value.first() else { return true };
    if !Path::new(&program.value).is_absolute() {
        let message = format!("`{event}` must begin with the absolute path of a program, not {:?}", program.value);
        let hint = "no shell looks for it: the first word is the program, each further one an argument";
        findings.error(&program.span, message, hint);
        return false;
    }
    true
}

/// Whole seconds, or minutes.
fn timeout(text: &Located<String>, findings: &mut Findings) -> Option<Duration> {
    let (digits, unit) =
        text.value.split_at(text.value.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.value.len()));
    let seconds = match unit {
        "s" => digits.parse().ok(),
        "m" => digits.parse::<u64>().ok().and_then(|minutes| minutes.checked_mul(60)),
        _ => None,
    };
    let fits = seconds.filter(|seconds| (1..=600).contains(seconds));
    if fits.is_none() {
        let message = format!("`timeout` must be a time from \"1s\" to \"10m\", not {:?}", text.value);
        let hint =
            "a hook that takes longer is ended, and the next event of its link waits for it: write `timeout = \"10s\"`";
        findings.error(&text.span, message, hint);
    }
    fits.map(Duration::from_secs)
}
