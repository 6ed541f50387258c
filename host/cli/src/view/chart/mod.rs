//! The loss curve: from figures by step to lines that a terminal or a browser shows.

mod svg;
mod terminal;

pub use svg::svg;
pub use terminal::{Look, terminal};

use tunesmith_store::MetricPoint;

/// The names under which services report losses, each with what it is called here; the
/// first that is there counts.
const TRAINING: &[&str] = &["train_loss", "training_loss", "loss"];
const VALIDATION: &[&str] = &["valid_loss", "validation_loss", "eval_loss", "full_valid_loss"];

/// Figures of one kind over the steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What they are.
    pub name: &'static str,
    /// Step and figure, by step; all finite.
    pub points: Vec<(f64, f64)>,
    /// Steps whose figure is infinite or no number: the run diverged there.
    pub lost: usize,
}

/// A run's losses.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The training loss.
    pub training: Option<Series>,
    /// The validation loss.
    pub validation: Option<Series>,
    /// Steps after which the service kept a checkpoint.
    pub checkpoints: Vec<u64>,
}

impl Curve {
    /// The losses among these figures; `None` where there are none to draw.
    pub fn of(points: &[MetricPoint], checkpoints: Vec<u64>) -> Option<Self> {
        let curve = Self {
            training: series("training loss", points, TRAINING),
            validation: series("validation loss", points, VALIDATION),
            checkpoints,
        };
        let is_there = curve.series().next().is_some();
        is_there.then_some(curve)
    }

    /// The series that are there.
    pub fn series(&self) -> impl Iterator<Item = &Series> {
        self.training.iter().chain(&self.validation)
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.series().flat_map(|series| series.points.iter().copied())
    }

    /// The first and the last step.
    fn steps(&self) -> (f64, f64) {
        extent(self.points().map(|(step, _)| step))
    }

    /// The lowest and the highest loss, made wider to round numbers, with the ticks
    /// between them, lowest first.
    fn losses(&self, most_ticks: usize) -> Vec<f64> {
        let (low, high) = extent(self.points().map(|(_, loss)| loss));
        ticks(low, high, most_ticks)
    }
}

impl Series {
    /// The series in words: `training loss 2.31 → 0.48 (lowest 0.47 at step 90)`.
    pub fn summary(&self) -> String {
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            return format!("{}: no figure is a number", self.name);
        };
        let lowest = self.points.iter().fold(*first, |low, point| if point.1 < low.1 { *point } else { low });
        let mut text = format!("{} {} → {}", self.name, figure(first.1), figure(last.1));
        if lowest.1 < last.1 {
            text += &format!(" (lowest {} at step {})", figure(lowest.1), lowest.0);
        }
        if self.lost > 0 {
            let steps = if self.lost == 1 { "step" } else { "steps" };
            text += &format!(", no finite number at {} {steps}", self.lost);
        }
        text
    }
}

fn series(name: &'static str, points: &[MetricPoint], names: &[&str]) -> Option<Series> {
    let found = names.iter().find(|name| points.iter().any(|point| point.figures.contains_key(**name)))?;
    let mut series = Series { name, points: Vec::new(), lost: 0 };
    for point in points {
        match point.figures.get(*found) {
            Some(loss) if loss.is_finite() => {
                #[expect(clippy::cast_precision_loss, reason = "steps are far below 2^53")]
                series.points.push((point.step as f64, *loss));
            }
            Some(_) => series.lost += 1,
            None => {}
        }
    }
    (!series.points.is_empty()).then_some(series)
}

fn extent(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

/// Round numbers from at or below `low` to at or above `high`, evenly apart.
fn ticks(low: f64, high: f64, most: usize) -> Vec<f64> {
    // A level line stands in the middle of a small range.
    let spread = if high > low { high - low } else { high.abs().max(1.0) * 0.2 };
    let (low, high) = if high > low { (low, high) } else { (low - spread / 2.0, high + spread / 2.0) };
    if !spread.is_finite() {
        return vec![low, high];
    }
    let intervals = most.saturating_sub(1).max(1);
    #[expect(clippy::cast_precision_loss, reason = "a handful of ticks")]
    let rough = spread / intervals as f64;
    let magnitude = 10_f64.powf(rough.log10().floor());
    // Each is tried until the ticks are few enough; the last surely are.
    for factor in [1.0, 2.0, 2.5, 5.0, 10.0, 20.0, 50.0] {
        let step = magnitude * factor;
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a quotient of a range and about its own size"
        )]
        let count = (last - first) as usize;
        if count <= intervals {
            #[expect(clippy::cast_precision_loss, reason = "a handful of ticks")]
            return (0..=count).map(|at| (first + at as f64) * step).collect();
        }
    }
    vec![low, high]
}

/// A loss with as many digits as tell losses apart.
pub fn figure(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(0.001..100_000.0).contains(&size) => format!("{value:.2e}"),
        size if size < 1.0 => format!("{value:.4}"),
        size if size < 100.0 => format!("{value:.3}"),
        _ => format!("{value:.1}"),
    }
}

/// A tick's label: the fewest digits that tell it from its neighbours.
fn label(value: f64, apart: f64) -> String {
    if value != 0.0 && !(0.001..1_000_000.0).contains(&value.abs()) {
        return format!("{value:.1e}");
    }
    let digits = (-apart.abs().log10()).ceil().clamp(0.0, 6.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 6")]
    let mut digits = digits as usize;
    // 0.25 needs one digit more than its size says.
    let fits = |digits: usize| {
        (format!("{apart:.digits$}").parse::<f64>().unwrap_or(0.0) - apart).abs() < apart.abs() / 100.0
    };
    while digits < 6 && !fits(digits) {
        digits += 1;
    }
    format!("{value:.digits$}")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// A run that falls, with noise that is the same each time.
    pub(crate) fn falling(steps: u64, validation_every: u64) -> Vec<MetricPoint> {
        (1..=steps)
            .map(|step| {
                let along = step as f64 / steps as f64;
                let noise = ((step * 7_919) % 97) as f64 / 97.0 - 0.5;
                let loss = 0.4 + 2.0 * (-4.0 * along).exp() + 0.12 * noise;
                let mut figures = BTreeMap::from([("train_loss".to_owned(), loss)]);
                if step.is_multiple_of(validation_every) {
                    figures.insert(
                        "valid_loss".to_owned(),
                        0.55 + 1.7 * (-4.0 * along).exp() + 0.25 * along * along,
                    );
                }
                MetricPoint { step, figures }
            })
            .collect()
    }

    pub(crate) fn curve() -> Curve {
        Curve::of(&falling(120, 10), vec![40, 80, 120]).unwrap()
    }

    #[test]
    fn losses_are_found_by_any_of_their_names_and_lost_ones_counted() {
        let point =
            |step, name: &str, loss| MetricPoint { step, figures: BTreeMap::from([(name.to_owned(), loss)]) };
        let points = [point(1, "loss", 2.0), point(2, "loss", f64::NAN), point(3, "loss", f64::INFINITY)];
        let curve = Curve::of(&points, vec![]).unwrap();
        let training = curve.training.unwrap();
        assert_eq!((training.points.len(), training.lost), (1, 2));
        assert_eq!(training.summary(), "training loss 2.000 → 2.000, no finite number at 2 steps");
        assert!(curve.validation.is_none());
        assert!(Curve::of(&[point(1, "train_mean_token_accuracy", 0.5)], vec![]).is_none());
        assert!(Curve::of(&[], vec![]).is_none());
        assert!(Curve::of(&[point(1, "loss", f64::NAN)], vec![]).is_none(), "nothing to draw");
    }

    #[test]
    fn ticks_are_round_and_hold_all_figures() {
        assert_eq!(ticks(0.37, 2.41, 6), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]);
        assert_eq!(ticks(3.0, 3.0, 5).len(), 5, "{:?}", ticks(3.0, 3.0, 5));
        let extremes =
            [(0.0, 0.0), (-5.0, 1e-9), (1e-300, 1e300), (f64::MIN_POSITIVE, 1.0), (1e15, 1e15 + 1.0)];
        for (low, high) in extremes {
            for most in 2..8 {
                let ticks = ticks(low, high, most);
                assert!(ticks.len() >= 2 && ticks.len() <= most, "{low} {high} {most}: {ticks:?}");
                assert!(ticks[0] <= low && ticks[ticks.len() - 1] >= high, "{low} {high} {most}: {ticks:?}");
            }
        }
        assert_eq!(label(0.25, 0.25), "0.25");
        assert_eq!(label(0.5, 0.5), "0.5");
        assert_eq!(label(2.0, 1.0), "2");
    }
}
