//! Which texts a Modelfile can hold without change, and why others cannot.

use crate::ollama::check::ShotSource;
use crate::ollama::printable::{UNICODE_VERSION, is_printable};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use tunesmith_core::contract::Role;

/// A text that a Modelfile cannot hold. The request that it shows can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unrepresentable {
    /// Which text.
    pub place: Place,
    /// The line in it, from 1; lines end at a line feed or carriage return.
    pub line: usize,
    /// The character of that line, from 1.
    pub column: usize,
    /// Why.
    pub reason: Reason,
}

/// A text of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "text", rename_all = "kebab-case")]
pub enum Place {
    /// The system prompt.
    System,
    /// A message of an example.
    Message {
        /// The example, from 1.
        example: usize,
        /// Where it is from.
        source: ShotSource,
        /// Whose message.
        role: Role,
    },
    /// The system prompt that is repeated after the examples.
    RepeatedSystem,
    /// A stop text.
    Stop {
        /// Its number, from 1.
        number: usize,
    },
}

/// Why a text cannot be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case")]
pub enum Reason {
    /// Ollama's reader drops the character.
    Dropped {
        /// The character; `U+00A0` in JSON.
        #[serde(serialize_with = "code_point", deserialize_with = "of_code_point")]
        character: char,
    },
    /// Three quotes end a line, which ends the value.
    QuotesEndLine,
}

fn code_point<S: Serializer>(character: &char, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("U+{:04X}", u32::from(*character)))
}

fn of_code_point<'de, D: Deserializer<'de>>(deserializer: D) -> Result<char, D::Error> {
    let text = String::deserialize(deserializer)?;
    let number = text.strip_prefix("U+").and_then(|digits| u32::from_str_radix(digits, 16).ok());
    number.and_then(char::from_u32).ok_or_else(|| D::Error::custom("expected a code point such as U+00A0"))
}

/// What keeps a text out of a Modelfile, if anything: a character that the reader
/// would drop, or else a line, other than the last, that ends with three quotes and
/// perhaps blanks.
pub fn fault(text: &str) -> Option<(usize, usize, Reason)> {
    let (mut line, mut column) = (1, 1);
    for character in text.chars() {
        match character {
            '\n' | '\r' => (line, column) = (line + 1, 0),
            '\t' => {}
            _ if !is_printable(character) => return Some((line, column, Reason::Dropped { character })),
            _ => {}
        }
        column += 1;
    }
    let mut lines = text.split(['\n', '\r']).enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let trimmed = line.trim_end_matches([' ', '\t']);
        if lines.peek().is_some() && trimmed.ends_with("\"\"\"") {
            return Some((index + 1, trimmed.chars().count() - 2, Reason::QuotesEndLine));
        }
    }
    None
}

impl fmt::Display for Unrepresentable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}, character {}: ", self.place, self.line, self.column)?;
        match self.reason {
            Reason::Dropped { character } => {
                write!(
                    f,
                    "Ollama's Modelfile reader drops U+{:04X} {}",
                    u32::from(character),
                    name(character)
                )
            }
            Reason::QuotesEndLine => f.write_str(
                "three quotes at the end of a line would end the text for Ollama's Modelfile reader",
            ),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("the system prompt"),
            Self::Message { source: ShotSource::Row(row), role, .. } => {
                write!(f, "row {row}, {} message", role.as_str())
            }
            Self::Message { example, source: ShotSource::Written, role } => {
                write!(f, "example {example} (written by the method), {} message", role.as_str())
            }
            Self::RepeatedSystem => f.write_str("the repeated system prompt"),
            Self::Stop { number } => write!(f, "stop text {number}"),
        }
    }
}

/// A dropped character's name, where chats commonly have it, otherwise its kind.
fn name(character: char) -> String {
    let name = match u32::from(character) {
        0x00 => "NULL",
        0x08 => "BACKSPACE",
        0x0b => "LINE TABULATION",
        0x0c => "FORM FEED",
        0x1b => "ESCAPE",
        0x7f => "DELETE",
        0x85 => "NEXT LINE",
        0xa0 => "NO-BREAK SPACE",
        0xad => "SOFT HYPHEN",
        0x061c => "ARABIC LETTER MARK",
        0x2002 => "EN SPACE",
        0x2003 => "EM SPACE",
        0x2007 => "FIGURE SPACE",
        0x2009 => "THIN SPACE",
        0x200a => "HAIR SPACE",
        0x200b => "ZERO WIDTH SPACE",
        0x200c => "ZERO WIDTH NON-JOINER",
        0x200d => "ZERO WIDTH JOINER",
        0x200e => "LEFT-TO-RIGHT MARK",
        0x200f => "RIGHT-TO-LEFT MARK",
        0x2028 => "LINE SEPARATOR",
        0x2029 => "PARAGRAPH SEPARATOR",
        0x202a => "LEFT-TO-RIGHT EMBEDDING",
        0x202b => "RIGHT-TO-LEFT EMBEDDING",
        0x202c => "POP DIRECTIONAL FORMATTING",
        0x202d => "LEFT-TO-RIGHT OVERRIDE",
        0x202e => "RIGHT-TO-LEFT OVERRIDE",
        0x202f => "NARROW NO-BREAK SPACE",
        0x205f => "MEDIUM MATHEMATICAL SPACE",
        0x2060 => "WORD JOINER",
        0x2066 => "LEFT-TO-RIGHT ISOLATE",
        0x2067 => "RIGHT-TO-LEFT ISOLATE",
        0x2068 => "FIRST STRONG ISOLATE",
        0x2069 => "POP DIRECTIONAL ISOLATE",
        0x3000 => "IDEOGRAPHIC SPACE",
        0xfeff => "ZERO WIDTH NO-BREAK SPACE",
        0xe0020..=0xe007f => "(a tag character)",
        0x00..=0x1f | 0x80..=0x9f => "(a control character)",
        0xe000..=0xf8ff | 0xf0000..=0x10ffff => "(private use)",
        _ => return format!("(not printable in Unicode {UNICODE_VERSION})"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_can_be_held() {
        for text in [
            "",
            "plain",
            "\"",
            "\"\"",
            "\"\"\"",
            "\"\"\"\"\"\"\"",
            "a \"\"\" b\nc",
            "last\nline \"\"\"",
            "# not a comment",
            " \t blanks \t ",
            "\r\n\r",
            "SYSTEM x\nFROM y",
            "''' \\n \\\"",
            "\"\"\nx",
            "❤\u{fe0f}",
        ] {
            assert_eq!(fault(text), None, "{text:?}");
        }
    }

    #[test]
    fn texts_that_cannot() {
        let shown = |text: &str| {
            let (line, column, reason) = fault(text).unwrap();
            let place = Place::Message { example: 2, source: ShotSource::Row(17), role: Role::Assistant };
            Unrepresentable { place, line, column, reason }.to_string()
        };
        let messages = [
            shown("one\ntwo\u{a0}three"),
            shown("👨\u{200d}👩"),
            shown("a\r\nbell \u{7}"),
            shown("\u{1fae9}"),
            shown("\u{e0067}"),
            shown("code:\n\"\"\" \t\nmore"),
            // What is dropped is said first: dropping it could create quotes.
            shown("\"\"\u{200b}\"\nx\"\"\"\n"),
        ];
        insta::assert_snapshot!(messages.join("\n"));
    }
}
