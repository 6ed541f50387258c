//! What models there are, in the store and in memory; copies and deletions.

use super::Ollama;
use super::models::{Config, Model};
use super::name::Name;
use super::wire::{self, Failure, json_reply};
use crate::clock::rfc3339;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tunesmith_core::time::Timestamp;

/// How long a model stays in memory after its last use.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(300);

/// A model in memory.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) until: Timestamp,
    pub(super) context: u64,
}

/// The details that lists and `show` give of a model.
pub(super) fn details(config: &Config) -> Value {
    let families = if config.model_families.is_empty() { Value::Null } else { json!(config.model_families) };
    json!({
        "parent_model": "",
        "format": config.model_format,
        "family": config.model_family,
        "families": families,
        "parameter_size": config.model_type,
        "quantization_level": config.file_type,
    })
}

pub(super) async fn tags(State(ollama): State<Arc<Ollama>>) -> Response {
    let models: Vec<Value> = ollama
        .models
        .all()
        .iter()
        .map(|model| {
            let mut entry = json!({
                "name": model.name.to_string(),
                "model": model.name.to_string(),
                "modified_at": rfc3339(model.modified),
                "size": model.size(),
                "digest": model.digest,
                "details": details(&model.config),
            });
            if !model.config.remote_host.is_empty() {
                entry["remote_model"] = json!(model.config.remote_model);
                entry["remote_host"] = json!(model.config.remote_host);
            }
            entry
        })
        .collect();
    json_reply(StatusCode::OK, &json!({ "models": models }))
}

pub(super) async fn ps(State(ollama): State<Arc<Ollama>>) -> Response {
    let mut loaded = ollama.loaded.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Timestamp::now();
    loaded.retain(|_, one| one.until > now);
    let models: Vec<Value> = ollama
        .models
        .all()
        .iter()
        .filter_map(|model| {
            let one = loaded.get(&model.name.key())?;
            Some(json!({
                "name": model.name.to_string(),
                "model": model.name.to_string(),
                "size": model.size(),
                "digest": model.digest,
                "details": details(&model.config),
                "expires_at": rfc3339(one.until),
                "size_vram": 0,
                "context_length": one.context,
            }))
        })
        .collect();
    json_reply(StatusCode::OK, &json!({ "models": models }))
}

impl Ollama {
    /// The model of a request.
    pub(super) fn model(&self, given: &str) -> Result<Arc<Model>, Failure> {
        let name = Name::parse(given);
        name.and_then(|name| self.models.find(&name))
            .ok_or_else(|| Failure::not_found(format!("model '{given}' not found")))
    }
}

pub(super) async fn copy(State(ollama): State<Arc<Ollama>>, request: Request<Body>) -> Response {
    let copied = async {
        let fields = wire::read(request, "CopyRequest").await?;
        let (source, destination) = (fields.text("source")?, fields.text("destination")?);
        let from = Name::parse(&source)
            .ok_or_else(|| Failure::bad_request(format!("source {source:?} is invalid")))?;
        let to = Name::parse(&destination)
            .ok_or_else(|| Failure::bad_request(format!("destination {destination:?} is invalid")))?;
        let missing = || Failure::not_found(format!("model {source:?} not found"));
        let model = ollama.models.find(&from).ok_or_else(missing)?;
        let store = ollama.clone();
        tokio::task::spawn_blocking(move || {
            let _writing = store.models.writing();
            store.models.copy(&model, &to)?;
            store.shared.counters.effect("POST /api/copy");
            Ok::<_, Failure>(())
        })
        .await
        .map_err(Failure::internal)??;
        Ok::<_, Failure>(())
    };
    empty_or_failure(copied.await)
}

pub(super) async fn delete(State(ollama): State<Arc<Ollama>>, request: Request<Body>) -> Response {
    let deleted = async {
        let fields = wire::read(request, "DeleteRequest").await?;
        let given = fields.text_or("model", "name")?;
        let name =
            Name::parse(&given).ok_or_else(|| Failure::bad_request(format!("name {given:?} is invalid")))?;
        let store = ollama.clone();
        let was_there = tokio::task::spawn_blocking(move || {
            let was_there = store.models.delete(&name)?;
            if was_there {
                store.loaded.lock().unwrap_or_else(PoisonError::into_inner).remove(&name.key());
                store.shared.counters.effect("DELETE /api/delete");
            }
            Ok::<_, Failure>(was_there)
        })
        .await
        .map_err(Failure::internal)??;
        if !was_there {
            return Err(Failure::not_found(format!("model '{given}' not found")));
        }
        Ok(())
    };
    empty_or_failure(deleted.await)
}

fn empty_or_failure(done: Result<(), Failure>) -> Response {
    match done {
        Ok(()) => StatusCode::OK.into_response(),
        Err(failure) => failure.into_response(),
    }
}
