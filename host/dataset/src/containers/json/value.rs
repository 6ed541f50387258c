//! A parsed value, and how to walk through it.

use super::text::{unescape, unescape_into};
use super::{Node, ValueKind};
use std::borrow::Cow;

/// A value within a parsed text.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    text: &'a str,
    nodes: &'a [Node],
    index: usize,
}

impl<'a> Value<'a> {
    /// The first of some nodes, with what is in it.
    pub(super) fn root(text: &'a str, nodes: &'a [Node]) -> Self {
        Self { text, nodes, index: 0 }
    }

    fn node(&self) -> &'a Node {
        &self.nodes[self.index]
    }

    #[inline]
    pub fn kind(&self) -> ValueKind {
        self.node().kind
    }

    /// Its index in the tape.
    pub fn place(&self) -> usize {
        self.index
    }

    /// The value at an index of the same tape.
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

    /// Whether it is a string with escapes.
    pub fn is_escaped(&self) -> bool {
        self.node().escaped
    }

    /// A string's value, borrowed if it has no escapes; `None` for other kinds.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        let node = self.node();
        if node.kind != ValueKind::Text {
            return None;
        }
        let raw = self.inner(node);
        Some(if node.escaped { unescape(raw) } else { Cow::Borrowed(raw) })
    }

    /// A string's value, in `scratch` if it has escapes.
    pub fn text_in<'b>(&self, scratch: &'b mut String) -> Option<&'b str>
    where
        'a: 'b,
    {
        let node = self.node();
        if node.kind != ValueKind::Text {
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

    /// Appends a string's value to `out`; returns whether it is a string.
    pub fn text_onto(&self, out: &mut String) -> bool {
        let node = self.node();
        if node.kind != ValueKind::Text {
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
        let end = if self.kind() == ValueKind::Object { self.end_of_children() } else { 0 };
        Entries { text: self.text, nodes: self.nodes, at: self.index + 1, end }
    }

    /// A list's values, in order; nothing for other kinds.
    pub fn items(&self) -> Items<'a> {
        let end = if self.kind() == ValueKind::Array { self.end_of_children() } else { 0 };
        Items { text: self.text, nodes: self.nodes, at: self.index + 1, end }
    }

    /// An object's value by key.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.entries().find(|(name, _)| name.is_text(key)).map(|(_, value)| value)
    }

    /// Whether it is this string.
    #[inline]
    pub fn is_text(&self, text: &str) -> bool {
        let node = self.node();
        node.kind == ValueKind::Text
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
