//! Splits a dataset into training and validation rows: the same share of every task,
//! decided by a seed, with no row in both.

use super::ConvertError;
use super::output::{Destination, Output, WriteError, Written};
use crate::containers::csv;
use crate::containers::framing::{Block, Framer};
use crate::containers::json::Tape;
use crate::containers::source::Source;
use crate::error::DatasetError;
use crate::options::ReadOptions;
use crate::pipeline::{self, Feed, Work};
use crate::scan::index::{COMPARED_ROWS, TASKS, mix};
use crate::shapes::conversation::{self, Content, Conversation, MessageRole, key};
use crate::shapes::format::recognize;
use crate::verdict::row::hash;
use serde::Serialize;
use std::collections::HashMap;
use std::path::Path;

#[derive(Debug, Clone, Copy)]
pub struct SplitOptions {
    /// The share of validation rows, above 0 and below 1.
    pub validation: f64,
    pub seed: u32,
    /// Whether to replace existing files.
    pub replace: bool,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SplitResult {
    pub training_rows: u64,
    pub validation_rows: u64,
    /// Distinct system prompts.
    pub tasks: u64,
    /// The file for training.
    pub training: Written,
    /// The file for validation.
    pub validation: Written,
}

/// A row to write to one of the files.
struct SplitRow {
    line: u64,
    end: usize,
    /// Its key and the hash of its task.
    row: Result<([u8; 16], u64), String>,
}

/// Splits a dataset into two files with one row per line, each as it was written.
///
/// # Errors
/// A row has an error, or a file cannot be read or written.
pub fn split(
    path: &Path,
    options: &ReadOptions,
    division: &SplitOptions,
    training: &Path,
    validation: &Path,
) -> Result<SplitResult, ConvertError> {
    let source = Source::open(path, options.temporary.as_deref())?;
    let recognized = recognize(&source, options.format)?;
    if training == validation {
        return Err(WriteError::Exists(validation.to_owned()).into());
    }
    let replace = division.replace;
    let create = |path| Output::create(Destination::File { path, replace });
    let outputs = [create(training)?, create(validation)?];
    let mut sides = SplitFiles {
        outputs,
        rows: [0, 0],
        lines: 0,
        owed: HashMap::new(),
        known: HashMap::new(),
        division: *division,
    };
    let of = source.plain_bytes()?;
    let framer = Framer::new(&recognized.container, Feed::undigested(&source)?);
    let worker = || {
        let mut tape = Tape::default();
        let recognized = &recognized;
        move |block: &Block| {
            let mut bytes = Vec::with_capacity(block.bytes.len());
            let mut rows = Vec::new();
            if block.too_long.is_some() || block.problem.is_some() {
                let reason = block.problem.map_or("row is too long", |(_, problem)| problem);
                rows.push(SplitRow { line: 1, end: 0, row: Err(reason.to_owned()) });
            }
            for (line, record) in block.numbered_records() {
                let json = std::str::from_utf8(record)
                    .ok()
                    .and_then(|text| csv::as_json(&recognized.container, text))
                    .ok_or_else(|| "cannot read the row".to_owned());
                let row = json.and_then(|json| {
                    let value = tape.parse(&json).map_err(|error| error.problem.to_string())?;
                    let mut issues = Vec::new();
                    let read = conversation::read(recognized.format, value, &mut issues);
                    let conversation = read.ok_or_else(|| {
                        issues
                            .pop()
                            .map_or_else(|| "cannot read the row".to_owned(), |issue| issue.text.with_field())
                    })?;
                    let flat =
                        json.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte });
                    bytes.extend(flat);
                    bytes.push(b'\n');
                    Ok((key(&conversation), task(&conversation)))
                });
                rows.push(SplitRow { line, end: bytes.len(), row });
            }
            Ok((bytes, rows, block.line_ends()))
        }
    };
    let sink = |(bytes, rows, lines)| sides.take(bytes, rows, lines);
    pipeline::run::<_, (Vec<u8>, Vec<SplitRow>, u64), _, _, ConvertError>(
        &Work { source: &source, options, of },
        framer,
        worker,
        sink,
    )?;
    source.unchanged()?;
    let SplitFiles { outputs: [training, validation], rows: [training_rows, validation_rows], owed, .. } =
        sides;
    if training_rows + validation_rows == 0 {
        return Err(DatasetError::Empty { path: path.to_owned() }.into());
    }
    Ok(SplitResult {
        training_rows,
        validation_rows,
        tasks: owed.len() as u64,
        training: training.finish()?,
        validation: validation.finish()?,
    })
}

fn task(conversation: &Conversation) -> u64 {
    let system = conversation
        .turns
        .iter()
        .find(|turn| matches!(turn.role, MessageRole::System | MessageRole::Developer));
    match system.map(|turn| &turn.content) {
        Some(Content::Text(text)) => hash(text.as_bytes()),
        _ => 0,
    }
}

struct SplitFiles {
    outputs: [Output; 2],
    rows: [u64; 2],
    lines: u64,
    /// By task, the share of a row that validation is owed: between -1 and 1.
    owed: HashMap<u64, f64>,
    known: HashMap<[u8; 16], bool>,
    division: SplitOptions,
}

impl SplitFiles {
    fn take(&mut self, bytes: Vec<u8>, rows: Vec<SplitRow>, lines: u64) -> Result<(), ConvertError> {
        let mut start = 0;
        for SplitRow { line, end, row } in rows {
            let (key, task) = row.map_err(|reason| ConvertError::Invalid {
                count: 1,
                rows: self.rows[0] + self.rows[1] + 1,
                line: self.lines + line,
                reason,
            })?;
            let side = usize::from(self.is_validation(key, task));
            self.outputs[side].write(&bytes[start..end])?;
            self.rows[side] += 1;
            start = end;
        }
        self.lines += lines;
        Ok(())
    }

    /// Decides a row's side. Duplicates go to the same side.
    fn is_validation(&mut self, key: [u8; 16], task: u64) -> bool {
        if let Some(&side) = self.known.get(&key) {
            return side;
        }
        // A number in 0..1 that only the seed and what the row says decide.
        let [a, b, c, d, ..] = key;
        let scattered = mix(u32::from_le_bytes([a, b, c, d]) ^ mix(self.division.seed));
        let chance = f64::from(scattered) / (f64::from(u32::MAX) + 1.0);
        if self.known.len() >= COMPARED_ROWS || (self.owed.len() >= TASKS && !self.owed.contains_key(&task)) {
            // What cannot be remembered is decided by the row alone: the same row comes
            // to the same side without being known.
            return chance < self.division.validation;
        }
        // What validation is owed carries over, so that its share is right to a row.
        let owed = self.owed.entry(task).or_default();
        *owed += self.division.validation;
        let side = *owed > chance;
        if side {
            *owed -= 1.0;
        }
        self.known.insert(key, side);
        side
    }
}
