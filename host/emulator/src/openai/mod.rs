//! A service that speaks OpenAI's protocol: models, files, uploads, fine-tuning jobs, and
//! chats with the tuned models. OpenAI, Azure, Nebius and others speak it.

mod chat;
mod create;
mod error;
mod events;
mod files;
mod front;
mod jobs;
mod life;
mod list;
mod models;
mod record;
mod results;
mod training_file;
mod uploads;

use super::serve::Front;
use super::{Shared, routes};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use files::Files;
use front::Window;
use jobs::Jobs;
use std::io;
use std::sync::{Arc, Mutex};
use uploads::Uploads;

/// The organisation that everything belongs to.
const ORGANISATION: &str = "org-emulator";

/// The organisation's part of the names of tuned models.
const OWNER: &str = "emulator";

/// What all routes share.
#[derive(Debug)]
struct OpenAi {
    shared: Arc<Shared>,
    files: Files,
    uploads: Uploads,
    jobs: Jobs,
    window: Mutex<Window>,
}

/// The service, before it listens.
#[derive(Debug)]
pub(super) struct Service(Arc<OpenAi>);

impl Service {
    pub(super) fn open(shared: Arc<Shared>) -> io::Result<Self> {
        let root = shared.root().join("openai");
        let files = Files::open(&root)?;
        let uploads = Uploads::open(&root)?;
        files.remove_orphans(&uploads.data())?;
        let jobs = Jobs::open(&root)?;
        Ok(Self(Arc::new(OpenAi { shared, files, uploads, jobs, window: Mutex::default() })))
    }

    /// Takes up what a killed emulator was looking at. Needs a runtime.
    pub(super) fn resume(&self) {
        for job in self.0.jobs.without_verdict() {
            self.0.clone().examine(job);
        }
    }

    pub(super) fn front(&self) -> Front {
        let router = router(self.0.clone());
        Front { router, routes: routes::OPENAI, canned: error::canned, shared: self.0.shared.clone() }
    }
}

fn router(openai: Arc<OpenAi>) -> Router {
    Router::new()
        .route("/v1/models", get(models::list))
        .route("/v1/models/{id}", get(models::show).delete(models::delete))
        .route("/v1/files", get(files::list).post(files::post))
        .route("/v1/files/{id}", get(files::show).delete(files::delete))
        .route("/v1/files/{id}/content", get(files::content))
        .route("/v1/uploads", post(uploads::post))
        .route("/v1/uploads/{id}/parts", post(uploads::part))
        .route("/v1/uploads/{id}/complete", post(uploads::complete))
        .route("/v1/uploads/{id}/cancel", post(uploads::cancel))
        .route("/v1/fine_tuning/jobs", get(jobs::list).post(create::post))
        .route("/v1/fine_tuning/jobs/{id}", get(jobs::show))
        .route("/v1/fine_tuning/jobs/{id}/cancel", post(jobs::cancel))
        .route("/v1/fine_tuning/jobs/{id}/pause", post(jobs::pause))
        .route("/v1/fine_tuning/jobs/{id}/resume", post(jobs::resume))
        .route("/v1/fine_tuning/jobs/{id}/events", get(events::list))
        .route("/v1/fine_tuning/jobs/{id}/checkpoints", get(events::checkpoints))
        .route("/v1/chat/completions", post(chat::post))
        .fallback(front::no_such_url)
        .method_not_allowed_fallback(front::no_such_method)
        // Uploads are streamed to disk and have limits of their own.
        .layer(DefaultBodyLimit::disable())
        .layer(axum::middleware::from_fn_with_state(openai.clone(), front::check))
        .with_state(openai)
}
