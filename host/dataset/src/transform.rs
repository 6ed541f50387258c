//! Runs a method's transform over a whole dataset, file to file: batches in parallel,
//! rows in order, what the typed view cannot express as the job says.

use super::conversation::{self, Content, Conversation, Turn, Who};
use super::csv::quote;
use super::error::DatasetError;
use super::format::{Format, recognise};
use super::framing::{Block, Framer};
use super::json::{Tape, Value};
use super::output::{Destination, Output, WriteError, Written};
use super::pipeline::{self, Work};
use super::render::{self, Losses};
use super::scan::Feed;
use super::source::Source;
use super::{Container, Options, csv};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tunesmith_core::contract::{Conversations, Example, MethodJob, Note, Role, Turns};

/// The most examples of a batch. 16,384: as many as a block of the reader has, except of
/// rows below 64 bytes, since each batch has a fresh sandbox.
pub const BATCH_ROWS: usize = 16_384;

/// The most text of a batch, so that a sandbox's memory suffices whatever the rows.
/// 1 MiB: a block of the reader, so that a block is a batch (measured on rows of 1,750
/// bytes: 289 MB/s, and 276 with half of it).
pub const BATCH_BYTES: usize = 1 << 20;

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

/// Notes that a transform leaves and that are kept; the same one counts once. A batch
/// may leave some, and there may be millions of batches.
pub const KEPT_NOTES: usize = 20;

/// What a transform makes of a batch.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// For each row one or none, in order.
    pub rows: Conversations,
    /// What it told the user.
    pub notes: Vec<Note>,
}

/// How to transform.
#[derive(Debug, Clone, Copy)]
pub struct Transformation<'a> {
    /// What the transform is told.
    pub job: &'a MethodJob,
    /// What to do with rows that it cannot see.
    pub untyped: UntypedRows,
}

/// What was transformed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Details that the written format has no place for, with how often they were left
    /// out.
    pub lost: BTreeMap<String, u64>,
    /// What the transform told the user; see [`KEPT_NOTES`].
    pub notes: Vec<Note>,
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
        /// The line.
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
    /// Every row was left out.
    #[error("the transform left out all {rows} rows of the dataset")]
    NothingLeft {
        /// How many there were.
        rows: u64,
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

/// What became of a block: rows as text, and counts. A failure's line counts from the
/// block's start.
struct Part<E> {
    text: String,
    counts: Counts,
    lines: u64,
    lost: Losses,
    notes: Vec<Note>,
    failure: Option<TransformError<E>>,
}

#[derive(Default)]
struct Counts {
    rows: u64,
    written: u64,
    dropped: u64,
    untyped: u64,
}

/// A row that waits for its batch.
struct Waiting {
    line: u64,
    /// What the row is besides texts with their speakers; nothing, of most.
    rest: Option<Box<Conversation>>,
}

/// Transforms a dataset into a new file, one row a line: of OpenAI chat rows, or where
/// the transform sees no row of the format, of the nearest format that keeps them.
/// `start` makes what transforms batches, once for each thread.
pub fn transform<E, F>(
    path: &Path,
    options: &Options,
    how: &Transformation<'_>,
    start: impl Fn() -> F + Sync,
    destination: Destination<'_>,
) -> Result<Transformed, TransformError<E>>
where
    E: Send,
    F: FnMut(&MethodJob, &Arc<Conversations>) -> Result<Batch, E>,
{
    let source = Source::open(path, options.temporary.as_deref())?;
    let recognised = recognise(&source, options.format)?;
    let mut output = Output::create(destination)?;
    let of = source.plain_bytes()?;
    let framer = Framer::new(&recognised.container, Feed::undigested(&source)?);
    let worker = || {
        let mut worker = Worker {
            container: &recognised.container,
            format: recognised.format,
            to: written_as(recognised.format),
            how,
            apply: start(),
            tape: Tape::default(),
            given: Conversations::new(),
            waiting: Vec::with_capacity(BATCH_ROWS),
            usual: 0,
        };
        move |block: &Block| Ok(worker.block(block))
    };
    let mut total = Counts::default();
    let (mut lines, mut lost, mut notes) = (0, BTreeMap::new(), Vec::new());
    let sink = |part: Part<E>| {
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
        keep(&mut notes, part.notes);
        Ok(())
    };
    pipeline::run::<_, Part<E>, _, _, TransformError<E>>(
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

/// Keeps the first different notes.
fn keep(notes: &mut Vec<Note>, more: Vec<Note>) {
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

struct Worker<'a, F> {
    container: &'a Container,
    format: Format,
    to: Format,
    how: &'a Transformation<'a>,
    apply: F,
    tape: Tape,
    /// The batch.
    given: Conversations,
    waiting: Vec<Waiting>,
    /// Bytes that came of the last block.
    usual: usize,
}

impl<F> Worker<'_, F> {
    fn block<E>(&mut self, block: &Block) -> Part<E>
    where
        F: FnMut(&MethodJob, &Arc<Conversations>) -> Result<Batch, E>,
    {
        let mut part = Part {
            text: String::with_capacity(self.usual.max(block.bytes.len())),
            counts: Counts::default(),
            lines: memchr::memchr_iter(b'\n', &block.bytes).count() as u64,
            lost: Losses::new(),
            notes: Vec::new(),
            failure: None,
        };
        let done = self.rows(block, &mut part);
        part.failure = done.err();
        self.usual = part.text.len();
        part
    }

    fn rows<E>(&mut self, block: &Block, part: &mut Part<E>) -> Result<(), TransformError<E>>
    where
        F: FnMut(&MethodJob, &Arc<Conversations>) -> Result<Batch, E>,
    {
        if block.too_long.is_some() || block.problem.is_some() {
            let reason = block.problem.map_or("the row is too long", |(_, problem)| problem);
            return Err(TransformError::Invalid { line: 1, reason: reason.to_owned() });
        }
        self.given.clear();
        self.waiting.clear();
        let mut bytes = 0;
        let (mut line, mut counted) = (1, 0);
        for record in block.records() {
            let at = record.as_ptr().addr() - block.bytes.as_ptr().addr();
            line += memchr::memchr_iter(b'\n', &block.bytes[counted..at]).count() as u64;
            counted = at;
            part.counts.rows += 1;
            let invalid = |reason: String| TransformError::Invalid { line, reason };
            let text =
                std::str::from_utf8(record).map_err(|_| invalid("bytes that are not UTF-8".to_owned()))?;
            let json = csv::as_json(self.container, text)
                .ok_or_else(|| invalid("the record does not fit the header".to_owned()))?;
            if self.waiting.len() == BATCH_ROWS || bytes + record.len() > BATCH_BYTES {
                self.batch(part)?;
                bytes = 0;
            }
            let value = self.tape.parse(&json).map_err(|error| invalid(error.problem.to_string()))?;
            if self.format == Format::OpenAi && add_plain(value, &mut self.given) {
                bytes += record.len();
                self.waiting.push(Waiting { line, rest: None });
                continue;
            }
            let mut issues = Vec::new();
            let read = conversation::read(self.format, value, &mut issues);
            let mut conversation = read.ok_or_else(|| {
                invalid(
                    issues.pop().map_or_else(|| "it cannot be read".to_owned(), |issue| issue.said.reason),
                )
            })?;
            if let Some(what) = unseen(&conversation, self.format) {
                part.counts.untyped += 1;
                match self.how.untyped {
                    UntypedRows::Refuse => return Err(TransformError::Untyped { line, what }),
                    UntypedRows::Drop => {}
                    UntypedRows::Pass => {
                        // Rows before it must be written first.
                        self.batch(part)?;
                        bytes = 0;
                        self.pass(&conversation, &json, part).map_err(|reason| invalid(reason.to_owned()))?;
                    }
                }
                continue;
            }
            bytes += record.len();
            add_texts(&mut conversation, &mut self.given);
            self.waiting.push(Waiting { line, rest: Some(Box::new(conversation)) });
        }
        self.batch(part)
    }

    fn batch<E>(&mut self, part: &mut Part<E>) -> Result<(), TransformError<E>>
    where
        F: FnMut(&MethodJob, &Arc<Conversations>) -> Result<Batch, E>,
    {
        let Some(first) = self.waiting.first() else { return Ok(()) };
        let line = first.line;
        let given = Arc::new(std::mem::take(&mut self.given));
        let Batch { rows, notes } =
            (self.apply)(self.how.job, &given).map_err(|source| TransformError::Failed { line, source })?;
        // The next batch gets its memory.
        self.given = Arc::try_unwrap(given).unwrap_or_default();
        self.given.clear();
        keep(&mut part.notes, notes);
        if rows.len() != self.waiting.len() {
            let what = format!(
                "gave {} rows for {}; each row must give one row or none",
                rows.len(),
                self.waiting.len()
            );
            return Err(TransformError::Broken { line, what });
        }
        for (Waiting { line, rest }, row) in self.waiting.drain(..).zip(rows.iter()) {
            let Some(turns) = row else {
                part.counts.dropped += 1;
                continue;
            };
            let broken = |what: &str| TransformError::Broken { line, what: what.to_owned() };
            if turns.len() == 0 {
                return Err(broken("gave a row without messages"));
            }
            match rest {
                None => write_plain(&mut part.text, turns),
                Some(mut conversation) => {
                    put_back(&mut conversation, turns.example()).map_err(broken)?;
                    render::write(&mut part.text, &conversation, self.format, self.to, &mut part.lost)
                        .map_err(broken)?;
                }
            }
            part.text.push('\n');
            part.counts.written += 1;
        }
        Ok(())
    }

    /// Writes a row that the transform did not see.
    fn pass<E>(
        &self,
        conversation: &Conversation,
        json: &str,
        part: &mut Part<E>,
    ) -> Result<(), &'static str> {
        if self.format == self.to {
            // Byte for byte, but on one line.
            part.text.extend(json.chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }));
        } else {
            render::write(&mut part.text, conversation, self.format, self.to, &mut part.lost)?;
        }
        part.text.push('\n');
        part.counts.written += 1;
        Ok(())
    }
}

/// What a row has that a transform would not see although it is kept; none where the
/// transform sees all.
fn unseen(conversation: &Conversation, format: Format) -> Option<&'static str> {
    if conversation.text.is_some() {
        return Some("plain text without roles");
    }
    if !conversation.rejected.is_empty() {
        return Some("a preference pair");
    }
    // Fields of other formats are not written.
    let kept = |key: &str| format == Format::OpenAi || render::ROW_FIELDS.contains(&key);
    for (key, value) in &conversation.more {
        if matches!(key.as_str(), "tools" | "functions") && value != "null" {
            return Some("definitions of tools");
        }
        if key != "parallel_tool_calls" && value != "null" && kept(key) {
            return Some("further fields of the row");
        }
    }
    for turn in &conversation.turns {
        if turn.who.role().is_none() {
            return Some("messages of tools, functions or developers");
        }
        for (key, value) in &turn.more {
            if key != "weight"
                && value != "null"
                && (format == Format::OpenAi || render::MESSAGE_FIELDS.contains(&key.as_str()))
            {
                return Some(match key.as_str() {
                    "tool_calls" | "function_call" => "calls of tools",
                    _ => "further fields of messages",
                });
            }
        }
        match turn.content {
            Content::Text(_) => {}
            Content::Json(_) => return Some("images or other parts"),
            Content::Absent => return Some("a message without content"),
        }
    }
    None
}

/// Adds a row of OpenAI's chat format that is nothing but texts with their speakers, as
/// most are; says whether it is one. Any other is for [`conversation::read`], which says
/// what is wrong with it.
fn add_plain(row: Value<'_>, to: &mut Conversations) -> bool {
    let mut entries = row.entries();
    let (Some((key, messages)), None) = (entries.next(), entries.next()) else { return false };
    let plain = key.is_text("messages")
        && messages.items().next().is_some()
        && messages.items().all(|message| add_plain_message(message, to));
    if plain {
        to.end_row();
    } else {
        to.abandon_row();
    }
    plain
}

fn add_plain_message(message: Value<'_>, to: &mut Conversations) -> bool {
    let mut entries = message.entries();
    let (Some(one), Some(other), None) = (entries.next(), entries.next(), entries.next()) else {
        return false;
    };
    let (role, content) = if one.0.is_text("role") { (one, other) } else { (other, one) };
    if !role.0.is_text("role") || !content.0.is_text("content") {
        return false;
    }
    let known = [Role::User, Role::Assistant, Role::System];
    let Some(role) = known.into_iter().find(|known| role.1.is_text(known.as_str())) else { return false };
    if !content.1.text_onto(to.next_text()) {
        return false;
    }
    to.end_message(role);
    true
}

/// Writes such a row, as [`render::write`] does.
fn write_plain(out: &mut String, turns: Turns<'_>) {
    out.push_str("{\"messages\":[");
    for (n, (role, content)) in turns.enumerate() {
        out.push_str(match (n, role) {
            (0, Role::System) => "{\"role\":\"system\",\"content\":",
            (0, Role::User) => "{\"role\":\"user\",\"content\":",
            (0, Role::Assistant) => "{\"role\":\"assistant\",\"content\":",
            (_, Role::System) => ",{\"role\":\"system\",\"content\":",
            (_, Role::User) => ",{\"role\":\"user\",\"content\":",
            (_, Role::Assistant) => ",{\"role\":\"assistant\",\"content\":",
        });
        quote(content, out);
        out.push('}');
    }
    out.push_str("]}");
}

/// Takes the texts out of a conversation, of which [`unseen`] found nothing.
fn add_texts(conversation: &mut Conversation, to: &mut Conversations) {
    for turn in &mut conversation.turns {
        if let (Content::Text(text), Some(role)) = (&mut turn.content, turn.who.role()) {
            to.message(role, &std::mem::take(text));
        }
    }
    to.end_row();
}

/// Puts what the transform gave in place of what it was given. Weights stay with the
/// assistant's messages, in order.
fn put_back(conversation: &mut Conversation, example: Example) -> Result<(), &'static str> {
    let same_roles = conversation.turns.len() == example.messages.len()
        && conversation
            .turns
            .iter()
            .zip(&example.messages)
            .all(|(turn, message)| turn.who == Who::from(message.role));
    if same_roles {
        for (turn, message) in conversation.turns.iter_mut().zip(example.messages) {
            turn.content = Content::Text(message.content);
        }
        return Ok(());
    }
    let weights: Vec<Vec<(String, String)>> = conversation
        .turns
        .iter_mut()
        .filter(|turn| turn.who == Who::Assistant)
        .map(|turn| std::mem::take(&mut turn.more))
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
            Turn { who, content: Content::Text(message.content), more, start: place.0, at: place.1 }
        })
        .collect();
    Ok(())
}
