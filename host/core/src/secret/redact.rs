//! Takes known secrets out of texts that others wrote.

use super::{REDACTED, Secret};
use base64::Engine as _;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

/// A secret shorter than this is searched for only as it is: encoded, it would have
/// so few characters that ordinary words match.
const SHORTEST_ENCODED: usize = 8;

/// Removes secrets from texts: as they are, percent-encoded, in base64 at any
/// offset, in hexadecimal, and as JSON writes them.
#[derive(Clone, Default)]
pub struct Redactor {
    // Longest first, so that a form which contains another goes as a whole.
    forms: Arc<[String]>,
}

impl Redactor {
    /// A redactor for these secrets; for none, it changes nothing.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut forms: Vec<String> = secrets
            .into_iter()
            .flat_map(|secret| forms(secret.expose()))
            .filter(|form| !form.is_empty())
            .collect();
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self { forms: forms.into() }
    }

    /// The text without the secrets.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for form in self.forms.iter() {
            if text.contains(form.as_str()) {
                text = Cow::Owned(text.replace(form.as_str(), REDACTED));
            }
        }
        text
    }

    /// Takes the secrets out of every text in a JSON value, keys included.
    pub fn redact_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(clean) = self.redact(text) {
                    *text = clean;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_json(item)),
            Value::Object(fields) => {
                fields.values_mut().for_each(|value| self.redact_json(value));
                if fields.keys().any(|key| matches!(self.redact(key), Cow::Owned(_))) {
                    *fields = std::mem::take(fields)
                        .into_iter()
                        .map(|(key, value)| (self.redact(&key).into_owned(), value))
                        .collect();
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms)", self.forms.len())
    }
}

/// Every form of the secret that is looked for.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    let json = Value::String(secret.to_owned()).to_string();
    forms.push(json.trim_matches('"').to_owned());
    if secret.len() < SHORTEST_ENCODED {
        return forms;
    }
    forms.push(percent_encoded(secret, true));
    forms.push(percent_encoded(secret, false));
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    forms.push(hex.to_uppercase());
    forms.push(hex);
    for alphabet in [STANDARD, URL_SAFE] {
        forms.extend(base64_forms(secret, &alphabet));
    }
    forms
}

fn percent_encoded(text: &str, upper: bool) -> String {
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = if upper { write!(encoded, "%{byte:02X}") } else { write!(encoded, "%{byte:02x}") };
        }
    }
    encoded
}

/// What the secret looks like inside the base64 of a longer text: at each of the
/// three offsets, the characters that it alone determines.
fn base64_forms(secret: &str, alphabet: &Alphabet) -> Vec<String> {
    let engine = GeneralPurpose::new(alphabet, NO_PAD);
    (0..3_usize)
        .map(|offset| {
            let mut bytes = vec![0; offset];
            bytes.extend_from_slice(secret.as_bytes());
            let encoded = engine.encode(&bytes);
            // A character carries six bits: the first is the secret's alone from bit
            // 8·offset on, the last up to the end of the last whole group of bits.
            let first = (offset * 8).div_ceil(6);
            let last = bytes.len() * 8 / 6;
            encoded.get(first..last).unwrap_or_default().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use serde_json::json;

    const KEY: &str = "sk-a+b/c=d\"e?f>g0123456789";

    fn redactor() -> Redactor {
        Redactor::new([&Secret::new(KEY)])
    }

    #[test]
    fn the_key_goes_and_the_rest_stays() {
        let text = format!("wrong key {KEY}, and again: {KEY}!");
        assert_eq!(redactor().redact(&text), "wrong key [redacted], and again: [redacted]!");
        assert!(matches!(redactor().redact("nothing here"), Cow::Borrowed(_)));
        assert_eq!(Redactor::default().redact(KEY), KEY);
        assert!(!format!("{:?}", redactor()).contains("sk-"));
    }

    #[test]
    fn json_is_cleaned_after_it_is_parsed() {
        let mut value = json!({ KEY: [{"deep": format!("<{KEY}>")}], "n": 1, "none": null });
        redactor().redact_json(&mut value);
        assert_eq!(value, json!({ "[redacted]": [{"deep": "<[redacted]>"}], "n": 1, "none": null }));
    }

    #[test]
    fn a_short_key_does_not_eat_words() {
        let redactor = Redactor::new([&Secret::new("none")]);
        assert_eq!(redactor.redact("bm9uZQ and 6e6f6e65"), "bm9uZQ and 6e6f6e65");
        assert_eq!(redactor.redact("key: none"), "key: [redacted]");
    }

    #[test]
    fn of_two_secrets_the_longer_goes_as_a_whole() {
        let redactor = Redactor::new([&Secret::new("sk-abcdefgh"), &Secret::new("sk-abcdefgh-more")]);
        assert_eq!(redactor.redact("sk-abcdefgh-more sk-abcdefgh"), "[redacted] [redacted]");
    }

    proptest! {
        #[test]
        fn encoded_forms_go_wherever_they_stand(before in "[ -~]{0,7}", after in "[ -~]{0,7}") {
            let whole = format!("{before}{KEY}{after}");
            let hex: String = whole.bytes().map(|byte| format!("{byte:02x}")).collect();
            let percent = percent_encoded(&whole, true);
            for encoded in [STANDARD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole), hex, percent] {
                prop_assert!(redactor().redact(&encoded).contains(REDACTED), "{encoded}");
            }
            let json = Value::String(whole).to_string();
            prop_assert!(redactor().redact(&json).contains(REDACTED), "{json}");
        }
    }
}
