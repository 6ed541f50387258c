//! The loss curve as an SVG file: it needs nothing else, and follows the reader's light
//! or dark setting.

use crate::view::chart::{Curve, Series, label};
use std::fmt::Write as _;
use tunesmith_core::text::visible;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 56.0;

/// Points of a line that are drawn at most: more than the picture has columns.
const MOST_POINTS: usize = 2_000;

/// Points up to which each gets a dot of its own.
const MOST_DOTS: usize = 60;

/// Colours that keep a contrast of 4.5 to 1 and more against their ground, and differ
/// also for people who do not see colours: the validation line is dashed. Without
/// variables, which viewers other than browsers do not know.
const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#57606a}\
.ground{fill:#ffffff}\
.title{font-size:17px;font-weight:600;fill:#1f2328}\
.grid{stroke:#d8dee4;stroke-width:1;fill:none}\
.kept{stroke:#57606a;stroke-width:1;stroke-dasharray:1 4;fill:none}\
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}\
.training{stroke:#0969da}\
.validation{stroke:#9a5700;stroke-dasharray:7 4}\
.dot{stroke:none}.dot.training{fill:#0969da}.dot.validation{fill:#9a5700}\
@media(prefers-color-scheme:dark){\
text{fill:#9198a1}.ground{fill:#0d1117}.title{fill:#e6edf3}.grid{stroke:#2b3139}.kept{stroke:#9198a1}\
.training{stroke:#58a6ff}.validation{stroke:#f0a020}\
.dot.training{fill:#58a6ff;stroke:none}.dot.validation{fill:#f0a020;stroke:none}}";

/// The curve under a title, such as the job's name.
pub fn svg(curve: &Curve, title: &str) -> String {
    let ticks = curve.losses(7);
    let (low, high) = (ticks.first().copied().unwrap_or(0.0), ticks.last().copied().unwrap_or(1.0));
    let (first, last) = curve.steps();
    let x = |step: f64| LEFT + along(step, first, last) * (WIDTH - LEFT - RIGHT);
    let y = |loss: f64| HEIGHT - BOTTOM - along(loss, low, high) * (HEIGHT - TOP - BOTTOM);
    let title = escaped(title);
    let words: Vec<String> = curve.series().map(|series| escaped(&series.summary())).collect();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-labelledby=\"title words\">\n<title id=\"title\">{title}</title>\n\
         <desc id=\"words\">{}</desc>\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" class=\"ground\"/>\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"30\">{title}</text>\n",
        words.join("; "),
    );
    // Writing to a String cannot fail.
    let mut at = LEFT;
    for (series, words) in curve.series().zip(&words) {
        let class = class(curve, series);
        let _ = write!(
            out,
            "<path class=\"line {class}\" d=\"M{at} 50h26\"/>\n<text x=\"{}\" y=\"54\">{words}</text>\n",
            at + 34.0
        );
        // About the width of the words, so that the next stands clear of them.
        #[expect(clippy::cast_precision_loss, reason = "a sentence")]
        let width = words.chars().count() as f64 * 6.9;
        at += 34.0 + width + 20.0;
    }
    let apart = match ticks.as_slice() {
        [first, second, ..] => second - first,
        _ => 1.0,
    };
    for tick in &ticks {
        let _ = write!(
            out,
            "<path class=\"grid\" d=\"M{LEFT} {0:.1}H{1}\"/>\n<text x=\"{2}\" y=\"{3:.1}\" text-anchor=\"end\">{4}</text>\n",
            y(*tick),
            WIDTH - RIGHT,
            LEFT - 10.0,
            y(*tick) + 4.5,
            label(*tick, apart),
        );
    }
    for step in steps(first, last) {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{step}</text>",
            x(step),
            HEIGHT - BOTTOM + 22.0
        );
    }
    let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
    let _ = writeln!(out, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">step</text>", HEIGHT - 12.0);
    for step in &curve.checkpoints {
        #[expect(clippy::cast_precision_loss, reason = "steps are far below 2^53")]
        let at = *step as f64;
        if (first..=last).contains(&at) {
            let _ = writeln!(
                out,
                "<path class=\"kept\" d=\"M{:.1} {TOP}V{}\"><title>checkpoint after step {step}</title></path>",
                x(at),
                HEIGHT - BOTTOM
            );
        }
    }
    for series in curve.series() {
        let class = class(curve, series);
        let points = thinned(&series.points);
        let mut path = String::new();
        for (at, (step, loss)) in points.iter().enumerate() {
            let _ = write!(path, "{}{:.1} {:.1}", if at == 0 { "M" } else { "L" }, x(*step), y(*loss));
        }
        let _ = writeln!(out, "<path class=\"line {class}\" d=\"{path}\"/>");
        if points.len() <= MOST_DOTS {
            for (step, loss) in &points {
                let _ = writeln!(
                    out,
                    "<circle class=\"dot {class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>step {step}: {}</title></circle>",
                    x(*step),
                    y(*loss),
                    crate::view::chart::figure(*loss)
                );
            }
        }
    }
    out += "</svg>\n";
    out
}

fn class(curve: &Curve, series: &Series) -> &'static str {
    let is_training = curve.training.as_ref().is_some_and(|training| std::ptr::eq(training, series));
    if is_training { "training" } else { "validation" }
}

fn along(value: f64, low: f64, high: f64) -> f64 {
    if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 }
}

/// Whole steps to label, the first and the last among them.
fn steps(first: f64, last: f64) -> Vec<f64> {
    let inner = crate::view::chart::ticks(first, last, 9);
    let room = (last - first) / 16.0;
    let clear = |step: &f64| *step > first + room && *step < last - room && step.fract() == 0.0;
    let mut steps = vec![first];
    steps.extend(inner.into_iter().filter(clear));
    if last > first {
        steps.push(last);
    }
    steps
}

/// At most [`MOST_POINTS`]: of each stretch its lowest and its highest point, so that no
/// spike is lost.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= MOST_POINTS {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(MOST_POINTS / 2);
    let mut kept = Vec::with_capacity(MOST_POINTS);
    for part in points.chunks(stretch) {
        let by_loss = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        if let (Some(low), Some(high)) = (part.iter().min_by(by_loss), part.iter().max_by(by_loss)) {
            let (earlier, later) = if low.0 <= high.0 { (low, high) } else { (high, low) };
            kept.push(*earlier);
            if earlier.0 < later.0 {
                kept.push(*later);
            }
        }
    }
    kept
}

/// A foreign text as XML text or attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in visible(text).chars() {
        match character {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::chart::tests::{curve, falling};

    #[test]
    fn the_file_needs_nothing_else_and_holds_both_lines() {
        let text = svg(&curve(), "customer-support");
        assert!(!text.contains("href") && !text.contains("url("), "{text}");
        assert_eq!(text.matches("http").count(), 1, "only the namespace");
        for part in [
            "class=\"line training\"",
            "class=\"line validation\"",
            "prefers-color-scheme:dark",
            "checkpoint after step 80",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_hostile_name_stays_text() {
        let text = svg(&curve(), "</text><script>alert(1)</script>\u{202e}&\"'\0");
        assert!(!text.contains("<script"), "{text}");
        assert!(
            text.contains("&lt;script&gt;alert(1)&lt;/script&gt;\\u{202e}&amp;&quot;&#39;\\u{0}"),
            "{text}"
        );
    }

    #[test]
    fn a_million_steps_make_a_small_file_that_keeps_its_spikes() {
        let mut points = falling(100_000, 1_000_000);
        points[51_234].figures.insert("train_loss".to_owned(), 9.75);
        let curve = Curve::of(&points, vec![]).unwrap();
        let text = svg(&curve, "long");
        assert!(text.len() < 60_000, "{}", text.len());
        let thinned = thinned(&curve.training.as_ref().unwrap().points);
        assert!(thinned.contains(&(51_235.0, 9.75)));
        assert!(thinned.is_sorted_by(|a, b| a.0 < b.0));
    }
}
