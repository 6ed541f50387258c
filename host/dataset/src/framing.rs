//! Cuts a stream of bytes into blocks of whole records, so that blocks can be checked
//! on several threads.

use serde::{Deserialize, Serialize};
use std::io::{self, Read};

/// The longest row that is read, in bytes. Longer ones are reported and skipped, so
/// that memory stays bounded whatever the file holds. The largest rows of common
/// providers (65,536 tokens) are below 1 MiB of text; the rest is room for images
/// within a row.
pub const MAX_ROW_BYTES: usize = 16 << 20;

/// Bytes of a block: large enough that handing it over, or a sandbox for it, costs little,
/// small enough for a processor's cache and for many in flight.
const BLOCK_BYTES: usize = 1 << 20;

/// How rows lie in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    /// A JSON value a line.
    Jsonl,
    /// One JSON list of rows.
    Array,
    /// Comma-separated values, with the names of the columns.
    Csv(Vec<String>),
    /// Plain text, a row a line.
    Lines,
}

impl Container {
    /// Its name for people.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Jsonl => "JSONL",
            Self::Array => "a JSON list",
            Self::Csv(_) => "CSV",
            Self::Lines => "text lines",
        }
    }
}

/// Whole records.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Its place among the blocks, from 0.
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
    /// What is wrong with the file after the last record, and how far from the block's
    /// start.
    pub problem: Option<(usize, &'static str)>,
}

impl Block {
    /// Its records, without line ends; what is blank is none.
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
}

/// What JSON takes for white space, and so what a line without a row may have. Nothing
/// else: a form feed is not JSON, so that a line of them is a row, and a wrong one.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Whether a line has no row.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().copied().all(is_space)
}

/// A record's place in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub start: u32,
    pub end: u32,
}

/// Cuts records.
pub(super) struct Framer<R> {
    input: R,
    kind: Kind,
    carry: Vec<u8>,
    number: u64,
    offset: u64,
    ended: bool,
}

enum Kind {
    Lines,
    Array(ArrayState),
    Csv { header_seen: bool },
}

/// How far an array was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ArrayState {
    /// Before `[`.
    Before,
    /// Before a row or, if none came yet, `]`.
    Row { first: bool },
    /// After a row.
    AfterRow,
    /// After `]`.
    After,
}

/// A record's end, as far as it was seen.
enum Cut {
    /// Records end before this byte; what follows is not whole.
    At(usize),
    /// No record is whole.
    Nothing,
}

impl<R: Read> Framer<R> {
    /// Reads a file from its start.
    pub fn new(container: &Container, input: R) -> Self {
        let kind = match container {
            Container::Jsonl | Container::Lines => Kind::Lines,
            Container::Array => Kind::Array(ArrayState::Before),
            Container::Csv(_) => Kind::Csv { header_seen: false },
        };
        Self { input, kind, carry: Vec::new(), number: 0, offset: 0, ended: false }
    }

    /// Reads on after a row.
    pub fn after_row(container: &Container, input: R) -> Self {
        let kind = match container {
            Container::Jsonl | Container::Lines => Kind::Lines,
            Container::Array => Kind::Array(ArrayState::AfterRow),
            Container::Csv(_) => Kind::Csv { header_seen: true },
        };
        Self { kind, ..Self::new(container, input) }
    }

    /// The stream again, after the last block.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// The stream.
    pub fn get_ref(&self) -> &R {
        &self.input
    }

    /// The next block, in the memory of `bytes`; none at the end.
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
                    Kind::Array(state) if open && *state != ArrayState::After => {
                        *state = ArrayState::After;
                        let mut block = self.block(bytes);
                        block.problem = Some((0, "the file ends before the list's closing `]`"));
                        Some(block)
                    }
                    _ => None,
                });
            }
            let mut spans = Vec::new();
            let mut problem = None;
            let (cut, next) = match &self.kind {
                Kind::Lines => (lines(&bytes, searched, self.ended), None),
                Kind::Csv { header_seen } => {
                    let (cut, seen) = csv_records(&bytes, self.ended, *header_seen, &mut spans);
                    (cut, Some(Kind::Csv { header_seen: seen }))
                }
                Kind::Array(state) => {
                    let (cut, state) = array_rows(&bytes, self.ended, *state, &mut spans, &mut problem);
                    (cut, Some(Kind::Array(state)))
                }
            };
            match cut {
                Cut::At(end) => {
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

    /// Reads over a row that is too long, of which `bytes` is the start.
    fn skip_row(&mut self, mut bytes: Vec<u8>) -> io::Result<Block> {
        let mut skip = match &mut self.kind {
            Kind::Lines => Skip::Line,
            Kind::Csv { .. } => Skip::Record { quoted: false },
            Kind::Array(state) => {
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

/// Finds the end of a row that is too long.
enum Skip {
    Line,
    Record { quoted: bool },
    Value { depth: u32, text: bool, escape: bool, begun: bool },
}

impl Skip {
    /// Where the row ends in these further bytes, its line end included.
    fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Line => memchr::memchr(b'\n', bytes).map(|at| at + 1),
            Self::Record { quoted } => {
                for at in memchr::memchr2_iter(b'"', b'\n', bytes) {
                    if bytes[at] == b'"' {
                        *quoted = !*quoted;
                    } else if !*quoted {
                        return Some(at + 1);
                    }
                }
                None
            }
            Self::Value { depth, text, escape, begun } => {
                for (at, &byte) in bytes.iter().enumerate() {
                    if *text {
                        match byte {
                            _ if *escape => *escape = false,
                            b'\\' => *escape = true,
                            b'"' => *text = false,
                            _ => {}
                        }
                        continue;
                    }
                    match byte {
                        b'"' => *text = true,
                        b'[' | b'{' => *depth += 1,
                        // A separator before the row is not its end.
                        b',' if *depth == 0 && !*begun => continue,
                        b',' | b']' if *depth == 0 => return Some(at),
                        b']' | b'}' => *depth = depth.saturating_sub(1),
                        b' ' | b'\t' | b'\n' | b'\r' => continue,
                        _ => {}
                    }
                    *begun = true;
                }
                None
            }
        }
    }
}

/// The end of the last whole line.
fn lines(bytes: &[u8], searched: usize, ended: bool) -> Cut {
    match memchr::memrchr(b'\n', &bytes[searched..]) {
        Some(at) => Cut::At(searched + at + 1),
        None if ended && bytes.len() <= MAX_ROW_BYTES => Cut::At(bytes.len()),
        None => Cut::Nothing,
    }
}

/// The records of whole lines, where a line end within quotes is part of a value.
fn csv_records(bytes: &[u8], ended: bool, header_seen: bool, spans: &mut Vec<Span>) -> (Cut, bool) {
    let mut seen = header_seen;
    let (mut start, mut quoted) = (0, false);
    let mut take = |start: usize, end: usize| {
        let record = &bytes[start..end];
        if is_blank(record) {
            return;
        }
        if seen {
            spans.push(span(start, end - usize::from(record.ends_with(b"\r"))));
        }
        seen = true;
    };
    for at in memchr::memchr2_iter(b'"', b'\n', bytes) {
        if bytes[at] == b'"' {
            quoted = !quoted;
        } else if !quoted {
            take(start, at);
            start = at + 1;
        }
    }
    if ended && bytes.len() - start <= MAX_ROW_BYTES {
        if start < bytes.len() {
            take(start, bytes.len());
        }
        start = bytes.len();
    }
    (if start > 0 { Cut::At(start) } else { Cut::Nothing }, seen)
}

/// The rows of a JSON list as far as they are whole.
fn array_rows(
    bytes: &[u8],
    ended: bool,
    mut state: ArrayState,
    spans: &mut Vec<Span>,
    problem: &mut Option<(usize, &'static str)>,
) -> (Cut, ArrayState) {
    let mut at = 0;
    loop {
        while bytes.get(at).is_some_and(|&byte| is_space(byte)) {
            at += 1;
        }
        let Some(&byte) = bytes.get(at) else {
            return (if bytes.is_empty() { Cut::Nothing } else { Cut::At(bytes.len()) }, state);
        };
        match (state, byte) {
            (ArrayState::Before, 0xef) if bytes.starts_with(b"\xef\xbb\xbf") && at == 0 => at += 3,
            (ArrayState::Before, b'[') => {
                state = ArrayState::Row { first: true };
                at += 1;
            }
            (ArrayState::Row { first: true } | ArrayState::AfterRow, b']') => {
                state = ArrayState::After;
                at += 1;
            }
            (ArrayState::Row { first: false }, b']') => {
                problem.get_or_insert((at, "a comma before the list's closing `]`"));
                state = ArrayState::After;
                at += 1;
            }
            (ArrayState::AfterRow, b',') => {
                state = ArrayState::Row { first: false };
                at += 1;
            }
            (ArrayState::After, _) => {
                problem.get_or_insert((at, "more text after the list's closing `]`"));
                return (Cut::At(bytes.len()), state);
            }
            // Without a comma the next row begins at once; its text says what is wrong.
            (ArrayState::Before | ArrayState::AfterRow | ArrayState::Row { .. }, _) => {
                if state == ArrayState::AfterRow {
                    problem.get_or_insert((at, "no comma between two rows"));
                }
                match value_end(bytes, at) {
                    Some(end) => {
                        spans.push(span(at, at + trimmed(&bytes[at..end])));
                        state = ArrayState::AfterRow;
                        // A stray closing bracket is a row of its own, that is no value.
                        at = end.max(at + 1);
                    }
                    None if ended && bytes.len() - at <= MAX_ROW_BYTES => {
                        spans.push(span(at, at + trimmed(&bytes[at..])));
                        return (Cut::At(bytes.len()), ArrayState::AfterRow);
                    }
                    None => return (if at > 0 { Cut::At(at) } else { Cut::Nothing }, state),
                }
            }
        }
    }
}

/// Where a value at depth 0 ends: at the comma or bracket after it, or after its own
/// closing bracket.
fn value_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_u32;
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at += 1;
                loop {
                    let found = memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
                    at += found;
                    if bytes[at] == b'"' {
                        break;
                    }
                    at += 2;
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return Some(at + 1),
            b'}' | b']' if depth > 1 => depth -= 1,
            b',' | b']' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// A value's length without the white space after it.
fn trimmed(value: &[u8]) -> usize {
    value.iter().rposition(|&byte| !is_space(byte)).map_or(0, |last| last + 1)
}

fn span(start: usize, end: usize) -> Span {
    // A block is far below 4 GiB.
    Span { start: start as u32, end: end as u32 }
}

/// Reads until `bytes` has `wanted` bytes; says whether the stream ended.
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blocks(container: &Container, text: &[u8]) -> Vec<Block> {
        let mut framer = Framer::new(container, text);
        std::iter::from_fn(|| framer.next_block(Vec::new()).unwrap()).collect()
    }

    fn records(container: &Container, text: &[u8]) -> Vec<String> {
        blocks(container, text)
            .iter()
            .flat_map(|block| {
                block.spans.iter().flatten().map(|span| {
                    String::from_utf8_lossy(&block.bytes[span.start as usize..span.end as usize]).into_owned()
                })
            })
            .collect()
    }

    fn problems(container: &Container, text: &[u8]) -> Vec<&'static str> {
        blocks(container, text).iter().filter_map(|block| block.problem).map(|(_, what)| what).collect()
    }

    proptest! {
        #[test]
        fn blocks_join_to_the_stream(
            lines in prop::collection::vec((0_usize..300_000, any::<u8>()), 0..12),
            newline_at_end in any::<bool>(),
            kind in 0..3,
        ) {
            let mut text: Vec<u8> = Vec::new();
            for (length, byte) in lines {
                text.extend(std::iter::repeat_n(byte, length));
                text.push(b'\n');
            }
            if !newline_at_end {
                text.pop();
            }
            let container = [Container::Jsonl, Container::Array, Container::Csv(Vec::new())][kind as usize].clone();
            let mut joined = Vec::new();
            for block in blocks(&container, &text) {
                prop_assert_eq!(block.offset, joined.len() as u64);
                joined.extend_from_slice(&block.bytes);
            }
            prop_assert_eq!(joined, text);
        }

        #[test]
        fn a_list_is_cut_into_its_values(values in prop::collection::vec("[a-z,\\]\\[{}\"\\\\]{0,20}", 0..30)) {
            let values: Vec<serde_json::Value> =
                values.into_iter().map(|text| serde_json::json!({ "a": [text] })).collect();
            for text in [serde_json::to_vec(&values).unwrap(), serde_json::to_vec_pretty(&values).unwrap()] {
                let found: Vec<serde_json::Value> = records(&Container::Array, &text)
                    .iter()
                    .map(|record| serde_json::from_str(record).unwrap())
                    .collect();
                prop_assert_eq!(&found, &values);
                prop_assert!(problems(&Container::Array, &text).is_empty());
            }
        }
    }

    #[test]
    fn a_row_that_is_too_long_is_skipped_and_its_neighbours_kept() {
        let long = "x".repeat(MAX_ROW_BYTES + 10);
        let text = format!("first\n{long}\nlast\n");
        let found = blocks(&Container::Jsonl, text.as_bytes());
        let seen: Vec<_> = found.iter().map(|block| (block.offset, block.too_long)).collect();
        let after = 7 + long.len() as u64;
        assert_eq!(seen, [(0, None), (6, Some(long.len() as u64 + 1)), (after, None)]);
        assert_eq!(found[2].bytes, b"last\n");

        let text = format!("[{{\"a\":1}},\n{{\"a\":\"{long}\"}},\n{{\"a\":3}}]");
        let found = blocks(&Container::Array, text.as_bytes());
        assert_eq!(found.iter().filter(|block| block.too_long.is_some()).count(), 1);
        assert_eq!(records(&Container::Array, text.as_bytes()), ["{\"a\":1}", "{\"a\":3}"]);
        assert!(problems(&Container::Array, text.as_bytes()).is_empty());

        let text = format!("a,b\n1,2\n\"{long}\n\",2\n3,4\n");
        assert_eq!(records(&Container::Csv(Vec::new()), text.as_bytes()), ["1,2", "3,4"]);
    }

    #[test]
    fn a_broken_list_is_said_to_be_broken() {
        let what = |text: &str| problems(&Container::Array, text.as_bytes());
        assert_eq!(what("[{}, {}"), ["the file ends before the list's closing `]`"]);
        assert_eq!(what("[{}, {},]"), ["a comma before the list's closing `]`"]);
        assert_eq!(what("[{}] x"), ["more text after the list's closing `]`"]);
        assert_eq!(what("[{} {}]"), ["no comma between two rows"]);
        assert_eq!(records(&Container::Array, b"[{} {}, 7]"), ["{}", "{}", "7"]);
        assert_eq!(records(&Container::Array, b"[{}, {\"a\": [1, 2"), ["{}", "{\"a\": [1, 2"]);
    }

    #[test]
    fn csv_values_may_span_lines() {
        let text = b"a,b\r\n\"x\ny\",2\r\n\r\n\"say \"\"hi\"\"\n\",4";
        assert_eq!(records(&Container::Csv(Vec::new()), text), ["\"x\ny\",2", "\"say \"\"hi\"\"\n\",4"]);
    }
}
