//! Options of a model or a request, checked when a model is used and not before.

use super::wire::Failure;
use hyper::StatusCode;
use serde_json::{Map, Value};

#[derive(Clone, Copy)]
enum Kind {
    Integer,
    Float,
    Flag,
    Texts,
}

const KINDS: &[(&str, Kind)] = &[
    ("num_keep", Kind::Integer),
    ("seed", Kind::Integer),
    ("num_predict", Kind::Integer),
    ("top_k", Kind::Integer),
    ("repeat_last_n", Kind::Integer),
    ("num_ctx", Kind::Integer),
    ("num_batch", Kind::Integer),
    ("num_gpu", Kind::Integer),
    ("main_gpu", Kind::Integer),
    ("num_thread", Kind::Integer),
    ("draft_num_predict", Kind::Integer),
    ("top_p", Kind::Float),
    ("min_p", Kind::Float),
    ("typical_p", Kind::Float),
    ("temperature", Kind::Float),
    ("repeat_penalty", Kind::Float),
    ("presence_penalty", Kind::Float),
    ("frequency_penalty", Kind::Float),
    ("use_mmap", Kind::Flag),
    ("stop", Kind::Texts),
];

/// Ollama's context without a setting and with little video memory.
const DEFAULT_CONTEXT: u64 = 4_096;
/// The least context, whatever is set.
const MIN_CONTEXT: u64 = 4;

/// The options that change what an emulator replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options {
    /// Tokens that a prompt may have.
    pub(super) context: u64,
    /// Tokens of an answer; none is without limit.
    pub(super) predict: Option<u64>,
    pub(super) stop: Vec<String>,
}

impl Options {
    /// The stored parameters, with the request's on top. Unknown names are ignored;
    /// a wrong type is an error.
    pub(super) fn of(
        stored: &Map<String, Value>,
        request: &Map<String, Value>,
        trained: u64,
    ) -> Result<Self, Failure> {
        let mut merged = stored.clone();
        merged.extend(request.iter().map(|(key, value)| (key.clone(), value.clone())));
        for (name, kind) in KINDS {
            match merged.get(*name) {
                None | Some(Value::Null) => {}
                Some(value) => check(name, *kind, value)?,
            }
        }
        let integer = |name: &str| {
            #[expect(clippy::cast_possible_truncation, reason = "as Go truncates")]
            merged.get(name).and_then(|value| value.as_i64().or(value.as_f64().map(|number| number as i64)))
        };
        let context = integer("num_ctx").map_or(DEFAULT_CONTEXT, |given| u64::try_from(given).unwrap_or(0));
        let limit = if trained == 0 { u64::MAX } else { trained };
        let stop = merged.get("stop").and_then(Value::as_array).into_iter().flatten();
        Ok(Self {
            context: context.min(limit).max(MIN_CONTEXT),
            predict: integer("num_predict").and_then(|given| u64::try_from(given).ok()),
            stop: stop.filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }
}

fn check(name: &str, kind: Kind, value: &Value) -> Result<(), Failure> {
    let wanted = match (kind, value) {
        (Kind::Integer | Kind::Float, Value::Number(_)) | (Kind::Flag, Value::Bool(_)) => return Ok(()),
        (Kind::Texts, Value::Array(items)) if items.iter().all(Value::is_string) => return Ok(()),
        (Kind::Integer, _) => "of type integer",
        (Kind::Float, _) => "of type float32",
        (Kind::Flag, _) => "of type boolean",
        (Kind::Texts, Value::Array(_)) => "of an array of strings",
        (Kind::Texts, _) => "of type array",
    };
    Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("option {name:?} must be {wanted}")))
}
