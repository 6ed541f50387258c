//! The emulated Ollama: its state, its routes, and the small ones among them.

mod base;
mod blobs;
mod chat;
mod create;
mod gguf;
mod import;
mod list;
mod models;
mod name;
mod options;
mod progress;
mod prompt;
mod pull;
mod request;
mod show;
mod template;
mod wire;

use super::serve::Front;
use super::{Shared, disk, routes};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, head, post};
use base::Base;
use blobs::Blobs;
use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use models::Models;
use name::Name;
use serde_json::json;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

/// What all routes share.
#[derive(Debug)]
struct Ollama {
    shared: Arc<Shared>,
    blobs: Blobs,
    models: Models,
    /// Models in memory, as `/api/ps` lists them: until when, by key.
    loaded: Mutex<BTreeMap<String, list::Loaded>>,
}

/// Why it could not be set up.
#[derive(Debug)]
pub(super) enum OpenError {
    /// A model that cannot be named so.
    Name(String),
    Io(io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads the state, lays down the base models on the first start, and returns the
/// routes.
pub(super) fn front(shared: Arc<Shared>, models: &[String]) -> Result<Front, OpenError> {
    let root = shared.root().join("ollama");
    let blobs = Blobs::open(root.join("blobs"))?;
    let store = Models::open(root.join("manifests"), blobs.clone())?;
    let ollama = Ollama { shared: shared.clone(), blobs, models: store, loaded: Mutex::default() };
    // Written last: a start that is killed is a first start again.
    let first_start = root.join("base-models.json");
    if !first_start.exists() {
        for given in models {
            let name = Name::parse(given).ok_or_else(|| OpenError::Name(given.clone()))?;
            let base = Base::of(&name);
            base.store(&ollama.blobs)?;
            ollama.models.write(&name, &base.config, base.listed())?;
        }
        disk::write_json(&first_start, &models)?;
    }
    Ok(Front { router: router(Arc::new(ollama)), routes: routes::OLLAMA, canned: |_| None, shared })
}

fn router(ollama: Arc<Ollama>) -> Router {
    Router::new()
        .route("/", get("Ollama is running"))
        .route("/api/version", get(version))
        .route("/api/tags", get(list::tags))
        .route("/api/ps", get(list::ps))
        .route("/api/show", post(show::post))
        .route("/api/blobs/{digest}", head(blobs::head).post(blobs::post))
        .route("/api/create", post(create::post))
        .route("/api/chat", post(chat::chat))
        .route("/api/generate", post(chat::generate))
        .route("/api/copy", post(list::copy))
        .route("/api/delete", delete(list::delete))
        .route("/api/pull", post(pull::post))
        .fallback(plain(StatusCode::NOT_FOUND, "404 page not found"))
        .method_not_allowed_fallback(plain(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed"))
        .with_state(ollama)
}

/// A handler that replies with a plain text, as Ollama's framework does.
fn plain(status: StatusCode, text: &'static str) -> impl Fn() -> std::future::Ready<Response> + Clone {
    move || std::future::ready((status, [(CONTENT_TYPE, "text/plain")], text).into_response())
}

async fn version(State(ollama): State<Arc<Ollama>>) -> Response {
    let version = ollama.shared.behaviour().ollama.generation.version();
    wire::json_reply(StatusCode::OK, &json!({ "version": version }))
}
