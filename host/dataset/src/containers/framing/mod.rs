//! Cuts a stream of bytes into blocks of whole records, so that blocks can be checked
//! on several threads.

mod cut;
mod skip;

use cut::{ArrayState, Cut, array_rows, csv_records, lines};
use serde::{Deserialize, Serialize};
use skip::Skip;
use std::io::{self, Read};

/// The longest row that is read, in bytes. Longer ones are reported and skipped, so
/// that memory stays bounded whatever the file holds. The largest rows of common
/// providers (65,536 tokens) are below 1 MiB of text; the rest is room for images
/// within a row.
pub const MAX_ROW_BYTES: usize = 16 << 20;

/// Bytes of a block: large enough that handing it over, or a sandbox for it, costs little,
/// small enough for a processor's cache and for many in flight.
const BLOCK_BYTES: usize = 1 << 20;

/// How rows are stored in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// One JSON value per line.
    Jsonl,
    /// One JSON list of rows.
    Array,
    /// Comma-separated values, with the names of the columns.
    Csv(Vec<String>),
    /// Plain text, one row per line.
    Lines,
}

impl Container {
    /// Its name for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Jsonl => "JSONL",
            Self::Array => "a JSON list",
            Self::Csv(_) => "CSV",
            Self::Lines => "lines of text",
        }
    }
}

/// Whole records.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// Its number, from 0.
    pub number: u64,
    /// Where its first byte is in the (uncompressed) file.
    pub offset: u64,
    /// Its bytes: all between the blocks before and after.
    pub bytes: Vec<u8>,
    /// Where records are in `bytes`; none where each line is one.
    pub spans: Option<Vec<Span>>,
    /// Set where the block stands for one row that is too long, with its length. Of
    /// its bytes only the line ends were kept.
    pub too_long: Option<u64>,
    /// A syntax error between records, and its offset in the block.
    pub problem: Option<(usize, &'static str)>,
}

impl Block {
    /// Its records, without line ends and without blank lines.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        let lines = match (&self.spans, self.too_long) {
            (None, None) => &self.bytes[..],
            _ => &[],
        };
        let ends = memchr::memchr_iter(b'\n', lines).chain([lines.len()]);
        let mut start = 0;
        let lines = ends.enumerate().map(move |(n, end)| {
            let line = &lines[start..end];
            start = end + 1;
            let mark: &[u8] = if n == 0 && self.offset == 0 { b"\xef\xbb\xbf" } else { b"" };
            let line = line.strip_prefix(mark).unwrap_or(line);
            line.strip_suffix(b"\r").unwrap_or(line)
        });
        let spans = self.spans.iter().flatten();
        let spans = spans.map(|span| &self.bytes[span.start as usize..span.end as usize]);
        lines.filter(|line| !is_blank(line)).chain(spans)
    }

    /// Its records, each with its line, from 1 at the block's start.
    pub fn numbered_records(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let (mut line, mut counted) = (1, 0);
        self.records().map(move |record| {
            let at = record.as_ptr().addr() - self.bytes.as_ptr().addr();
            line += memchr::memchr_iter(b'\n', &self.bytes[counted..at]).count() as u64;
            counted = at;
            (line, record)
        })
    }

    pub fn line_ends(&self) -> u64 {
        memchr::memchr_iter(b'\n', &self.bytes).count() as u64
    }
}

/// White space as JSON defines it. A line of anything else, such as form feeds, is an
/// invalid row.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Whether a line has no row.
pub(crate) fn is_blank(line: &[u8]) -> bool {
    line.iter().copied().all(is_space)
}

/// A record's place in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: u32,
    pub end: u32,
}

pub(crate) struct Framer<R> {
    input: R,
    kind: Framing,
    carry: Vec<u8>,
    number: u64,
    offset: u64,
    ended: bool,
}

enum Framing {
    Lines,
    Array(ArrayState),
    Csv { header_seen: bool },
}

impl<R: Read> Framer<R> {
    /// Reads a file from its start.
    pub fn new(container: &Container, input: R) -> Self {
        let kind = match container {
            Container::Jsonl | Container::Lines => Framing::Lines,
            Container::Array => Framing::Array(ArrayState::Before),
            Container::Csv(_) => Framing::Csv { header_seen: false },
        };
        Self { input, kind, carry: Vec::new(), number: 0, offset: 0, ended: false }
    }

    /// Reads on after a row.
    pub fn after_row(container: &Container, input: R) -> Self {
        let kind = match container {
            Container::Jsonl | Container::Lines => Framing::Lines,
            Container::Array => Framing::Array(ArrayState::AfterRow),
            Container::Csv(_) => Framing::Csv { header_seen: true },
        };
        Self { kind, ..Self::new(container, input) }
    }

    /// Returns the stream.
    pub fn into_inner(self) -> R {
        self.input
    }

    pub fn get_ref(&self) -> &R {
        &self.input
    }

    /// The next block, which reuses the memory of `bytes`; `None` at the end.
    pub fn next_block(&mut self, mut bytes: Vec<u8>) -> io::Result<Option<Block>> {
        bytes.clear();
        bytes.append(&mut self.carry);
        let mut wanted = BLOCK_BYTES;
        let mut searched = 0;
        loop {
            while !self.ended && bytes.len() < wanted {
                self.ended = fill(&mut self.input, &mut bytes, wanted)?;
            }
            if self.ended && bytes.is_empty() {
                let open = self.number > 0 || self.offset > 0;
                return Ok(match &mut self.kind {
                    Framing::Array(state) if open && *state != ArrayState::After => {
                        *state = ArrayState::After;
                        let mut block = self.block(bytes);
                        block.problem =
                            Some((0, "unexpected end of file: the list's closing `]` is missing"));
                        Some(block)
                    }
                    _ => None,
                });
            }
            let mut spans = Vec::new();
            let mut problem = None;
            let (cut, next) = match &self.kind {
                Framing::Lines => (lines(&bytes, searched, self.ended), None),
                Framing::Csv { header_seen } => {
                    let (cut, seen) = csv_records(&bytes, self.ended, *header_seen, &mut spans);
                    (cut, Some(Framing::Csv { header_seen: seen }))
                }
                Framing::Array(state) => {
                    let (cut, state) = array_rows(&bytes, self.ended, *state, &mut spans, &mut problem);
                    (cut, Some(Framing::Array(state)))
                }
            };
            match cut {
                Cut::MessagePath(end) => {
                    self.carry.extend_from_slice(&bytes[end..]);
                    bytes.truncate(end);
                    let mut block = self.block(bytes);
                    if let Some(next) = next {
                        self.kind = next;
                        block.spans = Some(spans);
                    }
                    block.problem = problem;
                    return Ok(Some(block));
                }
                Cut::Nothing if bytes.len() > MAX_ROW_BYTES => return self.skip_row(bytes).map(Some),
                Cut::Nothing => {
                    searched = bytes.len();
                    wanted = (bytes.len() * 2).min(MAX_ROW_BYTES + 1);
                }
            }
        }
    }

    /// Skips a row that is too long; `bytes` is its start.
    fn skip_row(&mut self, mut bytes: Vec<u8>) -> io::Result<Block> {
        let mut skip = match &mut self.kind {
            Framing::Lines => Skip::Line,
            Framing::Csv { .. } => Skip::Record { quoted: false },
            Framing::Array(state) => {
                *state = ArrayState::AfterRow;
                Skip::Value { depth: 0, text: false, escape: false, begun: false }
            }
        };
        let mut length = 0;
        let mut line_ends = 0;
        loop {
            let end = skip.end(&bytes);
            let read = end.unwrap_or(bytes.len());
            length += read as u64;
            line_ends += memchr::memchr_iter(b'\n', &bytes[..read]).count();
            if end.is_some() || self.ended {
                self.carry.extend_from_slice(&bytes[read..]);
                let mut block = self.block(vec![b'\n'; line_ends]);
                block.too_long = Some(length);
                self.offset += length - line_ends as u64;
                return Ok(block);
            }
            bytes.clear();
            // Memory for the row's start is not needed any more.
            bytes.shrink_to(BLOCK_BYTES);
            self.ended = fill(&mut self.input, &mut bytes, BLOCK_BYTES)?;
        }
    }

    fn block(&mut self, bytes: Vec<u8>) -> Block {
        let block = Block { number: self.number, offset: self.offset, bytes, ..Block::default() };
        self.number += 1;
        self.offset += block.bytes.len() as u64;
        block
    }
}

/// Reads until `bytes` has `wanted` bytes; returns whether the stream ended.
fn fill(input: &mut impl Read, bytes: &mut Vec<u8>, wanted: usize) -> io::Result<bool> {
    let mut filled = bytes.len();
    bytes.resize(wanted.max(filled), 0);
    while filled < wanted {
        match input.read(&mut bytes[filled..]) {
            Ok(0) => {
                bytes.truncate(filled);
                return Ok(true);
            }
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                bytes.truncate(filled);
                return Err(error);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
