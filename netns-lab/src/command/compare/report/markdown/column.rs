//! Which figures stand in which table, and under which head.

use super::Row;
use crate::command::compare::measure::PACED;
use crate::command::compare::report::number::written;

/// A table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Group {
    Tcp,
    RoundTrips,
    Datagrams,
    Memory,
}

/// A column of a table.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Column {
    /// A figure.
    Value(String),
    /// The processor time that it took.
    Cost(String),
}

impl Group {
    pub(super) const ALL: [Group; 4] = [Group::Tcp, Group::RoundTrips, Group::Datagrams, Group::Memory];

    pub(super) fn title(self) -> &'static str {
        match self {
            Group::Tcp => "TCP",
            Group::RoundTrips => "Round trips",
            Group::Datagrams => "Datagrams",
            Group::Memory => "Resident memory of a gateway's processes",
        }
    }

    /// What stands over the names: the unit, if all columns have the same.
    pub(super) fn corner(self) -> &'static str {
        match self {
            Group::Tcp => "Gb/s",
            Group::RoundTrips => "ms",
            Group::Datagrams => "",
            Group::Memory => "MiB",
        }
    }
}

impl Column {
    /// The columns that have figures, in the order in which they came.
    pub(super) fn all(rows: &[&Row], group: Group) -> Vec<Column> {
        let (mut values, mut costs) = (Vec::new(), Vec::new());
        for row in rows.iter().filter(|row| head(&row.test).is_some_and(|(its, _)| its == group)) {
            push_new(&mut values, Column::Value(row.test.clone()));
            let told = group == Group::Tcp && !row.test.ends_with("-reverse") && row.cpu_seconds_per_gb.is_some();
            if told {
                push_new(&mut costs, Column::Cost(row.test.clone()));
            }
        }
        values.into_iter().chain(costs).collect()
    }

    pub(super) fn test(&self) -> &str {
        let (Column::Value(test) | Column::Cost(test)) = self;
        test
    }

    pub(super) fn is_cost(&self) -> bool {
        matches!(self, Column::Cost(_))
    }

    pub(super) fn head(&self) -> String {
        let head = head(self.test()).map_or_else(|| self.test().to_owned(), |(_, head)| head);
        if self.is_cost() { format!("CPU s/GB, {head}") } else { head }
    }
}

/// Where a figure stands; nowhere, if it is only for programs.
fn head(test: &str) -> Option<(Group, String)> {
    let parts: Vec<_> = test.split('-').collect();
    match parts[..] {
        ["tcp", streams] => Some((Group::Tcp, counted(streams))),
        ["tcp", streams, "reverse"] => Some((Group::Tcp, counted(streams) + " ←")),
        ["rtt", "idle", what] => Some((Group::RoundTrips, format!("idle, {}", part(what)?))),
        ["rtt", "loaded", what] => Some((Group::RoundTrips, format!("16 flows, {}", part(what)?))),
        ["rtt", "loaded", "other", "channel", what] => {
            Some((Group::RoundTrips, format!("flows on other channels, {}", part(what)?)))
        }
        ["udp", bytes, "highest"] => Some((Group::Datagrams, format!("{bytes} B: highest rate a second"))),
        ["udp", bytes, "paced", "cpu"] => {
            Some((Group::Datagrams, format!("{bytes} B, {} a second: CPU µs each", written(PACED.into()))))
        }
        ["udp", _, "paced", "loss"] => Some((Group::Datagrams, "of these lost, %".into())),
        ["memory"] => Some((Group::Memory, "after the tests".into())),
        ["memory", "peak"] => Some((Group::Memory, "peak".into())),
        _ => None,
    }
}

fn counted(streams: &str) -> String {
    if streams == "1" { "1 stream".into() } else { format!("{streams} streams") }
}

fn part(what: &str) -> Option<&'static str> {
    match what {
        "p50" => Some("median"),
        "p99" => Some("p99"),
        _ => None,
    }
}

fn push_new(columns: &mut Vec<Column>, column: Column) {
    if !columns.contains(&column) {
        columns.push(column);
    }
}
