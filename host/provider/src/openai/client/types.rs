//! What the service tells: models, files, jobs, events, checkpoints. Only an id is
//! needed for a thing to be one; all else may be missing, and unknown fields are kept.

use crate::http::lenient::Fields;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use tunesmith_core::digest::Digest;

/// A thing that lists hold.
pub(super) trait Entry: Sized {
    /// Reads it; none without what makes it one.
    fn read(fields: Fields) -> Option<Self>;
    /// Its id, which is also a list's cursor.
    fn id(&self) -> &str;
}

/// A model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// Its id.
    pub id: String,
    /// When it was made, in Unix seconds.
    pub created: Option<i64>,
    /// Whose it is.
    pub owned_by: Option<String>,
    /// The day on which it is shut down, as the service writes it.
    pub shutdown_date: Option<String>,
    /// Everything else.
    pub extra: Map<String, Value>,
}

impl Entry for Model {
    fn read(mut fields: Fields) -> Option<Self> {
        Some(Self {
            id: fields.text("id")?,
            created: fields.integer("created"),
            owned_by: fields.text("owned_by"),
            shutdown_date: fields.text("shutdown_date"),
            extra: fields.rest(),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }
}

/// An uploaded or resulting file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct File {
    /// Its id.
    pub id: String,
    /// Its size in bytes.
    pub bytes: Option<u64>,
    /// When it was made, in Unix seconds.
    pub created_at: Option<i64>,
    /// When it goes by itself, in Unix seconds.
    pub expires_at: Option<i64>,
    /// Its name.
    pub filename: Option<String>,
    /// What it is for, such as `fine-tune`.
    pub purpose: Option<String>,
    /// `uploaded`, `processed`, `error`, or what else the service has.
    pub status: Option<String>,
    /// Why, for `error`.
    pub status_details: Option<String>,
    /// Everything else.
    pub extra: Map<String, Value>,
}

impl File {
    /// Whether a job can use it, now or once it is processed.
    pub fn is_usable(&self) -> bool {
        !matches!(self.status.as_deref(), Some("error" | "deleted" | "deleting" | "failed"))
    }
}

impl Entry for File {
    fn read(mut fields: Fields) -> Option<Self> {
        Some(Self {
            id: fields.text("id")?,
            bytes: fields.count("bytes"),
            created_at: fields.integer("created_at"),
            expires_at: fields.integer("expires_at"),
            filename: fields.text("filename"),
            purpose: fields.text("purpose"),
            status: fields.text("status"),
            status_details: fields.text("status_details"),
            extra: fields.rest(),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }
}

/// How far a job is. The service's list is open, and its schema lacks `paused`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// The training file is being checked.
    ValidatingFiles,
    /// It waits for its turn.
    Queued,
    /// It trains.
    Running,
    /// It is about to pause.
    Pausing,
    /// It is paused.
    Paused,
    /// It is done.
    Succeeded,
    /// It failed.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// A status that is not known here, or none: the job may still be going on.
    Other(String),
}

impl JobStatus {
    fn read(name: &str) -> Self {
        match name {
            "validating_files" => Self::ValidatingFiles,
            "queued" => Self::Queued,
            "running" => Self::Running,
            "pausing" => Self::Pausing,
            "paused" => Self::Paused,
            "succeeded" => Self::Succeeded,
            "failed" => Self::Failed,
            // The second spelling is some compatible services'.
            "cancelled" | "canceled" => Self::Cancelled,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The service's name for it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::ValidatingFiles => "validating_files",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Other(name) => name,
        }
    }

    /// Whether nothing more will come of the job. An unknown status is not the end.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for JobStatus {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobError {
    /// Its code, such as `invalid_n_examples`.
    pub code: Option<String>,
    /// The service's words.
    pub message: Option<String>,
    /// The parameter that it is about.
    pub param: Option<String>,
}

/// A fine-tuning job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// How far it is.
    pub status: JobStatus,
    /// The base model.
    pub model: Option<String>,
    /// The tuned model, once there is one.
    pub fine_tuned_model: Option<String>,
    /// The training file's id.
    pub training_file: Option<String>,
    /// The validation file's id.
    pub validation_file: Option<String>,
    /// Ids of files with results.
    pub result_files: Vec<String>,
    /// Tokens trained, which is what is billed.
    pub trained_tokens: Option<u64>,
    /// When it was created, in Unix seconds.
    pub created_at: Option<i64>,
    /// When it ended, in Unix seconds.
    pub finished_at: Option<i64>,
    /// When the service expects it to end, in Unix seconds.
    pub estimated_finish: Option<i64>,
    /// The seed.
    pub seed: Option<i64>,
    /// Why it failed; null, empty and all-null objects count as none.
    pub error: Option<JobError>,
    /// What the client attached to it.
    pub metadata: BTreeMap<String, String>,
    /// Hyperparameters at the top level, as they are.
    pub hyperparameters: Option<Value>,
    /// The method with its hyperparameters, as it is.
    pub method: Option<Value>,
    /// Everything else.
    pub extra: Map<String, Value>,
}

impl Entry for Job {
    fn read(mut fields: Fields) -> Option<Self> {
        let error = fields.object("error").and_then(|mut error| {
            let error = JobError {
                code: error.text("code"),
                message: error.text("message"),
                param: error.text("param"),
            };
            let has_one = error.code.is_some() || error.message.is_some() || error.param.is_some();
            has_one.then_some(error)
        });
        // A text instead of an object, as compatible services have it.
        let error = error.or_else(|| {
            let message = fields.text("error").filter(|text| !text.is_empty())?;
            Some(JobError { code: None, message: Some(message), param: None })
        });
        Some(Self {
            id: fields.text("id")?,
            status: JobStatus::read(&fields.text("status").unwrap_or_else(|| "unknown".to_owned())),
            model: fields.text("model"),
            fine_tuned_model: fields.text("fine_tuned_model").filter(|model| !model.is_empty()),
            training_file: fields.text("training_file"),
            validation_file: fields.text("validation_file").filter(|file| !file.is_empty()),
            result_files: fields.texts("result_files"),
            trained_tokens: fields.count("trained_tokens"),
            created_at: fields.integer("created_at"),
            finished_at: fields.integer("finished_at"),
            estimated_finish: fields.integer("estimated_finish"),
            seed: fields.integer("seed"),
            error,
            metadata: fields.named_texts("metadata"),
            hyperparameters: fields.any("hyperparameters"),
            method: fields.any("method"),
            extra: fields.rest(),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }
}

/// Figures of one step of training.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Metrics {
    /// The step, from 1.
    pub step: Option<u64>,
    /// Steps in all.
    pub total_steps: Option<u64>,
    /// The figures by name, such as `train_loss`; never infinite or NaN.
    pub values: BTreeMap<String, f64>,
}

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Its id; made from its content where the service gives none.
    pub id: String,
    /// When, in Unix seconds.
    pub created_at: Option<i64>,
    /// `info`, `warn`, `error`, or what else the service has.
    pub level: String,
    /// What, in the service's words.
    pub message: String,
    /// `message`, `metrics`, `moderation_checks`, or what else the service has.
    pub kind: Option<String>,
    /// The figures, for an event that has a step.
    pub metrics: Option<Metrics>,
    /// Everything else, `data` included where it is no figure.
    pub extra: Map<String, Value>,
}

impl Entry for Event {
    fn read(mut fields: Fields) -> Option<Self> {
        let given = fields.text("id").filter(|id| !id.is_empty());
        let created_at = fields.integer("created_at");
        let level = fields.text("level").unwrap_or_else(|| "info".to_owned());
        let message = fields.text("message").unwrap_or_default();
        let kind = fields.text("type");
        let mut extra = Map::new();
        let mut metrics = None;
        if let Some(mut data) = fields.object("data") {
            let is_metrics = kind.as_deref() == Some("metrics");
            let step = data.count("step");
            if step.is_some() || is_metrics {
                let total_steps = data.count("total_steps");
                metrics = Some(Metrics { step, total_steps, values: data.numbers() });
            }
            let rest = data.rest();
            if !rest.is_empty() {
                extra.insert("data".to_owned(), Value::Object(rest));
            }
        }
        extra.extend(fields.rest());
        let id = given.unwrap_or_else(|| content_id(created_at, &level, &message, &metrics));
        Some(Self { id, created_at, level, message, kind, metrics, extra })
    }

    fn id(&self) -> &str {
        &self.id
    }
}

/// An id for an event without one: the same content gives the same id, so that it is
/// stored once.
fn content_id(created_at: Option<i64>, level: &str, message: &str, metrics: &Option<Metrics>) -> String {
    let content = format!("{created_at:?}\n{level}\n{message}\n{metrics:?}");
    format!("content-{:.16}", Digest::of(content))
}

/// A model as it was after an epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checkpoint {
    /// Its id.
    pub id: String,
    /// When, in Unix seconds.
    pub created_at: Option<i64>,
    /// The name by which it can be used as a model.
    pub model: Option<String>,
    /// The step after which it was taken.
    pub step: Option<u64>,
    /// Its figures.
    pub metrics: Metrics,
    /// Everything else.
    pub extra: Map<String, Value>,
}

impl Entry for Checkpoint {
    fn read(mut fields: Fields) -> Option<Self> {
        let mut metrics = fields.object("metrics").unwrap_or_default();
        let step = fields.count("step_number");
        Some(Self {
            id: fields.text("id")?,
            created_at: fields.integer("created_at"),
            model: fields.text("fine_tuned_model_checkpoint"),
            step,
            metrics: Metrics {
                step: metrics.count("step").or(step),
                total_steps: metrics.count("total_steps"),
                values: metrics.numbers(),
            },
            extra: fields.rest(),
        })
    }

    fn id(&self) -> &str {
        &self.id
    }
}
