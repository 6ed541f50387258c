//! Reads records of comma-separated values (RFC 4180) as JSON objects, so that
//! everything else sees one kind of row.

use crate::containers::framing::{Container, is_blank};
use crate::containers::json::plain_end;
use std::borrow::Cow;
use std::fmt::Write as _;

/// A first line is a header if it has at least one of these columns.
const KNOWN_COLUMNS: [&str; 12] = [
    "prompt",
    "completion",
    "response",
    "instruction",
    "output",
    "question",
    "answer",
    "chosen",
    "rejected",
    "text",
    "messages",
    "conversations",
];

/// Columns whose values are JSON.
const JSON_COLUMNS: [&str; 3] = ["messages", "conversations", "history"];

/// The columns, if the first line that is not blank names a known one.
pub(crate) fn header(text: &[u8]) -> Option<Vec<String>> {
    let line = text.split(|&byte| byte == b'\n').find(|line| !is_blank(line))?;
    let line = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).ok()?;
    let columns: Vec<String> =
        fields(line).ok()?.into_iter().map(|(field, _)| field.trim().to_lowercase()).collect();
    let unique = columns.iter().collect::<std::collections::BTreeSet<_>>().len() == columns.len();
    (unique && columns.iter().any(|column| KNOWN_COLUMNS.contains(&column.as_str()))).then_some(columns)
}

/// Why a record does not match its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordProblem {
    /// A quote that is not closed, from this byte on.
    Unclosed(usize),
    /// More text after a closing quote.
    AfterQuote(usize),
    /// This number of fields, which is not the number of columns.
    Fields(usize),
}

/// A record's values and where they start.
pub(crate) fn fields(record: &str) -> Result<Vec<(Cow<'_, str>, usize)>, RecordProblem> {
    let bytes = record.as_bytes();
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let start = at;
        let field = if bytes.get(at) == Some(&b'"') {
            let mut value = Cow::Borrowed("");
            at += 1;
            loop {
                let Some(length) = memchr::memchr(b'"', &bytes[at..]) else {
                    return Err(RecordProblem::Unclosed(start));
                };
                let part = &record[at..at + length];
                at += length + 1;
                if bytes.get(at) == Some(&b'"') {
                    // Two quotes stand for one.
                    value.to_mut().push_str(part);
                    value.to_mut().push('"');
                    at += 1;
                    continue;
                }
                if value.is_empty() {
                    value = Cow::Borrowed(part);
                } else {
                    value.to_mut().push_str(part);
                }
                break;
            }
            if !matches!(bytes.get(at), None | Some(b',')) {
                return Err(RecordProblem::AfterQuote(at));
            }
            value
        } else {
            at += memchr::memchr(b',', &bytes[at..]).unwrap_or(bytes.len() - at);
            Cow::Borrowed(&record[start..at])
        };
        fields.push((field, start));
        if at >= bytes.len() {
            return Ok(fields);
        }
        at += 1;
    }
}

/// A record as an object, and where each value starts: in the object and in the record.
pub(crate) fn object(columns: &[String], record: &str) -> Result<(String, Vec<(u32, u32)>), RecordProblem> {
    let fields = fields(record)?;
    if fields.len() != columns.len() {
        return Err(RecordProblem::Fields(fields.len()));
    }
    let mut json = String::with_capacity(record.len() + 16 * columns.len());
    let mut places = Vec::with_capacity(columns.len());
    json.push('{');
    for (column, (field, start)) in columns.iter().zip(fields) {
        // An empty cell is how CSV says that there is no value.
        if field.is_empty() {
            continue;
        }
        if json.len() > 1 {
            json.push(',');
        }
        places.push((json.len() as u32, start as u32));
        quote(column, &mut json);
        json.push(':');
        if JSON_COLUMNS.contains(&column.as_str()) && is_list_or_object(&field) {
            json.push_str(&field);
        } else {
            quote(&field, &mut json);
        }
    }
    json.push('}');
    Ok((json, places))
}

/// Whether a cell is the text of a list or an object and of nothing after it, which
/// would become more fields of the row. The parser decides whether it is JSON.
fn is_list_or_object(cell: &str) -> bool {
    let cell = cell.trim_ascii();
    let (mut open, mut in_text, mut escaped) = (0_usize, false, false);
    for (at, byte) in cell.bytes().enumerate() {
        if in_text {
            (in_text, escaped) = (escaped || byte != b'"', !escaped && byte == b'\\');
            continue;
        }
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            b'"' => in_text = true,
            _ => {}
        }
        if open == 0 {
            return at > 0 && at + 1 == cell.len();
        }
    }
    !cell.is_empty()
}

/// A record of any container as JSON; `None` if it does not match the header.
pub(crate) fn as_json<'a>(container: &Container, record: &'a str) -> Option<Cow<'a, str>> {
    match container {
        Container::Jsonl | Container::Array => Some(Cow::Borrowed(record)),
        Container::Csv(columns) => object(columns, record).ok().map(|(json, _)| Cow::Owned(json)),
        Container::Lines => Some(Cow::Owned(line_object(record))),
    }
}

/// A line of plain text as an object.
pub(crate) fn line_object(line: &str) -> String {
    let mut json = String::with_capacity(line.len() + 16);
    json.push_str("{\"text\":");
    quote(line, &mut json);
    json.push('}');
    json
}

/// Writes a string as JSON.
pub(crate) fn quote(text: &str, json: &mut String) {
    json.push('"');
    let mut rest = text;
    loop {
        let at = plain_end(rest.as_bytes(), 0);
        json.push_str(&rest[..at]);
        let Some(&byte) = rest.as_bytes().get(at) else { break };
        match byte {
            b'"' => json.push_str("\\\""),
            b'\\' => json.push_str("\\\\"),
            b'\n' => json.push_str("\\n"),
            b'\r' => json.push_str("\\r"),
            b'\t' => json.push_str("\\t"),
            byte => {
                let _ = write!(json, "\\u{byte:04x}");
            }
        }
        rest = &rest[at + 1..];
    }
    json.push('"');
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_come_back(values in prop::collection::vec("[a-z\",\n\r é]{0,12}", 1..6)) {
            let record: Vec<String> =
                values.iter().map(|value| format!("\"{}\"", value.replace('"', "\"\""))).collect();
            let record = record.join(",");
            let found: Vec<_> = fields(&record).unwrap().into_iter().map(|(field, _)| field.into_owned()).collect();
            prop_assert_eq!(found, values);
        }

        #[test]
        fn quoted_text_is_json(text in any::<String>()) {
            let mut json = String::new();
            quote(&text, &mut json);
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }

    #[test]
    fn a_cell_adds_no_fields() {
        let columns = ["messages".to_owned()];
        let made = |cell: &str| {
            let record = format!("\"{}\"", cell.replace('"', "\"\""));
            serde_json::from_str::<serde_json::Value>(&object(&columns, &record).unwrap().0).unwrap()
        };
        for list in ["[]", " [{\"a\": \"]\\\"\"}, [1]]\n", "{\"a\": {}}"] {
            assert_eq!(made(list)["messages"], serde_json::from_str::<serde_json::Value>(list).unwrap());
        }
        for text in ["[],\"tools\":[]", "[1][2]", "{},\"x\":{}", "7", "[\"\\\\\"],\"x\":1"] {
            assert_eq!(made(text), serde_json::json!({ "messages": text }));
        }
    }

    #[test]
    fn records_that_do_not_fit_say_why() {
        let columns = ["a".to_owned(), "b".to_owned()];
        assert_eq!(object(&columns, "1,2,3"), Err(RecordProblem::Fields(3)));
        assert_eq!(object(&columns, "1,\"2"), Err(RecordProblem::Unclosed(2)));
        assert_eq!(object(&columns, "\"1\"x,2"), Err(RecordProblem::AfterQuote(3)));
        assert_eq!(object(&columns, "1,").unwrap().0, "{\"a\":\"1\"}");
    }
}
