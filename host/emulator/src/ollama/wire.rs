//! Requests as Go's JSON decoder takes them, and replies as Ollama words them.

use crate::body::{self, IntakeError};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode};
use serde_json::{Map, Value, json};

/// The largest JSON request. Ollama has no limit; this one bounds memory, and is
/// far above any real list of messages.
const MAX_JSON: usize = 64 << 20;

/// An error as Ollama replies with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// An error without a status of its own: 500.
    pub(super) fn internal(message: impl ToString) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::internal(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        json_reply(self.status, &json!({ "error": self.message }))
    }
}

pub(super) fn json_reply(status: StatusCode, value: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json; charset=utf-8")], value.to_string()).into_response()
}

/// The fields of a request's body.
#[derive(Debug)]
pub(super) struct Fields {
    /// The name of the Go type, which its errors give.
    name: &'static str,
    map: Map<String, Value>,
}

/// Reads a JSON body.
pub(super) async fn read(request: Request<Body>, name: &'static str) -> Result<Fields, Failure> {
    let bytes = body::whole(request.into_body(), MAX_JSON).await.map_err(|error| match error {
        IntakeError::TooLarge => Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the emulator takes JSON requests of {MAX_JSON} bytes at most"),
        ),
        IntakeError::Client => Failure::bad_request("unexpected EOF"),
        IntakeError::Io(error) => Failure::internal(error),
    })?;
    parse(&bytes, name)
}

fn parse(bytes: &[u8], name: &'static str) -> Result<Fields, Failure> {
    // Like Go's decoder: the first value counts, whatever follows.
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    match values.next() {
        None => Err(Failure::bad_request("missing request body")),
        Some(Ok(Value::Object(map))) => Ok(Fields { name, map }),
        // Go decodes null into an empty request.
        Some(Ok(Value::Null)) => Ok(Fields { name, map: Map::new() }),
        Some(Ok(other)) => Err(Failure::bad_request(format!(
            "json: cannot unmarshal {} into Go value of type api.{name}",
            go_kind(&other)
        ))),
        Some(Err(error)) if error.is_eof() => Err(Failure::bad_request("unexpected EOF")),
        Some(Err(error)) => {
            let line = bytes.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1));
            let found = line
                .and_then(|line| line.get(error.column().saturating_sub(1)))
                .map_or(' ', |byte| char::from(*byte));
            Err(Failure::bad_request(format!("invalid character '{found}' looking for beginning of value")))
        }
    }
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

impl Fields {
    /// A field that is there and not null. Go matches names without regard to case
    /// where no name matches exactly.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        let found = self.map.get(name).or_else(|| {
            self.map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        });
        found.filter(|value| !value.is_null())
    }

    fn mismatch(&self, field: &str, value: &Value, wanted: &str) -> Failure {
        Failure::bad_request(format!(
            "json: cannot unmarshal {} into Go struct field {}.{field} of type {wanted}",
            go_kind(value),
            self.name
        ))
    }

    /// A text; empty where it is not given.
    pub(super) fn text(&self, field: &str) -> Result<String, Failure> {
        match self.get(field) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(self.mismatch(field, other, "string")),
        }
    }

    /// The first text of the two that is not empty: a field and its older name.
    pub(super) fn text_or(&self, field: &str, older: &str) -> Result<String, Failure> {
        let (given, other) = (self.text(field)?, self.text(older)?);
        Ok(if given.is_empty() { other } else { given })
    }

    pub(super) fn flag(&self, field: &str) -> Result<Option<bool>, Failure> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.mismatch(field, other, "bool")),
        }
    }

    pub(super) fn object(&self, field: &str) -> Result<Option<&Map<String, Value>>, Failure> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(self.mismatch(field, other, "map[string]interface {}")),
        }
    }

    /// Texts by name, in the order of the names: Go's own order is random.
    pub(super) fn texts(&self, field: &str) -> Result<Option<Vec<(String, String)>>, Failure> {
        let map = match self.get(field) {
            None => return Ok(None),
            Some(Value::Object(map)) => map,
            Some(other) => return Err(self.mismatch(field, other, "map[string]string")),
        };
        let mut texts = Vec::with_capacity(map.len());
        for (name, value) in map {
            match value {
                Value::String(text) => texts.push((name.clone(), text.clone())),
                Value::Null => texts.push((name.clone(), String::new())),
                other => return Err(self.mismatch(field, other, "string")),
            }
        }
        texts.sort();
        Ok(Some(texts))
    }

    /// The messages. Roles are lower-cased and otherwise not looked at.
    pub(super) fn messages(&self) -> Result<Vec<Value>, Failure> {
        let list = match self.get("messages") {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(other) => return Err(self.mismatch("messages", other, "[]api.Message")),
        };
        let mut messages = Vec::with_capacity(list.len());
        for item in list {
            let Value::Object(map) = item else {
                return Err(self.mismatch("messages", item, "api.Message"));
            };
            let mut message = map.clone();
            for field in ["role", "content"] {
                match message.get(field) {
                    None | Some(Value::Null) => {
                        message.insert(field.to_owned(), json!(""));
                    }
                    Some(Value::String(_)) => {}
                    Some(other) => {
                        return Err(self.mismatch(&format!("messages.{field}"), other, "string"));
                    }
                }
            }
            if let Some(Value::String(role)) = message.get_mut("role") {
                *role = role.to_lowercase();
            }
            messages.push(Value::Object(message));
        }
        Ok(messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        parse(text.as_bytes(), "CreateRequest").unwrap_err().message
    }

    #[test]
    fn bodies_are_refused_in_gos_words() {
        assert_eq!(message(""), "missing request body");
        assert_eq!(message("  \n"), "missing request body");
        assert_eq!(message("{\"model\":"), "unexpected EOF");
        assert_eq!(message("nope"), "invalid character 'o' looking for beginning of value");
        assert_eq!(message("[]"), "json: cannot unmarshal array into Go value of type api.CreateRequest");
        let fields = parse(b"{\"model\": 1, \"Stream\": false} trailing", "CreateRequest").unwrap();
        assert_eq!(
            fields.text("model").unwrap_err().message,
            "json: cannot unmarshal number into Go struct field CreateRequest.model of type string"
        );
        assert_eq!(fields.flag("stream").unwrap(), Some(false));
    }
}
