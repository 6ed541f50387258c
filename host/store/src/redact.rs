//! Keeps known secrets out of every free text that is stored, and bounds its length.

use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// Replaces a secret.
const MASK: &str = "[redacted]";

/// Shorter "keys" are dummies that compatible services ask for ("none", "EMPTY",
/// "ollama"); replacing them would damage ordinary text.
const SHORTEST_SECRET: usize = 8;

/// A message from a service is kept up to this many bytes: enough for any that a person
/// reads, while a hostile server cannot fill the disk with one.
pub const LONGEST_TEXT: usize = 64 * 1024;

/// Secrets known to this process. Services echo keys in error messages, so texts pass
/// through here on their way into the store.
#[derive(Clone, Default)]
pub struct Redactor(Vec<String>);

impl Redactor {
    /// Masks these texts; those of fewer than 8 bytes are taken for dummies and ignored.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<_> =
            secrets.into_iter().filter(|secret| secret.len() >= SHORTEST_SECRET).collect();
        // Longest first: a secret that contains another is masked as a whole.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets)
    }

    /// The text without secrets, at most [`LONGEST_TEXT`] bytes and a note on what was cut.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut text = Cow::Borrowed(text);
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), MASK));
            }
        }
        if text.len() <= LONGEST_TEXT {
            return text.into_owned();
        }
        let kept = &text[..text.floor_char_boundary(LONGEST_TEXT)];
        format!("{kept}… ({} more bytes were cut)", text.len() - kept.len())
    }

    /// The document without secrets, or a note on its size where it is too long.
    pub(crate) fn json(&self, value: &Value) -> Value {
        let masked = self.masked(value);
        match masked.to_string().len() {
            ..=LONGEST_TEXT => masked,
            bytes => serde_json::json!({ "cut": format!("{bytes} bytes were too many to keep") }),
        }
    }

    /// The whole document without secrets, whatever its length.
    pub(crate) fn document(&self, value: &Value) -> String {
        self.masked(value).to_string()
    }

    fn masked(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => Value::Array(items.iter().map(|item| self.masked(item)).collect()),
            Value::Object(fields) => Value::Object(
                fields.iter().map(|(name, value)| (self.text(name), self.masked(value))).collect(),
            ),
            other => other.clone(),
        }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.0.len())
    }
}
