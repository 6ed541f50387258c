//! Finds rows that are in both a training and a validation file.

use super::index::COMPARED_ROWS;
use crate::containers::csv;
use crate::containers::framing::{Block, Framer};
use crate::containers::json::Tape;
use crate::containers::source::Source;
use crate::error::DatasetError;
use crate::options::ReadOptions;
use crate::pipeline::{self, Feed, Work};
use crate::shapes::conversation::{self, key};
use crate::shapes::format::recognize;
use crate::verdict::rules::Rules;
use crate::verdict::{Finding, FindingCount, FindingKind, Severity, Verdict};
use serde::Serialize;
use std::collections::HashMap;
use std::path::Path;
use tunesmith_core::failure::Advice;

/// Shared rows that are listed.
const NAMED: usize = 20;

/// Rows that are in both files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SharedRows {
    /// Rows of the second file that are also in the first.
    pub count: u64,
    /// Whether `count` is exact; a lower bound otherwise.
    pub exact: bool,
    /// The first of them: the line in the first file and in the second.
    pub lines: Vec<(u64, u64)>,
}

impl SharedRows {
    /// Adds them to the verdict on the first file: an error for OpenAI, which rejects such
    /// files, otherwise a warning.
    pub(crate) fn report(&self, verdict: &mut Verdict, rules: &Rules) {
        let severity = if rules.is_openai() { Severity::Error } else { Severity::Warning };
        let findings = self.lines.iter().map(|&(training, validation)| Finding {
            severity,
            kind: FindingKind::SharedRow,
            line: Some(training),
            row: None,
            column: Some(1),
            field: String::new(),
            reason: format!("duplicate of line {validation} of the validation file"),
            fix: Advice::SplitDataset,
        });
        verdict.findings.extend(findings);
        verdict.findings.sort_by_key(|finding| (finding.severity, finding.line.unwrap_or(0)));
        verdict.counts.push(FindingCount { severity, kind: FindingKind::SharedRow, count: self.count });
        verdict.counts.sort_by_key(|count| (count.severity, count.kind));
    }
}

/// Finds the rows of `validation` that are also in `training`. Skips rows that cannot be
/// read.
pub fn shared_rows(
    training: &Path,
    validation: &Path,
    options: &ReadOptions,
) -> Result<SharedRows, DatasetError> {
    let mut known: HashMap<[u8; 16], u64> = HashMap::new();
    let mut exact = true;
    each_row(training, options, |line, key| {
        if known.len() < COMPARED_ROWS {
            known.entry(key).or_insert(line);
        } else {
            exact &= known.contains_key(&key);
        }
    })?;
    let mut shared = SharedRows { exact, ..SharedRows::default() };
    each_row(validation, options, |line, key| {
        if let Some(&first) = known.get(&key) {
            shared.count += 1;
            if shared.lines.len() < NAMED {
                shared.lines.push((first, line));
            }
        }
    })?;
    Ok(shared)
}

fn each_row(
    path: &Path,
    options: &ReadOptions,
    mut see: impl FnMut(u64, [u8; 16]) + Send,
) -> Result<(), DatasetError> {
    let source = Source::open(path, options.temporary.as_deref())?;
    let recognized = recognize(&source, options.format)?;
    let framer = Framer::new(&recognized.container, Feed::undigested(&source)?);
    let of = source.plain_bytes()?;
    let worker = || {
        let mut tape = Tape::default();
        let recognized = &recognized;
        move |block: &Block| {
            let mut rows = Vec::new();
            for (line, record) in block.numbered_records() {
                let Ok(text) = std::str::from_utf8(record) else { continue };
                let Some(json) = csv::as_json(&recognized.container, text) else { continue };
                let Ok(value) = tape.parse(&json) else { continue };
                if let Some(conversation) = conversation::read(recognized.format, value, &mut Vec::new()) {
                    rows.push((line, key(&conversation)));
                }
            }
            Ok((rows, block.line_ends()))
        }
    };
    let mut lines = 0;
    let sink = |(rows, count): (Vec<(u64, [u8; 16])>, u64)| {
        for (line, key) in rows {
            see(lines + line, key);
        }
        lines += count;
        Ok(())
    };
    pipeline::run::<_, _, _, _, DatasetError>(&Work { source: &source, options, of }, framer, worker, sink)?;
    source.unchanged()
}
