//! Models: those that can be tuned, and those that were.

use super::error::{ApiError, json_reply};
use super::events::checkpoint_models;
use super::files::blocking;
use super::jobs::Job;
use super::{ORGANISATION, OWNER, OpenAi};
use crate::behaviour::Odd;
use axum::extract::{Path as UrlPath, State};
use axum::response::Response;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// When the base models were made, as far as their listing says.
const CREATED: i64 = 1_721_172_741;

pub(super) fn missing(id: &str) -> ApiError {
    let text = format!("The model '{id}' does not exist or you do not have access to it.");
    ApiError::not_found(text).param("model").code("model_not_found")
}

impl OpenAi {
    /// The full name of a base model that is still there: itself, or the one dated
    /// version of it.
    fn base(&self, given: &str) -> Option<String> {
        let behaviour = self.shared.behaviour();
        let models = &behaviour.openai.base_models;
        let dated = |name: &String| {
            name.strip_prefix(given)
                .and_then(|rest| rest.strip_prefix('-'))
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let (name, gone) =
            models.get_key_value(given).or_else(|| models.iter().find(|(name, _)| dated(name)))?;
        let today = tunesmith_core::time::today().to_string();
        // Dates in this form sort as texts.
        let is_gone = gone.as_ref().is_some_and(|date| *date <= today);
        (!is_gone).then(|| name.clone())
    }

    /// The job that made a tuned model which can be used now.
    fn tuned(&self, id: &str) -> Option<Arc<Job>> {
        if !id.starts_with("ft:") {
            return None;
        }
        let now = self.shared.clock.now();
        self.jobs.all().into_iter().find(|job| {
            let usable = |at: f64| now >= at + job.record.timing.model_delay && !job.record.model_deleted;
            // A checkpoint's name starts like its model's.
            id.starts_with(&job.record.model_name(OWNER, None))
                && job.succeeded(now).is_some_and(usable)
                && (id == job.record.model_name(OWNER, None)
                    || checkpoint_models(&job.record, &job.at(now)).iter().any(|(name, _, _)| name == id))
        })
    }

    /// The full name of a model that answers.
    pub(super) fn usable(&self, id: &str) -> Result<String, ApiError> {
        match self.tuned(id) {
            Some(_) => Ok(id.to_owned()),
            None => self.base(id).ok_or_else(|| missing(id)),
        }
    }

    /// The full name of a model that can be tuned.
    pub(super) fn tunable(&self, id: &str) -> Result<String, ApiError> {
        self.usable(id).map_err(|_| {
            let text = format!("Model {id} is not available for fine-tuning or does not exist.");
            ApiError::bad_request(text).param("model").code("model_not_available")
        })
    }

    fn base_object(&self, name: &str) -> Value {
        let behaviour = self.shared.behaviour();
        let mut object = json!({ "id": name, "object": "model", "created": CREATED, "owned_by": "system" });
        if !behaviour.openai.is_odd(Odd::NoShutdownDate) {
            object["shutdown_date"] = json!(behaviour.openai.base_models.get(name));
        }
        object
    }

    fn tuned_object(&self, job: &Job, id: &str) -> Value {
        let mut object = json!({
            "id": id,
            "object": "model",
            "created": job.record.created_at,
            "owned_by": ORGANISATION,
        });
        let behaviour = self.shared.behaviour();
        if !behaviour.openai.is_odd(Odd::NoShutdownDate) {
            let base = job.record.model.strip_prefix("ft:").and_then(|name| name.split(':').next());
            let base = base.unwrap_or(&job.record.model);
            object["shutdown_date"] = json!(behaviour.openai.base_models.get(base));
        }
        object
    }
}

pub(super) async fn list(State(openai): State<Arc<OpenAi>>) -> Response {
    let names: Vec<String> = openai.shared.behaviour().openai.base_models.keys().cloned().collect();
    let present = names.iter().filter(|name| openai.base(name).as_ref() == Some(name));
    let mut data: Vec<Value> = present.map(|name| openai.base_object(name)).collect();
    let now = openai.shared.clock.now();
    for job in openai.jobs.all() {
        let usable = |at: f64| now >= at + job.record.timing.model_delay && !job.record.model_deleted;
        if job.succeeded(now).is_some_and(usable) {
            data.push(openai.tuned_object(&job, &job.record.model_name(OWNER, None)));
        }
    }
    json_reply(StatusCode::OK, &json!({ "object": "list", "data": data }))
}

pub(super) async fn show(
    State(openai): State<Arc<OpenAi>>,
    UrlPath(id): UrlPath<String>,
) -> Result<Response, ApiError> {
    let object = match openai.tuned(&id) {
        Some(job) => openai.tuned_object(&job, &id),
        None => openai.base_object(&openai.base(&id).ok_or_else(|| missing(&id))?),
    };
    Ok(json_reply(StatusCode::OK, &object))
}

pub(super) async fn delete(
    State(openai): State<Arc<OpenAi>>,
    UrlPath(id): UrlPath<String>,
) -> Result<Response, ApiError> {
    let job = openai.tuned(&id).ok_or_else(|| missing(&id))?;
    let store = openai.clone();
    blocking(move || {
        let changed = store.jobs.change(&job.record.id, |record| {
            record.model_deleted = true;
            Ok(())
        });
        Ok(changed.inspect(|_| store.shared.counters.effect("DELETE /v1/models/{id}")))
    })
    .await??;
    Ok(json_reply(StatusCode::OK, &json!({ "id": id, "object": "model", "deleted": true })))
}
