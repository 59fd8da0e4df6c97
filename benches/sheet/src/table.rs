//! Markdown tables and the forms of figures in them.

/// A table under construction.
#[derive(Debug)]
pub struct Table {
    columns: usize,
    text: String,
}

impl Table {
    /// A table with these heads.
    #[must_use]
    pub fn new(heads: &[&str]) -> Self {
        let mut table = Self {
            columns: heads.len(),
            text: String::new(),
        };
        table.row(heads);
        table.row(&vec!["---"; heads.len()]);
        table
    }

    /// Adds a row.
    ///
    /// # Assumptions
    /// It has as many cells as there are heads.
    pub fn row(&mut self, cells: &[impl AsRef<str>]) {
        debug_assert_eq!(cells.len(), self.columns);
        self.text.push('|');
        for cell in cells {
            self.text.push(' ');
            self.text.push_str(cell.as_ref());
            self.text.push_str(" |");
        }
        self.text.push('\n');
    }

    /// The table in Markdown, with an empty line after it.
    #[must_use]
    pub fn finish(self) -> String {
        self.text + "\n"
    }
}

/// Nothing known.
pub const NONE: &str = "–";

/// How many times `ours` is in `theirs`, as `2.4x`, or a dash.
#[must_use]
pub fn ratio(theirs: Option<f64>, ours: Option<f64>) -> String {
    match (theirs, ours) {
        (Some(theirs), Some(ours)) if ours > 0.0 => times(theirs / ours),
        _ => NONE.into(),
    }
}

/// A ratio as `2.4x`, without the decimal place from ten on.
#[must_use]
pub fn times(ratio: f64) -> String {
    if ratio < 9.95 {
        format!("{ratio:.1}x")
    } else {
        format!("{ratio:.0}x")
    }
}

/// A figure with `digits` decimal places, or a dash.
#[must_use]
pub fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| NONE.into(), |value| format!("{value:.digits$}"))
}

/// Bytes as MB, or a dash.
#[must_use]
pub fn megabytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(
        || NONE.into(),
        |bytes| thousands((bytes + 500_000) / 1_000_000),
    )
}

/// `1369769` as `1,369,769`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped_from_the_right() {
        let texts = [0, 999, 1_000, 1_369_769].map(thousands);
        assert_eq!(texts, ["0", "999", "1,000", "1,369,769"]);
    }

    #[test]
    fn a_ratio_without_one_of_its_sides_is_a_dash() {
        assert_eq!(ratio(Some(3.0), Some(2.0)), "1.5x");
        assert_eq!(ratio(Some(30.0), Some(2.0)), "15x");
        assert_eq!(ratio(None, Some(2.0)), NONE);
        assert_eq!(ratio(Some(3.0), None), NONE);
    }
}
