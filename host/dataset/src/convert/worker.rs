//! Converts the rows of one block.

use super::fix::fix;
use crate::containers::csv;
use crate::containers::framing::{Block, is_space};
use crate::containers::json::{Tape, Value};
use crate::shapes::conversation::{self, key};
use crate::shapes::format::{Format, Recognized};
use crate::shapes::render::{self, Losses};
use crate::shapes::rows;
use crate::verdict::row::{BAD, Places, RowCheck, RowFacts, Sums};
use crate::verdict::rules::Rules;
use crate::verdict::{Findings, with_field};
use std::collections::BTreeMap;

/// The result of converting one row.
pub(super) enum RowResult {
    /// The end of its bytes, and its key if duplicates are removed.
    Written {
        end: usize,
        key: Option<[u8; 16]>,
    },
    Invalid(String),
    /// The format cannot express it.
    Unfit(&'static str),
}

/// The result of converting a block.
#[derive(Default)]
pub(super) struct ConvertedBlock {
    pub lines: u64,
    pub bytes: Vec<u8>,
    pub rows: Vec<(u64, RowResult)>,
    /// A syntax error between rows, with its line.
    pub problem: Option<(u64, &'static str)>,
    pub fixed: BTreeMap<&'static str, u64>,
    pub lost: Losses,
}

/// Converts rows, and reuses memory between blocks.
pub(super) struct Worker<'a> {
    recognized: &'a Recognized,
    to: Format,
    fix: bool,
    tape: Tape,
    scratch: String,
}

impl<'a> Worker<'a> {
    pub fn new(recognized: &'a Recognized, to: Format, fix: bool) -> Self {
        Self { recognized, to, fix, tape: Tape::default(), scratch: String::new() }
    }

    pub fn block(&mut self, block: &Block) -> ConvertedBlock {
        let mut part = ConvertedBlock { lines: block.line_ends(), ..ConvertedBlock::default() };
        if let Some(length) = block.too_long {
            part.rows.push((1, RowResult::Invalid(format!("row is too long: {length} bytes"))));
        }
        if let Some((at, problem)) = block.problem {
            let line = 1 + memchr::memchr_iter(b'\n', &block.bytes[..at]).count() as u64;
            part.problem = Some((line, problem));
        }
        if self.fix {
            self.count_fixed_lines(block, &mut part);
        }
        for (line, record) in block.numbered_records() {
            let outcome = self.record(record, &mut part);
            part.rows.push((line, outcome));
        }
        part
    }

    /// Counts problems of lines that writing rows anew repairs.
    fn count_fixed_lines(&self, block: &Block, part: &mut ConvertedBlock) {
        if block.offset == 0 && block.bytes.starts_with(b"\xef\xbb\xbf") {
            *part.fixed.entry("removed the byte order mark").or_default() += 1;
        }
        if block.spans.is_none() && block.too_long.is_none() {
            let ends =
                memchr::memchr_iter(b'\n', &block.bytes).filter(|&at| at > 0 && block.bytes[at - 1] == b'\r');
            let crlf = ends.count() as u64;
            let lines = block.bytes.split_inclusive(|&byte| byte == b'\n');
            let blank = lines.filter(|line| line.iter().copied().all(is_space)).count() as u64;
            for (what, count) in [("changed CR LF line endings to LF", crlf), ("removed blank lines", blank)]
            {
                if count > 0 {
                    *part.fixed.entry(what).or_default() += count;
                }
            }
        }
    }

    fn record(&mut self, record: &[u8], part: &mut ConvertedBlock) -> RowResult {
        let without_nul: Vec<u8>;
        let mut record = record;
        if self.fix && memchr::memchr(0, record).is_some() {
            without_nul = record.iter().copied().filter(|&byte| byte != 0).collect();
            record = &without_nul;
            *part.fixed.entry("removed NUL characters").or_default() += 1;
        }
        let Ok(text) = std::str::from_utf8(record) else {
            return RowResult::Invalid("invalid UTF-8".to_owned());
        };
        let Some(json) = csv::as_json(&self.recognized.container, text) else {
            return RowResult::Invalid("record does not match the header".to_owned());
        };
        let format = self.recognized.format;
        let value = match self.tape.parse(&json) {
            Ok(value) => value,
            Err(error) => return RowResult::Invalid(error.problem.to_string()),
        };
        if let Some(reason) = first_error(format, value, &mut self.scratch) {
            return RowResult::Invalid(reason);
        }
        let Some(mut conversation) = conversation::read(format, value, &mut Vec::new()) else {
            return RowResult::Invalid("cannot read the row".to_owned());
        };
        let fixed = self.fix && fix(&mut conversation, &mut part.fixed);
        let key = self.fix.then(|| key(&conversation));
        if format == self.to && !fixed {
            // Byte for byte, but on one line.
            if memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_some() {
                part.bytes
                    .extend(json.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
            } else {
                part.bytes.extend_from_slice(json.as_bytes());
            }
        } else {
            match render::row(&conversation, format, self.to, &mut part.lost) {
                Ok(row) => part.bytes.extend_from_slice(row.as_bytes()),
                Err(reason) => return RowResult::Unfit(reason),
            }
        }
        part.bytes.push(b'\n');
        RowResult::Written { end: part.bytes.len(), key }
    }
}

/// The first error of a row, if it has one that holds for every provider.
fn first_error(format: Format, value: Value<'_>, scratch: &mut String) -> Option<String> {
    let mut findings = Findings::default();
    let rules = Rules::default();
    let mut row = RowCheck {
        rules: &rules,
        findings: &mut findings,
        sums: &mut Sums::default(),
        facts: RowFacts::default(),
        line: 1,
        row: 0,
        places: Places::Line(0),
    };
    rows::check(&mut row, format, value, scratch);
    if !row.facts.is(BAD) {
        return None;
    }
    let first = findings.finish().findings.into_iter().next()?;
    Some(with_field(&first.field, first.reason))
}
