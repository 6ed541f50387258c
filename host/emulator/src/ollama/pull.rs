//! `POST /api/pull`, from the list of models that the emulator holds.

use super::Ollama;
use super::base::Base;
use super::name::Name;
use super::progress::{self, Progress, Stop};
use super::request::invalid_name;
use super::wire::{self, Failure};
use crate::behaviour::ANY_MODEL;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::Request;
use std::sync::Arc;
use std::time::Duration;

/// Lines of progress for each blob that is fetched.
const TICKS: u64 = 4;

pub(super) async fn post(State(ollama): State<Arc<Ollama>>, request: Request<Body>) -> Response {
    let parsed = async {
        let fields = wire::read(request, "PullRequest").await?;
        let name = fields.text_or("model", "name")?;
        let name = Name::parse(&name).ok_or_else(invalid_name)?;
        Ok::<_, Failure>((name, fields.flag("stream")?.unwrap_or(true)))
    };
    let (name, stream) = match parsed.await {
        Ok(parsed) => parsed,
        Err(failure) => return failure.into_response(),
    };
    let pause = Duration::from_millis(ollama.shared.behaviour().ollama.step_ms);
    progress::reply(stream, pause, |progress| async move { pull(&ollama, &name, &progress).await }).await
}

/// Fetches a model, with the lines of a pull, its `success` included.
pub(super) async fn pull(ollama: &Arc<Ollama>, name: &Name, progress: &Progress) -> Result<(), Stop> {
    let _writing = ollama.models.writing();
    progress.status("pulling manifest").await?;
    let held = {
        let behaviour = ollama.shared.behaviour();
        let is_it = |held: &String| Name::parse(held).is_some_and(|held| held.key() == name.key());
        behaviour.ollama.registry.iter().any(|held| held == ANY_MODEL || is_it(held))
    };
    if !held {
        return Err(Failure::internal("pull model manifest: file does not exist").into());
    }
    let base = Base::of(name);
    for ((_, bytes), layer) in base.layers.iter().zip(base.listed()) {
        let digits = layer.digest.trim_start_matches("sha256:");
        let status = format!("pulling {}", &digits[..12]);
        if !ollama.blobs.has(&layer.digest) {
            for tick in 0..TICKS {
                progress.amount(&status, &layer.digest, layer.size, layer.size * tick / TICKS).await?;
            }
            ollama.blobs.put(bytes)?;
        }
        progress.amount(&status, &layer.digest, layer.size, layer.size).await?;
    }
    progress.status("verifying sha256 digest").await?;
    progress.status("writing manifest").await?;
    if progress.is_gone() {
        return Err(Stop::Gone);
    }
    let (store, name) = (ollama.clone(), name.clone());
    // Counted with it: whoever waits for it may be gone before it is done.
    tokio::task::spawn_blocking(move || {
        store.models.write(&name, &base.config, base.listed())?;
        store.shared.counters.effect("POST /api/pull");
        Ok::<_, Failure>(())
    })
    .await
    .map_err(Failure::internal)??;
    progress.status("success").await
}
