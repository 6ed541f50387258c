//! Reads a whole dataset once: cuts it into blocks, checks them on several threads,
//! and joins the results in order, so that they do not depend on the threads.

use super::chat;
use super::error::DatasetError;
use super::facts::{RowCheck, RowFacts, Sums};
use super::framing::{Block, Lines, MAX_ROW_BYTES};
use super::index::{Entry, Index, IndexBuilder, Spot};
use super::json::{Problem, SyntaxError, Tape};
use super::rules::Rules;
use super::source::{Digesting, Source, SourceReader};
use super::verdict::{Findings, Kind, Place, Severity, said};
use super::{Options, Progress};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Rows that may be over the model's limit, kept to be counted exactly.
pub(super) const SUSPECTS: usize = 20_000;

/// Results that may wait for an earlier block, for each thread.
const WAITING: u64 = 4;

/// Files below this size are read on one thread: starting more takes longer.
const PARALLEL_BYTES: u64 = 2 << 20;

/// What one reading gives.
#[derive(Debug)]
pub(super) struct Scan {
    pub digest: String,
    pub bytes: u64,
    pub index: Index,
    pub sums: Sums,
    pub findings: Findings,
    /// Rows whose text is so long that they may be over the limit on tokens.
    pub suspects: Vec<Spot>,
    /// How many more of those there are.
    pub more_suspects: u64,
}

/// One block's results, with lines and rows counted from its start.
#[derive(Default)]
struct Checked {
    offset: u64,
    lines: u64,
    rows: Vec<CheckedRow>,
    sums: Sums,
    findings: Findings,
}

struct CheckedRow {
    /// Where it starts in the block.
    start: u32,
    length: u32,
    line: u32,
    facts: RowFacts,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked takes the scope down with it, so that nobody acts on what
    // it left.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads and checks everything.
pub(super) fn scan(source: &Source, options: &Options) -> Result<Scan, DatasetError> {
    let threads = match options.threads {
        Some(threads) => threads.get(),
        None if source.bytes() < PARALLEL_BYTES => 1,
        None => std::thread::available_parallelism().map_or(1, |threads| threads.get().min(8)),
    };
    let shared = Shared {
        source,
        options,
        feed: Mutex::new(Some(Lines::new(Digesting::new(source.reader())))),
        joined: Mutex::new(Joined::new(options.rules)),
        turn: Condvar::new(),
        stop: AtomicBool::new(false),
        waiting: WAITING * threads as u64,
        failure: Mutex::new(None),
    };
    if threads == 1 {
        shared.work();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| shared.work());
            }
        });
    }
    if let Some(failure) = lock(&shared.failure).take() {
        return Err(failure);
    }
    source.unchanged()?;
    let feed = lock(&shared.feed).take();
    let (digest, bytes) = feed.map(|lines| lines.into_inner().finish()).unwrap_or_default();
    if bytes != source.bytes() {
        return Err(DatasetError::Changed { path: source.path().to_owned() });
    }
    let joined = shared.joined.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(joined.finish(digest, bytes))
}

struct Shared<'a> {
    source: &'a Source,
    options: &'a Options,
    feed: Mutex<Option<Lines<Digesting<SourceReader<'a>>>>>,
    joined: Mutex<Joined>,
    turn: Condvar,
    stop: AtomicBool,
    waiting: u64,
    failure: Mutex<Option<DatasetError>>,
}

impl Shared<'_> {
    fn fail(&self, error: DatasetError) {
        lock(&self.failure).get_or_insert(error);
        self.stop.store(true, Ordering::Relaxed);
        self.turn.notify_all();
    }

    fn work(&self) {
        let mut checker = Checker::new(&self.options.rules);
        let mut memory = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            if self.options.cancel.as_ref().is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
                return self.fail(DatasetError::Interrupted { path: self.source.path().to_owned() });
            }
            let block = {
                let mut feed = lock(&self.feed);
                let Some(lines) = feed.as_mut() else { return };
                let block = lines.next_block(std::mem::take(&mut memory));
                if let Some(progress) = &self.options.progress {
                    progress(Progress { bytes: lines.get_ref().bytes(), of: self.source.bytes() });
                }
                block
            };
            match block {
                Ok(None) => return,
                Err(error) => return self.fail(self.source.failed(error)),
                Ok(Some(block)) => {
                    let number = block.number;
                    let checked = checker.check(&block);
                    memory = block.bytes;
                    self.join(number, checked);
                }
            }
        }
    }

    fn join(&self, number: u64, checked: Checked) {
        let mut joined = lock(&self.joined);
        // The thread that has the next block never waits here, so that all go on.
        while number > joined.next + self.waiting && !self.stop.load(Ordering::Relaxed) {
            joined = self.turn.wait(joined).unwrap_or_else(PoisonError::into_inner);
        }
        joined.waiting.insert(number, checked);
        if joined.take_all() {
            self.turn.notify_all();
        }
    }
}

/// The results so far, in order.
struct Joined {
    next: u64,
    waiting: BTreeMap<u64, Checked>,
    lines: u64,
    index: IndexBuilder,
    sums: Sums,
    findings: Findings,
    suspects: Vec<Spot>,
    more_suspects: u64,
    suspicious_bytes: u64,
}

impl Joined {
    fn new(rules: Rules) -> Self {
        Self {
            next: 0,
            waiting: BTreeMap::new(),
            lines: 0,
            index: IndexBuilder::new(),
            sums: Sums::default(),
            findings: Findings::default(),
            suspects: Vec::new(),
            more_suspects: 0,
            // A token has a byte at least, besides those that mark messages.
            suspicious_bytes: rules.row_tokens.map_or(u64::MAX, u64::from),
        }
    }

    fn take_all(&mut self) -> bool {
        let before = self.next;
        while let Some(checked) = self.waiting.remove(&self.next) {
            self.next += 1;
            self.take(checked);
        }
        self.next != before
    }

    fn take(&mut self, checked: Checked) {
        let rows_before = self.index.rows();
        let lines_before = self.lines;
        self.lines += checked.lines;
        self.sums.add(&checked.sums);
        self.findings.merge(checked.findings, lines_before, rows_before);
        for row in checked.rows {
            let line = lines_before + u64::from(row.line);
            let number = self.index.rows();
            let offset = checked.offset + u64::from(row.start);
            let facts = &row.facts;
            if let Some(first) = self.index.add(offset, row.length, line, facts) {
                let place = Place { line: Some(line), row: Some(number), column: Some(1) };
                self.findings.add(Severity::Warning, Kind::DuplicateRow, place, || {
                    said(
                        "",
                        format!("says the same as line {first}"),
                        "remove one of them (`tunesmith dataset convert --fix` does), unless it is meant to count twice",
                    )
                });
            }
            let tokens_at_most = facts.text_bytes() + 8 * u64::from(facts.messages) + 8;
            if tokens_at_most > self.suspicious_bytes {
                if self.suspects.len() < SUSPECTS {
                    let entry = Entry {
                        offset,
                        length: row.length,
                        ascii: facts.ascii,
                        other: facts.other,
                        task: 0,
                        messages: u16::try_from(facts.messages).unwrap_or(u16::MAX),
                        flags: facts.flags,
                    };
                    self.suspects.push(Spot { row: number, line, entry });
                } else {
                    self.more_suspects += 1;
                }
            }
        }
    }

    fn finish(self, digest: String, bytes: u64) -> Scan {
        Scan {
            digest,
            bytes,
            index: self.index.finish(),
            sums: self.sums,
            findings: self.findings,
            suspects: self.suspects,
            more_suspects: self.more_suspects,
        }
    }
}

/// Checks blocks, with memory that it uses again.
struct Checker<'a> {
    rules: &'a Rules,
    tape: Tape,
    scratch: String,
}

impl<'a> Checker<'a> {
    fn new(rules: &'a Rules) -> Self {
        Self { rules, tape: Tape::default(), scratch: String::new() }
    }

    fn check(&mut self, block: &Block) -> Checked {
        let mut checked = Checked { offset: block.offset, ..Checked::default() };
        if let Some(length) = block.too_long {
            self.too_long(&mut checked, length);
            return checked;
        }
        let whole = std::str::from_utf8(&block.bytes);
        let mut start = 0;
        while start < block.bytes.len() {
            let end = memchr::memchr(b'\n', &block.bytes[start..]).map_or(block.bytes.len(), |at| start + at);
            checked.lines += 1;
            let mut bytes = &block.bytes[start..end];
            let mut offset = 0;
            if block.offset == 0 && start == 0 && bytes.starts_with(b"\xef\xbb\xbf") {
                offset = 3;
                bytes = &bytes[3..];
                let place = Place { line: Some(1), row: None, column: Some(1) };
                let severity = if self.rules.is_openai() { Severity::Error } else { Severity::Warning };
                checked.findings.add(severity, Kind::ByteOrderMark, place, || {
                    said(
                        "",
                        "the file starts with a byte order mark, which many readers take for part of the first row",
                        "save it as UTF-8 without a byte order mark (`tunesmith dataset convert --fix` does)",
                    )
                });
            }
            if let Some(without) = bytes.strip_suffix(b"\r") {
                bytes = without;
                let place =
                    Place { line: Some(checked.lines), row: None, column: u32::try_from(end - start).ok() };
                checked.findings.add(Severity::Warning, Kind::CrLf, place, || {
                    said(
                        "",
                        "the line ends in CR LF",
                        "nothing needs doing; `tunesmith dataset convert --fix` writes plain line ends",
                    )
                });
            }
            if bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
                let place = Place { line: Some(checked.lines), row: None, column: Some(1) };
                checked.findings.add(Severity::Warning, Kind::BlankLine, place, || {
                    said("", "a line without a row", "remove it; it is passed over")
                });
            } else {
                let text = match whole {
                    Ok(whole) => Ok(&whole[start + offset..start + offset + bytes.len()]),
                    Err(_) => std::str::from_utf8(bytes),
                };
                let facts = self.check_row(&mut checked, text, offset);
                checked.rows.push(CheckedRow {
                    start: (start + offset) as u32,
                    length: bytes.len() as u32,
                    line: checked.lines as u32,
                    facts,
                });
            }
            start = end + 1;
        }
        checked
    }

    fn check_row(
        &mut self,
        checked: &mut Checked,
        text: Result<&str, std::str::Utf8Error>,
        offset: usize,
    ) -> RowFacts {
        let mut row = RowCheck {
            rules: self.rules,
            findings: &mut checked.findings,
            sums: &mut checked.sums,
            facts: RowFacts::default(),
            line: checked.lines,
            row: checked.rows.len() as u64,
            offset,
        };
        match text {
            Err(error) => row.error(Kind::NotUtf8, error.valid_up_to(), || {
                said("", "bytes that are not UTF-8", "save the file as UTF-8")
            }),
            Ok(text) => match self.tape.parse(text) {
                Err(error) => report_syntax(&mut row, error, text),
                Ok(value) => chat::check(&mut row, value, &mut self.scratch),
            },
        }
        row.facts
    }

    fn too_long(&self, checked: &mut Checked, length: u64) {
        checked.lines = 1;
        let mut row = RowCheck {
            rules: self.rules,
            findings: &mut checked.findings,
            sums: &mut checked.sums,
            facts: RowFacts::default(),
            line: 1,
            row: 0,
            offset: 0,
        };
        row.error(Kind::RowTooLong, 0, || {
            said(
                "",
                format!("the row has {length} bytes; at most {MAX_ROW_BYTES} are read"),
                "split it, or refer to images by web address",
            )
        });
        let facts = row.facts;
        checked.rows.push(CheckedRow { start: 0, length: 0, line: 1, facts });
    }
}

fn report_syntax(row: &mut RowCheck<'_>, error: SyntaxError, text: &str) {
    let SyntaxError { at, problem } = error;
    let (kind, fix) = match &problem {
        Problem::Control(0) => (Kind::Nul, "remove it".to_owned()),
        Problem::Control(byte) => (Kind::JsonSyntax, format!("write it as \\u{byte:04x}")),
        Problem::Depth => (Kind::TooDeep, "flatten the row".to_owned()),
        Problem::DuplicateKey(_) => {
            (Kind::DuplicateKey, "keep one of them: programs differ in which they read".to_owned())
        }
        Problem::Trailing => (Kind::JsonSyntax, "write one object per line".to_owned()),
        Problem::Ends => (
            Kind::JsonSyntax,
            "complete the row; one that spans several lines must be put on one line".to_owned(),
        ),
        Problem::Expected("a key in double quotes") if text.as_bytes().get(at) == Some(&b'\'') => {
            (Kind::JsonSyntax, "write double quotes: this looks like a Python dictionary".to_owned())
        }
        Problem::Expected(_) if matches!(text.as_bytes().get(at), Some(b'N' | b'T' | b'F')) => {
            (Kind::JsonSyntax, "write null, true and false in lower case".to_owned())
        }
        _ => (Kind::JsonSyntax, "correct the JSON here".to_owned()),
    };
    row.error(kind, at, || said("", problem.to_string(), fix));
}
