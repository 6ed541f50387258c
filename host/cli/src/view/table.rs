//! Aligned columns for people.

use anstyle::Style;
use std::fmt::Write as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// What stands between two columns.
const GAP: &str = "  ";

/// A column that is cut never gets narrower than this.
const NARROWEST: usize = 8;

/// A text with a style.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell in this style.
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), style: Style::new() }
    }
}

/// How a column lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

/// Rows under headings. Texts must be safe to print already.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Cell>>,
    cut: Option<usize>,
}

impl Table {
    /// A table with these headings; one that begins with `>` is of a column of numbers,
    /// which end together.
    pub fn new(headings: &[&'static str]) -> Self {
        let column = |heading: &&'static str| match heading.strip_prefix('>') {
            Some(heading) => (heading, Align::Right),
            None => (*heading, Align::Left),
        };
        Self { columns: headings.iter().map(column).collect(), rows: Vec::new(), cut: None }
    }

    /// Lets this column be cut where the lines would be too long.
    #[must_use]
    pub fn cut(mut self, heading: &str) -> Self {
        self.cut = self.columns.iter().position(|(name, _)| *name == heading);
        self
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.columns.len());
        self.rows.push(cells.into());
    }

    /// The lines, no longer than `width` where cutting one column is enough. A column
    /// that is empty in every row is left out.
    pub fn render(&self, width: usize) -> String {
        let mut widths: Vec<usize> = (0..self.columns.len())
            .map(|at| self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.text.width()).max())
            .zip(&self.columns)
            .map(|(widest, (heading, _))| match widest {
                Some(0) | None => 0,
                Some(widest) => widest.max(heading.width()),
            })
            .collect();
        let shown: Vec<usize> =
            (0..widths.len()).filter(|at| widths.get(*at).is_some_and(|w| *w > 0)).collect();
        let total: usize = shown.iter().filter_map(|at| widths.get(*at)).sum::<usize>()
            + GAP.len() * shown.len().saturating_sub(1);
        if let Some(cut) = self.cut.and_then(|at| widths.get_mut(at)) {
            *cut = cut.saturating_sub(total.saturating_sub(width)).max(NARROWEST.min(*cut));
        }
        let mut out = String::new();
        let headings: Vec<Cell> = self
            .columns
            .iter()
            .map(|(heading, _)| Cell::styled(*heading, crate::view::style::FAINT))
            .collect();
        for row in std::iter::once(&headings).chain(&self.rows) {
            self.line(&mut out, row, &shown, &widths);
        }
        out
    }

    fn line(&self, out: &mut String, row: &[Cell], shown: &[usize], widths: &[usize]) {
        let last = shown.last();
        for at in shown {
            let (Some(cell), Some(width), Some((_, align))) =
                (row.get(*at), widths.get(*at), self.columns.get(*at))
            else {
                continue;
            };
            let text = fitted(&cell.text, *width);
            let space = " ".repeat(width.saturating_sub(text.width()));
            let style = cell.style;
            if *align == Align::Right {
                out.push_str(&space);
            }
            // Writing to a String cannot fail.
            let _ = write!(out, "{style}{text}{style:#}");
            if Some(at) != last {
                if *align == Align::Left {
                    out.push_str(&space);
                }
                out.push_str(GAP);
            }
        }
        out.push('\n');
    }
}

/// The text in at most so many columns; an ellipsis shows that it was cut.
pub fn fitted(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used > width {
            break;
        }
        out.push(character);
    }
    out.truncate(out.trim_end().len());
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_script_and_empty_ones_are_left_out() {
        let mut table = Table::new(&["NAME", ">SIZE", "NOTE", "AGE"]);
        table.row(["support".into(), "12 MB".into(), "".into(), "3 min".into()]);
        table.row(["サポート".into(), "900 B".into(), "".into(), "2 d".into()]);
        insta::assert_snapshot!(anstream::adapter::strip_str(&table.render(80)).to_string(), @r"
        NAME       SIZE  AGE
        support   12 MB  3 min
        サポート  900 B  2 d
        ");
    }

    #[test]
    fn the_column_that_may_be_cut_makes_room() {
        let mut table = Table::new(&["ID", "NAME", "STATE"]).cut("NAME");
        table.row(["k3f9ab".into(), "a name that goes on and on".into(), "running".into()]);
        let text = anstream::adapter::strip_str(&table.render(30)).to_string();
        assert!(text.lines().all(|line| line.width() <= 30), "{text}");
        assert!(text.contains("k3f9ab  a name that…   running"), "{text}");
        assert!(fitted("日本語のとても長い名前", 8).width() <= 8);
    }
}
