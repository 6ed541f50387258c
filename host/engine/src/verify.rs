//! Comparing a stored plan with the same job planned again.

use super::bounded::{self, Fault};
use super::plan::Planned;
use serde::Serialize;
use serde_json::Value;
use std::path::Path;
use tunesmith_core::digest::Digest;
use tunesmith_core::failure::{Advice, Code, Failure};
use tunesmith_core::text::{excerpt, visible};

/// A plan holds its examples' texts: at most 256 of 64 KiB for Ollama, twice over.
const MOST_BYTES: u64 = 64 << 20;

/// At most this many differences are shown: enough to see what changed.
const MOST_SHOWN: usize = 20;

/// A value is cut after this many characters.
const LONGEST_VALUE: usize = 80;

/// Why a stored plan cannot be compared.
#[derive(Debug, thiserror::Error)]
#[error("the stored plan {} {reason}", visible(.path))]
pub struct VerifyError {
    /// The file.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl VerifyError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        Code::StoredPlanInvalid
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        Self::new(error.code(), error.to_string()).advise(Advice::GivePlan)
    }
}

/// A value that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where in the plan, such as `config.ollama.request.parameters.num_ctx`.
    pub place: String,
    /// As it is stored; none where it is not there.
    pub stored: Option<String>,
    /// As it is now; none where it is not there.
    pub now: Option<String>,
}

/// What came of comparing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Whether both are the same.
    pub same: bool,
    /// The digest of the stored plan.
    pub stored: String,
    /// The digest of the plan as it is now.
    pub now: String,
    /// The first differences.
    pub differences: Vec<Difference>,
    /// How many more there are.
    pub more: usize,
}

/// Compares the plan that a file holds with one that was just made.
///
/// # Errors
/// The file cannot be read, or is no plan.
pub fn verify(path: &Path, planned: &Planned) -> Result<Verified, VerifyError> {
    let failed = |reason: String| VerifyError { path: path.display().to_string(), reason };
    let text = bounded::text(path, MOST_BYTES).map_err(|fault| {
        failed(match fault {
            Fault::Read(error) => format!("cannot be read: {error}"),
            Fault::NotAFile => "is not a regular file".into(),
            Fault::TooLarge => format!("is larger than {} MiB, which no plan is", MOST_BYTES >> 20),
            Fault::NotUtf8(_) => "is not UTF-8".into(),
        })
    })?;
    let stored: Value =
        serde_json::from_str(&text).map_err(|error| failed(format!("is not JSON: {error}")))?;
    // `plan --json` has the plan within.
    let stored = match stored {
        Value::Object(mut fields) if fields.contains_key("plan") => fields.remove("plan").unwrap_or_default(),
        other => other,
    };
    if !stored.get("format").is_some_and(Value::is_u64) || stored.get("job").is_none() {
        return Err(failed("is not a plan: it has no `format` and `job`".into()));
    }
    let now: Value = serde_json::from_str(&planned.bytes)
        .map_err(|error| failed(format!("cannot be compared: the plan made now is not JSON: {error}")))?;
    Ok(compare(&stored, &now, &planned.digest))
}

fn compare(stored: &Value, now: &Value, now_digest: &str) -> Verified {
    let mut found = Vec::new();
    walk(Some(stored), Some(now), &mut String::new(), &mut found);
    let more = found.len().saturating_sub(MOST_SHOWN);
    found.truncate(MOST_SHOWN);
    let bytes = serde_json::to_string_pretty(stored).unwrap_or_default();
    Verified {
        same: found.is_empty(),
        stored: Digest::of(bytes).prefixed(),
        now: now_digest.to_owned(),
        differences: found,
        more,
    }
}

fn walk(stored: Option<&Value>, now: Option<&Value>, place: &mut String, found: &mut Vec<Difference>) {
    let length = place.len();
    match (stored, now) {
        (Some(Value::Object(stored)), Some(Value::Object(now))) => {
            let added = now.keys().filter(|name| !stored.contains_key(*name));
            for name in stored.keys().chain(added) {
                if !place.is_empty() {
                    place.push('.');
                }
                place.push_str(name);
                walk(stored.get(name), now.get(name), place, found);
                place.truncate(length);
            }
        }
        (Some(Value::Array(stored)), Some(Value::Array(now))) => {
            for index in 0..stored.len().max(now.len()) {
                place.push_str(&format!("[{index}]"));
                walk(stored.get(index), now.get(index), place, found);
                place.truncate(length);
            }
        }
        (stored, now) if stored == now => {}
        (stored, now) => {
            let shown = |value: Option<&Value>| value.map(|value| excerpt(&value.to_string(), LONGEST_VALUE));
            let place = visible(place).into_owned();
            found.push(Difference { place, stored: shown(stored), now: shown(now) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_difference_has_its_place_and_both_values() {
        let stored = json!({ "format": 1, "job": { "name": "a", "gone": true }, "list": [1, 2] });
        let now = json!({ "format": 1, "job": { "name": "b" }, "list": [1], "new": null });
        let verified = compare(&stored, &now, "sha256:x");
        let difference = |place: &str, stored: Option<&str>, now: Option<&str>| Difference {
            place: place.into(),
            stored: stored.map(Into::into),
            now: now.map(Into::into),
        };
        assert!(!verified.same);
        assert_eq!(
            verified.differences,
            [
                difference("job.name", Some("\"a\""), Some("\"b\"")),
                difference("job.gone", Some("true"), None),
                difference("list[1]", Some("2"), None),
                difference("new", None, Some("null")),
            ]
        );
        assert!(compare(&stored, &stored, "sha256:x").same);
    }

    #[test]
    fn many_differences_are_counted() {
        let list = |value: u32| json!({ "list": vec![value; 100] });
        let verified = compare(&list(1), &list(2), "sha256:x");
        assert_eq!((verified.differences.len(), verified.more), (MOST_SHOWN, 80));
    }
}
