//! What a run found, for people and for programs.

mod chart;
mod label;
pub(crate) mod machine;
mod markdown;
mod number;
pub(crate) mod row;

use std::{fs, io, path::Path as FilePath};

use anyhow::Context as _;

use self::{machine::Machine, row::Row};
use super::tool::{Path, Underlay};

/// A whole run.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) title: String,
    pub(crate) machine: Machine,
    /// How it was measured, a paragraph each; the first is the command.
    pub(crate) method: Vec<String>,
    /// What could not be compared, and why.
    pub(crate) missing: Vec<String>,
    /// What makes the run fail.
    pub(crate) problems: Vec<String>,
    /// What a reader should know besides.
    pub(crate) notes: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// A part of the tables: everything that was measured on one path over one underlay.
type Place = (Path, Underlay);

impl Report {
    /// Writes `README.md`, a chart for each path and underlay, `rows.json` and `machine.json` into a folder, which is made
    /// if it is not there.
    ///
    /// # Errors
    /// If a file cannot be written; names it.
    pub(crate) fn write(&self, folder: &FilePath) -> anyhow::Result<()> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| path.display().to_string())
        };
        write("README.md", &markdown::page(self))?;
        write("rows.json", &self.json()?)?;
        write("machine.json", &(serde_json::to_string_pretty(&self.machine)? + "\n"))?;
        for place in self.places() {
            if let Some(chart) = chart::draw(self, place) {
                write(&self.chart_name(place), &chart)?;
            }
        }
        Ok(())
    }

    /// The tables, for a terminal.
    pub(crate) fn table(&self) -> String {
        markdown::tables(self)
    }

    /// A list of rows, a line each.
    fn json(&self) -> io::Result<String> {
        let lines: Vec<_> = self.rows.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        Ok(format!("[\n{}\n]\n", lines.join(",\n")))
    }

    /// What was measured on, in a fixed order.
    fn places(&self) -> Vec<Place> {
        let all = [Path::Routed, Path::Gateway].map(|path| Underlay::ALL.map(|underlay| (path, underlay)));
        all.into_iter().flatten().filter(|place| self.rows.iter().any(|row| row.place() == *place)).collect()
    }

    /// The first one's is the one to show elsewhere.
    fn chart_name(&self, place: Place) -> String {
        let (path, underlay) = place;
        let first = self.places().first() == Some(&place);
        if first { "chart.svg".into() } else { format!("chart-{}-{}.svg", path.name(), underlay.name()) }
    }
}

#[cfg(test)]
mod tests;
