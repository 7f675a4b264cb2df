//! The status for people: a line about the gateway, a table a link, and what keeps channels from coming up.
//!
//! Fits 80 columns over IPv4 and 120 over IPv6.

use std::{collections::BTreeMap, fmt::Write};

use comfy_table::{Cell, CellAlignment, Table, presets};
use meshtun_daemon::status::{Channel, Hooks, Link, Status};

/// The whole text; `now` in Unix seconds.
pub(super) fn render(status: &Status, now: u64) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "gateway {} (number {}), meshtun {}, process {}, running for {}",
        status.gateway.name,
        status.gateway.number,
        status.version,
        status.pid,
        age(now.saturating_sub(status.started))
    );
    for alarm in &status.alarms {
        wrap(&mut text, &format!("attention: {alarm}"));
    }
    write_change(&mut text, status, now);
    write_hooks(&mut text, status.hooks.as_ref(), now);
    for link in &status.links {
        let _ = write!(text, "\n{}", render_link(link, now));
    }
    text
}

fn render_link(link: &Link, now: u64) -> String {
    let networks: Vec<_> = link.networks.iter().map(ToString::to_string).collect();
    let (up, all) = (link.channels_up, link.channels.len());
    let mut text = format!(
        "link {} to {}: {up} of {all} channels up, {}MTU {}, {}{}\n",
        link.name,
        link.peer,
        use_of(link),
        link.mtu,
        link.cipher,
        if link.preshared_key { " + PSK" } else { "" },
    );
    wrap(&mut text, &format!("networks {}", networks.join(", ")));
    write_paths(&mut text, link);
    for line in table(link, now).lines() {
        let _ = writeln!(text, "  {}", line.trim_end());
    }
    write_drops(&mut text, link);
    write_problems(&mut text, link);
    write_hooks(&mut text, link.hooks.as_ref(), now);
    text
}

/// What somebody asked for and is not made yet.
fn write_change(text: &mut String, status: &Status, now: u64) {
    let Some(change) = &status.change else { return };
    let waiting = match change.waiting {
        0 => String::new(),
        1 => "; another waits for its end".into(),
        n => format!("; {n} others wait for its end"),
    };
    let age = age(now.saturating_sub(change.since));
    wrap(text, &format!("`{}` has gone on for {age}: {}{waiting}", change.what, change.stage));
}

/// The paths that the file lists, and how many of their channels are up.
fn write_paths(text: &mut String, link: &Link) {
    let mut paths = BTreeMap::<u16, Vec<&Channel>>::new();
    for channel in &link.channels {
        if let Some(path) = channel.path {
            paths.entry(path).or_default().push(channel);
        }
    }
    for (path, channels) in paths {
        let local = match channels[0].local.ip() {
            any if any.is_unspecified() => String::new(),
            address => format!(", {address}"),
        };
        let device = channels[0].underlay_device.as_ref().map(|device| format!(" on {device}")).unwrap_or_default();
        let devices: Vec<&str> = channels.iter().map(|channel| channel.device.as_str()).collect();
        let (up, all) = (channels.iter().filter(|channel| channel.carrier).count(), channels.len());
        wrap(text, &format!("path {path}{local}{device}: {up} of {all} channels up ({})", devices.join(", ")));
    }
}

/// Which of the links to a site is used.
fn use_of(link: &Link) -> &'static str {
    match (link.shares_site, link.in_use) {
        (true, true) => "in use, ",
        (true, false) if link.channels_up > 0 => "in reserve, ",
        _ => "",
    }
}

/// Why packets were dropped, of all channels together, most frequent first.
fn write_drops(text: &mut String, link: &Link) {
    let mut reasons = BTreeMap::<&str, u64>::new();
    for (reason, n) in link.channels.iter().flat_map(|channel| &channel.dropped) {
        *reasons.entry(reason).or_default() += n;
    }
    let mut reasons: Vec<_> = reasons.into_iter().filter(|(_, n)| *n > 0).collect();
    reasons.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    if !reasons.is_empty() {
        let reasons: Vec<_> = reasons.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
        wrap(text, &format!("dropped: {}", reasons.join(", ")));
    }
}

fn write_problems(text: &mut String, link: &Link) {
    let mut problems = link.channels.iter().filter_map(|channel| Some((channel.channel, channel.problem.as_ref()?)));
    for (channel, problem) in problems.by_ref().take(PROBLEMS) {
        wrap(text, &format!("{}/{channel}: {problem}", link.name));
    }
    let more = problems.count();
    if more > 0 {
        wrap(text, &format!("and {more} more like these; --json has them all"));
    }
}

fn write_hooks(text: &mut String, hooks: Option<&Hooks>, now: u64) {
    let Some(Hooks { last_failure: Some(failure), last_failure_at, failures, runs, .. }) = hooks else { return };
    let ago = age(now.saturating_sub(last_failure_at.unwrap_or(now)));
    wrap(text, &format!("hooks: {failures} of {runs} runs failed, the last {ago} ago: {failure}"));
}

/// Channels of a link whose problems are written out: they tend to have the same one.
const PROBLEMS: usize = 4;

/// Appends a paragraph, indented, its second and further lines more.
fn wrap(text: &mut String, paragraph: &str) {
    let mut column = 0;
    for word in paragraph.split(' ') {
        let length = word.chars().count();
        let space = match column {
            0 => "  ",
            _ if column + 1 + length > WIDTH => "\n    ",
            _ => " ",
        };
        column = if space == " " { column + 1 } else { space.len() - usize::from(column > 0) };
        column += length;
        text.push_str(space);
        text.push_str(word);
    }
    text.push('\n');
}

/// A terminal's usual width.
const WIDTH: usize = 80;

fn table(link: &Link, now: u64) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["device", "state", "for", "rtt", "loss", "endpoint", "sent", "received", "drops"]);
    for channel in &link.channels {
        table.add_row(row(channel, now));
    }
    for (number, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 1));
        if number >= FIRST_FIGURE {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// From this column on they are aligned to the right.
const FIRST_FIGURE: usize = 6;

fn row(channel: &Channel, now: u64) -> Vec<Cell> {
    let probes = channel.probes.as_ref();
    let rtt = probes.and_then(|probes| probes.rtt_smoothed_ms).map_or("-".into(), milliseconds);
    let loss = probes.and_then(|probes| probes.loss).map_or("-".into(), |loss| format!("{:.0}%", loss * 100.0));
    let endpoint = channel.endpoint.map_or("not known".into(), |endpoint| endpoint.to_string());
    let dropped: u64 = channel.dropped.values().sum();
    let cells = [
        channel.device.clone(),
        channel.state.word().to_owned(),
        age(now.saturating_sub(channel.since)),
        rtt,
        loss,
        endpoint,
        bytes(channel.tx_bytes),
        bytes(channel.rx_bytes),
        dropped.to_string(),
    ];
    cells.into_iter().map(Cell::new).collect()
}

/// Milliseconds with a unit and about three digits.
fn milliseconds(n: f64) -> String {
    match n {
        ..0.9995 => format!("{:.0}us", n * 1000.0),
        ..9.995 => format!("{n:.2}ms"),
        ..99.95 => format!("{n:.1}ms"),
        _ => format!("{n:.0}ms"),
    }
}

/// Bytes with a decimal unit and three significant digits.
fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if n < 1000 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// Seconds as the two largest units, briefly.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests;
