//! A JSON parser that records the position of every value, so that findings can name
//! the byte column and unknown fields can be copied byte for byte.
//!
//! It writes a flat list of nodes that is reused for each row: no allocation per value,
//! nothing copied from the text.

mod parser;
mod text;
mod value;

pub(crate) use text::{is_plain_escape, plain_end, unescape_into};
pub use value::Value;

use parser::Parser;
use std::fmt;

/// The deepest nesting that is read: what `serde_json` reads, so that a row accepted
/// here is read by every later step.
pub const MAX_DEPTH: usize = 127;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// Keys and values in turn follow as children.
    Object,
    /// Values follow as children.
    Array,
    /// A string; its span includes the quotes.
    Text,
    Number,
    True,
    False,
    Null,
}

impl ValueKind {
    /// The kind with its article, for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "a list",
            Self::Text => "a string",
            Self::Number => "a number",
            Self::True | Self::False => "a boolean",
            Self::Null => "null",
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Node {
    start: u32,
    end: u32,
    /// The index of the node after this one and its children.
    next: u32,
    kind: ValueKind,
    escaped: bool,
}

/// The nodes of one parsed text.
#[derive(Debug, Default)]
pub struct Tape {
    nodes: Vec<Node>,
    keys: Vec<(u32, u32)>,
}

/// A syntax error and its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// Byte offset, from 0.
    pub at: usize,
    pub problem: SyntaxProblem,
}

/// Kinds of syntax errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyntaxProblem {
    /// The text ends within a value.
    Ends,
    /// Something else was expected here.
    Expected(&'static str),
    /// A control character within a text.
    Control(u8),
    /// A `\` that begins no escape.
    Escape,
    /// A `\u` escape that is half of a surrogate pair.
    Surrogate,
    /// An invalid number.
    Number,
    /// Nested deeper than [`MAX_DEPTH`].
    Depth,
    /// More text after the value.
    Trailing,
    /// A key that its object already has.
    DuplicateKey(String),
}

impl fmt::Display for SyntaxProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ends => f.write_str("unexpected end of row inside a value"),
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::Control(0) => f.write_str("unescaped NUL byte in a string"),
            Self::Control(b'\t') => f.write_str("unescaped tab in a string"),
            Self::Control(byte) => write!(f, "unescaped control character (0x{byte:02x}) in a string"),
            Self::Escape => f.write_str("invalid escape sequence"),
            Self::Surrogate => f.write_str("\\u escape is half of a surrogate pair"),
            Self::Number => f.write_str("invalid number"),
            Self::Depth => write!(f, "nested more than {MAX_DEPTH} levels deep"),
            Self::Trailing => f.write_str("unexpected text after the end of the value"),
            Self::DuplicateKey(key) => write!(f, "duplicate key {key:?}"),
        }
    }
}

impl Tape {
    /// Parses one value with nothing but white space around it. Replaces
    /// what was parsed before.
    pub fn parse<'a>(&'a mut self, text: &'a str) -> Result<Value<'a>, SyntaxError> {
        self.nodes.clear();
        if u32::try_from(text.len()).is_err() {
            return Err(SyntaxError { at: 0, problem: SyntaxProblem::Expected("a row of less than 4 GiB") });
        }
        Parser::parse(text, self)?;
        Ok(Value::root(text, &self.nodes))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests;
