//! The little of SVG that a chart needs.

use std::fmt::Write as _;

/// The colour of text and lines.
pub(super) const TEXT: &str = "#777f8a";

/// Where a text is held.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
}

/// A picture in the making.
pub(super) struct Svg(String);

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Svg {
        Svg(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" fill=\"{TEXT}\" font-size=\"14\" \
             font-family=\"system-ui, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif\">\n"
        ))
    }

    pub(super) fn end(self) -> String {
        self.0 + "</svg>\n"
    }

    /// For who does not see it.
    pub(super) fn describe(&mut self, title: &str, description: &str) {
        self.add(format_args!("<title>{}</title>", escaped(title)));
        self.add(format_args!("<desc>{}</desc>", escaped(description)));
    }

    pub(super) fn heading(&mut self, x: f64, y: f64, text: &str) {
        self.add(format_args!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"20\" font-weight=\"700\">{}</text>",
            escaped(text)
        ));
    }

    pub(super) fn strong(&mut self, x: f64, y: f64, text: &str) {
        self.add(format_args!("<text x=\"{x}\" y=\"{y}\" font-weight=\"700\">{}</text>", escaped(text)));
    }

    pub(super) fn text(&mut self, x: f64, y: f64, anchor: Anchor, text: &str) {
        self.add(format_args!("<text x=\"{x}\" y=\"{y}\"{}>{}</text>", anchor.attribute(), escaped(text)));
    }

    pub(super) fn small(&mut self, x: f64, y: f64, anchor: Anchor, text: &str) {
        let (anchor, text) = (anchor.attribute(), escaped(text));
        self.add(format_args!("<text x=\"{x:.1}\" y=\"{y}\" font-size=\"12.5\"{anchor}>{text}</text>"));
    }

    pub(super) fn grid_line(&mut self, x: f64, top: f64, bottom: f64) {
        self.add(format_args!(
            "<path d=\"M{x:.1} {top}V{bottom}\" stroke=\"{TEXT}\" stroke-width=\"1\" stroke-opacity=\"0.3\"/>"
        ));
    }

    pub(super) fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        // One that is next to nothing can be seen, too.
        let width = width.max(1.0);
        self.add(format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{colour}\"/>"
        ));
    }

    /// A bar with a slanting gap near its end.
    pub(super) fn broken_bar(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        let (bottom, end) = (y + height, x + width);
        let [slant, gap, rest] = [6.0, 5.0, 14.0];
        let [before, after] = [end - rest - gap, end - rest];
        self.add(format_args!(
            "<path d=\"M{x} {y}H{before:.1}L{:.1} {bottom}H{x}ZM{after:.1} {y}H{end:.1}V{bottom}H{:.1}Z\" fill=\"{colour}\"/>",
            before - slant,
            after - slant
        ));
    }

    /// A thin line with ends.
    pub(super) fn range(&mut self, from: f64, to: f64, y: f64) {
        let (top, bottom) = (y - 3.5, y + 3.5);
        self.add(format_args!(
            "<path d=\"M{from:.1} {y}H{to:.1}M{from:.1} {top}V{bottom}M{to:.1} {top}V{bottom}\" stroke=\"{TEXT}\" \
             stroke-width=\"1.5\" fill=\"none\"/>"
        ));
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{element}").expect("a string takes everything");
    }
}

impl Anchor {
    fn attribute(self) -> &'static str {
        match self {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_out() {
        let mut svg = Svg::new(1.0, 1.0);
        svg.text(0.0, 0.0, Anchor::Middle, "a<b & c>d");
        assert!(svg.end().contains(" text-anchor=\"middle\">a&lt;b &amp; c&gt;d</text>"));
    }
}
