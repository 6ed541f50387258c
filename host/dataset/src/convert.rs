//! Converts a dataset from one format to another, row by row, and mends what is safe.

use super::conversation::{self, Content, Conversation, Who, part_texts};
use super::error::DatasetError;
use super::facts::{BAD, Places, RowCheck, RowFacts, Sums};
use super::format::{Format, Recognised, recognise};
use super::framing::{Block, Framer, is_space};
use super::json::Tape;
use super::output::{Destination, Output, WriteError, Written};
use super::pipeline::{self, Work};
use super::render::{self, Losses};
use super::rules::Rules;
use super::scan::Feed;
use super::source::Source;
use super::verdict::Findings;
use super::{COMPARED_ROWS, Options, csv, rows};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use tunesmith_core::failure::{Advice, Code, Failure};

/// Rows that are left out and named; further ones are counted.
pub const NAMED_ROWS: usize = 20;

/// How to convert.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conversion {
    /// To which format; the same where absent.
    pub to: Option<Format>,
    /// Whether to mend what is safe.
    pub fix: bool,
    /// Whether to leave out rows with errors, rather than write nothing.
    pub drop_invalid: bool,
}

/// What was converted.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Converted {
    /// How the dataset was read.
    pub recognised: Recognised,
    /// The format that was written.
    pub to: Format,
    /// Rows read.
    pub rows: u64,
    /// Rows written.
    pub rows_written: u64,
    /// What was mended, with how often.
    pub mended: BTreeMap<&'static str, u64>,
    /// Details that the format has no place for, with how often they were left out.
    pub lost: BTreeMap<&'static str, u64>,
    /// Rows that were left out, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// The first of them: line and reason.
    pub left_out_rows: Vec<(u64, String)>,
    /// The file.
    pub file: Written,
}

/// Why nothing was converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The dataset could not be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The result could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Rows have errors.
    #[error("{count} of {rows} rows have errors, the first in line {line}: {reason}")]
    Invalid {
        /// How many.
        count: u64,
        /// Of how many.
        rows: u64,
        /// The first one's line.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// No row fits the format.
    #[error("no row can be written as {}: line {line}: {reason}", to.title())]
    Nothing {
        /// The format.
        to: Format,
        /// The first row's line.
        line: u64,
        /// Why it does not fit.
        reason: String,
    },
}

impl ConvertError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::Dataset(error) => error.code(),
            Self::Write(error) => error.code(),
            Self::Invalid { .. } => Code::DatasetInvalid,
            Self::Nothing { .. } => Code::DatasetUnconvertible,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> Vec<Advice> {
        match self {
            Self::Dataset(error) => error.advice().into_iter().collect(),
            Self::Write(error) => error.advice().into_iter().collect(),
            Self::Invalid { .. } => {
                vec![Advice::CheckDataset { path: None }, Advice::RepairRows, Advice::DropInvalidRows]
            }
            Self::Nothing { .. } => vec![Advice::OtherFormat],
        }
    }
}

impl From<ConvertError> for Failure {
    fn from(error: ConvertError) -> Self {
        Self::new(error.code(), error.to_string()).advise_all(error.advice())
    }
}

/// What became of one row.
enum Outcome {
    /// The bytes that were written, and what stands for what the row says.
    Written { end: usize, key: Option<[u8; 16]> },
    /// It has errors.
    Invalid(String),
    /// The format cannot express it.
    Unfit(&'static str),
}

/// What became of a block.
#[derive(Default)]
struct Part {
    lines: u64,
    bytes: Vec<u8>,
    rows: Vec<(u64, Outcome)>,
    /// What is wrong between rows, with its line.
    problem: Option<(u64, &'static str)>,
    mended: BTreeMap<&'static str, u64>,
    lost: Losses,
}

/// Converts a dataset into a new file of one row a line.
pub fn convert(
    path: &Path,
    options: &Options,
    conversion: &Conversion,
    destination: Destination<'_>,
) -> Result<Converted, ConvertError> {
    let source = Source::open(path, options.temporary.as_deref())?;
    let recognised = recognise(&source, options.format)?;
    let to = conversion.to.unwrap_or(recognised.format);
    let mut output = Output::create(destination)?;
    let mut total = Total::default();
    let framer = Framer::new(&recognised.container, Feed::undigested(&source)?);
    let of = source.plain_bytes()?;
    let worker = || {
        let mut worker = Worker {
            recognised: &recognised,
            to,
            fix: conversion.fix,
            tape: Tape::default(),
            scratch: String::new(),
        };
        move |block: &Block| Ok(worker.block(block))
    };
    let sink = |part| total.take(part, &mut output, conversion.fix);
    pipeline::run::<_, _, _, _, ConvertError>(&Work { source: &source, options, of }, framer, worker, sink)?;
    source.unchanged()?;
    if total.rows == 0 {
        return Err(DatasetError::Empty { path: path.to_owned() }.into());
    }
    if let Some((line, reason)) = total.first_invalid.filter(|_| !conversion.drop_invalid) {
        return Err(ConvertError::Invalid { count: total.invalid, rows: total.rows, line, reason });
    }
    if total.written == 0 {
        let (line, reason) = total.left_out_rows.into_iter().next().unwrap_or_default();
        return Err(ConvertError::Nothing { to, line, reason });
    }
    Ok(Converted {
        to,
        rows: total.rows,
        rows_written: total.written,
        mended: total.mended,
        lost: total.lost,
        left_out: total.left_out,
        left_out_rows: total.left_out_rows,
        file: output.finish()?,
        recognised,
    })
}

#[derive(Default)]
struct Total {
    lines: u64,
    rows: u64,
    written: u64,
    invalid: u64,
    first_invalid: Option<(u64, String)>,
    mended: BTreeMap<&'static str, u64>,
    lost: Losses,
    left_out: BTreeMap<String, u64>,
    left_out_rows: Vec<(u64, String)>,
    seen: HashSet<[u8; 16]>,
}

impl Total {
    fn take(&mut self, part: Part, output: &mut Output, fix: bool) -> Result<(), ConvertError> {
        let mut start = 0;
        for (line, outcome) in part.rows {
            let line = self.lines + line;
            self.rows += 1;
            match outcome {
                Outcome::Written { end, key } => {
                    let repeated = fix
                        && key.is_some_and(|key| {
                            self.seen.contains(&key)
                                || (self.seen.len() < COMPARED_ROWS && !self.seen.insert(key))
                        });
                    if repeated {
                        *self.mended.entry("rows that repeat an earlier one removed").or_default() += 1;
                    } else {
                        output.write(&part.bytes[start..end])?;
                        self.written += 1;
                    }
                    start = end;
                }
                Outcome::Invalid(reason) => {
                    self.invalid += 1;
                    self.first_invalid.get_or_insert_with(|| (line, reason.clone()));
                    self.leave_out(line, format!("has errors: {reason}"));
                }
                Outcome::Unfit(reason) => self.leave_out(line, reason.to_owned()),
            }
        }
        if let Some((line, problem)) = part.problem {
            self.invalid += 1;
            self.first_invalid.get_or_insert_with(|| (self.lines + line, problem.to_owned()));
            *self.mended.entry("mistakes between the rows of the list passed over").or_default() += 1;
        }
        self.lines += part.lines;
        for (what, count) in part.mended {
            *self.mended.entry(what).or_default() += count;
        }
        for (what, count) in part.lost {
            *self.lost.entry(what).or_default() += count;
        }
        Ok(())
    }

    fn leave_out(&mut self, line: u64, reason: String) {
        if self.left_out_rows.len() < NAMED_ROWS {
            self.left_out_rows.push((line, reason.clone()));
        }
        // A million rows must not make a million reasons.
        if self.left_out.len() < 100 || self.left_out.contains_key(&reason) {
            *self.left_out.entry(reason).or_default() += 1;
        } else {
            *self.left_out.entry("other reasons".to_owned()).or_default() += 1;
        }
    }
}

struct Worker<'a> {
    recognised: &'a Recognised,
    to: Format,
    fix: bool,
    tape: Tape,
    scratch: String,
}

impl Worker<'_> {
    fn block(&mut self, block: &Block) -> Part {
        let mut part =
            Part { lines: memchr::memchr_iter(b'\n', &block.bytes).count() as u64, ..Part::default() };
        if let Some(length) = block.too_long {
            part.rows.push((1, Outcome::Invalid(format!("{length} bytes are too long for a row"))));
        }
        if let Some((at, problem)) = block.problem {
            let line = 1 + memchr::memchr_iter(b'\n', &block.bytes[..at]).count() as u64;
            part.problem = Some((line, problem));
        }
        if self.fix {
            self.count_mended_lines(block, &mut part);
        }
        let mut counted = 0;
        let mut line = 1;
        for record in block.records() {
            let at = record.as_ptr().addr() - block.bytes.as_ptr().addr();
            line += memchr::memchr_iter(b'\n', &block.bytes[counted..at]).count() as u64;
            counted = at;
            let outcome = self.record(record, &mut part);
            part.rows.push((line, outcome));
        }
        part
    }

    /// Writing rows anew mends what is wrong with lines.
    fn count_mended_lines(&self, block: &Block, part: &mut Part) {
        if block.offset == 0 && block.bytes.starts_with(b"\xef\xbb\xbf") {
            *part.mended.entry("byte order mark removed").or_default() += 1;
        }
        if block.spans.is_none() && block.too_long.is_none() {
            let ends =
                memchr::memchr_iter(b'\n', &block.bytes).filter(|&at| at > 0 && block.bytes[at - 1] == b'\r');
            let crlf = ends.count() as u64;
            let lines = block.bytes.split_inclusive(|&byte| byte == b'\n');
            let blank = lines.filter(|line| line.iter().copied().all(is_space)).count() as u64;
            for (what, count) in [("line ends CR LF written as LF", crlf), ("blank lines removed", blank)] {
                if count > 0 {
                    *part.mended.entry(what).or_default() += count;
                }
            }
        }
    }

    fn record(&mut self, record: &[u8], part: &mut Part) -> Outcome {
        let without_nul: Vec<u8>;
        let mut record = record;
        if self.fix && memchr::memchr(0, record).is_some() {
            without_nul = record.iter().copied().filter(|&byte| byte != 0).collect();
            record = &without_nul;
            *part.mended.entry("NUL characters removed").or_default() += 1;
        }
        let Ok(text) = std::str::from_utf8(record) else {
            return Outcome::Invalid("bytes that are not UTF-8".to_owned());
        };
        let Some(json) = csv::as_json(&self.recognised.container, text) else {
            return Outcome::Invalid("the record does not fit the header".to_owned());
        };
        let format = self.recognised.format;
        let value = match self.tape.parse(&json) {
            Ok(value) => value,
            Err(error) => return Outcome::Invalid(error.problem.to_string()),
        };
        if let Some(reason) = first_error(format, value, &mut self.scratch) {
            return Outcome::Invalid(reason);
        }
        let Some(mut conversation) = conversation::read(format, value, &mut Vec::new()) else {
            return Outcome::Invalid("the row cannot be read".to_owned());
        };
        let mended = self.fix && mend(&mut conversation, &mut part.mended);
        let key = self.fix.then(|| key(&conversation));
        if format == self.to && !mended {
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
                Err(reason) => return Outcome::Unfit(reason),
            }
        }
        part.bytes.push(b'\n');
        Outcome::Written { end: part.bytes.len(), key }
    }
}

/// What is wrong with a row, if it has an error that holds for every provider.
fn first_error(format: Format, value: super::json::Value<'_>, scratch: &mut String) -> Option<String> {
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
    Some(if first.field.is_empty() { first.reason } else { format!("{}: {}", first.field, first.reason) })
}

/// Mends what is safe: what changes no meaning.
fn mend(conversation: &mut Conversation, mended: &mut BTreeMap<&'static str, u64>) -> bool {
    let mut any = false;
    let mut count = |what| {
        *mended.entry(what).or_default() += 1;
        any = true;
    };
    for turn in conversation.turns.iter_mut().chain(&mut conversation.rejected) {
        if turn.who == Who::Developer {
            turn.who = Who::System;
            count("roles \"developer\" written as \"system\"");
        }
        if turn.who != Who::Assistant && turn.more.iter().any(|(key, _)| key == "weight") {
            turn.more.retain(|(key, _)| key != "weight");
            count("weights removed from messages that are not the assistant's");
        }
        match &mut turn.content {
            Content::Text(text) if text.contains('\0') => {
                text.retain(|character| character != '\0');
                count("NUL characters removed");
            }
            Content::Json(json) if only_text_parts(json) => {
                turn.content = Content::Text(part_texts(json).concat());
                count("lists of text parts joined into texts");
            }
            _ => {}
        }
    }
    any
}

fn only_text_parts(json: &str) -> bool {
    let mut tape = Tape::default();
    let Ok(value) = tape.parse(json) else { return false };
    value.items().next().is_some()
        && value.items().all(|part| {
            part.get("type").is_some_and(|kind| kind.is_text("text"))
                && part.get("text").is_some_and(|text| text.text().is_some())
        })
}

/// Stands for what a row says, so surely that rows with the same are the same.
pub(super) fn key(conversation: &Conversation) -> [u8; 16] {
    let mut digest = Sha256::new();
    let mut part = |text: &str| {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text.as_bytes());
    };
    for (kind, turns) in [("turns", &conversation.turns), ("rejected", &conversation.rejected)] {
        part(kind);
        for turn in turns {
            part(turn.who.name());
            match &turn.content {
                Content::Text(text) => part(text),
                Content::Json(json) => {
                    part("json");
                    part(json);
                }
                Content::Absent => {
                    part("json");
                    part("null");
                }
            }
            for (key, value) in &turn.more {
                part(key);
                part(value);
            }
            part("end");
        }
    }
    part(conversation.text.as_deref().unwrap_or_default());
    for (key, value) in &conversation.more {
        part(key);
        part(value);
    }
    for (key, value) in &conversation.beside {
        part("beside");
        part(key);
        part(value);
    }
    let whole = digest.finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&whole[..16]);
    key
}
