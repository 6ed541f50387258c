//! Finds rows that a training and a validation file both have.

use super::conversation;
use super::convert::key;
use super::error::DatasetError;
use super::format::recognise;
use super::framing::{Block, Framer};
use super::json::Tape;
use super::pipeline::{self, Work};
use super::rules::Rules;
use super::scan::Feed;
use super::source::Source;
use super::verdict::{Count, Finding, Kind, Severity, Verdict};
use super::{COMPARED_ROWS, Options, csv};
use serde::Serialize;
use std::collections::HashMap;
use std::path::Path;
use tunesmith_core::failure::Advice;

/// Shared rows that are named.
const NAMED: usize = 20;

/// Rows that two files share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SharedRows {
    /// How many rows of the second file the first has too.
    pub count: u64,
    /// Whether that is all: the first file has no more different rows than are
    /// remembered.
    pub exact: bool,
    /// The first of them: the line in the first file and in the second.
    pub lines: Vec<(u64, u64)>,
}

impl SharedRows {
    /// Adds them to the verdict on the first file: an error for OpenAI, which takes no
    /// such files, otherwise a warning.
    pub(super) fn report(&self, verdict: &mut Verdict, rules: &Rules) {
        let severity = if rules.is_openai() { Severity::Error } else { Severity::Warning };
        let findings = self.lines.iter().map(|&(training, validation)| Finding {
            severity,
            kind: Kind::SharedRow,
            line: Some(training),
            row: None,
            column: Some(1),
            field: String::new(),
            reason: format!("line {validation} of the validation file says the same"),
            fix: Advice::SplitDataset,
        });
        verdict.findings.extend(findings);
        verdict.findings.sort_by_key(|finding| (finding.severity, finding.line.unwrap_or(0)));
        verdict.counts.push(Count { severity, kind: Kind::SharedRow, count: self.count });
        verdict.counts.sort_by_key(|count| (count.severity, count.kind));
    }
}

/// Finds the rows of `validation` that `training` has too. Rows that cannot be read
/// are passed over.
pub fn shared_rows(
    training: &Path,
    validation: &Path,
    options: &Options,
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
    options: &Options,
    mut see: impl FnMut(u64, [u8; 16]) + Send,
) -> Result<(), DatasetError> {
    let source = Source::open(path, options.temporary.as_deref())?;
    let recognised = recognise(&source, options.format)?;
    let framer = Framer::new(&recognised.container, Feed::undigested(&source)?);
    let of = source.plain_bytes()?;
    let worker = || {
        let mut tape = Tape::default();
        let recognised = &recognised;
        move |block: &Block| {
            let mut rows = Vec::new();
            let (mut line, mut counted) = (1, 0);
            for record in block.records() {
                let at = record.as_ptr().addr() - block.bytes.as_ptr().addr();
                line += memchr::memchr_iter(b'\n', &block.bytes[counted..at]).count() as u64;
                counted = at;
                let Ok(text) = std::str::from_utf8(record) else { continue };
                let Some(json) = csv::as_json(&recognised.container, text) else { continue };
                let Ok(value) = tape.parse(&json) else { continue };
                if let Some(conversation) = conversation::read(recognised.format, value, &mut Vec::new()) {
                    rows.push((line, key(&conversation)));
                }
            }
            Ok((rows, memchr::memchr_iter(b'\n', &block.bytes).count() as u64))
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
