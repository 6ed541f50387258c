//! Runs a method's transform over a whole dataset, file to file: batches in parallel, rows
//! in order; [`UntypedRows`] decides about rows that the typed view cannot express.

mod rows;
mod worker;

use super::output::{Destination, Output, WriteError, Written};
use crate::containers::framing::{Block, Framer};
use crate::containers::source::Source;
use crate::error::DatasetError;
use crate::options::ReadOptions;
use crate::pipeline::{self, Feed, Work};
use crate::shapes::format::{Format, recognize};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tunesmith_core::contract::{Conversations, MethodJob, Note};
use worker::{Counts, TransformedBlock, Worker};

/// The most examples of a batch. 16,384: as many as a block of the reader has, except of
/// rows below 64 bytes, since each batch has a fresh sandbox.
pub const BATCH_ROWS: usize = 16_384;

/// The most text of a batch, so that a sandbox's memory suffices whatever the rows.
/// 1 MiB: a block of the reader, so that a block is a batch (measured on rows of 1,750
/// bytes: 289 MB/s, and 276 with half of it).
pub const BATCH_BYTES: usize = 1 << 20;

/// What to do with rows that the typed view cannot express: a transform does not see
/// them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UntypedRows {
    /// Fail: a redacting plugin must never be bypassed silently.
    #[default]
    Refuse,
    /// Write them unchanged.
    Pass,
    Drop,
}

/// Distinct notes of a transform that are stored. There may be millions of batches, each
/// with notes of its own.
pub const KEPT_NOTES: usize = 20;

/// A transformed batch.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// One row or none for each input row, in order.
    pub rows: Conversations,
    /// Its notes to the user.
    pub notes: Vec<Note>,
}

#[derive(Debug, Clone, Copy)]
pub struct TransformOptions<'a> {
    /// The job as the transform sees it.
    pub job: &'a MethodJob,
    /// What to do with rows that it cannot see.
    pub untyped: UntypedRows,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transformed {
    pub rows: u64,
    pub rows_written: u64,
    /// Rows that the transform dropped.
    pub rows_dropped: u64,
    /// Rows that the transform did not see, and that were passed or dropped.
    pub rows_untyped: u64,
    /// Details that the written format cannot express, and how many of each were
    /// dropped.
    pub lost: BTreeMap<String, u64>,
    /// Its notes to the user; see [`KEPT_NOTES`].
    pub notes: Vec<Note>,
    pub file: Written,
}

/// Why nothing was transformed.
#[derive(Debug, thiserror::Error)]
pub enum TransformError<E> {
    /// The dataset could not be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The result could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A row is not valid.
    #[error("line {line} of the dataset is invalid: {reason}")]
    Invalid { line: u64, reason: String },
    /// A row that the transform cannot see.
    #[error("line {line} of the dataset has {what}, which the transform would not see")]
    Untyped { line: u64, what: &'static str },
    /// Every row was dropped.
    #[error("the transform dropped all {rows} rows of the dataset")]
    NothingLeft {
        /// How many there were.
        rows: u64,
    },
    /// The transform broke its contract.
    #[error("invalid transform result for the rows from line {line}: {what}")]
    Broken {
        /// The line of the batch's first row.
        line: u64,
        /// How it did.
        what: String,
    },
    #[error("the transform failed on the rows from line {line}")]
    Failed {
        /// The line of the batch's first row.
        line: u64,
        #[source]
        source: E,
    },
}

/// Transforms a dataset into a new file with one row per line: OpenAI chat rows, or the
/// nearest format that can express rows which the transform does not see. `start` makes
/// the function that transforms batches, once per thread.
pub fn transform<E, F>(
    path: &Path,
    options: &ReadOptions,
    how: &TransformOptions<'_>,
    start: impl Fn() -> F + Sync,
    destination: Destination<'_>,
) -> Result<Transformed, TransformError<E>>
where
    E: Send,
    F: FnMut(&MethodJob, &Arc<Conversations>) -> Result<Batch, E>,
{
    let source = Source::open(path, options.temporary.as_deref())?;
    let recognized = recognize(&source, options.format)?;
    let mut output = Output::create(destination)?;
    let of = source.plain_bytes()?;
    let framer = Framer::new(&recognized.container, Feed::undigested(&source)?);
    let worker = || {
        let format = recognized.format;
        let mut worker = Worker::new(&recognized.container, format, written_as(format), how, start());
        move |block: &Block| Ok(worker.block(block))
    };
    let mut total = Counts::default();
    let (mut lines, mut lost, mut notes) = (0, BTreeMap::new(), Vec::new());
    let sink = |part: TransformedBlock<E>| {
        if let Some(failure) = part.failure {
            return Err(failure.after(lines));
        }
        lines += part.lines;
        output.write(part.text.as_bytes())?;
        total.rows += part.counts.rows;
        total.written += part.counts.written;
        total.dropped += part.counts.dropped;
        total.untyped += part.counts.untyped;
        for (what, count) in part.lost {
            *lost.entry(what.to_owned()).or_default() += count;
        }
        add_notes(&mut notes, part.notes);
        Ok(())
    };
    pipeline::run::<_, TransformedBlock<E>, _, _, TransformError<E>>(
        &Work { source: &source, options, of },
        framer,
        worker,
        sink,
    )?;
    source.unchanged()?;
    if total.rows == 0 {
        return Err(DatasetError::Empty { path: path.to_owned() }.into());
    }
    if total.written == 0 {
        return Err(TransformError::NothingLeft { rows: total.rows });
    }
    Ok(Transformed {
        rows: total.rows,
        rows_written: total.written,
        rows_dropped: total.dropped,
        rows_untyped: total.untyped,
        lost,
        notes,
        file: output.finish()?,
    })
}

/// The format of the result.
fn written_as(format: Format) -> Format {
    match format {
        Format::OpenAiPreference | Format::Preference => Format::OpenAiPreference,
        Format::Text => Format::Text,
        _ => Format::OpenAi,
    }
}

/// Adds the first distinct notes.
fn add_notes(notes: &mut Vec<Note>, more: Vec<Note>) {
    for note in more {
        if notes.len() < KEPT_NOTES && !notes.contains(&note) {
            notes.push(note);
        }
    }
}

impl<E> TransformError<E> {
    /// Counts lines from the file's start.
    fn after(mut self, lines: u64) -> Self {
        match &mut self {
            Self::Invalid { line, .. }
            | Self::Untyped { line, .. }
            | Self::Broken { line, .. }
            | Self::Failed { line, .. } => *line += lines,
            Self::Dataset(_) | Self::Write(_) | Self::NothingLeft { .. } => {}
        }
        self
    }
}
