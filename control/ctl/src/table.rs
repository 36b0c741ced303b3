//! Aligned tables.

/// A table: headers with units, rows of cells, numbers to the right.
#[derive(Debug)]
pub(crate) struct Table {
    headers: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<H: Into<String>>(headers: impl IntoIterator<Item = H>) -> Self {
        Self {
            headers: headers.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with a cell for each header.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        debug_assert_eq!(cells.len(), self.headers.len(), "a cell for each header");
        self.rows.push(cells);
    }

    /// The table's lines; columns of numbers are aligned to the right.
    pub(crate) fn render(&self) -> String {
        let columns: Vec<(usize, bool)> = (0..self.headers.len()).map(|i| self.shape(i)).collect();
        let lines = std::iter::once(&self.headers).chain(&self.rows);
        lines.map(|cells| line(cells, &columns)).collect()
    }

    /// Width of a column, and whether it holds numbers only.
    fn shape(&self, column: usize) -> (usize, bool) {
        let cells = || self.rows.iter().map(|row| row[column].as_str());
        let width = cells()
            .chain([self.headers[column].as_str()])
            .map(|c| c.chars().count())
            .max();
        let is_number = |cell: &str| cell == NONE || cell.bytes().all(|b| b.is_ascii_digit());
        let has_digit = cells().any(|cell| cell != NONE);
        (width.unwrap_or(0), has_digit && cells().all(is_number))
    }
}

/// What a cell without a value shows.
pub(crate) const NONE: &str = "-";

/// A value, or [`NONE`].
pub(crate) fn or_none<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| value.to_string())
}

/// Values with commas between them, or [`NONE`].
pub(crate) fn list<T: ToString>(values: impl IntoIterator<Item = T>) -> String {
    let words: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    if words.is_empty() {
        NONE.to_owned()
    } else {
        words.join(", ")
    }
}

fn line(cells: &[String], columns: &[(usize, bool)]) -> String {
    let padded = cells.iter().zip(columns).map(|(cell, (width, right))| {
        if *right {
            format!("{cell:>width$}")
        } else {
            format!("{cell:<width$}")
        }
    });
    let text = padded.collect::<Vec<_>>().join("  ");
    format!("{}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_words_to_the_left() {
        let mut table = Table::new(["NAME", "PACKETS", "KEY"]);
        table.row(["a".to_owned(), "1".to_owned(), or_none(None::<u32>)]);
        table.row([
            "long name".to_owned(),
            "1234567890".to_owned(),
            or_none(Some(7)),
        ]);
        let expected = "\
NAME          PACKETS  KEY
a                   1    -
long name  1234567890    7
";
        assert_eq!(table.render(), expected);
    }

    #[test]
    fn a_table_without_rows_is_its_headers() {
        assert_eq!(Table::new(["NAME", "PACKETS"]).render(), "NAME  PACKETS\n");
    }
}
