//! What a job made, in honest words, from the store alone.

use super::Error;
use super::stored::Stored;
use serde::Serialize;
use std::path::PathBuf;
use tunesmith_provider::AnyProvider;
use tunesmith_provider::drive::OUTCOME_NOTE;
use tunesmith_store::{Event, Job, ModelFilter, State, Store};

/// What came of a job that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The model's name at the service.
    pub model: String,
    /// What really happened: `prompt-baked` or `fine-tuned`.
    pub made: String,
    /// The same in a sentence.
    pub sentence: String,
    /// The model's digest, where the service has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// It exists on the emulator only, and nothing was trained.
    pub emulated: bool,
    /// The service.
    pub service: String,
    /// The command that talks to it; none on the built-in emulator, which answers
    /// nobody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub try_it: Option<String>,
    /// What was found out on the way, such as the proof that the base is untouched.
    pub notes: Vec<String>,
    /// Files that were written.
    pub artifacts: Vec<PathBuf>,
}

/// What a job made; none unless it succeeded.
///
/// # Errors
/// The store cannot be read.
pub async fn outcome(store: &Store, job: &Job) -> Result<Option<Outcome>, Error> {
    if job.state != State::Succeeded {
        return Ok(None);
    }
    let filter = ModelFilter { job: Some(job.id.clone()), gone: true, ..ModelFilter::default() };
    let models = store.models(&filter, None, 100).await?.items;
    let Some(model) =
        models.into_iter().find(|model| model.attempt == job.attempt && model.verified_ms.is_some())
    else {
        return Ok(None);
    };
    let stored = Stored::load(store, &job.id).await?;
    let artifacts = store.artifacts(&job.id).await?.into_iter().map(|artifact| artifact.path.into());
    let try_it = AnyProvider(job.provider).try_it(&job.service, &model.name);
    Ok(Some(Outcome {
        try_it,
        sentence: stored.plan.config.outcome().to_owned(),
        digest: model.digest,
        made: model.made,
        model: model.name,
        emulated: job.emulated,
        service: job.service.clone(),
        notes: notes(store, job).await?,
        artifacts: artifacts.collect(),
    }))
}

/// The notes of the attempt that belong to its outcome.
async fn notes(store: &Store, job: &Job) -> Result<Vec<String>, Error> {
    let mut notes = Vec::new();
    let mut after = 0;
    loop {
        let page = store.events(&job.id, after, tunesmith_store::LONGEST_PAGE).await?;
        for event in &page.items {
            let Event::Message { text, data: Some(data), .. } = &event.event else { continue };
            let of_attempt = data.get(OUTCOME_NOTE).and_then(serde_json::Value::as_u64);
            if of_attempt == Some(u64::from(job.attempt)) && !notes.contains(text) {
                notes.push(text.clone());
            }
        }
        match page.next {
            Some(next) => after = next,
            None => return Ok(notes),
        }
    }
}
