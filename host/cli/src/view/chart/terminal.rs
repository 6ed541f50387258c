//! The loss curve in characters: braille dots for the training loss and marks for the
//! validation loss, or plain ASCII.

use crate::view::chart::{Curve, label};
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;

/// Rows of the picture without its axis: tall enough for a shape, and short enough that
/// what stands around it stays on the screen.
const ROWS: usize = 12;

/// The widest picture in columns; a wider one shows no more.
const WIDEST: usize = 100;

/// The narrowest picture; below it there are only words.
const NARROWEST: usize = 12;

/// The training loss's colour.
const TRAINING: Style = AnsiColor::Cyan.on_default();
/// The validation loss's colour.
const VALIDATION: Style = AnsiColor::Yellow.on_default().bold();
const FAINT: Style = crate::view::style::FAINT;

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Columns of a line.
    pub width: usize,
    /// Whether more than ASCII can be shown.
    pub unicode: bool,
}

/// A character of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ink {
    Nothing,
    /// The training loss: a bit for each dot of a braille character.
    Line(u8),
    /// The validation loss.
    Mark,
}

/// Draws the curve, with what it shows in words below it.
pub fn terminal(curve: &Curve, look: Look) -> String {
    let ticks = curve.losses(6);
    let apart = match ticks.as_slice() {
        [first, second, ..] => second - first,
        _ => 1.0,
    };
    let labels: Vec<String> = ticks.iter().map(|tick| label(*tick, apart)).collect();
    let margin = labels.iter().map(String::len).max().unwrap_or(0);
    let columns = look.width.min(WIDEST).saturating_sub(margin + 3);
    let mut out = String::new();
    if columns >= NARROWEST {
        let canvas = Canvas::draw(curve, &ticks, columns);
        canvas.render(&mut out, &labels, margin, look.unicode);
        canvas.axis(&mut out, curve, margin, look.unicode);
    }
    let (line, mark, arrow) = if look.unicode { ("⠒⠒", "◆", "→") } else { ("**", "o", "->") };
    for (series, sign, style) in [(&curve.training, line, TRAINING), (&curve.validation, mark, VALIDATION)] {
        if let Some(series) = series {
            let summary = series.summary().replace('→', arrow);
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{}{style}{sign:<2}{style:#} {summary}", " ".repeat(margin + 3));
        }
    }
    out
}

struct Canvas {
    columns: usize,
    cells: Vec<Ink>,
    /// Columns in which a checkpoint was kept.
    checkpoints: Vec<usize>,
}

/// The bit of a braille character for the dot at this column (of 2) and row (of 4).
fn dot(x: usize, y: usize) -> u8 {
    match (x, y) {
        (0, 3) => 0x40,
        (_, 3) => 0x80,
        (0, y) => 1 << y,
        (_, y) => 8 << y,
    }
}

impl Canvas {
    fn draw(curve: &Curve, ticks: &[f64], columns: usize) -> Self {
        let (low, high) = (ticks.first().copied().unwrap_or(0.0), ticks.last().copied().unwrap_or(1.0));
        let (first, last) = curve.steps();
        let mut canvas = Self { columns, cells: vec![Ink::Nothing; columns * ROWS], checkpoints: vec![] };
        let (width, height) = (columns * 2, ROWS * 4);
        let x = |step: f64| placed(step, first, last, width);
        let y = |loss: f64| height - 1 - placed(loss, low, high, height);
        if let Some(training) = &curve.training {
            let dots: Vec<_> = training.points.iter().map(|(step, loss)| (x(*step), y(*loss))).collect();
            for pair in dots.windows(2) {
                if let [from, to] = pair {
                    canvas.line(*from, *to);
                }
            }
            if let [(x, y)] = dots.as_slice() {
                canvas.set(*x, *y);
            }
        }
        if let Some(validation) = &curve.validation {
            for (step, loss) in &validation.points {
                if let Some(cell) = canvas.cells.get_mut(y(*loss) / 4 * columns + x(*step) / 2) {
                    *cell = Ink::Mark;
                }
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "steps are far below 2^53")]
        let shown = curve.checkpoints.iter().map(|step| *step as f64);
        canvas.checkpoints =
            shown.filter(|step| (first..=last).contains(step)).map(|step| x(step) / 2).collect();
        canvas
    }

    fn set(&mut self, x: usize, y: usize) {
        if let Some(cell) = self.cells.get_mut(y / 4 * self.columns + x / 2) {
            let dots = if let Ink::Line(dots) = *cell { dots } else { 0 };
            *cell = Ink::Line(dots | dot(x % 2, y % 4));
        }
    }

    /// All dots between two, ends included.
    fn line(&mut self, from: (usize, usize), to: (usize, usize)) {
        let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1)).max(1);
        let between = |a: usize, b: usize, at: usize| {
            if b >= a { a + (b - a) * at / steps } else { a - (a - b) * at / steps }
        };
        for at in 0..=steps {
            self.set(between(from.0, to.0, at), between(from.1, to.1, at));
        }
    }

    fn render(&self, out: &mut String, labels: &[String], margin: usize, unicode: bool) {
        let rows_between = (ROWS - 1) as f64 / labels.len().saturating_sub(1).max(1) as f64;
        let edge = if unicode { ["┤", "│"] } else { ["+", "|"] };
        for row in 0..ROWS {
            let tick = labels.iter().rev().enumerate().find(|(at, _)| {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to ROWS")]
                let at = (*at as f64 * rows_between).round() as usize;
                at == row
            });
            let (text, edge) = match tick {
                Some((_, label)) => (label.as_str(), edge[0]),
                None => ("", edge[1]),
            };
            let _ = write!(out, " {FAINT}{text:>margin$} {edge}{FAINT:#}");
            let cells = self.cells.get(row * self.columns..(row + 1) * self.columns).unwrap_or_default();
            let used = cells.iter().rposition(|cell| *cell != Ink::Nothing).map_or(0, |last| last + 1);
            let mut style = Style::new();
            for cell in cells.iter().take(used) {
                let (character, wanted) = match (cell, unicode) {
                    (Ink::Nothing, _) => (' ', Style::new()),
                    (Ink::Line(dots), true) => {
                        (char::from_u32(0x2800 + u32::from(*dots)).unwrap_or('*'), TRAINING)
                    }
                    (Ink::Line(_), false) => ('*', TRAINING),
                    (Ink::Mark, true) => ('◆', VALIDATION),
                    (Ink::Mark, false) => ('o', VALIDATION),
                };
                if wanted != style {
                    let _ = write!(out, "{style:#}{wanted}");
                    style = wanted;
                }
                out.push(character);
            }
            let _ = writeln!(out, "{style:#}");
        }
    }

    fn axis(&self, out: &mut String, curve: &Curve, margin: usize, unicode: bool) {
        let (corner, plain, kept) = if unicode { ("└", '─', '┴') } else { ("+", '-', '^') };
        let line: String =
            (0..self.columns).map(|at| if self.checkpoints.contains(&at) { kept } else { plain }).collect();
        let pad = " ".repeat(margin + 2);
        let _ = writeln!(out, "{FAINT}{pad}{corner}{line}{FAINT:#}");
        let (first, last) = curve.steps();
        let (left, right) = (format!("step {first}"), last.to_string());
        let note = match curve.checkpoints.len() {
            0 => String::new(),
            _ => format!("{kept} checkpoint"),
        };
        let space = self.columns.saturating_sub(left.len() + right.len());
        let middle = if note.chars().count() + 2 <= space { note } else { String::new() };
        let free = space - middle.chars().count();
        let (before, after) = (free / 2, free - free / 2);
        let _ = writeln!(
            out,
            "{FAINT}{pad} {left}{}{middle}{}{right}{FAINT:#}",
            " ".repeat(before),
            " ".repeat(after)
        );
    }
}

/// Where a value lies on so many dots.
fn placed(value: f64, low: f64, high: f64, dots: usize) -> usize {
    let most = dots.saturating_sub(1);
    if high <= low {
        return most / 2;
    }
    let along = ((value - low) / (high - low)).clamp(0.0, 1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "from 0 to some hundred"
    )]
    let at = (along * most as f64).round() as usize;
    at.min(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::chart::tests::{curve, falling};
    use unicode_width::UnicodeWidthStr as _;

    fn plain(curve: &Curve, width: usize, unicode: bool) -> String {
        let text = terminal(curve, Look { width, unicode });
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn the_curve_falls_and_both_losses_are_told_apart() {
        insta::assert_snapshot!(plain(&curve(), 72, true));
    }

    #[test]
    fn ascii_does_without_other_characters() {
        let text = plain(&curve(), 60, false);
        assert!(text.is_ascii(), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_a_narrow_one_gets_words() {
        for width in 20..140 {
            for line in plain(&curve(), width, true).lines().filter(|line| !line.contains("loss")) {
                assert!(line.width() <= width, "{width}: {line}");
            }
        }
        assert!(plain(&curve(), 10, true).lines().count() == 2);
    }

    #[test]
    fn one_point_and_a_level_line_are_drawn() {
        let one = Curve::of(&falling(1, 1), vec![]).unwrap();
        assert!(plain(&one, 60, true).contains('◆'));
        let mut level = falling(9, 100);
        for point in &mut level {
            point.figures.insert("train_loss".to_owned(), 1.5);
        }
        let text = plain(&Curve::of(&level, vec![]).unwrap(), 60, true);
        assert!(
            text.contains("⠤⠤⠤") || text.contains("⠒⠒⠒") || text.contains("⣀⣀⣀") || text.contains("⠉⠉⠉"),
            "{text}"
        );
    }
}
