//! The configuration as a person reads it: every value in effect with its origin,
//! and the text of a new file.

use super::Origin;
use super::keys::{DefaultValue, KEYS, Kind, SECTIONS};
use super::value::{Value, size};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A key, its value in effect and where that comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// Section and name.
    pub key: &'static str,
    /// The value as text; none where nobody set it and there is no default.
    pub value: Option<String>,
    /// What holds without a value, or the value's unit, where there is one to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
    /// Where the value comes from.
    pub origin: String,
}

pub(super) fn effective(values: &BTreeMap<&'static str, (Value, Origin)>) -> Vec<Effective> {
    KEYS.iter()
        .map(|key| {
            let (value, origin) = match values.get(key.name) {
                Some((value, origin)) => (Some(value), origin.to_string()),
                None => (None, Origin::Default.to_string()),
            };
            let note = match (value, key.kind, key.default) {
                (None, _, DefaultValue::Absent(means)) => Some(means),
                (Some(_), Kind::Seconds { .. }, _) => Some("seconds"),
                _ => None,
            };
            let value = value.map(|value| match (key.kind, value) {
                (Kind::Bytes { .. }, Value::Integer(bytes)) => size(*bytes),
                _ => value.to_string(),
            });
            Effective { key: key.name, value, note, origin }
        })
        .collect()
}

/// The text of a new `config.toml`: every key explained and commented out.
pub fn default_text() -> String {
    let mut text = String::from(
        "# tunesmith's configuration. Every key is optional; what is commented out shows\n\
         # the default or an example. Stronger, in this order: a variable that other\n\
         # programs share (such as OPENAI_BASE_URL), TUNESMITH_SECTION_KEY (such as\n\
         # TUNESMITH_OPENAI_BASE_URL), a flag. Paths are relative to this file.\n\
         # `tunesmith config show` prints what is in effect and where it comes from.\n",
    );
    for (section, about) in SECTIONS {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{}\n[{section}]\n", commented(about));
        for key in KEYS {
            let (of, name) = key.parts();
            if of == *section {
                let _ = write!(text, "\n{}\n", commented(key.doc));
                for variable in key.shared_variables {
                    let _ = writeln!(text, "# Also: the variable {variable}.");
                }
                let _ = writeln!(text, "# {name} = {}", key.example);
            }
        }
    }
    text
}

fn commented(text: &str) -> String {
    text.lines().map(|line| format!("# {line}")).collect::<Vec<_>>().join("\n")
}
