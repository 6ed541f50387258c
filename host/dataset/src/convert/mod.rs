//! Converts a dataset from one format to another, row by row, and repairs rows where that
//! changes no meaning.

mod fix;
pub(crate) mod output;
pub(crate) mod split;
pub(crate) mod spool;
pub(crate) mod transform;
mod worker;

use crate::containers::framing::{Block, Framer};
use crate::containers::source::Source;
use crate::error::DatasetError;
use crate::options::ReadOptions;
use crate::pipeline::{self, Feed, Work};
use crate::scan::index::COMPARED_ROWS;
use crate::shapes::format::{Format, Recognized, recognize};
use crate::shapes::render::Losses;
use output::{Destination, Output, WriteError, Written};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use tunesmith_core::failure::{Advice, Code, Failure};
use worker::{ConvertedBlock, RowResult, Worker};

/// Dropped rows that are listed; further ones are only counted.
pub const NAMED_ROWS: usize = 20;

#[derive(Debug, Clone, Copy, Default)]
pub struct ConvertOptions {
    /// The format to write; by default the same.
    pub to: Option<Format>,
    /// Whether to repair rows where that changes no meaning.
    pub fix: bool,
    /// Whether to drop rows with errors instead of failing.
    pub drop_invalid: bool,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Converted {
    /// How the source was read.
    pub recognized: Recognized,
    /// The written format.
    pub to: Format,
    pub rows: u64,
    pub rows_written: u64,
    /// Repairs, and how many of each.
    pub fixed: BTreeMap<&'static str, u64>,
    /// Details that the format cannot express, and how many of each were dropped.
    pub lost: BTreeMap<&'static str, u64>,
    /// Dropped rows by reason.
    pub dropped: BTreeMap<String, u64>,
    /// The first dropped rows: line and reason.
    pub dropped_rows: Vec<(u64, String)>,
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
    #[error("{count} of {rows} rows have errors, first on line {line}: {reason}")]
    Invalid {
        count: u64,
        rows: u64,
        /// The first one's line.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// No row fits the format.
    #[error("no row can be written as {}: line {line}: {reason}", to.title())]
    Nothing {
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

/// Converts a dataset into a new file with one row per line.
pub fn convert(
    path: &Path,
    options: &ReadOptions,
    conversion: &ConvertOptions,
    destination: Destination<'_>,
) -> Result<Converted, ConvertError> {
    let source = Source::open(path, options.temporary.as_deref())?;
    let recognized = recognize(&source, options.format)?;
    let to = conversion.to.unwrap_or(recognized.format);
    let mut output = Output::create(destination)?;
    let mut total = Totals::default();
    let framer = Framer::new(&recognized.container, Feed::undigested(&source)?);
    let of = source.plain_bytes()?;
    let worker = || {
        let mut worker = Worker::new(&recognized, to, conversion.fix);
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
        let (line, reason) = total.dropped_rows.into_iter().next().unwrap_or_default();
        return Err(ConvertError::Nothing { to, line, reason });
    }
    Ok(Converted {
        to,
        rows: total.rows,
        rows_written: total.written,
        fixed: total.fixed,
        lost: total.lost,
        dropped: total.dropped,
        dropped_rows: total.dropped_rows,
        file: output.finish()?,
        recognized,
    })
}

#[derive(Default)]
struct Totals {
    lines: u64,
    rows: u64,
    written: u64,
    invalid: u64,
    first_invalid: Option<(u64, String)>,
    fixed: BTreeMap<&'static str, u64>,
    lost: Losses,
    dropped: BTreeMap<String, u64>,
    dropped_rows: Vec<(u64, String)>,
    seen: HashSet<[u8; 16]>,
}

impl Totals {
    fn take(&mut self, part: ConvertedBlock, output: &mut Output, fix: bool) -> Result<(), ConvertError> {
        let mut start = 0;
        for (line, outcome) in part.rows {
            let line = self.lines + line;
            self.rows += 1;
            match outcome {
                RowResult::Written { end, key } => {
                    let repeated = fix
                        && key.is_some_and(|key| {
                            self.seen.contains(&key)
                                || (self.seen.len() < COMPARED_ROWS && !self.seen.insert(key))
                        });
                    if repeated {
                        *self.fixed.entry("removed duplicates of earlier rows").or_default() += 1;
                    } else {
                        output.write(&part.bytes[start..end])?;
                        self.written += 1;
                    }
                    start = end;
                }
                RowResult::Invalid(reason) => {
                    self.invalid += 1;
                    self.first_invalid.get_or_insert_with(|| (line, reason.clone()));
                    self.drop_row(line, format!("invalid row: {reason}"));
                }
                RowResult::Unfit(reason) => self.drop_row(line, reason.to_owned()),
            }
        }
        if let Some((line, problem)) = part.problem {
            self.invalid += 1;
            self.first_invalid.get_or_insert_with(|| (self.lines + line, problem.to_owned()));
            *self.fixed.entry("skipped syntax errors between rows").or_default() += 1;
        }
        self.lines += part.lines;
        for (what, count) in part.fixed {
            *self.fixed.entry(what).or_default() += count;
        }
        for (what, count) in part.lost {
            *self.lost.entry(what).or_default() += count;
        }
        Ok(())
    }

    fn drop_row(&mut self, line: u64, reason: String) {
        if self.dropped_rows.len() < NAMED_ROWS {
            self.dropped_rows.push((line, reason.clone()));
        }
        // A million rows must not make a million reasons.
        if self.dropped.len() < 100 || self.dropped.contains_key(&reason) {
            *self.dropped.entry(reason).or_default() += 1;
        } else {
            *self.dropped.entry("other reasons".to_owned()).or_default() += 1;
        }
    }
}
