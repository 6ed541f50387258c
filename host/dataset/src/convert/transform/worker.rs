//! Transforms the rows of one block, batch by batch.

use super::rows::{add_plain, add_texts, put_back, unseen, write_plain};
use super::{BATCH_BYTES, BATCH_ROWS, Batch, TransformError, TransformOptions, UntypedRows, add_notes};
use crate::containers::csv;
use crate::containers::framing::{Block, Container};
use crate::containers::json::Tape;
use crate::shapes::conversation::{self, Conversation};
use crate::shapes::format::Format;
use crate::shapes::render::{self, Losses};
use std::sync::Arc;
use tunesmith_core::contract::{Conversations, MethodJob, Note};

/// The result of a block: rows as text, and counts. A failure's line counts from the
/// block's start.
pub(super) struct TransformedBlock<E> {
    pub text: String,
    pub counts: Counts,
    pub lines: u64,
    pub lost: Losses,
    pub notes: Vec<Note>,
    pub failure: Option<TransformError<E>>,
}

#[derive(Default)]
pub(super) struct Counts {
    pub rows: u64,
    pub written: u64,
    pub dropped: u64,
    pub untyped: u64,
}

/// A row that waits for its batch.
struct PendingRow {
    line: u64,
    /// The row's other fields; `None` for most rows.
    rest: Option<Box<Conversation>>,
}

/// Transforms rows, and reuses memory between blocks.
pub(super) struct Worker<'a, F> {
    container: &'a Container,
    format: Format,
    to: Format,
    how: &'a TransformOptions<'a>,
    apply: F,
    tape: Tape,
    given: Conversations,
    waiting: Vec<PendingRow>,
    /// Bytes written for the previous block, to size the next.
    usual: usize,
}

impl<'a, F> Worker<'a, F> {
    pub fn new(
        container: &'a Container,
        format: Format,
        to: Format,
        how: &'a TransformOptions<'a>,
        apply: F,
    ) -> Self {
        Self {
            container,
            format,
            to,
            how,
            apply,
            tape: Tape::default(),
            given: Conversations::new(),
            waiting: Vec::with_capacity(BATCH_ROWS),
            usual: 0,
        }
    }

    pub fn block<E>(&mut self, block: &Block) -> TransformedBlock<E>
    where
        F: FnMut(&MethodJob, &Arc<Conversations>) -> Result<Batch, E>,
    {
        let mut part = TransformedBlock {
            text: String::with_capacity(self.usual.max(block.bytes.len())),
            counts: Counts::default(),
            lines: block.line_ends(),
            lost: Losses::new(),
            notes: Vec::new(),
            failure: None,
        };
        let done = self.rows(block, &mut part);
        part.failure = done.err();
        self.usual = part.text.len();
        part
    }

    fn rows<E>(&mut self, block: &Block, part: &mut TransformedBlock<E>) -> Result<(), TransformError<E>>
    where
        F: FnMut(&MethodJob, &Arc<Conversations>) -> Result<Batch, E>,
    {
        if block.too_long.is_some() || block.problem.is_some() {
            let reason = block.problem.map_or("row is too long", |(_, problem)| problem);
            return Err(TransformError::Invalid { line: 1, reason: reason.to_owned() });
        }
        self.given.clear();
        self.waiting.clear();
        let mut bytes = 0;
        for (line, record) in block.numbered_records() {
            part.counts.rows += 1;
            let invalid = |reason: String| TransformError::Invalid { line, reason };
            let text = std::str::from_utf8(record).map_err(|_| invalid("invalid UTF-8".to_owned()))?;
            let json = csv::as_json(self.container, text)
                .ok_or_else(|| invalid("record does not match the header".to_owned()))?;
            if self.waiting.len() == BATCH_ROWS || bytes + record.len() > BATCH_BYTES {
                self.batch(part)?;
                bytes = 0;
            }
            let value = self.tape.parse(&json).map_err(|error| invalid(error.problem.to_string()))?;
            if self.format == Format::OpenAi && add_plain(value, &mut self.given) {
                bytes += record.len();
                self.waiting.push(PendingRow { line, rest: None });
                continue;
            }
            let mut issues = Vec::new();
            let read = conversation::read(self.format, value, &mut issues);
            let mut conversation = read.ok_or_else(|| {
                invalid(
                    issues
                        .pop()
                        .map_or_else(|| "cannot read the row".to_owned(), |issue| issue.text.with_field()),
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
            self.waiting.push(PendingRow { line, rest: Some(Box::new(conversation)) });
        }
        self.batch(part)
    }

    fn batch<E>(&mut self, part: &mut TransformedBlock<E>) -> Result<(), TransformError<E>>
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
        add_notes(&mut part.notes, notes);
        if rows.len() != self.waiting.len() {
            let what = format!(
                "expected one row or none for each of {} rows, found {} rows",
                self.waiting.len(),
                rows.len()
            );
            return Err(TransformError::Broken { line, what });
        }
        for (PendingRow { line, rest }, row) in self.waiting.drain(..).zip(rows.iter()) {
            let Some(turns) = row else {
                part.counts.dropped += 1;
                continue;
            };
            let broken = |what: &str| TransformError::Broken { line, what: what.to_owned() };
            if turns.len() == 0 {
                return Err(broken("a row has no messages"));
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
        part: &mut TransformedBlock<E>,
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
