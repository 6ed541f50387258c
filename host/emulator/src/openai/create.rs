//! `POST /v1/fine_tuning/jobs`: what a request must look like, and the job that
//! comes of it. As in reality, the same request twice makes two jobs.

use super::OpenAi;
use super::error::ApiError;
use super::files::{blocking, unix_seconds};
use super::front::read_json;
use super::record::{JobRecord, Timing};
use super::training_file::Method;
use crate::behaviour::Closed;
use crate::ids;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use hyper::{Request, StatusCode};
use serde_json::{Map, Value, json};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// The service's limits.
const MAX_SUFFIX: usize = 64;
const MAX_SEED: u64 = 2_147_483_647;
const MAX_PAIRS: usize = 16;
const MAX_KEY: usize = 64;
const MAX_VALUE: usize = 512;
const MAX_INTEGRATIONS: usize = 5;

const FIELDS: &[&str] = &[
    "model",
    "training_file",
    "validation_file",
    "method",
    "hyperparameters",
    "suffix",
    "seed",
    "metadata",
    "integrations",
];

pub(super) async fn post(
    State(openai): State<Arc<OpenAi>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let body = read_json(request).await?;
    openai.refuse_closed()?;
    let record = openai.job_of(&body)?;
    let store = openai.clone();
    // All of it in one piece: a caller that goes away ends this function at the await,
    // and must not leave a job whose file nobody looks at.
    let job = blocking(move || {
        let job = store.jobs.add(record)?;
        store.shared.counters.effect("POST /v1/fine_tuning/jobs");
        store.examine(job.record.id.clone());
        Ok(job)
    })
    .await?;
    Ok(openai.reply_with(&job))
}

fn wrong(param: &str, text: impl Into<String>) -> ApiError {
    ApiError::bad_request(text).param(param)
}

impl OpenAi {
    fn refuse_closed(&self) -> Result<(), ApiError> {
        let behaviour = self.shared.behaviour();
        if behaviour.openai.quota_exceeded {
            return Err(ApiError::quota_exceeded());
        }
        let status = match behaviour.openai.closed {
            None => return Ok(()),
            Some(Closed::Forbidden) => StatusCode::FORBIDDEN,
            Some(Closed::NotFound) => StatusCode::NOT_FOUND,
        };
        let text = "The fine-tuning platform is being wound down and is not available to your organization.";
        Err(ApiError::new(status, text))
    }

    fn job_of(&self, body: &Map<String, Value>) -> Result<JobRecord, ApiError> {
        if let Some(name) = body.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            return Err(wrong(name, format!("Unrecognized request argument supplied: {name}")));
        }
        let get = |name: &str| body.get(name).filter(|value| !value.is_null());
        let text = |name: &str| match get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(name, format!("Invalid type for '{name}': expected a string."))),
        };
        let required = |name: &str| {
            let missing = || wrong(name, format!("Missing required parameter: '{name}'."));
            text(name)?.filter(|text| !text.is_empty()).ok_or_else(missing)
        };
        let model = self.tunable(&required("model")?)?;
        let training_file = self.training_file("training_file", required("training_file")?)?;
        let validation_file =
            text("validation_file")?.map(|id| self.training_file("validation_file", id)).transpose()?;
        if validation_file.as_ref() == Some(&training_file) {
            return Err(wrong("validation_file", "The training and validation files must differ."));
        }
        let (method, hyperparameters) = method(get("method"), get("hyperparameters"))?;
        let suffix = text("suffix")?;
        if suffix.as_ref().is_some_and(|suffix| suffix.is_empty() || suffix.chars().count() > MAX_SUFFIX) {
            return Err(wrong("suffix", format!("'suffix' must have 1 to {MAX_SUFFIX} characters.")));
        }
        let seed = match get("seed") {
            None => RandomState::new().hash_one("seed") % (MAX_SEED + 1),
            Some(given) => given.as_u64().filter(|seed| *seed <= MAX_SEED).ok_or_else(|| {
                wrong("seed", format!("'seed' must be a whole number from 0 to {MAX_SEED}."))
            })?,
        };
        let behaviour = self.shared.behaviour();
        let behaviour = &behaviour.openai;
        Ok(JobRecord {
            id: ids::fresh("ftjob-"),
            number: 0,
            created_at: unix_seconds(),
            created: self.shared.clock.now(),
            rate: self.shared.clock.pace().rate(),
            model,
            training_file,
            validation_file,
            method,
            hyperparameters,
            suffix,
            seed,
            metadata: metadata(get("metadata"))?,
            integrations: integrations(get("integrations"))?,
            timing: Timing {
                validating: behaviour.validating_seconds,
                queued: behaviour.queued_seconds,
                step: behaviour.step_seconds,
                max_running: behaviour.max_running_seconds,
                model_delay: behaviour.model_delay_seconds,
                list_delay: behaviour.list_delay_seconds,
            },
            outcome: behaviour.outcome.clone(),
            result_file: ids::fresh("file-"),
            verdict: None,
            asked: Vec::new(),
            model_deleted: false,
            result_deleted: false,
        })
    }

    fn training_file(&self, param: &str, id: String) -> Result<String, ApiError> {
        match self.files.find(&id) {
            None => Err(wrong(param, format!("invalid {param}: {id}"))),
            Some(file) if file.purpose != "fine-tune" => {
                let text = format!("File '{id}' has the purpose '{}', not 'fine-tune'.", file.purpose);
                Err(wrong(param, text))
            }
            Some(_) => Ok(id),
        }
    }
}

/// The method and its hyperparameters, each as given or "auto".
fn method(method: Option<&Value>, top: Option<&Value>) -> Result<(Method, Map<String, Value>), ApiError> {
    let (kind, inner) = match method {
        None => ("supervised", None),
        Some(method) => {
            let kind = method["type"]
                .as_str()
                .ok_or_else(|| wrong("method.type", "Missing required parameter: 'method.type'."))?;
            (kind, method.get(kind).and_then(|method| method.get("hyperparameters")))
        }
    };
    let parsed = match kind {
        "supervised" => Method::Supervised,
        "dpo" => Method::Dpo,
        "reinforcement" => Method::Reinforcement,
        other => {
            let text = format!(
                "Invalid value: '{other}'. Supported values are: 'supervised', 'dpo', and 'reinforcement'."
            );
            return Err(wrong("method.type", text));
        }
    };
    if parsed == Method::Reinforcement && method.is_none_or(|method| method[kind]["grader"].is_null()) {
        let param = "method.reinforcement.grader";
        return Err(wrong(param, format!("Missing required parameter: '{param}'.")));
    }
    let (path, given) = match (inner.filter(|inner| !inner.is_null()), top) {
        (Some(inner), _) => (format!("method.{kind}.hyperparameters"), inner),
        (None, Some(top)) => ("hyperparameters".to_owned(), top),
        (None, None) => ("hyperparameters".to_owned(), &Value::Null),
    };
    let empty = Map::new();
    let given = match given {
        Value::Null => &empty,
        Value::Object(given) => given,
        _ => return Err(wrong(&path, format!("Invalid type for '{path}': expected an object."))),
    };
    let mut parameters = Map::new();
    for name in ["n_epochs", "batch_size", "learning_rate_multiplier"] {
        parameters.insert(name.to_owned(), json!("auto"));
    }
    for (name, value) in given {
        let param = format!("{path}.{name}");
        let Some((fits, wanted)) = range(parsed, name) else {
            return Err(wrong(&param, format!("Unknown parameter: '{param}'.")));
        };
        if value.is_null() {
            continue;
        }
        if value != "auto" && !fits(value) {
            let text = format!("Invalid value for '{param}': expected 'auto' or {wanted}, got {value}.");
            return Err(wrong(&param, text));
        }
        parameters.insert(name.clone(), value.clone());
    }
    Ok((parsed, parameters))
}

type Range = (fn(&Value) -> bool, &'static str);

/// The values that a hyperparameter takes.
fn range(method: Method, name: &str) -> Option<Range> {
    fn whole(value: &Value, range: std::ops::RangeInclusive<u64>) -> bool {
        value.as_u64().is_some_and(|number| range.contains(&number))
    }
    fn above(value: &Value, least: f64, most: f64) -> bool {
        value.as_f64().is_some_and(|number| number > least && number <= most)
    }
    let of_any: Option<Range> = match name {
        "n_epochs" => Some((|value| whole(value, 1..=50), "a whole number from 1 to 50")),
        "batch_size" => Some((|value| whole(value, 1..=256), "a whole number from 1 to 256")),
        "learning_rate_multiplier" => Some((|value| above(value, 0.0, f64::MAX), "a number above 0")),
        _ => None,
    };
    of_any.or(match (method, name) {
        (Method::Dpo, "beta") => Some((|value| above(value, 0.0, 2.0), "a number above 0, 2 at most")),
        (Method::Reinforcement, "compute_multiplier") => {
            Some((|value| above(value, 1e-5, 10.0), "a number above 0.00001, 10 at most"))
        }
        (Method::Reinforcement, "eval_interval" | "eval_samples") => {
            Some((|value| whole(value, 1..=u64::MAX), "a whole number of 1 or more"))
        }
        (Method::Reinforcement, "reasoning_effort") => Some((
            |value| matches!(value.as_str(), Some("default" | "low" | "medium" | "high")),
            "'default', 'low', 'medium' or 'high'",
        )),
        _ => None,
    })
}

fn metadata(given: Option<&Value>) -> Result<Option<Map<String, Value>>, ApiError> {
    let Some(given) = given else { return Ok(None) };
    let Value::Object(map) = given else {
        return Err(wrong("metadata", "Invalid type for 'metadata': expected an object."));
    };
    if map.len() > MAX_PAIRS {
        return Err(wrong("metadata", format!("'metadata' has {MAX_PAIRS} pairs at most.")));
    }
    for (key, value) in map {
        let param = format!("metadata.{key}");
        if key.chars().count() > MAX_KEY {
            return Err(wrong(&param, format!("A key of 'metadata' has {MAX_KEY} characters at most.")));
        }
        if value.as_str().is_none_or(|value| value.chars().count() > MAX_VALUE) {
            let text = format!("A value of 'metadata' is a string of {MAX_VALUE} characters at most.");
            return Err(wrong(&param, text));
        }
    }
    Ok(Some(map.clone()))
}

fn integrations(given: Option<&Value>) -> Result<Option<Value>, ApiError> {
    let Some(given) = given else { return Ok(None) };
    let fits = given.as_array().is_some_and(|list| {
        list.len() <= MAX_INTEGRATIONS
            && list.iter().all(|item| item["type"] == "wandb" && item["wandb"]["project"].is_string())
    });
    if !fits {
        let text = "'integrations' is a list of up to 5 {type: 'wandb', wandb: {project}}.";
        return Err(wrong("integrations", text));
    }
    Ok(Some(given.clone()))
}
