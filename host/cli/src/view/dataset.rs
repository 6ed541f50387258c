//! Prints results of the dataset commands.

use crate::view::advice;
use crate::view::style::{ERROR, FAINT, HEADING, HINT, WARNING, grouped};
use std::fmt::Write as _;
use std::path::Path;
use tunesmith_core::contract::Row;
use tunesmith_core::text::{excerpt, visible_lines};
use tunesmith_dataset::{
    Converted, Counting, Dataset, Distribution, Figures, Finding, Severity, SplitResult, Transformed, Verdict,
};

/// The longest bar of a histogram, in characters.
const BAR: u64 = 40;

/// The longest name of a field, which may come from a row.
const FIELD_CHARS: usize = 120;

/// The longest reason or fix, which may quote a row.
const REASON_CHARS: usize = 400;

/// A system prompt's length in a list.
const PROMPT_CHARS: usize = 70;

/// A size for people.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// A number with its noun.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

fn head(out: &mut String, path: &Path, dataset: &Dataset) {
    let recognized = dataset.recognized();
    let packed =
        dataset.compression().map_or(String::new(), |packed| format!(", compressed with {}", packed.name()));
    let _ = writeln!(
        out,
        "{HEADING}{}{HEADING:#}: {}, {} as {}{packed}",
        path.display(),
        counted(dataset.rows(), "row"),
        recognized.format.title(),
        recognized.container.name(),
    );
    let _ = writeln!(out, "{FAINT}{}; sha256 {}{FAINT:#}", recognized.evidence, dataset.digest());
}

/// A verdict.
pub fn verdict(path: &Path, dataset: &Dataset) -> String {
    let mut out = String::new();
    head(&mut out, path, dataset);
    out.push_str(&findings(path, dataset.verdict()));
    out
}

/// Findings and their counts.
pub fn findings(path: &Path, verdict: &Verdict) -> String {
    let mut out = String::new();
    if verdict.counts.is_empty() {
        return "no problems found\n".to_owned();
    }
    for finding in &verdict.findings {
        out.push('\n');
        out.push_str(&one(path, finding));
    }
    let _ = writeln!(
        out,
        "\n{HEADING}{}, {}{HEADING:#}",
        counted(verdict.errors(), "error"),
        counted(verdict.warnings(), "warning")
    );
    for count in &verdict.counts {
        let kept = verdict
            .findings
            .iter()
            .filter(|finding| finding.kind == count.kind && finding.severity == count.severity)
            .count() as u64;
        let more = if kept < count.count { format!(" (the first {kept} are listed)") } else { String::new() };
        let level = match count.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let _ = writeln!(out, "  {:>9}  {level:<7}  {}{more}", grouped(count.count), count.kind.name());
    }
    let repairable = verdict.counts.iter().filter(|count| count.kind.is_repairable());
    let repairable: u64 = repairable.map(|count| count.count).sum();
    if repairable > 0 {
        let _ = writeln!(
            out,
            "{HINT}hint{HINT:#}: \"tunesmith dataset convert {} --fix --out FILE\" fixes {} of these",
            path.display(),
            grouped(repairable)
        );
    }
    out
}

fn one(path: &Path, finding: &Finding) -> String {
    let mut place = path.display().to_string();
    if let Some(line) = finding.line {
        let _ = write!(place, ":{line}");
        if let Some(column) = finding.column {
            let _ = write!(place, ":{column}");
        }
    }
    let (style, level) = match finding.severity {
        Severity::Error => (ERROR, "error"),
        Severity::Warning => (WARNING, "warning"),
    };
    // Rows come from anywhere: what they hold must not reach the terminal as it is.
    let field = match &*finding.field {
        "" => String::new(),
        field => format!("{}: ", excerpt(field, FIELD_CHARS)),
    };
    format!(
        "{place}: {style}{level}{style:#} [{}] {field}{}\n  {HINT}fix{HINT:#}: {}\n",
        finding.kind.name(),
        excerpt(&finding.reason, REASON_CHARS),
        excerpt(&advice::words(&finding.fix), REASON_CHARS)
    )
}

/// A dataset in figures.
pub fn figures(path: &Path, dataset: &Dataset, figures: &Figures) -> String {
    let mut out = String::new();
    head(&mut out, path, dataset);
    let _ = writeln!(out, "\n{HEADING}size{HEADING:#}      {}", size(figures.bytes));
    let _ = writeln!(out, "{HEADING}tokens{HEADING:#}    {}", tokens(&figures.counting));
    let roles = &figures.roles;
    let _ = writeln!(
        out,
        "{HEADING}messages{HEADING:#}  {} system, {} user, {} assistant, {} tool",
        grouped(roles.system),
        grouped(roles.user),
        grouped(roles.assistant),
        grouped(roles.tool)
    );
    let _ = writeln!(
        out,
        "{HEADING}plain{HEADING:#}     {} of only system, user and assistant messages",
        counted(figures.typed_rows, "row")
    );
    let least = |exact: bool| if exact { "" } else { "at least " };
    let repeated = &figures.repeated_rows;
    let _ = writeln!(
        out,
        "{HEADING}duplicate{HEADING:#} {}{}",
        least(repeated.exact),
        counted(repeated.count, "row")
    );
    let special = &figures.special;
    if special.tools + special.images + special.weights > 0 {
        let _ = writeln!(
            out,
            "{HEADING}special{HEADING:#}   {} with tools, {} with images, {} with weights",
            counted(special.tools, "row"),
            counted(special.images, "row"),
            counted(special.weights, "row")
        );
    }
    if figures.every > 1 {
        let _ =
            writeln!(out, "{FAINT}the figures below are from one of every {} rows{FAINT:#}", figures.every);
    }
    spread(&mut out, "tokens per row", &figures.tokens);
    spread(&mut out, "messages per row", &figures.messages);
    let _ = writeln!(
        out,
        "\n{HEADING}tasks{HEADING:#} (system prompts): {}{}",
        least(figures.tasks.exact),
        grouped(figures.tasks.count)
    );
    for task in &figures.largest_tasks {
        let prompt = if task.system.is_empty() { "(none)".to_owned() } else { shorten(&task.system) };
        let _ = writeln!(out, "  {:>9}  {prompt}", grouped(task.rows));
    }
    let letters: u64 = figures.scripts.iter().map(|(_, letters)| letters).sum();
    if letters > 0 {
        let _ = write!(out, "\n{HEADING}scripts{HEADING:#}:");
        for (n, (script, count)) in figures.scripts.iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            let share = *count as f64 * 100.0 / letters as f64;
            let _ = write!(out, "{comma} {} {share:.1}%", format!("{script:?}").to_lowercase());
        }
        out.push('\n');
    }
    let _ = writeln!(out, "\n{HEADING}longest rows{HEADING:#}");
    for row in &figures.longest {
        let _ =
            writeln!(out, "  line {:>9}  {:>9} tokens", grouped(row.line), grouped(u64::from(row.tokens)));
    }
    out
}

fn tokens(counting: &Counting) -> String {
    let total = grouped(counting.total);
    let name = counting.tokenizer.name();
    if counting.exact {
        format!("{total} by {name}, counted")
    } else if counting.error == 0.0 {
        format!("about {total} by {name}")
    } else {
        format!(
            "about {total} by {name}, estimated to ±{:.1}% (--exact counts every row)",
            counting.error * 100.0
        )
    }
}

fn spread(out: &mut String, what: &str, spread: &Distribution) {
    let _ = writeln!(
        out,
        "\n{HEADING}{what}{HEADING:#}: min {}, median {}, p90 {}, p95 {}, p99 {}, max {}, mean {:.1}",
        grouped(spread.min),
        grouped(spread.p50),
        grouped(spread.p90),
        grouped(spread.p95),
        grouped(spread.p99),
        grouped(spread.max),
        spread.mean
    );
    let highest = spread.histogram.iter().map(|bar| bar.rows).max().unwrap_or(1).max(1);
    for bar in &spread.histogram {
        let length = (bar.rows * BAR).div_ceil(highest) as usize;
        let from = grouped(bar.from);
        let to = grouped(bar.to);
        let range = if bar.from == bar.to { from } else { format!("{from} to {to}") };
        let _ = writeln!(out, "  {range:>21}  {:>9}  {}", grouped(bar.rows), "█".repeat(length));
    }
}

/// Rows as the model will see them.
pub fn sample(rows: &[Row]) -> String {
    let mut out = String::new();
    if rows.is_empty() {
        return "no usable examples: every row has tool calls or does not end with an assistant message\n"
            .to_owned();
    }
    for row in rows {
        let _ = writeln!(
            out,
            "{HEADING}row {}{HEADING:#} {FAINT}({} tokens by a cautious estimate){FAINT:#}",
            row.id, row.tokens
        );
        for message in &row.example.messages {
            let _ = writeln!(out, "{HINT}{}{HINT:#}", message.role.as_str());
            for line in message.content.lines() {
                let _ = writeln!(out, "  {}", visible_lines(line));
            }
        }
        out.push('\n');
    }
    out
}

/// What was converted.
pub fn converted(converted: &Converted) -> String {
    let mut out = format!(
        "{HEADING}{}{HEADING:#}: {} of {} written as {}, {}\n{FAINT}sha256 {}{FAINT:#}\n",
        converted.file.path.display(),
        grouped(converted.rows_written),
        counted(converted.rows, "row"),
        converted.to.title(),
        size(converted.file.bytes),
        converted.file.digest,
    );
    let mut list = |title: &str, entries: Vec<(&str, u64)>| {
        if !entries.is_empty() {
            let _ = writeln!(out, "{HEADING}{title}{HEADING:#}");
        }
        for (what, count) in entries {
            let _ = writeln!(out, "  {:>9}  {what}", grouped(count));
        }
    };
    list("fixed", converted.fixed.iter().map(|(what, count)| (*what, *count)).collect());
    list(
        "dropped, because the format cannot express it",
        converted.lost.iter().map(|(what, count)| (*what, *count)).collect(),
    );
    list("dropped rows", converted.dropped.iter().map(|(what, count)| (what.as_str(), *count)).collect());
    for (line, reason) in &converted.dropped_rows {
        let _ = writeln!(out, "  line {line}: {reason}");
    }
    out
}

/// What was split.
pub fn divided(divided: &SplitResult) -> String {
    let mut out = String::new();
    for (what, rows, file) in [
        ("training", divided.training_rows, &divided.training),
        ("validation", divided.validation_rows, &divided.validation),
    ] {
        let _ =
            writeln!(out, "{HEADING}{what}{HEADING:#}: {}, {}", file.path.display(), counted(rows, "row"));
    }
    let _ =
        writeln!(out, "split {} by the same share; no row is in both files", counted(divided.tasks, "task"));
    out
}

/// What was transformed.
pub fn transformed(made: &Transformed, method: &str) -> String {
    let mut out = format!(
        "{HEADING}{}{HEADING:#}: {} of {} written, transformed by {method}, {}\n{FAINT}sha256 {}{FAINT:#}\n",
        made.file.path.display(),
        grouped(made.rows_written),
        counted(made.rows, "row"),
        size(made.file.bytes),
        made.file.digest,
    );
    if made.rows_dropped > 0 {
        let _ = writeln!(out, "  {:>9}  dropped by {method}", grouped(made.rows_dropped));
    }
    if made.rows_untyped > 0 {
        let _ = writeln!(
            out,
            "{WARNING}!{WARNING:#} {:>9}  not plain conversations; {method} did not see them",
            grouped(made.rows_untyped)
        );
    }
    for (what, count) in &made.lost {
        let _ = writeln!(out, "  {:>9}  {what}: dropped", grouped(*count));
    }
    for note in &made.notes {
        let _ = writeln!(out, "  · {}", excerpt(&note.text, REASON_CHARS));
    }
    out
}

fn shorten(text: &str) -> String {
    excerpt(&text.replace(['\n', '\r', '\t'], " "), PROMPT_CHARS)
}
