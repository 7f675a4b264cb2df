//! A chart: throughput with one stream and with 16, and the tail of the round trips, a group of bars for each subject.
//!
//! SVG that needs nothing else: no style sheet, no font of its own, no background. Every colour is about as far from white
//! as from the dark that pages have, at least 3:1 for bars and 4:1 for text (WCAG 2's contrast ratio).

mod scale;
mod svg;

use self::{
    scale::Scale,
    svg::{Anchor, Svg},
};
use super::{
    Place, Report, label,
    markdown::subjects,
    number::{significant, written},
    row::Row,
};
use crate::command::compare::tool::{Subject, Tool};

/// The width of the picture. All lengths are in its own units, pixels where it is shown as it is.
const WIDTH: f64 = 1000.0;

/// Free at either side.
const MARGIN: f64 = 24.0;

/// Where the bars of the panels begin, and how long the longest is; beyond it there is room for its number.
const PANELS: [(f64, f64); 2] = [(300.0, 285.0), (704.0, 220.0)];

/// Where the first group of bars is.
const TOP: f64 = 132.0;

/// From a group to the next.
const GROUP: f64 = 46.0;

/// The height of a bar.
const BAR: f64 = 15.0;

/// From a bar to the next of its group.
const NEXT_BAR: f64 = 17.0;

/// Between lines of the caption.
const LINE: f64 = 18.0;

/// How many characters a line of the caption holds.
const CAPTION: usize = 142;

/// What a bar shows.
struct Series {
    test: &'static str,
    legend: &'static str,
    colour: &'static str,
}

/// Bars that share an axis.
struct Panel {
    head: &'static str,
    series: &'static [Series],
}

const THROUGHPUT: Panel = Panel {
    head: "TCP, Gb/s: more is better",
    series: &[
        Series { test: "tcp-1", legend: "1 stream", colour: "#2f81d6" },
        Series { test: "tcp-16", legend: "16 streams", colour: "#c96b16" },
    ],
};

const LOADED: Panel = Panel {
    head: "Round trip, p99, ms: less is better",
    series: &[Series { test: "rtt-loaded-p99", legend: "beside 16 TCP flows", colour: "#9a63c9" }],
};

const IDLE: Panel = Panel {
    head: "Round trip, p99, ms: less is better",
    series: &[Series { test: "rtt-idle-p99", legend: "nothing else carried", colour: "#9a63c9" }],
};

/// The chart of a place; `None` if nothing was measured there that it shows.
pub(super) fn draw(report: &Report, place: Place) -> Option<String> {
    let rows: Vec<_> = report.rows.iter().filter(|row| row.place() == place).collect();
    let round_trips = if LOADED.has_any(&rows) { LOADED } else { IDLE };
    let panels: Vec<_> =
        [THROUGHPUT, round_trips].into_iter().zip(PANELS).filter(|(panel, _)| panel.has_any(&rows)).collect();
    let shown =
        |subject: &Subject| panels.iter().any(|(panel, _)| panel.rows(&rows).any(|row| row.subject == *subject));
    let subjects: Vec<_> = subjects(&rows).into_iter().filter(shown).collect();
    if subjects.is_empty() {
        return None;
    }
    let caption = caption(report, &rows);
    let bottom = TOP + GROUP * subjects.len() as f64;
    let mut svg = Svg::new(WIDTH, bottom + 40.0 + LINE * caption.len() as f64);
    svg.describe("TCP throughput and round trips of each tunnel", &label::place(place));
    svg.heading(MARGIN, 36.0, "TCP throughput and round trips of each tunnel");
    svg.text(MARGIN, 59.0, Anchor::Start, &label::place(place));
    for (at, subject) in subjects.iter().enumerate() {
        let middle = TOP + GROUP * at as f64 + BAR + 5.0;
        let name = label::subject(subject);
        if matches!(subject.tool, Tool::Meshtun | Tool::MeshtunOpenVpn) {
            svg.strong(MARGIN, middle, &name)
        } else {
            svg.text(MARGIN, middle, Anchor::Start, &name)
        }
    }
    for (panel, (left, width)) in panels {
        let canvas = Canvas { left, bottom, scale: Scale::new(&panel.values(&rows), width) };
        panel.draw(&mut svg, &canvas, &rows, &subjects);
    }
    for (at, line) in caption.iter().enumerate() {
        svg.small(MARGIN, bottom + 44.0 + LINE * at as f64, Anchor::Start, line);
    }
    Some(svg.end())
}

/// Where a panel's bars are.
struct Canvas {
    left: f64,
    bottom: f64,
    scale: Scale,
}

impl Panel {
    fn has_any(&self, rows: &[&Row]) -> bool {
        self.rows(rows).next().is_some()
    }

    fn rows<'a>(&self, rows: &'a [&Row]) -> impl Iterator<Item = &'a Row> {
        rows.iter().copied().filter(|row| self.series.iter().any(|series| series.test == row.test))
    }

    /// With what is a tunnel and what is not: the bare wire may be far beyond the others.
    fn values(&self, rows: &[&Row]) -> Vec<(bool, f64)> {
        self.rows(rows).map(|row| (row.subject.tool != Tool::Bare, row.max)).collect()
    }

    fn draw(&self, svg: &mut Svg, canvas: &Canvas, rows: &[&Row], subjects: &[Subject]) {
        self.legend(svg, canvas.left);
        for tick in canvas.scale.ticks() {
            let x = canvas.left + canvas.scale.length(tick);
            svg.grid_line(x, TOP - 6.0, canvas.bottom - 4.0);
            svg.small(x, canvas.bottom + 14.0, Anchor::Middle, &significant(tick, 3).to_string());
        }
        for (at, subject) in subjects.iter().enumerate() {
            // Alone in its group, a bar stands in the middle.
            let lower = (2 - self.series.len()) as f64 * NEXT_BAR / 2.0;
            for (number, series) in self.series.iter().enumerate() {
                let y = TOP + GROUP * at as f64 + lower + NEXT_BAR * number as f64;
                let row = rows.iter().find(|row| row.subject == *subject && row.test == series.test);
                match row {
                    Some(row) => bar(svg, canvas, y, series.colour, row),
                    None => svg.small(canvas.left + 6.0, y + 12.0, Anchor::Start, "–"),
                }
            }
        }
    }

    fn legend(&self, svg: &mut Svg, left: f64) {
        svg.strong(left, 91.0, self.head);
        let mut x = left;
        for series in self.series {
            svg.bar(x, 101.0, 11.0, 11.0, series.colour);
            svg.small(x + 17.0, 111.0, Anchor::Start, series.legend);
            x += 120.0;
        }
    }
}

/// The median as a bar, least and most as a thin line, the number behind both.
fn bar(svg: &mut Svg, canvas: &Canvas, y: f64, colour: &str, row: &Row) {
    let Canvas { left, scale, .. } = canvas;
    let [end, least, most] = [row.value, row.min, row.max].map(|value| left + scale.length(value));
    if scale.holds(row.value) {
        svg.bar(*left, y, end - left, BAR, colour);
        if most - least > 1.0 {
            svg.range(least, most, y + BAR / 2.0);
        }
    } else {
        svg.broken_bar(*left, y, end - left, BAR, colour);
    }
    svg.small(end.max(most) + 6.0, y + 12.0, Anchor::Start, &written(row.value));
}

/// The machine, the day, the programs, and what is shown.
fn caption(report: &Report, rows: &[&Row]) -> Vec<String> {
    let machine = &report.machine;
    let rounds = rows.iter().map(|row| row.rounds).max().unwrap_or_default();
    let what = match rounds {
        1 => "One round.".to_owned(),
        rounds => format!("Medians of {rounds} rounds; thin lines from the least to the most."),
    };
    let broken =
        if rows.iter().any(|row| row.subject.tool == Tool::Bare) { " A broken bar is longer than drawn." } else { "" };
    let versions: Vec<_> = machine.versions.values().map(String::as_str).collect();
    let commit = machine.commit.as_ref().map_or(String::new(), |commit| format!(", commit {commit}"));
    let both_ends = "Both gateways, both hosts and the load on one machine";
    let mut lines = wrap(&format!("{both_ends}: {}. {}{commit}.", machine.line(), machine.date));
    lines.extend(wrap(&format!("{}. {what}{broken}", versions.join(", "))));
    lines
}

/// Lines that fit, broken between words.
fn wrap(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut().filter(|line| line.chars().count() + word.chars().count() < CAPTION) {
            Some(line) => *line += &format!(" {word}"),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caption_is_broken_between_words() {
        let lines = wrap(&"four ".repeat(60));
        assert!(lines.len() == 3 && lines.iter().all(|line| line.len() <= CAPTION), "{lines:?}");
        assert!(lines[0].starts_with("four four") && lines[0].ends_with("four"), "{lines:?}");
    }

    #[test]
    fn colours_are_readable_on_white_and_on_dark() {
        for colour in [THROUGHPUT, LOADED, IDLE].iter().flat_map(|panel| panel.series).map(|series| series.colour) {
            assert!(contrast(colour, "#ffffff") >= 3.0 && contrast(colour, "#0d1117") >= 3.0, "{colour}");
        }
        assert!(contrast(svg::TEXT, "#ffffff") >= 4.0 && contrast(svg::TEXT, "#0d1117") >= 4.0);
    }

    /// WCAG 2.
    fn contrast(one: &str, other: &str) -> f64 {
        let [one, other] = [one, other].map(luminance);
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        let linear = |value: f64| if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) };
        0.2126 * linear(channel(1)) + 0.7152 * linear(channel(3)) + 0.0722 * linear(channel(5))
    }
}
