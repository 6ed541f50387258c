//! What a model is made of, as `/api/show` tells it.

use super::Client;
use super::error::{ApiError, ErrorKind, Operation};
use crate::http::lenient::Fields;
use crate::ollama::names::ModelName;
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A model, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// Its system prompt, exactly.
    pub system: Option<String>,
    /// Its stored messages, exactly.
    pub messages: Vec<ShownMessage>,
    /// Its parameters, each with its values as the server writes them.
    pub parameters: BTreeMap<String, Vec<String>>,
    /// What kind of model it is.
    pub details: Details,
    /// What it can do, such as `completion`; older servers say nothing.
    pub capabilities: Vec<String>,
    /// The longest context that it was trained for, in tokens.
    pub context_length: Option<u64>,
    /// The digest of its weights, `sha256:…`.
    pub weights: Option<String>,
    /// The digests of its adapters.
    pub adapters: Vec<String>,
    /// For a model that runs elsewhere: where.
    pub remote_host: Option<String>,
}

/// What kind of model it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// `gguf`, or what else the server has.
    pub format: Option<String>,
    /// The architecture, such as `llama`.
    pub family: Option<String>,
    /// Such as `3.2B`.
    pub parameter_size: Option<String>,
    /// Such as `Q4_K_M`.
    pub quantization_level: Option<String>,
}

impl Details {
    pub(super) fn read(fields: Option<Fields>) -> Self {
        let Some(mut fields) = fields else { return Self::default() };
        let mut text = |name: &str| fields.text(name).filter(|text| !text.is_empty());
        Self {
            format: text("format"),
            family: text("family"),
            parameter_size: text("parameter_size"),
            quantization_level: text("quantization_level"),
        }
    }
}

/// A stored message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownMessage {
    /// Who speaks.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Client {
    /// A model, taken apart; `None` where there is none of that name.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or refuses.
    pub async fn show(&self, name: &ModelName) -> Result<Option<Shown>, ApiError> {
        let operation = Operation::Show;
        let request = self.request(Method::POST, &["api", "show"], Some(&json!({ "model": name })));
        let answer = match self.begin(operation, request).await {
            Ok(response) => self.object(operation, response).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(value) => Ok(Some(Shown::read(value))),
            Err(error) if error.kind == ErrorKind::MissingModel => Ok(None),
            Err(error) => Err(error.about(name.as_str())),
        }
    }
}

impl Shown {
    fn read(mut value: Value) -> Self {
        // Texts that are compared must not pass through what makes them fit to be shown.
        let exact = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let system = exact(value.get("system")).filter(|system| !system.is_empty());
        let messages = match value.get_mut("messages").map(Value::take) {
            Some(Value::Array(list)) => list
                .iter()
                .map(|message| ShownMessage {
                    role: exact(message.get("role")).unwrap_or_default(),
                    content: exact(message.get("content")).unwrap_or_default(),
                })
                .collect(),
            _ => Vec::new(),
        };
        let parameters = exact(value.get("parameters")).map(|text| parameters(&text)).unwrap_or_default();
        let (from, adapters) = exact(value.get("modelfile")).map(|text| blobs(&text)).unwrap_or_default();
        let context_length = value.get("model_info").and_then(context_length);
        let mut fields = Fields::new(value);
        Self {
            system,
            messages,
            parameters,
            details: Details::read(fields.object("details")),
            capabilities: fields.texts("capabilities"),
            context_length,
            weights: from.into_iter().next(),
            adapters,
            remote_host: fields.text("remote_host").filter(|host| !host.is_empty()),
        }
    }
}

/// The context that the model's own architecture has; a projector's has a key of its
/// own.
fn context_length(info: &Value) -> Option<u64> {
    let info = info.as_object()?;
    let own = info.get("general.architecture").and_then(Value::as_str);
    let own = own.and_then(|architecture| info.get(&format!("{architecture}.context_length")));
    let any = || info.iter().find(|(key, _)| key.ends_with(".context_length")).map(|(_, value)| value);
    own.or_else(any)?.as_u64().filter(|tokens| *tokens > 0)
}

/// `name    value`, a line each; a list has a line for each item.
fn parameters(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, value)) = line.trim().split_once(char::is_whitespace) {
            all.entry(name.to_owned()).or_default().push(unquoted(value.trim()));
        }
    }
    all
}

/// A value as Go writes it: texts are in quotes, with escapes that are mostly JSON's.
fn unquoted(value: &str) -> String {
    match serde_json::from_str::<Value>(value) {
        Ok(Value::String(text)) => text,
        _ => value.to_owned(),
    }
}

/// The digests of weights and adapters in a model's own Modelfile, whose first lines
/// name them as files. A later `FROM` can be part of somebody's text.
fn blobs(modelfile: &str) -> (Vec<String>, Vec<String>) {
    let (mut from, mut adapters) = (Vec::new(), Vec::new());
    let lines = modelfile.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        let (list, path) = match line.split_once(' ') {
            Some(("FROM", path)) => (&mut from, path),
            Some(("ADAPTER", path)) => (&mut adapters, path),
            _ => break,
        };
        let digits = path.trim().rsplit_once("sha256-").map_or("", |(_, digits)| digits);
        if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            list.push(format!("sha256:{}", digits.to_ascii_lowercase()));
        }
    }
    (from, adapters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_lines_of_a_modelfile_name_weights() {
        let digest = "a".repeat(64);
        let text = format!(
            "# Modelfile generated by \"ollama show\"\n# FROM mine:latest\n\nFROM C:\\models\\blobs\\sha256-{digest}\n\
             ADAPTER /models/blobs/sha256-{}\nSYSTEM \"\nFROM /x/sha256-{}\n\"",
            "b".repeat(64),
            "c".repeat(64)
        );
        let expected = (vec![format!("sha256:{digest}")], vec![format!("sha256:{}", "b".repeat(64))]);
        assert_eq!(blobs(&text), expected);
        assert_eq!(blobs("FROM llama2\nSYSTEM x"), (Vec::new(), Vec::new()));
    }

    #[test]
    fn parameters_read_as_the_server_writes_them() {
        let text = "num_ctx                        4096\nstop                           \"<|a \\\"b|>\"\n\
                    stop                           \"two words\"\ntemperature                    0.7";
        let read = parameters(text);
        assert_eq!(read["stop"], ["<|a \"b|>", "two words"]);
        assert_eq!((&read["num_ctx"][0], &read["temperature"][0]), (&"4096".to_owned(), &"0.7".to_owned()));
    }

    #[test]
    fn the_context_is_that_of_the_own_architecture() {
        let info = json!({
            "general.architecture": "gemma3", "clip.context_length": 77, "gemma3.context_length": 131_072
        });
        assert_eq!(context_length(&info), Some(131_072));
        assert_eq!(context_length(&json!({ "llama.context_length": 4096 })), Some(4096));
        assert_eq!(context_length(&json!({})), None);
    }
}
