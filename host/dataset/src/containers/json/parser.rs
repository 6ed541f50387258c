//! Writes the nodes of a text, in one pass and without recursion deeper than
//! [`MAX_DEPTH`].

use super::text::{hex, is_plain_escape, plain_end, unescape};
use super::{MAX_DEPTH, Node, SyntaxError, SyntaxProblem, Tape, ValueKind};

/// Objects with more keys than this have their keys sorted to find duplicates.
const PAIRWISE_KEYS: usize = 16;

/// A text while it is parsed.
pub(super) struct Parser<'a, 'b> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    tape: &'b mut Tape,
}

impl<'a, 'b> Parser<'a, 'b> {
    /// Parses one value with nothing but white space around it.
    pub fn parse(text: &'a str, tape: &'b mut Tape) -> Result<(), SyntaxError> {
        let mut parser = Self { bytes: text.as_bytes(), at: 0, tape, text };
        parser.space();
        parser.value(0)?;
        parser.space();
        if parser.at < parser.bytes.len() {
            return Err(parser.error(SyntaxProblem::Trailing));
        }
        Ok(())
    }

    fn error(&self, problem: SyntaxProblem) -> SyntaxError {
        SyntaxError { at: self.at.min(self.bytes.len()), problem }
    }

    fn unexpected(&self, what: &'static str) -> SyntaxError {
        match self.bytes.get(self.at) {
            None => self.error(SyntaxProblem::Ends),
            Some(0) => self.error(SyntaxProblem::Control(0)),
            Some(_) => self.error(SyntaxProblem::Expected(what)),
        }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn open(&mut self, kind: ValueKind) -> usize {
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

    fn leaf(&mut self, kind: ValueKind, start: usize, escaped: bool) {
        let next = self.tape.nodes.len() as u32 + 1;
        self.tape.nodes.push(Node { start: start as u32, end: self.at as u32, next, kind, escaped });
    }

    fn value(&mut self, depth: usize) -> Result<(), SyntaxError> {
        match self.bytes.get(self.at) {
            Some(b'"') => self.string(),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b't') => self.word("true", ValueKind::True),
            Some(b'f') => self.word("false", ValueKind::False),
            Some(b'n') => self.word("null", ValueKind::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn word(&mut self, word: &'static str, kind: ValueKind) -> Result<(), SyntaxError> {
        let start = self.at;
        if self.bytes[start..].starts_with(word.as_bytes()) {
            self.at += word.len();
            self.leaf(kind, start, false);
            return Ok(());
        }
        if word.as_bytes().starts_with(&self.bytes[start..]) {
            self.at = self.bytes.len();
            return Err(self.error(SyntaxProblem::Ends));
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
            return Err(self.error(SyntaxProblem::Number));
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.error(SyntaxProblem::Number));
            }
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.error(SyntaxProblem::Number));
            }
        }
        self.leaf(ValueKind::Number, start, false);
        Ok(())
    }

    fn string(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at = plain_end(self.bytes, self.at);
            match self.bytes.get(self.at) {
                None => return Err(self.error(SyntaxProblem::Ends)),
                Some(b'"') => {
                    self.at += 1;
                    self.leaf(ValueKind::Text, start, escaped);
                    return Ok(());
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(&byte) => return Err(self.error(SyntaxProblem::Control(byte))),
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
                            return Err(self.error(SyntaxProblem::Surrogate));
                        }
                        if !(0xdc00..=0xdfff).contains(&self.unit(self.at + 8)?) {
                            return Err(self.error(SyntaxProblem::Surrogate));
                        }
                        self.at += 12;
                        Ok(())
                    }
                    0xdc00..=0xdfff => Err(self.error(SyntaxProblem::Surrogate)),
                    _ => {
                        self.at += 6;
                        Ok(())
                    }
                }
            }
            None => {
                self.at = self.bytes.len();
                Err(self.error(SyntaxProblem::Ends))
            }
            Some(_) => Err(self.error(SyntaxProblem::Escape)),
        }
    }

    fn unit(&self, at: usize) -> Result<u32, SyntaxError> {
        let Some(digits) = self.bytes.get(at..at + 4) else {
            return Err(SyntaxError { at: self.bytes.len(), problem: SyntaxProblem::Ends });
        };
        hex(digits).ok_or_else(|| self.error(SyntaxProblem::Escape))
    }

    fn array(&mut self, depth: usize) -> Result<(), SyntaxError> {
        if depth >= MAX_DEPTH {
            return Err(self.error(SyntaxProblem::Depth));
        }
        let index = self.open(ValueKind::Array);
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
            return Err(self.error(SyntaxProblem::Depth));
        }
        let index = self.open(ValueKind::Object);
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

    /// JSON does not define the meaning of a duplicate key, and readers differ: a row
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
                problem: SyntaxProblem::DuplicateKey(unescape(raw(span)).into_owned()),
            }),
        }
    }
}
