//! Reads a whole dataset once: cuts it into blocks, checks them on several threads,
//! and joins the results in order, so that they do not depend on the threads.

use super::error::DatasetError;
use super::facts::{Places, RowCheck, RowFacts, Sums};
use super::format::{Format, Recognised};
use super::framing::{Block, Container, Framer, MAX_ROW_BYTES, Span, is_blank};
use super::index::{Entry, Index, IndexBuilder, Spot};
use super::json::{Kind as Json, Problem, SyntaxError, Tape};
use super::pipeline::{self, Counted, Work};
use super::plain::Plain;
use super::rules::Rules;
use super::source::{Digesting, FileReader, Source};
use super::verdict::{Findings, Kind, Place, Severity, said};
use super::{Options, chat, csv, rows};
use std::io::{self, Read};
use tunesmith_core::failure::Advice;

/// Rows that may be over the model's limit, kept to be counted exactly.
pub(super) const SUSPECTS: usize = 20_000;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

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

/// Reads and checks everything; digests it on the way unless its digest is known.
pub(super) fn scan(
    source: &Source,
    recognised: &Recognised,
    options: &Options,
    digest: Option<String>,
) -> Result<Scan, DatasetError> {
    let of = source.plain_bytes()?;
    let feed = match digest {
        None => Feed::new(source)?,
        Some(_) => Feed::undigested(source)?,
    };
    let framer = Framer::new(&recognised.container, feed);
    let mut joined = Joined::new(options.rules);
    let worker = || {
        let mut checker = Checker::new(&options.rules, recognised);
        move |block: &Block| Ok(checker.check(block))
    };
    let take = |checked| {
        joined.take(checked);
        Ok::<(), DatasetError>(())
    };
    let feed = pipeline::run(&Work { source, options, of }, framer, worker, take)?;
    source.unchanged()?;
    let digest = match (digest, feed) {
        (Some(digest), _) => digest,
        (None, Feed::Digested(reader)) => {
            let (digest, bytes) = reader.finish();
            if bytes != of {
                return Err(source.changed());
            }
            digest
        }
        (None, Feed::Plain(..)) => source.digest()?,
    };
    Ok(joined.finish(digest, of))
}

/// What blocks are cut from. A file that is not compressed is digested on the way.
pub(super) enum Feed<'a> {
    Digested(Digesting<FileReader<'a>>),
    Plain(FileReader<'a>, u64),
}

impl<'a> Feed<'a> {
    pub fn new(source: &'a Source) -> Result<Self, DatasetError> {
        let reader = source.reader_at(0)?;
        Ok(match source.compression() {
            None => Self::Digested(Digesting::new(reader)),
            Some(_) => Self::Plain(reader, 0),
        })
    }

    /// The same for a file whose digest is known, or that nobody asks for.
    pub fn undigested(source: &'a Source) -> Result<Self, DatasetError> {
        Ok(Self::Plain(source.reader_at(0)?, 0))
    }
}

impl Counted for Feed<'_> {
    fn bytes(&self) -> u64 {
        match self {
            Self::Digested(reader) => reader.bytes(),
            Self::Plain(_, bytes) => *bytes,
        }
    }
}

impl Read for Feed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Digested(reader) => reader.read(buffer),
            Self::Plain(reader, bytes) => {
                let count = reader.read(buffer)?;
                *bytes += count as u64;
                Ok(count)
            }
        }
    }
}

/// The results so far, in order.
struct Joined {
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

    fn take(&mut self, checked: Checked) {
        let rows_before = self.index.rows();
        let lines_before = self.lines;
        self.lines += checked.lines;
        self.sums.add(&checked.sums);
        self.findings.merge(checked.findings, lines_before, rows_before);
        self.index.expect(checked.rows.iter().map(|row| &row.facts));
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
                        Advice::fix_rows("remove one of them, unless it is meant to count twice"),
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
    recognised: &'a Recognised,
    tape: Tape,
    plain: Plain,
    scratch: String,
    /// Rows that a block has, by the last one.
    usual_rows: usize,
}

/// A record as it lies in its block.
struct Record<'a> {
    text: Result<&'a str, std::str::Utf8Error>,
    /// Bytes of the line before it.
    before: usize,
}

impl<'a> Checker<'a> {
    fn new(rules: &'a Rules, recognised: &'a Recognised) -> Self {
        Self {
            rules,
            recognised,
            tape: Tape::default(),
            plain: Plain::default(),
            scratch: String::new(),
            usual_rows: 0,
        }
    }

    fn check(&mut self, block: &Block) -> Checked {
        let mut checked = Checked { offset: block.offset, ..Checked::default() };
        checked.rows.reserve(self.usual_rows);
        if let Some(length) = block.too_long {
            self.too_long(&mut checked, length, block.bytes.len() as u64);
        } else if let Some(spans) = &block.spans {
            self.check_spans(&mut checked, block, spans);
        } else {
            self.check_lines(&mut checked, block);
        }
        if let Some((at, what)) = block.problem {
            let line = 1 + memchr::memchr_iter(b'\n', &block.bytes[..at]).count() as u64;
            let start = memchr::memrchr(b'\n', &block.bytes[..at]).map_or(0, |end| end + 1);
            let place = Place { line: Some(line), row: None, column: u32::try_from(at - start + 1).ok() };
            checked.findings.add(Severity::Error, Kind::JsonSyntax, place, || {
                said("", what, "correct the list, or write one row a line without a list")
            });
        }
        self.usual_rows = checked.rows.len() + checked.rows.len() / 8;
        checked
    }

    fn check_lines(&mut self, checked: &mut Checked, block: &Block) {
        let whole = std::str::from_utf8(&block.bytes);
        let mut start = 0;
        while start < block.bytes.len() {
            let end = memchr::memchr(b'\n', &block.bytes[start..]).map_or(block.bytes.len(), |at| start + at);
            checked.lines += 1;
            let mut bytes = &block.bytes[start..end];
            let mut before = 0;
            if block.offset == 0 && start == 0 && bytes.starts_with(BYTE_ORDER_MARK) {
                before = BYTE_ORDER_MARK.len();
                bytes = &bytes[before..];
                self.byte_order_mark(checked);
            }
            if let Some(without) = bytes.strip_suffix(b"\r") {
                bytes = without;
                let place =
                    Place { line: Some(checked.lines), row: None, column: u32::try_from(end - start).ok() };
                checked.findings.add(Severity::Warning, Kind::CrLf, place, || {
                    said(
                        "",
                        "the line ends in CR LF",
                        Advice::fix_rows("write plain line ends if a reader needs them"),
                    )
                });
            }
            if is_blank(bytes) {
                let place = Place { line: Some(checked.lines), row: None, column: Some(1) };
                checked.findings.add(Severity::Warning, Kind::BlankLine, place, || {
                    said("", "a line without a row", "remove it; it is passed over")
                });
            } else {
                let text = match whole {
                    Ok(whole) => Ok(&whole[start + before..start + before + bytes.len()]),
                    Err(_) => std::str::from_utf8(bytes),
                };
                let facts = self.check_row(checked, checked.lines, Record { text, before });
                checked.rows.push(CheckedRow {
                    start: (start + before) as u32,
                    length: bytes.len() as u32,
                    line: checked.lines as u32,
                    facts,
                });
            }
            start = end + 1;
        }
    }

    fn check_spans(&mut self, checked: &mut Checked, block: &Block, spans: &[Span]) {
        if block.offset == 0 && block.bytes.starts_with(BYTE_ORDER_MARK) {
            self.byte_order_mark(checked);
        }
        let mut counted = 0;
        let mut line = 1;
        for span in spans {
            let (start, end) = (span.start as usize, span.end as usize);
            line += memchr::memchr_iter(b'\n', &block.bytes[counted..start]).count() as u64;
            counted = start;
            let line_start = memchr::memrchr(b'\n', &block.bytes[..start]).map_or(0, |at| at + 1);
            let record =
                Record { text: std::str::from_utf8(&block.bytes[start..end]), before: start - line_start };
            let facts = self.check_row(checked, line, record);
            checked.rows.push(CheckedRow {
                start: span.start,
                length: span.end - span.start,
                line: line as u32,
                facts,
            });
        }
        checked.lines = memchr::memchr_iter(b'\n', &block.bytes).count() as u64;
    }

    fn byte_order_mark(&self, checked: &mut Checked) {
        let place = Place { line: Some(1), row: None, column: Some(1) };
        let severity = if self.rules.is_uploaded() { Severity::Error } else { Severity::Warning };
        checked.findings.add(severity, Kind::ByteOrderMark, place, || {
            said(
                "",
                "the file starts with a byte order mark, which many readers take for part of the first row",
                Advice::fix_rows("save it as UTF-8 without a byte order mark"),
            )
        });
    }

    fn check_row(&mut self, checked: &mut Checked, line: u64, record: Record<'_>) -> RowFacts {
        let Recognised { format, container, .. } = self.recognised;
        let mut row = RowCheck {
            rules: self.rules,
            row: checked.rows.len() as u64,
            findings: &mut checked.findings,
            sums: &mut checked.sums,
            facts: RowFacts::default(),
            line,
            places: Places::Line(record.before),
        };
        let text = match record.text {
            Ok(text) => text,
            Err(error) => {
                row.error(Kind::NotUtf8, error.valid_up_to(), || {
                    said("", "bytes that are not UTF-8", "save the file as UTF-8")
                });
                return row.facts;
            }
        };
        let made;
        let fields;
        let text = match container {
            Container::Jsonl => text,
            Container::Array => {
                row.places = Places::Text(text, record.before);
                text
            }
            Container::Lines => {
                made = csv::line_object(text);
                row.places = Places::Record(text, &[]);
                &made
            }
            Container::Csv(columns) => {
                row.places = Places::Text(text, 0);
                match csv::object(columns, text) {
                    Ok((object, places)) => {
                        made = object;
                        fields = places;
                        row.places = Places::Record(text, &fields);
                        &made
                    }
                    Err(problem) => {
                        report_record(&mut row, &problem, columns.len());
                        return row.facts;
                    }
                }
            }
        };
        if *format == Format::OpenAi
            && let Some((start, messages)) = self.plain.read(text)
        {
            chat::check_plain(&mut row, text, start, messages, &mut self.scratch);
            return row.facts;
        }
        match self.tape.parse(text) {
            Err(error) => report_syntax(&mut row, error, text),
            Ok(value) if value.kind() != Json::Object => row.error(Kind::NotAnObject, value.start(), || {
                said(
                    "",
                    format!("the row is {}, not an object", value.kind().name()),
                    "write each row as an object in braces",
                )
            }),
            Ok(value) => rows::check(&mut row, *format, value, &mut self.scratch),
        }
        row.facts
    }

    fn too_long(&self, checked: &mut Checked, length: u64, lines: u64) {
        checked.lines = lines;
        let mut row = RowCheck {
            rules: self.rules,
            findings: &mut checked.findings,
            sums: &mut checked.sums,
            facts: RowFacts::default(),
            line: 1,
            row: 0,
            places: Places::Line(0),
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

fn report_record(row: &mut RowCheck<'_>, problem: &csv::Problem, columns: usize) {
    match *problem {
        csv::Problem::Unclosed(at) => row.error(Kind::CsvRecord, at, || {
            said("", "a quote that is not closed", "close it, or write two quotes for one within a value")
        }),
        csv::Problem::AfterQuote(at) => row.error(Kind::CsvRecord, at, || {
            said("", "more text after a closing quote", "write two quotes for one within a value")
        }),
        csv::Problem::Fields(fields) => row.error(Kind::CsvRecord, 0, || {
            said(
                "",
                format!("the record has {fields} fields, the header {columns}"),
                "quote values that contain commas",
            )
        }),
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
