//! Checks that need the whole file: the number of rows, the format, the longest rows.

use crate::counting::{self, COUNTED_BYTES, Tokens};
use crate::error::DatasetError;
use crate::options::ReadOptions;
use crate::scan::index::LocatedRow;
use crate::scan::rows::Rows;
use crate::shapes::format::Format;
use crate::verdict::rules::{FEW_ROWS, OPENAI_MIN_ROWS, Rules, Target};
use crate::verdict::{FindingKind, Findings, Position, Severity, explain};
use tunesmith_core::failure::Advice;

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
                    "row has {about}{count} tokens; the model takes {limit} and cuts off the end, where the answer is"
                ),
                _ => format!("row has {about}{count} tokens; the model takes {limit}"),
            };
            explain("", reason, "shorten or split it")
        });
    }
    if more > 0 {
        findings.add(Severity::Warning, FindingKind::TooManyTokens, Position::default(), || {
            explain(
                "",
                format!("{more} more rows may exceed the limit of {limit} tokens"),
                "shorten them; there are too many long rows to count each one",
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
            explain("", format!("{rows} rows; OpenAI requires at least {OPENAI_MIN_ROWS}"), "add rows")
        });
    } else if rows < FEW_ROWS && rules.target != Target::Ollama {
        findings.add(Severity::Warning, FindingKind::FewRows, place, || {
            explain(
                "",
                format!("{rows} rows; fine-tuning with fewer than {FEW_ROWS} rarely helps"),
                "add rows, or try a few examples in a prompt first",
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
                Format::Text => "provide conversations; raw text cannot be converted to them".into(),
                _ => Advice::ConvertDataset { path: None, to: Some(to.to_owned()) },
            };
            explain("", format!("rows are {}; OpenAI accepts only its own format", format.title()), fix)
        });
    }
    if index.showable == 0 && rules.target == Target::Ollama {
        findings.add(Severity::Error, FindingKind::NoUsableRows, place, || {
            explain(
                "",
                "no usable examples: every row has tool calls or does not end with an assistant message",
                "add rows of plain system, user and assistant messages",
            )
        });
    }
}
