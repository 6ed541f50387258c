//! The events and checkpoints of a job.

use super::error::{ApiError, json_reply};
use super::jobs::MAX_LIST;
use super::life::{Event, Status, View};
use super::list::{Page, Pairs};
use super::record::JobRecord;
use super::{OWNER, OpenAi};
use crate::behaviour::{Odd, OpenAiBehaviour};
use axum::extract::{Path as UrlPath, Query, State};
use axum::response::Response;
use hyper::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

/// What one reply lists unless told otherwise.
const EVENTS: usize = 20;
const CHECKPOINTS: usize = 10;

/// The part of a job's identifier that those of its events and checkpoints share.
fn own_part(job: &JobRecord) -> &str {
    job.id.strip_prefix("ftjob-").unwrap_or(&job.id)
}

pub(super) async fn list(
    State(openai): State<Arc<OpenAi>>,
    UrlPath(id): UrlPath<String>,
    Query(pairs): Query<Pairs>,
) -> Result<Response, ApiError> {
    let page = Page::of(&pairs, EVENTS, MAX_LIST)?;
    let job = openai.jobs.find(&id)?;
    let behaviour = openai.shared.behaviour().openai.clone();
    let view = job.at(openai.shared.clock.now());
    let mut list: Vec<Value> = view
        .events
        .iter()
        .enumerate()
        .map(|(number, event)| event_object(&job.record, number, event, &behaviour))
        .collect();
    list.reverse();
    Ok(json_reply(StatusCode::OK, &page.of_list(list, &behaviour)?))
}

fn event_object(job: &JobRecord, number: usize, event: &Event, behaviour: &OpenAiBehaviour) -> Value {
    let odd = behaviour.is_odd(Odd::EventData) && event.kind == "message";
    json!({
        "object": "fine_tuning.job.event",
        "id": format!("ftevent-{}{number:05}", own_part(job)),
        "created_at": job.shown(event.at),
        "level": event.level,
        "message": event.message,
        "type": if odd { "custom" } else { event.kind },
        "data": if odd { json!({ "error_code": "none", "error_param": null }) } else { event.data.clone() },
    })
}

pub(super) async fn checkpoints(
    State(openai): State<Arc<OpenAi>>,
    UrlPath(id): UrlPath<String>,
    Query(pairs): Query<Pairs>,
) -> Result<Response, ApiError> {
    let page = Page::of(&pairs, CHECKPOINTS, MAX_LIST)?;
    let job = openai.jobs.find(&id)?;
    let view = job.at(openai.shared.clock.now());
    let list = checkpoint_models(&job.record, &view)
        .into_iter()
        .rev()
        .map(|(model, step, at)| {
            let steps = view.schedule.map_or(step, |schedule| schedule.steps);
            let mut metrics = job.record.metrics(step, steps, true);
            if let Value::Object(map) = &mut metrics {
                map.remove("total_steps");
            }
            json!({
                "object": "fine_tuning.job.checkpoint",
                "id": format!("ftckpt_{}{step}", own_part(&job.record)),
                "created_at": job.record.shown(at),
                "fine_tuned_model_checkpoint": model,
                "fine_tuning_job_id": job.record.id,
                "step_number": step,
                "metrics": metrics,
            })
        })
        .collect();
    Ok(json_reply(StatusCode::OK, &page.of_list(list, &openai.shared.behaviour().openai)?))
}

/// The models of the checkpoints, in order: the name, the step, and when. That of a
/// job's last step is the model itself.
pub(super) fn checkpoint_models(job: &JobRecord, view: &View) -> Vec<(String, u64, f64)> {
    let last = view.schedule.map_or(0, |schedule| schedule.steps);
    let name =
        |step: u64| job.model_name(OWNER, (step < last || view.status != Status::Succeeded).then_some(step));
    view.checkpoints().iter().map(|step| (name(step.number), step.number, step.at)).collect()
}
