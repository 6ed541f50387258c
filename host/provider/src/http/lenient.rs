//! Reading of answers whose shape cannot be relied on: a field of another type than
//! expected is left among the unknown ones instead of failing the whole.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tunesmith_core::text::excerpt;

/// A text of an answer is kept up to this many characters: a long message.
const LONGEST_TEXT: usize = 8000;

/// The fields of an object, taken out one by one; what remains is unknown.
#[derive(Debug, Default)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// The fields of an object; of anything else, none.
    pub(crate) fn new(value: Value) -> Self {
        match value {
            Value::Object(fields) => Self(fields),
            _ => Self::default(),
        }
    }

    fn take<T>(&mut self, name: &str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let read = read(self.0.get(name)?)?;
        self.0.shift_remove(name);
        Some(read)
    }

    /// A text, with control characters made visible. Numbers count as texts.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.take(name, text)
    }

    /// A whole number, also when it is written as `3.0` or `"3"`.
    pub(crate) fn integer(&mut self, name: &str) -> Option<i64> {
        self.take(name, integer)
    }

    /// A whole number that is not negative.
    pub(crate) fn count(&mut self, name: &str) -> Option<u64> {
        self.take(name, |value| integer(value).and_then(|number| u64::try_from(number).ok()))
    }

    /// True or false.
    pub(crate) fn flag(&mut self, name: &str) -> Option<bool> {
        self.take(name, Value::as_bool)
    }

    /// A list of texts; entries that are none are left out. Missing and null are empty.
    pub(crate) fn texts(&mut self, name: &str) -> Vec<String> {
        self.take(name, |value| Some(value.as_array()?.iter().filter_map(text).collect())).unwrap_or_default()
    }

    /// Texts by name; values that are none are kept as JSON.
    pub(crate) fn named_texts(&mut self, name: &str) -> BTreeMap<String, String> {
        let read = |value: &Value| {
            let entry = |(name, value): (&String, &Value)| {
                (excerpt(name, LONGEST_TEXT), text(value).unwrap_or_else(|| value.to_string()))
            };
            Some(value.as_object()?.iter().map(entry).collect())
        };
        self.take(name, read).unwrap_or_default()
    }

    /// An object.
    pub(crate) fn object(&mut self, name: &str) -> Option<Self> {
        self.take(name, |value| value.as_object().cloned()).map(Self)
    }

    /// A list of objects; entries that are none are left out.
    pub(crate) fn objects(&mut self, name: &str) -> Option<Vec<Self>> {
        match self.0.shift_remove(name)? {
            Value::Array(items) => Some(items.into_iter().filter(Value::is_object).map(Self::new).collect()),
            _ => None,
        }
    }

    /// Every number that is left, by name.
    pub(crate) fn numbers(&mut self) -> BTreeMap<String, f64> {
        let mut numbers = BTreeMap::new();
        self.0.retain(|name, value| match value.as_f64().filter(|number| number.is_finite()) {
            Some(number) => numbers.insert(excerpt(name, LONGEST_TEXT), number).is_some(),
            None => true,
        });
        numbers
    }

    /// Any value but null, as it is.
    pub(crate) fn any(&mut self, name: &str) -> Option<Value> {
        self.0.shift_remove(name).filter(|value| !value.is_null())
    }

    /// What was not taken.
    pub(crate) fn rest(self) -> Map<String, Value> {
        self.0
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(excerpt(text, LONGEST_TEXT)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    // Up to 2^53 a float is exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let number = number.as_f64().filter(|number| number.abs() <= EXACT)?;
            #[expect(clippy::cast_possible_truncation, reason = "within the exact range")]
            let whole = number as i64;
            Some(whole)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_has_another_type_stays_among_the_unknown() {
        let mut fields = Fields::new(json!({
            "id": "a\u{1b}b", "created_at": 1.5e3, "bytes": "7", "files": ["x", null, 3], "metadata": {"k": 1, "n": null},
            "status": ["odd"], "model": null, "loss": 0.5, "step": 4
        }));
        assert_eq!(fields.text("id").as_deref(), Some("a\\u{1b}b"));
        assert_eq!((fields.integer("created_at"), fields.integer("bytes")), (Some(1500), Some(7)));
        assert_eq!(fields.texts("files"), ["x", "3"]);
        assert_eq!(fields.named_texts("metadata")["k"], "1");
        assert_eq!((fields.text("status"), fields.text("model"), fields.text("none")), (None, None, None));
        assert_eq!(
            fields.numbers().into_iter().collect::<Vec<_>>(),
            [("loss".to_owned(), 0.5), ("step".to_owned(), 4.0)]
        );
        assert_eq!(Value::Object(fields.rest()), json!({"status": ["odd"], "model": null}));
    }
}
