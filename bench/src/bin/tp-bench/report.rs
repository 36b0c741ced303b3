//! Figures: one JSON object a line on standard output, a table for people on standard error.

use std::io::{self, Write};

use serde::Serialize;

use crate::machine;

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    /// What was run: "gre4/to-client/routes=1k/tunnels=1/64B/burst=64".
    pub(crate) case: String,
    /// What was measured.
    pub(crate) metric: String,
    /// How much.
    pub(crate) value: f64,
    /// In what.
    pub(crate) unit: &'static str,
    /// Whose code.
    pub(crate) peer: &'static str,
}

#[derive(Serialize)]
struct Line<'a> {
    bench: &'a str,
    #[serde(flatten)]
    figure: &'a Figure,
    machine: &'a str,
}

/// Figures of one bench.
#[derive(Debug)]
pub(crate) struct Report {
    bench: &'static str,
    machine: String,
    figures: Vec<Figure>,
}

impl Report {
    pub(crate) fn new(bench: &'static str) -> Self {
        Self {
            bench,
            machine: machine::name(),
            figures: Vec::new(),
        }
    }

    /// Adds a figure and prints its line at once: a run that breaks off has shown what it had.
    pub(crate) fn add(&mut self, figure: Figure) -> io::Result<()> {
        let line = Line {
            bench: self.bench,
            figure: &figure,
            machine: &self.machine,
        };
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, &line)?;
        writeln!(out)?;
        self.figures.push(figure);
        Ok(())
    }

    /// Prints a row a case and peer, a column a metric.
    pub(crate) fn table(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\n{} on {}", self.bench, self.machine)?;
        for group in self.groups() {
            write_table(&group, out)?;
        }
        Ok(())
    }

    /// Figures that share their metrics, in order of appearance, one table each.
    fn groups(&self) -> Vec<Vec<Row<'_>>> {
        let mut rows: Vec<Row<'_>> = Vec::new();
        for figure in &self.figures {
            let key = (figure.case.as_str(), figure.peer);
            match rows.iter_mut().find(|r| r.key == key) {
                Some(row) => row.figures.push(figure),
                None => rows.push(Row {
                    key,
                    figures: vec![figure],
                }),
            }
        }
        let mut groups: Vec<Vec<Row<'_>>> = Vec::new();
        for row in rows {
            match groups.iter_mut().find(|g| g[0].metrics().eq(row.metrics())) {
                Some(group) => group.push(row),
                None => groups.push(vec![row]),
            }
        }
        groups
    }
}

struct Row<'a> {
    key: (&'a str, &'a str),
    figures: Vec<&'a Figure>,
}

impl Row<'_> {
    fn metrics(&self) -> impl Iterator<Item = (&str, &str)> {
        self.figures.iter().map(|f| (f.metric.as_str(), f.unit))
    }
}

/// `rows` has at least one row, and all rows have the same metrics.
fn write_table(rows: &[Row<'_>], out: &mut impl Write) -> io::Result<()> {
    let width = |of: fn(&Row<'_>) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let (case, peer) = (width(|r| r.key.0.len()), width(|r| r.key.1.len()));
    write!(out, "{:case$}  {:peer$}", "", "")?;
    for (metric, _) in rows[0].metrics() {
        write!(out, "  {metric:>9}")?;
    }
    writeln!(out)?;
    for row in rows {
        write!(out, "{:case$}  {:peer$}", row.key.0, row.key.1)?;
        for figure in &row.figures {
            let width = figure.metric.len().max(9);
            write!(out, "  {:>width$}", shown(figure.value))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Three significant digits or all before the point.
fn shown(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(case: &str, metric: &str, value: f64, peer: &'static str) -> Figure {
        Figure {
            case: case.into(),
            metric: metric.into(),
            value,
            unit: "ticks",
            peer,
        }
    }

    #[test]
    fn a_line_is_a_flat_object() {
        let figure = figure("a/b", "ticks_per_packet", 42.5, "portal");
        let line = Line {
            bench: "pipeline",
            figure: &figure,
            machine: "m",
        };
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            r#"{"bench":"pipeline","case":"a/b","metric":"ticks_per_packet","value":42.5,"unit":"ticks","peer":"portal","machine":"m"}"#
        );
    }

    #[test]
    fn a_table_has_a_row_a_case_and_peer() {
        let figures = vec![
            figure("case", "min", 41.0, "portal"),
            figure("case", "median", 1234.0, "portal"),
            figure("longer", "min", 0.5, "bare"),
            figure("longer", "median", 9.876, "bare"),
        ];
        let report = Report {
            bench: "b",
            machine: "m".into(),
            figures,
        };
        let mut out = Vec::new();
        report.table(&mut out).unwrap();
        let expected = concat!(
            "\nb on m\n",
            "                      min     median\n",
            "case    portal       41.0       1234\n",
            "longer  bare        0.500       9.88\n",
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
