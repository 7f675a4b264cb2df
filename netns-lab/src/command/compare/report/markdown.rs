//! Tables, and the page around them.

mod column;
mod table;

use std::iter;

use self::{
    column::{Column, Group},
    table::Table,
};
use super::{Place, Report, label, number::written, row::Row};
use crate::command::compare::{measure, tool::Subject};

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let machine = &report.machine;
    let head = format!("# {}\n\n{}, {}.\n", report.title, machine.date, machine.line());
    let sections = [
        list("Problems", &report.problems),
        list("Not compared", &report.missing),
        report.places().into_iter().map(|place| section(report, place, true)).collect(),
        list("Notes", &report.notes),
        list("How it was measured", &report.method.iter().cloned().chain(measure::method()).collect::<Vec<_>>()),
        versions(report),
    ];
    head + &sections.concat()
}

/// The tables alone.
pub(super) fn tables(report: &Report) -> String {
    report.places().into_iter().map(|place| section(report, place, false)).collect()
}

/// Everything that was measured in one place.
fn section(report: &Report, place: Place, with_chart: bool) -> String {
    let rows: Vec<_> = report.rows.iter().filter(|row| row.place() == place).collect();
    let mut section = format!("\n## {}\n", label::place(place));
    if with_chart && super::chart::draw(report, place).is_some() {
        let name = report.chart_name(place);
        section += &format!("\n![TCP throughput and round trips of each tool, as in the tables below]({name})\n");
    }
    for group in Group::ALL {
        let columns = Column::all(&rows, group);
        if !columns.is_empty() {
            section += &format!("\n### {}\n\n{}", group.title(), table(&rows, group, &columns).text());
        }
    }
    section
}

fn table(rows: &[&Row], group: Group, columns: &[Column]) -> Table {
    let heads = iter::once(group.corner().to_owned()).chain(columns.iter().map(Column::head));
    let mut table = Table::new(heads.collect());
    for subject in subjects(rows) {
        let cells: Vec<_> = columns.iter().map(|column| cell(rows, &subject, column)).collect();
        if cells.iter().any(Option::is_some) {
            let cells = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "–".into()));
            table.add(iter::once(label::subject(&subject)).chain(cells).collect());
        }
    }
    table
}

/// In the order of the rows, each once.
pub(super) fn subjects(rows: &[&Row]) -> Vec<Subject> {
    let mut subjects = Vec::new();
    for row in rows {
        if !subjects.contains(&row.subject) {
            subjects.push(row.subject);
        }
    }
    subjects
}

/// The median, and between what the rounds lay.
fn cell(rows: &[&Row], subject: &Subject, column: &Column) -> Option<String> {
    let row = rows.iter().find(|row| row.subject == *subject && row.test == column.test())?;
    if column.is_cost() {
        return row.cpu_seconds_per_gb.map(written);
    }
    let [value, min, max] = [row.value, row.min, row.max].map(written);
    Some(if min == max { value } else { format!("{value} ({min}–{max})") })
}

fn list(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    iter::once(format!("\n## {title}\n\n")).chain(lines.iter().map(|line| format!("- {line}\n"))).collect()
}

fn versions(report: &Report) -> String {
    let machine = &report.machine;
    let mut table = Table::new(vec!["".into(), "".into()]);
    table.add(vec!["processors".into(), format!("{} × {}", machine.processors, machine.cpu)]);
    table.add(vec!["memory".into(), format!("{} GiB", machine.memory_gib)]);
    table.add(vec!["kernel".into(), format!("Linux {}", machine.kernel)]);
    table.add(vec!["commit".into(), machine.commit.clone().unwrap_or_else(|| "unknown".into())]);
    for (program, version) in &machine.versions {
        table.add(vec![program.clone(), version.clone()]);
    }
    format!("\n## Machine\n\n{}", table.text())
}
