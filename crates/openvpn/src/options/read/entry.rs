//! What the table is made of: directives that set something.

use super::draft::Draft;
use crate::directive::Directive;

/// One directive that sets something.
pub(super) struct Entry {
    pub(super) name: &'static str,
    /// Fewest and most parameters.
    pub(super) parameters: (usize, usize),
    /// Whether `<name>` … `</name>` may stand for the first parameter.
    pub(super) inline: bool,
    /// Takes it over. An error is what is wrong with a parameter.
    pub(super) take: fn(&mut Draft, &Directive) -> Result<(), String>,
}

/// A directive with so many parameters.
pub(super) const fn set(
    name: &'static str,
    least: usize,
    most: usize,
    take: fn(&mut Draft, &Directive) -> Result<(), String>,
) -> Entry {
    Entry { name, parameters: (least, most), inline: false, take }
}

/// The same, with inline text as a second way.
pub(super) const fn set_inline(
    name: &'static str,
    least: usize,
    most: usize,
    take: fn(&mut Draft, &Directive) -> Result<(), String>,
) -> Entry {
    Entry { name, parameters: (least, most), inline: true, take }
}
