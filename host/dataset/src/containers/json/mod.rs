//! A JSON parser that keeps the place of every value, so that a verdict can name
//! the byte column of what is wrong and unknown parts can be kept byte for byte.
//!
//! It writes a flat list of nodes that is used again for each row: no allocation
//! per value, nothing copied from the text.

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
    /// A text, with its quotes in the span.
    Text,
    /// A number.
    Number,
    /// `true`.
    True,
    /// `false`.
    False,
    /// `null`.
    Null,
}

impl ValueKind {
    /// The kind in words that a message can use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "a list",
            Self::Text => "a text",
            Self::Number => "a number",
            Self::True | Self::False => "true or false",
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

/// Why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// The byte at which it was noticed, from 0.
    pub at: usize,
    /// What is wrong.
    pub problem: SyntaxProblem,
}

/// What is wrong with a text that is not JSON.
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
    /// A number that JSON does not know.
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
            Self::Ends => f.write_str("the row ends in the middle of a value"),
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::Control(0) => f.write_str("a NUL byte within a text"),
            Self::Control(b'\t') => f.write_str("a raw tab within a text"),
            Self::Control(byte) => write!(f, "a raw control character (0x{byte:02x}) within a text"),
            Self::Escape => f.write_str("an escape that JSON does not know"),
            Self::Surrogate => f.write_str("a \\u escape that is half of a surrogate pair"),
            Self::Number => f.write_str("a number that is not valid JSON"),
            Self::Depth => write!(f, "nested more than {MAX_DEPTH} levels deep"),
            Self::Trailing => f.write_str("more text after the end of the value"),
            Self::DuplicateKey(key) => write!(f, "the key {key:?} appears twice in one object"),
        }
    }
}

impl Tape {
    /// Parses one value with nothing but white space around it. What was parsed
    /// before is forgotten.
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
