//! Where whole records end in a piece of a file.

use super::{MAX_ROW_BYTES, Span, is_blank, is_space};

/// How far an array was read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ArrayState {
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
pub(super) enum Cut {
    /// Records end before this byte; what follows is not whole.
    MessagePath(usize),
    /// No record is whole.
    Nothing,
}

/// The end of the last whole line.
pub(super) fn lines(bytes: &[u8], searched: usize, ended: bool) -> Cut {
    match memchr::memrchr(b'\n', &bytes[searched..]) {
        Some(at) => Cut::MessagePath(searched + at + 1),
        None if ended && bytes.len() <= MAX_ROW_BYTES => Cut::MessagePath(bytes.len()),
        None => Cut::Nothing,
    }
}

/// The records of whole lines, where a line end within quotes is part of a value.
pub(super) fn csv_records(
    bytes: &[u8],
    ended: bool,
    header_seen: bool,
    spans: &mut Vec<Span>,
) -> (Cut, bool) {
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
    (if start > 0 { Cut::MessagePath(start) } else { Cut::Nothing }, seen)
}

/// The rows of a JSON list as far as they are whole.
pub(super) fn array_rows(
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
            return (if bytes.is_empty() { Cut::Nothing } else { Cut::MessagePath(bytes.len()) }, state);
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
                problem.get_or_insert((at, "trailing comma before the list's closing `]`"));
                state = ArrayState::After;
                at += 1;
            }
            (ArrayState::AfterRow, b',') => {
                state = ArrayState::Row { first: false };
                at += 1;
            }
            (ArrayState::After, _) => {
                problem.get_or_insert((at, "unexpected text after the list's closing `]`"));
                return (Cut::MessagePath(bytes.len()), state);
            }
            // Without a comma the next row begins at once; its text says what is wrong.
            (ArrayState::Before | ArrayState::AfterRow | ArrayState::Row { .. }, _) => {
                if state == ArrayState::AfterRow {
                    problem.get_or_insert((at, "missing comma between two rows"));
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
                        return (Cut::MessagePath(bytes.len()), ArrayState::AfterRow);
                    }
                    None => return (if at > 0 { Cut::MessagePath(at) } else { Cut::Nothing }, state),
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
