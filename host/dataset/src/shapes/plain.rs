//! Reads the commonest row without a list of nodes: OpenAI's chat format with nothing
//! but roles and strings, in that order. Most rows of most files are like this, and this
//! takes half the time. Every other row, valid or not, goes to
//! [`json`](crate::containers::json).

use crate::containers::json::{is_plain_escape, plain_end};
use tunesmith_core::contract::Role;

/// The messages of one row.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    messages: Vec<Message>,
}

/// One message, with its place in the row's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message {
    pub role: Role,
    /// The message's first byte.
    pub start: usize,
    /// The text's first byte, a quote.
    pub content: usize,
    /// The byte after its last, a quote.
    pub end: usize,
    /// Whether it has escapes.
    pub escaped: bool,
}

impl Plain {
    /// The messages of a row and the start of their list; `None` for any other kind of
    /// row. Replaces what was read before.
    pub fn read(&mut self, text: &str) -> Option<(usize, &[Message])> {
        self.messages.clear();
        let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
        reader.space();
        reader.take(b'{')?;
        reader.name(b"\"messages\"")?;
        let list = reader.at;
        reader.take(b'[')?;
        loop {
            let message = reader.message()?;
            self.messages.push(message);
            match reader.next()? {
                b',' => {}
                b']' => break,
                _ => return None,
            }
            reader.space();
        }
        (reader.next()? == b'}').then_some(())?;
        reader.space();
        (reader.at == reader.bytes.len()).then_some((list, &self.messages[..]))
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    /// The next byte that is not white space.
    #[inline]
    fn next(&mut self) -> Option<u8> {
        self.space();
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// Consumes this byte and the white space after it.
    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        (*self.bytes.get(self.at)? == byte).then_some(())?;
        self.at += 1;
        self.space();
        Some(())
    }

    /// Consumes this field name, up to its value.
    #[inline]
    fn name(&mut self, name: &[u8]) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(name).then_some(())?;
        self.at += name.len();
        self.space();
        self.take(b':')
    }

    #[inline]
    fn message(&mut self) -> Option<Message> {
        let start = self.at;
        self.take(b'{')?;
        self.name(b"\"role\"")?;
        let rest = self.bytes.get(self.at..)?;
        let (role, length) = if rest.starts_with(b"\"user\"") {
            (Role::User, 6)
        } else if rest.starts_with(b"\"assistant\"") {
            (Role::Assistant, 11)
        } else if rest.starts_with(b"\"system\"") {
            (Role::System, 8)
        } else {
            return None;
        };
        self.at += length;
        self.space();
        self.take(b',')?;
        self.name(b"\"content\"")?;
        let content = self.at;
        let escaped = self.text()?;
        let end = self.at;
        (self.next()? == b'}').then_some(Message { role, start, content, end, escaped })
    }

    /// Consumes a string; returns whether it has escapes.
    #[inline]
    fn text(&mut self) -> Option<bool> {
        (*self.bytes.get(self.at)? == b'"').then_some(())?;
        self.at += 1;
        let mut escaped = false;
        loop {
            self.at = plain_end(self.bytes, self.at);
            match self.bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(escaped);
                }
                b'\\' if is_plain_escape(*self.bytes.get(self.at + 1)?) => {
                    escaped = true;
                    self.at += 2;
                }
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::json::Tape;
    use crate::shapes::{chat, rows};
    use crate::verdict::row::{Places, RowCheck, RowFacts, Sums};
    use crate::verdict::{Findings, Verdict};
    use crate::{Format, Rules};
    use proptest::prelude::*;
    use serde_json::json;

    /// The findings of a row, read by this reader or by the full parser.
    fn judged(text: &str, plain: bool) -> (RowFacts, Sums, Verdict) {
        let rules = Rules::default();
        let (mut findings, mut sums) = (Findings::default(), Sums::default());
        let mut row = RowCheck {
            rules: &rules,
            findings: &mut findings,
            sums: &mut sums,
            facts: RowFacts::default(),
            line: 1,
            row: 0,
            places: Places::Line(0),
        };
        if plain {
            let mut reader = Plain::default();
            let (start, messages) = reader.read(text).unwrap();
            chat::check_plain(&mut row, text, start, messages, &mut String::new());
        } else {
            rows::check(&mut row, Format::OpenAi, Tape::default().parse(text).unwrap(), &mut String::new());
        }
        (row.facts, sums, findings.finish())
    }

    proptest! {
        /// This reader and the full parser agree.
        #[test]
        fn finds_what_the_whole_parser_finds(
            messages in prop::collection::vec(("system|user|assistant|tool", "|[ \n]|[^x]{0,20}"), 0..5),
            pretty in any::<bool>(),
            spoilt in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let list: Vec<_> =
                messages.iter().map(|(role, content)| json!({ "role": role, "content": content })).collect();
            let row = json!({ "messages": list });
            let text = if pretty { serde_json::to_string_pretty(&row) } else { serde_json::to_string(&row) };
            let mut bytes = text.unwrap().into_bytes();
            if let Some((place, byte)) = spoilt {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
            let (mut plain, mut tape) = (Plain::default(), Tape::default());
            let Some((start, found)) = plain.read(&text) else {
                let usual = messages.iter().all(|(role, content)| {
                    role != "tool" && !content.chars().any(|c| c.is_control() && !"\n\r\t\u{8}\u{c}".contains(c))
                });
                prop_assert!(spoilt.is_some() || messages.is_empty() || !usual, "{}", text);
                return Ok(());
            };
            let row = tape.parse(&text).unwrap();
            let list = row.get("messages").unwrap();
            prop_assert_eq!((row.entries().count(), list.start()), (1, start));
            prop_assert_eq!(list.items().count(), found.len());
            for (value, message) in list.items().zip(found) {
                prop_assert_eq!(value.entries().count(), 2);
                prop_assert_eq!(value.start(), message.start);
                prop_assert!(value.get("role").unwrap().is_text(message.role.as_str()));
                let content = value.get("content").unwrap();
                prop_assert_eq!(content.raw(), &text[message.content..message.end]);
                prop_assert_eq!(content.is_escaped(), message.escaped);
            }
            prop_assert_eq!(judged(&text, true), judged(&text, false));
        }
    }
}
