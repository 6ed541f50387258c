//! Runs a method's transform over a whole dataset, file to file: batches in parallel,
//! rows in order, what the typed view cannot express as the job says.

use super::conversation::{self, Content, Conversation, Who};
use super::error::DatasetError;
use super::format::{Format, recognise};
use super::framing::{Block, Framer};
use super::json::Tape;
use super::output::{Output, WriteError, Written};
use super::pipeline::{self, Work};
use super::render::{self, Losses};
use super::scan::Feed;
use super::source::Source;
use super::{Options, csv};
use crate::contract::{Example, MethodJob};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The most examples of a batch: larger ones are slower in a sandbox
/// (measured: 256 is the fastest of 64 to 4096).
pub const BATCH_ROWS: usize = 256;

/// The most text of a batch, so that a sandbox's memory suffices whatever the rows.
pub const BATCH_BYTES: usize = 256 << 10;

/// What to do with rows that the typed view cannot express, and that a transform
/// therefore does not see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UntypedRows {
    /// Stop: a redacting plugin must never be bypassed silently.
    #[default]
    Refuse,
    /// Keep them as they are.
    Pass,
    /// Leave them out.
    Drop,
}

/// What was transformed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Transformed {
    /// Rows read.
    pub rows: u64,
    /// Rows written.
    pub rows_written: u64,
    /// Rows that the transform left out.
    pub rows_dropped: u64,
    /// Rows that the transform did not see, and that were passed or dropped.
    pub rows_untyped: u64,
    /// The file.
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
    #[error("line {line} of the dataset has an error: {reason}")]
    Invalid {
        /// The line, from 1 within its block; exact in the message once known.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A row that the transform would not see.
    #[error("line {line} of the dataset is not plain texts ({what}), so that the transform would not see it")]
    Untyped {
        /// The line.
        line: u64,
        /// What it has.
        what: &'static str,
    },
    /// The transform broke its contract.
    #[error("the transform of the rows from line {line} on {what}")]
    Broken {
        /// The line of the batch's first row.
        line: u64,
        /// How, as the rest of a sentence.
        what: String,
    },
    /// The transform failed.
    #[error("the transform failed in the rows from line {line} on")]
    Failed {
        /// The line of the batch's first row.
        line: u64,
        /// Why.
        #[source]
        source: E,
    },
}

/// What became of a block: rows as bytes, and counts.
struct Part<E> {
    bytes: Vec<u8>,
    rows: u64,
    dropped: u64,
    untyped: u64,
    lines: u64,
    failure: Option<TransformError<E>>,
}

/// A row that waits for its batch.
struct Waiting {
    conversation: Conversation,
    line: u64,
}

/// Transforms a dataset into a new file of OpenAI chat rows, one a line. `start` makes
/// what transforms batches, once for each thread.
pub fn transform<E, F>(
    path: &Path,
    options: &Options,
    untyped: UntypedRows,
    job: &MethodJob,
    start: impl Fn() -> F + Sync,
    to_path: &Path,
) -> Result<Transformed, TransformError<E>>
where
    E: Send,
    F: FnMut(&MethodJob, Vec<Example>) -> Result<Vec<Option<Example>>, E>,
{
    let source = Source::open(path, options.temporary.as_deref())?;
    let recognised = recognise(&source, options.format)?;
    let mut output = Output::create(to_path, true)?;
    let mut total = (0, 0, 0, 0);
    let of = source.plain_bytes()?;
    let framer = Framer::new(&recognised.container, Feed::new(&source)?);
    let worker = || {
        let mut worker = Worker {
            container: &recognised.container,
            format: recognised.format,
            untyped,
            job,
            apply: start(),
            tape: Tape::default(),
        };
        move |block: &Block| Ok(worker.block(block))
    };
    let mut lines = 0;
    let sink = |part: Part<E>| {
        if let Some(failure) = part.failure {
            return Err(failure.after(lines));
        }
        lines += part.lines;
        output.write(&part.bytes)?;
        let (rows, dropped, untyped, written) = &mut total;
        *rows += part.rows;
        *dropped += part.dropped;
        *untyped += part.untyped;
        *written += memchr::memchr_iter(b'\n', &part.bytes).count() as u64;
        Ok(())
    };
    pipeline::run::<_, Part<E>, _, _, TransformError<E>>(
        &Work { source: &source, options, of },
        framer,
        worker,
        sink,
    )?;
    source.unchanged()?;
    let (rows, rows_dropped, rows_untyped, rows_written) = total;
    if rows == 0 {
        return Err(DatasetError::Empty { path: path.to_owned() }.into());
    }
    Ok(Transformed { rows, rows_written, rows_dropped, rows_untyped, file: output.finish()? })
}

impl<E> TransformError<E> {
    /// Counts lines from the file's start.
    fn after(mut self, lines: u64) -> Self {
        match &mut self {
            Self::Invalid { line, .. }
            | Self::Untyped { line, .. }
            | Self::Broken { line, .. }
            | Self::Failed { line, .. } => *line += lines,
            Self::Dataset(_) | Self::Write(_) => {}
        }
        self
    }
}

struct Worker<'a, F> {
    container: &'a super::Container,
    format: Format,
    untyped: UntypedRows,
    job: &'a MethodJob,
    apply: F,
    tape: Tape,
}

impl<F> Worker<'_, F> {
    fn block<E>(&mut self, block: &Block) -> Part<E>
    where
        F: FnMut(&MethodJob, Vec<Example>) -> Result<Vec<Option<Example>>, E>,
    {
        let lines = memchr::memchr_iter(b'\n', &block.bytes).count() as u64;
        let mut part = Part { bytes: Vec::new(), rows: 0, dropped: 0, untyped: 0, lines, failure: None };
        let done = self.rows(block, &mut part);
        part.failure = done.err();
        part
    }

    fn rows<E>(&mut self, block: &Block, part: &mut Part<E>) -> Result<(), TransformError<E>>
    where
        F: FnMut(&MethodJob, Vec<Example>) -> Result<Vec<Option<Example>>, E>,
    {
        if block.too_long.is_some() || block.problem.is_some() {
            let reason = block.problem.map_or("the row is too long", |(_, problem)| problem);
            return Err(TransformError::Invalid { line: 1, reason: reason.to_owned() });
        }
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut examples = Vec::new();
        let mut bytes = 0;
        let (mut line, mut counted) = (1, 0);
        for record in block.records() {
            let at = record.as_ptr().addr() - block.bytes.as_ptr().addr();
            line += memchr::memchr_iter(b'\n', &block.bytes[counted..at]).count() as u64;
            counted = at;
            part.rows += 1;
            let invalid = |reason: String| TransformError::Invalid { line, reason };
            let text =
                std::str::from_utf8(record).map_err(|_| invalid("bytes that are not UTF-8".to_owned()))?;
            let json = csv::as_json(self.container, text)
                .ok_or_else(|| invalid("the record does not fit the header".to_owned()))?;
            let value = self.tape.parse(&json).map_err(|error| invalid(error.problem.to_string()))?;
            let mut issues = Vec::new();
            let read = conversation::read(self.format, value, &mut issues);
            let conversation = read.ok_or_else(|| {
                invalid(
                    issues.pop().map_or_else(|| "it cannot be read".to_owned(), |issue| issue.said.reason),
                )
            })?;
            let Some(example) = conversation.typed().filter(|_| hidden(&conversation).is_none()) else {
                let what = hidden(&conversation).unwrap_or("tools, images or other parts");
                part.untyped += 1;
                match self.untyped {
                    UntypedRows::Refuse => return Err(TransformError::Untyped { line, what }),
                    UntypedRows::Drop => {}
                    UntypedRows::Pass => {
                        // Rows before it must be written first.
                        self.batch(&mut waiting, &mut examples, part)?;
                        bytes = 0;
                        pass(&conversation, self.format, &json, part)
                            .map_err(|reason| invalid(reason.to_owned()))?;
                    }
                }
                continue;
            };
            if examples.len() == BATCH_ROWS || (bytes + record.len() > BATCH_BYTES && !examples.is_empty()) {
                self.batch(&mut waiting, &mut examples, part)?;
                bytes = 0;
            }
            bytes += record.len();
            examples.push(example);
            waiting.push(Waiting { conversation, line });
        }
        self.batch(&mut waiting, &mut examples, part)
    }

    fn batch<E>(
        &mut self,
        waiting: &mut Vec<Waiting>,
        examples: &mut Vec<Example>,
        part: &mut Part<E>,
    ) -> Result<(), TransformError<E>>
    where
        F: FnMut(&MethodJob, Vec<Example>) -> Result<Vec<Option<Example>>, E>,
    {
        let Some(first) = waiting.first() else { return Ok(()) };
        let line = first.line;
        let given = examples.len();
        let applied = (self.apply)(self.job, std::mem::take(examples))
            .map_err(|source| TransformError::Failed { line, source })?;
        if applied.len() != given {
            let what = format!("gave {} rows for {given}; each row must give one row or none", applied.len());
            return Err(TransformError::Broken { line, what });
        }
        for (Waiting { mut conversation, line }, example) in waiting.drain(..).zip(applied) {
            let Some(example) = example else {
                part.dropped += 1;
                continue;
            };
            if example.messages.is_empty() {
                return Err(TransformError::Broken { line, what: "gave a row without messages".to_owned() });
            }
            put_back(&mut conversation, example)
                .map_err(|what| TransformError::Broken { line, what: what.to_owned() })?;
            let row = render::row(&conversation, self.format, Format::OpenAi, &mut Losses::new())
                .map_err(|what| TransformError::Broken { line, what: what.to_owned() })?;
            part.bytes.extend_from_slice(row.as_bytes());
            part.bytes.push(b'\n');
        }
        Ok(())
    }
}

/// What a row has besides the texts that a transform sees, and that would be kept
/// without being seen.
fn hidden(conversation: &Conversation) -> Option<&'static str> {
    if !conversation.rejected.is_empty() {
        return Some("an answer that is not preferred");
    }
    if conversation
        .turns
        .iter()
        .any(|turn| turn.more.iter().any(|(key, value)| key != "weight" && value != "null"))
    {
        return Some("further fields of messages");
    }
    if conversation.more.iter().any(|(key, value)| key != "parallel_tool_calls" && value != "null") {
        return Some("further fields of the row");
    }
    None
}

/// Puts what the transform gave in place of what it was given. Weights stay with the
/// assistant's messages, in order.
fn put_back(conversation: &mut Conversation, example: Example) -> Result<(), &'static str> {
    let weights: Vec<Vec<(String, String)>> = conversation
        .turns
        .iter()
        .filter(|turn| turn.who == Who::Assistant)
        .map(|turn| turn.more.clone())
        .collect();
    let weighted = weights.iter().any(|more| !more.is_empty());
    let answers = example.messages.iter().filter(|message| Who::from(message.role) == Who::Assistant).count();
    if weighted && answers != weights.len() {
        return Err("changed the number of answers of a row whose answers have weights");
    }
    let Some(place) = conversation.turns.first().map(|turn| (turn.start, turn.at)) else {
        return Err("gave messages for a row that has none");
    };
    let mut weights = weights.into_iter();
    conversation.turns = example
        .messages
        .into_iter()
        .map(|message| {
            let who = Who::from(message.role);
            let more = match who {
                Who::Assistant => weights.next().unwrap_or_default(),
                _ => Vec::new(),
            };
            conversation::Turn {
                who,
                content: Content::Text(message.content),
                more,
                start: place.0,
                at: place.1,
            }
        })
        .collect();
    Ok(())
}

/// Writes a row that the transform did not see.
fn pass<E>(
    conversation: &Conversation,
    format: Format,
    json: &str,
    part: &mut Part<E>,
) -> Result<(), &'static str> {
    if format == Format::OpenAi && memchr::memchr2(b'\n', b'\r', json.as_bytes()).is_none() {
        part.bytes.extend_from_slice(json.as_bytes());
    } else {
        let row = render::row(conversation, format, Format::OpenAi, &mut Losses::new())?;
        part.bytes.extend_from_slice(row.as_bytes());
    }
    part.bytes.push(b'\n');
    Ok(())
}
