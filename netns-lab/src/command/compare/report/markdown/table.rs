//! A Markdown table whose columns line up in a terminal, too.

/// Cells of text; all but the first column stand on the right.
pub(super) struct Table {
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(heads: Vec<String>) -> Table {
        Table { heads, rows: Vec::new() }
    }

    /// One more row, of as many cells as there are heads.
    pub(super) fn add(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(super) fn text(&self) -> String {
        let widths: Vec<_> = (0..self.heads.len()).map(|column| self.width(column)).collect();
        let rule = |(column, width): (usize, &usize)| match column {
            0 => "-".repeat(*width),
            _ => "-".repeat(width - 1) + ":",
        };
        let rule: Vec<_> = widths.iter().enumerate().map(rule).collect();
        [&self.heads, &rule].into_iter().chain(&self.rows).map(|cells| line(cells, &widths)).collect()
    }

    /// At least what the rule needs.
    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().chain([&self.heads]).map(|cells| cells[column].chars().count());
        cells.max().unwrap_or_default().max(3)
    }
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let padded = cells.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
        0 => format!(" {cell:<width$} |"),
        _ => format!(" {cell:>width$} |"),
    });
    format!("|{}\n", padded.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(vec!["Gb/s".into(), "1 stream".into()]);
        table.add(vec!["meshtun ×4".into(), "5.5".into()]);
        table.add(vec!["–".into(), "12 (11–13)".into()]);
        let right = "\
            | Gb/s       |   1 stream |\n\
            | ---------- | ---------: |\n\
            | meshtun ×4 |        5.5 |\n\
            | –          | 12 (11–13) |\n";
        assert_eq!(table.text(), right);
    }
}
