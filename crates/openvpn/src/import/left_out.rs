//! Files that describe no channel of a link: TLS with many clients, tap devices, old copies.

use super::{Decision, channel::Channel, names};
use crate::{
    directive::Place,
    finding::{Finding, Severity},
};

/// A file that is left out.
pub(super) struct LeftOut {
    pub(super) channel: Channel,
    pub(super) reason: String,
}

/// Parts files into channels and those that are left out, of which the latter are decisions too.
pub(super) fn sort(channels: Vec<Channel>, decisions: &mut Vec<Decision>) -> (Vec<Channel>, Vec<LeftOut>) {
    let mut kept: Vec<Channel> = Vec::new();
    let mut out = Vec::new();
    // Copies come last, so that of two that clash the copy is left out.
    let (copies, files): (Vec<_>, Vec<_>) =
        channels.into_iter().partition(|channel| names::looks_like_a_copy(&channel.file));
    for channel in files.into_iter().chain(copies) {
        match unfit(&channel).or_else(|| stale(&channel, &kept)) {
            Some(reason) => {
                let place = Place { file: Some(channel.file.as_str().into()), line: 1 };
                decisions.push(Decision::new([place], format!("left out: {reason}")));
                out.push(LeftOut { channel, reason });
            }
            None => {
                if names::looks_like_a_copy(&channel.file) {
                    let text = "the name is that of an old copy, but no other file has its port and device: take its channel out if it does not run";
                    decisions.push(Decision::new([channel.place("dev")], text));
                }
                kept.push(channel);
            }
        }
    }
    (kept, out)
}

/// Why a file can be no channel.
fn unfit(channel: &Channel) -> Option<String> {
    let first = |names: &[&'static str]| names.iter().copied().find(|name| channel.has(name));
    if channel.parsed.server || channel.has("mode") && channel.parsed.tls {
        return Some("it is a server with many clients over TLS: leave it to OpenVPN".to_owned());
    }
    if let Some(name) = first(&["client", "pull", "auth-user-pass"]) {
        let line = channel.place(name).line;
        return Some(format!("it is a client of a server over TLS (`{name}`, line {line}): leave it to OpenVPN"));
    }
    if channel.reading.directives.is_empty() {
        return Some("there is no directive in it".to_owned());
    }
    if !channel.has("dev") {
        return Some(
            "it has no `dev`, so OpenVPN does not start it: is it an old file, or a part of others?".to_owned(),
        );
    }
    let about_device = |place: &Place| {
        let mut directives = channel.reading.directives.iter().filter(|directive| directive.place == *place);
        directives.any(|directive| matches!(directive.name.as_str(), "dev" | "dev-type"))
    };
    let bad_device =
        |finding: &&Finding| finding.severity == Severity::Error && finding.place.as_ref().is_some_and(about_device);
    let finding = channel.parsed.findings.iter().find(bad_device)?;
    Some(format!("line {}: {}", finding.place.as_ref().map_or(1, |place| place.line), finding.text))
}

/// Why a file seems to be left over beside those that are kept.
fn stale(channel: &Channel, kept: &[Channel]) -> Option<String> {
    let (other, over) = kept.iter().find_map(|other| Some((other, channel.clash(other)?)))?;
    let other_name = names::base(&other.file);
    Some(if channel.is_copy_of(other) {
        format!("it is the same, byte for byte, as {other_name}")
    } else {
        format!(
            "{over} is {other_name}'s too, so only one of them can run: see which one does, and move the other out of the directory (OpenVPN's services start every .conf there)"
        )
    })
}
