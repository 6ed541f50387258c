//! A JSON parser that keeps the place of every value, so that a verdict can name
//! the byte column of what is wrong and unknown parts can be kept byte for byte.
//!
//! It writes a flat list of nodes that is used again for each row: no allocation
//! per value, nothing copied from the text.

use std::borrow::Cow;
use std::fmt;

/// The deepest nesting that is read: what `serde_json` reads, so that a row accepted
/// here is read by every later step.
pub const MAX_DEPTH: usize = 127;

/// Objects with more keys than this have their keys sorted to find duplicates.
const PAIRWISE_KEYS: usize = 16;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
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

impl Kind {
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
    kind: Kind,
    escaped: bool,
}

/// The nodes of one parsed text.
#[derive(Debug, Default)]
pub struct Tape {
    nodes: Vec<Node>,
    keys: Vec<(u32, u32)>,
}

/// A value within a parsed text.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    text: &'a str,
    nodes: &'a [Node],
    index: usize,
}

/// Why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// The byte at which it was noticed, from 0.
    pub at: usize,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a text that is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
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

impl fmt::Display for Problem {
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
            return Err(SyntaxError { at: 0, problem: Problem::Expected("a row of less than 4 GiB") });
        }
        let mut parser = Parser { bytes: text.as_bytes(), at: 0, tape: self, text };
        parser.space();
        parser.value(0)?;
        parser.space();
        if parser.at < parser.bytes.len() {
            return Err(parser.error(Problem::Trailing));
        }
        Ok(Value { text, nodes: &self.nodes, index: 0 })
    }
}

struct Parser<'a, 'b> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    tape: &'b mut Tape,
}

impl Parser<'_, '_> {
    fn error(&self, problem: Problem) -> SyntaxError {
        SyntaxError { at: self.at.min(self.bytes.len()), problem }
    }

    fn unexpected(&self, what: &'static str) -> SyntaxError {
        match self.bytes.get(self.at) {
            None => self.error(Problem::Ends),
            Some(0) => self.error(Problem::Control(0)),
            Some(_) => self.error(Problem::Expected(what)),
        }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn open(&mut self, kind: Kind) -> usize {
        let index = self.tape.nodes.len();
        self.tape.nodes.push(Node { start: self.at as u32, end: 0, next: 0, kind, escaped: false });
        index
    }

    fn close(&mut self, index: usize) {
        let next = self.tape.nodes.len() as u32;
        if let Some(node) = self.tape.nodes.get_mut(index) {
            node.end = self.at as u32;
            node.next = next;
        }
    }

    fn leaf(&mut self, kind: Kind, start: usize, escaped: bool) {
        let next = self.tape.nodes.len() as u32 + 1;
        self.tape.nodes.push(Node { start: start as u32, end: self.at as u32, next, kind, escaped });
    }

    fn value(&mut self, depth: usize) -> Result<(), SyntaxError> {
        match self.bytes.get(self.at) {
            Some(b'"') => self.string(),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b't') => self.word("true", Kind::True),
            Some(b'f') => self.word("false", Kind::False),
            Some(b'n') => self.word("null", Kind::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn word(&mut self, word: &'static str, kind: Kind) -> Result<(), SyntaxError> {
        let start = self.at;
        if self.bytes[start..].starts_with(word.as_bytes()) {
            self.at += word.len();
            self.leaf(kind, start, false);
            return Ok(());
        }
        if word.as_bytes().starts_with(&self.bytes[start..]) {
            self.at = self.bytes.len();
            return Err(self.error(Problem::Ends));
        }
        Err(self.unexpected("a value"))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        let leading = self.bytes.get(self.at).copied();
        let whole = self.digits();
        if whole == 0 || (leading == Some(b'0') && whole > 1) {
            return Err(self.error(Problem::Number));
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.error(Problem::Number));
            }
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.error(Problem::Number));
            }
        }
        self.leaf(Kind::Number, start, false);
        Ok(())
    }

    fn string(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at = plain_end(self.bytes, self.at);
            match self.bytes.get(self.at) {
                None => return Err(self.error(Problem::Ends)),
                Some(b'"') => {
                    self.at += 1;
                    self.leaf(Kind::Text, start, escaped);
                    return Ok(());
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(&byte) => return Err(self.error(Problem::Control(byte))),
            }
        }
    }

    fn escape(&mut self) -> Result<(), SyntaxError> {
        match self.bytes.get(self.at + 1) {
            Some(&byte) if is_plain_escape(byte) => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let unit = self.unit(self.at + 2)?;
                match unit {
                    0xd800..=0xdbff => {
                        if self.bytes.get(self.at + 6..self.at + 8) != Some(b"\\u") {
                            return Err(self.error(Problem::Surrogate));
                        }
                        if !(0xdc00..=0xdfff).contains(&self.unit(self.at + 8)?) {
                            return Err(self.error(Problem::Surrogate));
                        }
                        self.at += 12;
                        Ok(())
                    }
                    0xdc00..=0xdfff => Err(self.error(Problem::Surrogate)),
                    _ => {
                        self.at += 6;
                        Ok(())
                    }
                }
            }
            None => {
                self.at = self.bytes.len();
                Err(self.error(Problem::Ends))
            }
            Some(_) => Err(self.error(Problem::Escape)),
        }
    }

    fn unit(&self, at: usize) -> Result<u32, SyntaxError> {
        let Some(digits) = self.bytes.get(at..at + 4) else {
            return Err(SyntaxError { at: self.bytes.len(), problem: Problem::Ends });
        };
        hex(digits).ok_or_else(|| self.error(Problem::Escape))
    }

    fn array(&mut self, depth: usize) -> Result<(), SyntaxError> {
        if depth >= MAX_DEPTH {
            return Err(self.error(Problem::Depth));
        }
        let index = self.open(Kind::Array);
        self.at += 1;
        self.space();
        if self.bytes.get(self.at) == Some(&b']') {
            self.at += 1;
            self.close(index);
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                }
                Some(b']') => {
                    self.at += 1;
                    self.close(index);
                    return Ok(());
                }
                _ => return Err(self.unexpected("`,` or `]`")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), SyntaxError> {
        if depth >= MAX_DEPTH {
            return Err(self.error(Problem::Depth));
        }
        let index = self.open(Kind::Object);
        self.at += 1;
        self.space();
        if self.bytes.get(self.at) == Some(&b'}') {
            self.at += 1;
            self.close(index);
            return Ok(());
        }
        loop {
            if self.bytes.get(self.at) != Some(&b'"') {
                return Err(self.unexpected("a key in double quotes"));
            }
            self.string()?;
            self.space();
            if self.bytes.get(self.at) != Some(&b':') {
                return Err(self.unexpected("`:`"));
            }
            self.at += 1;
            self.space();
            self.value(depth + 1)?;
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                }
                Some(b'}') => {
                    self.at += 1;
                    self.close(index);
                    return self.unique_keys(index);
                }
                _ => return Err(self.unexpected("`,` or `}`")),
            }
        }
    }

    /// JSON leaves open what a repeated key means, and readers differ, so that a row
    /// with one could mean one thing here and another at the provider.
    fn unique_keys(&mut self, object: usize) -> Result<(), SyntaxError> {
        let nodes = &self.tape.nodes;
        // One or two keys are by far the commonest: no list is needed.
        let first = &nodes[object + 1];
        let second = nodes[object + 2].next as usize;
        match nodes.get(second) {
            None => return Ok(()),
            Some(key) if nodes[second + 1].next as usize == nodes.len() => {
                let same_length = key.end - key.start == first.end - first.start;
                if !same_length && !key.escaped && !first.escaped {
                    return Ok(());
                }
            }
            Some(_) => {}
        }
        let mut keys = std::mem::take(&mut self.tape.keys);
        keys.clear();
        let mut escaped = false;
        let mut at = object + 1;
        while at < nodes.len() {
            let key = nodes[at];
            escaped |= key.escaped;
            keys.push((key.start, key.end));
            at = nodes[at + 1].next as usize;
        }
        let text = self.text;
        let raw = |span: (u32, u32)| &text[span.0 as usize + 1..span.1 as usize - 1];
        let repeated = if escaped {
            // Two spellings of one key: compare what they mean.
            let mut seen = std::collections::HashSet::new();
            keys.iter().copied().find(|&span| !seen.insert(unescape(raw(span))))
        } else if keys.len() <= PAIRWISE_KEYS {
            let twice = |n: &usize| keys[..*n].iter().any(|&other| raw(other) == raw(keys[*n]));
            (1..keys.len()).find(twice).map(|n| keys[n])
        } else {
            keys.sort_unstable_by(|&a, &b| raw(a).cmp(raw(b)).then(a.cmp(&b)));
            let twice = keys.windows(2).filter(|pair| raw(pair[0]) == raw(pair[1])).map(|pair| pair[1]);
            twice.min()
        };
        self.tape.keys = keys;
        match repeated {
            None => Ok(()),
            Some(span) => Err(SyntaxError {
                at: span.0 as usize,
                problem: Problem::DuplicateKey(unescape(raw(span)).into_owned()),
            }),
        }
    }
}

/// Whether this byte after a `\` stands for one character.
#[inline]
pub(super) fn is_plain_escape(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')
}

/// Where a text stops being plain: its end, an escape or a control character.
pub(super) fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    while let Some(chunk) = bytes.get(at..at + 8) {
        let mut eight = [0; 8];
        eight.copy_from_slice(chunk);
        let word = u64::from_le_bytes(eight);
        let quote = word ^ (LOW * b'"' as u64);
        let backslash = word ^ (LOW * b'\\' as u64);
        // The lowest marked byte of each is right; bytes above it may be marked
        // wrongly by a borrow, which does not matter for the first.
        let found = ((quote.wrapping_sub(LOW) & !quote)
            | (backslash.wrapping_sub(LOW) & !backslash)
            | (word.wrapping_sub(LOW * 0x20) & !word))
            & HIGH;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        at += 1;
    }
    at
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, &digit| Some(sum * 16 + (digit as char).to_digit(16)?))
}

/// The meaning of a text without its quotes, whose escapes are known to be valid.
fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    unescape_into(raw, &mut out);
    Cow::Owned(out)
}

/// The same, added to `out`.
pub(super) fn unescape_into(mut raw: &str, out: &mut String) {
    while let Some(at) = memchr::memchr(b'\\', raw.as_bytes()) {
        out.push_str(&raw[..at]);
        let (character, length) = match raw.as_bytes()[at + 1] {
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'u' => unescape_unit(&raw.as_bytes()[at..]),
            other => (other as char, 2),
        };
        out.push(character);
        raw = &raw[at + length..];
    }
    out.push_str(raw);
}

fn unescape_unit(raw: &[u8]) -> (char, usize) {
    let unit = |at: usize| raw.get(at..at + 4).and_then(hex).unwrap_or(0xfffd);
    let first = unit(2);
    if (0xd800..0xdc00).contains(&first) {
        let low = unit(8);
        let code = 0x10000 + ((first - 0xd800) << 10) + (low & 0x3ff);
        (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
    } else {
        (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6)
    }
}

impl<'a> Value<'a> {
    fn node(&self) -> &'a Node {
        &self.nodes[self.index]
    }

    /// What it is.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.node().kind
    }

    /// Its place among the values that were parsed with it.
    pub fn place(&self) -> usize {
        self.index
    }

    /// The value in this place of those that were parsed with it.
    pub fn in_place(&self, place: usize) -> Self {
        Self { index: place, ..*self }
    }

    /// Its first byte in the text, from 0.
    pub fn start(&self) -> usize {
        self.node().start as usize
    }

    /// The bytes that it was parsed from.
    pub fn raw(&self) -> &'a str {
        let node = self.node();
        &self.text[node.start as usize..node.end as usize]
    }

    /// Whether it is a text with escapes in it.
    pub fn is_escaped(&self) -> bool {
        self.node().escaped
    }

    /// A text's meaning, borrowed where nothing is escaped.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        let node = self.node();
        if node.kind != Kind::Text {
            return None;
        }
        let raw = self.inner(node);
        Some(if node.escaped { unescape(raw) } else { Cow::Borrowed(raw) })
    }

    /// A text's meaning, in `scratch` where something is escaped.
    pub fn text_in<'b>(&self, scratch: &'b mut String) -> Option<&'b str>
    where
        'a: 'b,
    {
        let node = self.node();
        if node.kind != Kind::Text {
            return None;
        }
        let raw = self.inner(node);
        if !node.escaped {
            return Some(raw);
        }
        scratch.clear();
        unescape_into(raw, scratch);
        Some(scratch)
    }

    /// Adds a text's meaning to `out`; says whether it is a text.
    pub fn text_onto(&self, out: &mut String) -> bool {
        let node = self.node();
        if node.kind != Kind::Text {
            return false;
        }
        let raw = self.inner(node);
        if node.escaped {
            unescape_into(raw, out)
        } else {
            out.push_str(raw)
        }
        true
    }

    fn inner(&self, node: &Node) -> &'a str {
        &self.text[node.start as usize + 1..node.end as usize - 1]
    }

    fn end_of_children(&self) -> usize {
        self.node().next as usize
    }

    /// An object's keys and values, in order; nothing for other kinds.
    pub fn entries(&self) -> Entries<'a> {
        let end = if self.kind() == Kind::Object { self.end_of_children() } else { 0 };
        Entries { text: self.text, nodes: self.nodes, at: self.index + 1, end }
    }

    /// A list's values, in order; nothing for other kinds.
    pub fn items(&self) -> Items<'a> {
        let end = if self.kind() == Kind::Array { self.end_of_children() } else { 0 };
        Items { text: self.text, nodes: self.nodes, at: self.index + 1, end }
    }

    /// An object's value by key.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.entries().find(|(name, _)| name.is_text(key)).map(|(_, value)| value)
    }

    /// Whether it is this text.
    #[inline]
    pub fn is_text(&self, text: &str) -> bool {
        let node = self.node();
        node.kind == Kind::Text
            && if node.escaped { unescape(self.inner(node)) == text } else { self.inner(node) == text }
    }
}

/// See [`Value::entries`].
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    text: &'a str,
    nodes: &'a [Node],
    at: usize,
    end: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Value<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let key = Value { text: self.text, nodes: self.nodes, index: self.at };
        let value = Value { text: self.text, nodes: self.nodes, index: self.at + 1 };
        self.at = value.end_of_children();
        Some((key, value))
    }
}

/// See [`Value::items`].
#[derive(Debug, Clone)]
pub struct Items<'a> {
    text: &'a str,
    nodes: &'a [Node],
    at: usize,
    end: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let value = Value { text: self.text, nodes: self.nodes, index: self.at };
        self.at = value.end_of_children();
        Some(value)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rebuild(value: Value<'_>) -> serde_json::Value {
        match value.kind() {
            Kind::Object => value
                .entries()
                .map(|(key, value)| (key.text().unwrap().into_owned(), rebuild(value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Kind::Array => value.items().map(rebuild).collect::<Vec<_>>().into(),
            Kind::Text => value.text().unwrap().into_owned().into(),
            _ => serde_json::from_str(value.raw()).unwrap(),
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    /// Text that is nearly JSON.
    fn nearly_json() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[\\[\\]{}:,\" \\\\ntf0-9eE+.-]{0,3}",
            Just("true".to_owned()),
            Just("null".to_owned()),
            Just("\"a\"".to_owned()),
            Just("\\ud83d\\ude00".to_owned()),
            Just("\"\\ud800\"".to_owned()),
            any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_reads_the_same(value in json()) {
            for text in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
                let mut tape = Tape::default();
                let parsed = rebuild(tape.parse(&text).unwrap());
                let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(parsed, expected);
            }
        }

        #[test]
        fn accepts_what_serde_json_accepts(text in nearly_json()) {
            let mut tape = Tape::default();
            let ours = tape.parse(&text).map(rebuild);
            // A number too large for a float is JSON, but not to serde_json's `Value`.
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            match (ours, theirs) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
                (Err(_), Err(_)) => {}
                (Err(SyntaxError { problem: Problem::DuplicateKey(_), .. }), Ok(_)) => {}
                (ours, theirs) => prop_assert!(false, "{:?} {:?}", ours, theirs),
            }
        }
    }

    #[test]
    fn errors_name_the_byte() {
        let mut tape = Tape::default();
        let mut fails = |text: &str| tape.parse(text).map(|_| ()).unwrap_err();
        assert_eq!(fails("{\"a\": }"), SyntaxError { at: 6, problem: Problem::Expected("a value") });
        assert_eq!(fails("{\"a\": 1"), SyntaxError { at: 7, problem: Problem::Ends });
        assert_eq!(fails("\"a\0b\""), SyntaxError { at: 2, problem: Problem::Control(0) });
        assert_eq!(fails("\"12345678\\x\""), SyntaxError { at: 9, problem: Problem::Escape });
        assert_eq!(fails("{} {}"), SyntaxError { at: 3, problem: Problem::Trailing });
        let twice = "{\"a\":1,\"\\u0061\":2}";
        assert_eq!(fails(twice), SyntaxError { at: 7, problem: Problem::DuplicateKey("a".into()) });
        let many = (0..40).map(|n| format!("\"k{}\":0", n % 39)).collect::<Vec<_>>().join(",");
        assert!(matches!(fails(&format!("{{{many}}}")).problem, Problem::DuplicateKey(key) if key == "k0"));
    }

    #[test]
    fn nesting_is_bounded() {
        let mut tape = Tape::default();
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(tape.parse(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(tape.parse(&nested(MAX_DEPTH + 1)).unwrap_err().problem, Problem::Depth);
        assert_eq!(tape.parse(&"[".repeat(1 << 20)).unwrap_err().problem, Problem::Depth);
        assert!(serde_json::from_str::<serde_json::Value>(&nested(MAX_DEPTH)).is_ok());
        assert!(serde_json::from_str::<serde_json::Value>(&nested(MAX_DEPTH + 1)).is_err());
    }
}
