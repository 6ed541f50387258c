//! Rows of a dataset, read again in any order.

use crate::containers::framing::Framer;
use crate::containers::source::Source;
use crate::containers::{csv, json};
use crate::error::DatasetError;
use crate::scan::index::{Entry, Index};
use crate::shapes::conversation::{self, Conversation};
use crate::shapes::format::Recognized;
use tunesmith_core::contract::{Example, Role};

/// A file that was scanned, and where its rows are.
pub(crate) struct Rows {
    pub source: Source,
    pub recognized: Recognized,
    pub index: Index,
}

impl Rows {
    /// Where a row is.
    pub fn entry(&self, id: u32) -> Result<Option<Entry>, DatasetError> {
        let Index { stride, entries, rows, .. } = &self.index;
        let id = u64::from(id);
        if id >= *rows {
            return Ok(None);
        }
        let Some(&before) = entries.get((id / stride) as usize) else { return Ok(None) };
        let mut rows_on = id % stride;
        if rows_on == 0 {
            return Ok(Some(before));
        }
        self.source.unchanged()?;
        let start = before.offset + u64::from(before.length);
        let mut framer = Framer::after_row(&self.recognized.container, self.source.reader_at(start)?);
        let mut memory = Vec::new();
        // The rest of the line before is blank, and no row.
        while let Some(block) = framer.next_block(memory).map_err(|error| self.source.failed(error))? {
            if block.too_long.is_some() {
                rows_on -= 1;
                if rows_on == 0 {
                    return Ok(Some(Entry { offset: start + block.offset, length: 0, ..before }));
                }
            }
            for record in block.records() {
                rows_on -= 1;
                if rows_on == 0 {
                    let at = record.as_ptr().addr() - block.bytes.as_ptr().addr();
                    let offset = start + block.offset + at as u64;
                    return Ok(Some(Entry { offset, length: record.len() as u32, ..before }));
                }
            }
            memory = block.bytes;
        }
        Err(self.source.changed())
    }

    /// Reads a row again and passes it to `see`; `None` if it is not JSON.
    fn with_row<T>(
        &self,
        entry: &Entry,
        see: impl FnOnce(json::Value<'_>) -> T,
    ) -> Result<Option<T>, DatasetError> {
        self.source.unchanged()?;
        let mut bytes = vec![0; entry.length as usize];
        self.source.read_at(entry.offset, &mut bytes)?;
        let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(None) };
        let Some(text) = csv::as_json(&self.recognized.container, text) else { return Ok(None) };
        Ok(json::Tape::default().parse(&text).ok().map(see))
    }

    /// A row as a conversation; `None` if it cannot be read.
    pub fn conversation(&self, entry: &Entry) -> Result<Option<Conversation>, DatasetError> {
        let format = self.recognized.format;
        let read = self.with_row(entry, |value| conversation::read(format, value, &mut Vec::new()))?;
        Ok(read.flatten())
    }

    /// A row in the typed view; `None` if that cannot express it.
    pub fn typed(&self, entry: &Entry) -> Result<Option<Example>, DatasetError> {
        Ok(self.conversation(entry)?.and_then(|conversation| conversation.typed()))
    }

    pub fn system_prompt(&self, task: usize) -> Result<String, DatasetError> {
        let Some(task) = self.index.tasks.get(task) else { return Ok(String::new()) };
        if task.none {
            return Ok(String::new());
        }
        let first = self.typed(&task.first)?;
        let system = first
            .and_then(|example| example.messages.into_iter().find(|message| message.role == Role::System));
        Ok(system.map(|message| message.content).unwrap_or_default())
    }
}
