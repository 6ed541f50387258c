//! Checks the rows of one block.

use crate::containers::csv;
use crate::containers::framing::{Block, Container, MAX_ROW_BYTES, Span, is_blank};
use crate::containers::json::{SyntaxError, SyntaxProblem, Tape, ValueKind};
use crate::shapes::format::{Format, Recognized};
use crate::shapes::plain::Plain;
use crate::shapes::{chat, rows};
use crate::verdict::row::{Places, RowCheck, RowFacts, Sums};
use crate::verdict::rules::Rules;
use crate::verdict::{FindingKind, Findings, Position, Severity, explain};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One block's results, with lines and rows counted from its start.
#[derive(Default)]
pub(super) struct CheckedBlock {
    pub offset: u64,
    pub lines: u64,
    pub rows: Vec<CheckedRow>,
    pub sums: Sums,
    pub findings: Findings,
}

pub(super) struct CheckedRow {
    /// Where it starts in the block.
    pub start: u32,
    pub length: u32,
    pub line: u32,
    pub facts: RowFacts,
}

/// Checks blocks, and reuses memory between them.
pub(super) struct Checker<'a> {
    rules: &'a Rules,
    recognized: &'a Recognized,
    tape: Tape,
    plain: Plain,
    scratch: String,
    /// The number of rows of the previous block, to size the next.
    usual_rows: usize,
}

/// A record in its block.
struct Record<'a> {
    text: Result<&'a str, std::str::Utf8Error>,
    /// Bytes of the line before it.
    before: usize,
}

impl<'a> Checker<'a> {
    pub fn new(rules: &'a Rules, recognized: &'a Recognized) -> Self {
        Self {
            rules,
            recognized,
            tape: Tape::default(),
            plain: Plain::default(),
            scratch: String::new(),
            usual_rows: 0,
        }
    }

    pub fn check(&mut self, block: &Block) -> CheckedBlock {
        let mut checked = CheckedBlock { offset: block.offset, ..CheckedBlock::default() };
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
            let place = Position { line: Some(line), row: None, column: u32::try_from(at - start + 1).ok() };
            checked.findings.add(Severity::Error, FindingKind::JsonSyntax, place, || {
                explain("", what, "correct the list, or write one row per line without a list")
            });
        }
        self.usual_rows = checked.rows.len() + checked.rows.len() / 8;
        checked
    }

    fn check_lines(&mut self, checked: &mut CheckedBlock, block: &Block) {
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
                let place = Position {
                    line: Some(checked.lines),
                    row: None,
                    column: u32::try_from(end - start).ok(),
                };
                checked.findings.add(Severity::Warning, FindingKind::CrLf, place, || {
                    explain("", "line ends with CR LF", "no action needed; conversion can write LF instead")
                });
            }
            if is_blank(bytes) {
                let place = Position { line: Some(checked.lines), row: None, column: Some(1) };
                checked.findings.add(Severity::Warning, FindingKind::BlankLine, place, || {
                    explain("", "blank line", "remove it; it is skipped")
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

    fn check_spans(&mut self, checked: &mut CheckedBlock, block: &Block, spans: &[Span]) {
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

    fn byte_order_mark(&self, checked: &mut CheckedBlock) {
        let place = Position { line: Some(1), row: None, column: Some(1) };
        let severity = if self.rules.is_uploaded() { Severity::Error } else { Severity::Warning };
        checked.findings.add(severity, FindingKind::ByteOrderMark, place, || {
            explain(
                "",
                "file starts with a byte order mark, which many readers treat as part of the first row",
                "save it as UTF-8 without a byte order mark",
            )
        });
    }

    fn check_row(&mut self, checked: &mut CheckedBlock, line: u64, record: Record<'_>) -> RowFacts {
        let Recognized { format, container, .. } = self.recognized;
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
                row.error(FindingKind::NotUtf8, error.valid_up_to(), || {
                    explain("", "invalid UTF-8", "save the file as UTF-8")
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
            Ok(value) if value.kind() != ValueKind::Object => {
                row.error(FindingKind::NotAnObject, value.start(), || {
                    explain(
                        "",
                        format!("expected an object, found {}", value.kind().name()),
                        "write each row as a JSON object",
                    )
                })
            }
            Ok(value) => rows::check(&mut row, *format, value, &mut self.scratch),
        }
        row.facts
    }

    fn too_long(&self, checked: &mut CheckedBlock, length: u64, lines: u64) {
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
        row.error(FindingKind::RowTooLong, 0, || {
            explain(
                "",
                format!("row has {length} bytes; the limit is {MAX_ROW_BYTES}"),
                "split it, or refer to images by URL",
            )
        });
        let facts = row.facts;
        checked.rows.push(CheckedRow { start: 0, length: 0, line: 1, facts });
    }
}

fn report_record(row: &mut RowCheck<'_>, problem: &csv::RecordProblem, columns: usize) {
    match *problem {
        csv::RecordProblem::Unclosed(at) => row.error(FindingKind::CsvRecord, at, || {
            explain("", "unclosed quote", "close it; write a quote within a value as two quotes")
        }),
        csv::RecordProblem::AfterQuote(at) => row.error(FindingKind::CsvRecord, at, || {
            explain("", "unexpected text after a closing quote", "write a quote within a value as two quotes")
        }),
        csv::RecordProblem::Fields(fields) => row.error(FindingKind::CsvRecord, 0, || {
            explain(
                "",
                format!("record has {fields} fields, the header has {columns}"),
                "quote values that contain commas",
            )
        }),
    }
}

fn report_syntax(row: &mut RowCheck<'_>, error: SyntaxError, text: &str) {
    let SyntaxError { at, problem } = error;
    let (kind, fix) = match &problem {
        SyntaxProblem::Control(0) => (FindingKind::Nul, "remove it".to_owned()),
        SyntaxProblem::Control(byte) => (FindingKind::JsonSyntax, format!("write it as \\u{byte:04x}")),
        SyntaxProblem::Depth => (FindingKind::TooDeep, "flatten the row".to_owned()),
        SyntaxProblem::DuplicateKey(_) => (
            FindingKind::DuplicateKey,
            "remove one of them; programs differ in which one they read".to_owned(),
        ),
        SyntaxProblem::Trailing => (FindingKind::JsonSyntax, "write one object per line".to_owned()),
        SyntaxProblem::Ends => {
            (FindingKind::JsonSyntax, "complete the row; each row must be on one line".to_owned())
        }
        SyntaxProblem::Expected("a key in double quotes") if text.as_bytes().get(at) == Some(&b'\'') => {
            (FindingKind::JsonSyntax, "use double quotes; this looks like a Python dictionary".to_owned())
        }
        SyntaxProblem::Expected(_) if matches!(text.as_bytes().get(at), Some(b'N' | b'T' | b'F')) => {
            (FindingKind::JsonSyntax, "write null, true and false in lowercase".to_owned())
        }
        _ => (FindingKind::JsonSyntax, "correct the JSON here".to_owned()),
    };
    row.error(kind, at, || explain("", problem.to_string(), fix));
}
