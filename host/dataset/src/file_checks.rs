//! Checks that need the whole file: the number of rows, the format, the longest rows.

use crate::counting::{self, COUNTED_BYTES, Tokens};
use crate::error::DatasetError;
use crate::options::ReadOptions;
use crate::scan::index::LocatedRow;
use crate::scan::rows::Rows;
use crate::shapes::format::Format;
use crate::verdict::rules::{FEW_ROWS, OPENAI_MIN_ROWS, Rules, Target};
use crate::verdict::{FindingKind, Findings, Position, Severity, explain};

/// Reports rows of more tokens than the model takes.
pub(crate) fn check_lengths(
    rows: &Rows,
    (suspects, more): (&[LocatedRow], u64),
    tokens: &Tokens,
    options: &ReadOptions,
    findings: &mut Findings,
) -> Result<(), DatasetError> {
    let Some(limit) = options.rules.row_tokens else { return Ok(()) };
    // What is clearly under or over by estimate need not be counted.
    let margin = 0.1 + 3.0 * tokens.summary.error;
    let mut budget = if options.exact { u64::MAX } else { COUNTED_BYTES };
    for spot in suspects {
        let estimate = tokens.rates.of(&spot.entry);
        let clear = !tokens.summary.exact && (estimate / f64::from(limit) - 1.0).abs() > margin;
        let bytes = spot.entry.text_bytes();
        let (count, counted) = if clear && !options.exact || bytes > budget {
            (estimate as u32, false)
        } else {
            budget -= bytes;
            (counting::tokens_of(rows, &spot.entry, options.tokenizer)?, true)
        };
        if count <= limit {
            continue;
        }
        let place = Position { line: Some(spot.line), row: Some(spot.row), column: Some(1) };
        findings.add(Severity::Warning, FindingKind::TooManyTokens, place, || {
            let about = if counted { "" } else { "about " };
            let reason = match options.rules.target {
                Target::OpenAi => format!(
                    "the row has {about}{count} tokens; the model takes {limit}, and the row is cut at the end, where the answer is"
                ),
                _ => format!("the row has {about}{count} tokens; the model takes {limit}"),
            };
            explain("", reason, "shorten or split it")
        });
    }
    if more > 0 {
        findings.add(Severity::Warning, FindingKind::TooManyTokens, Position::default(), || {
            explain(
                "",
                format!("{more} further rows are so long that they may be over the limit of {limit} tokens"),
                "shorten them; the file has too many such rows to count each",
            )
        });
    }
    Ok(())
}

/// Reports too few rows.
pub(crate) fn check_amount(rows: &Rows, rules: &Rules, findings: &mut Findings) {
    let Rows { recognized, index, .. } = rows;
    let rows = index.rows;
    let place = Position::default();
    if rows < OPENAI_MIN_ROWS && rules.is_openai() {
        findings.add(Severity::Error, FindingKind::FewRows, place, || {
            explain("", format!("{rows} rows; OpenAI takes {OPENAI_MIN_ROWS} or more"), "add rows")
        });
    } else if rows < FEW_ROWS && rules.target != Target::Ollama {
        findings.add(Severity::Warning, FindingKind::FewRows, place, || {
            explain(
                "",
                format!("{rows} rows; a tuned model seldom improves with fewer than {FEW_ROWS}"),
                "add rows, or try the examples in a prompt first",
            )
        });
    }
    let format = recognized.format;
    let taken = matches!(format, Format::OpenAi | Format::OpenAiPreference)
        || rules.converted && format != Format::Text;
    if rules.is_openai() && !taken {
        findings.add(Severity::Error, FindingKind::FormatNotTaken, place, || {
            let to = if format.is_preference() { "openai-preference" } else { "openai" };
            let fix = match format {
                Format::Text => "write conversations: raw text cannot be made into them".to_owned(),
                _ => format!("convert it: `tunesmith dataset convert --to {to}`"),
            };
            explain("", format!("the rows are {}; OpenAI takes its own format", format.title()), fix)
        });
    }
    if index.showable == 0 && rules.target == Target::Ollama {
        findings.add(Severity::Error, FindingKind::NoUsableRows, place, || {
            explain(
                "",
                "no row is a plain conversation that ends with the assistant's answer, so that none can become an example",
                "add rows of system, user and assistant texts",
            )
        });
    }
}
