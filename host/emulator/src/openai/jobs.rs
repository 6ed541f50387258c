//! Fine-tuning jobs: the store, what is shown of them, and what is asked of them.

use super::error::{ApiError, json_reply};
use super::files::blocking;
use super::life::{Status, View};
use super::list::{Page, Pairs, value};
use super::record::{Ask, JobRecord, Verdict};
use super::training_file::{JobError, Method, examine};
use super::{ORGANISATION, OWNER, OpenAi};
use crate::behaviour::{Odd, OpenAiBehaviour};
use crate::disk;
use axum::extract::{Path as UrlPath, Query, State};
use axum::response::Response;
use hyper::StatusCode;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// What one reply lists at most, and unless told otherwise.
pub(super) const MAX_LIST: usize = 100;
const JOBS: usize = 20;

/// A job, with its end once that is certain, so that lists need not go through the
/// lives of all jobs again.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) record: JobRecord,
    ended: OnceLock<(Status, f64)>,
    /// The length of its results, for the same reason.
    pub(super) result_length: OnceLock<usize>,
}

impl Job {
    fn new(record: JobRecord) -> Arc<Self> {
        Arc::new(Self { record, ended: OnceLock::new(), result_length: OnceLock::new() })
    }

    pub(super) fn at(&self, now: f64) -> View {
        let view = self.record.at(now);
        if let Some(finished) = view.finished {
            let _ = self.ended.set((view.status, finished));
        }
        view
    }

    /// When it succeeded, if it has.
    pub(super) fn succeeded(&self, now: f64) -> Option<f64> {
        if self.ended.get().is_none() {
            self.at(now);
        }
        match self.ended.get() {
            Some((Status::Succeeded, at)) => Some(*at),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Jobs {
    directory: PathBuf,
    by_id: Mutex<BTreeMap<String, Arc<Job>>>,
}

impl Jobs {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let directory = root.join("jobs");
        let records: Vec<JobRecord> = disk::read_all(&directory)?;
        let by_id = records.into_iter().map(|record| (record.id.clone(), Job::new(record))).collect();
        Ok(Self { directory, by_id: Mutex::new(by_id) })
    }

    fn by_id(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Job>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, id: &str) -> Result<Arc<Job>, ApiError> {
        let missing = || {
            let text = format!("Could not find fine tune: {id}");
            ApiError::not_found(text).param("fine_tuning_job_id").code("fine_tune_not_found")
        };
        self.by_id().get(id).cloned().ok_or_else(missing)
    }

    /// All jobs, the newest first.
    pub(super) fn all(&self) -> Vec<Arc<Job>> {
        let mut jobs: Vec<_> = self.by_id().values().cloned().collect();
        jobs.sort_by_key(|job| std::cmp::Reverse(job.record.number));
        jobs
    }

    pub(super) fn without_verdict(&self) -> Vec<String> {
        let by_id = self.by_id();
        by_id.values().filter(|job| job.record.verdict.is_none()).map(|job| job.record.id.clone()).collect()
    }

    fn write(&self, record: &JobRecord) -> io::Result<()> {
        disk::write_json(&self.directory.join(format!("{}.json", record.id)), record)
    }

    /// Stores a new job, with a number of its own.
    pub(super) fn add(&self, mut record: JobRecord) -> io::Result<Arc<Job>> {
        let mut by_id = self.by_id();
        record.number = by_id.values().map(|job| job.record.number).max().unwrap_or(0) + 1;
        self.write(&record)?;
        let job = Job::new(record);
        by_id.insert(job.record.id.clone(), job.clone());
        Ok(job)
    }

    /// Changes a job, one change at a time.
    pub(super) fn change(
        &self,
        id: &str,
        change: impl FnOnce(&mut JobRecord) -> Result<(), ApiError>,
    ) -> Result<Arc<Job>, ApiError> {
        let found = self.find(id)?;
        let mut by_id = self.by_id();
        let mut record = by_id.get(id).unwrap_or(&found).record.clone();
        change(&mut record)?;
        self.write(&record)?;
        let job = Job::new(record);
        by_id.insert(id.to_owned(), job.clone());
        Ok(job)
    }
}

impl OpenAi {
    /// Looks at a job's training file, on a thread of its own, and stores what it finds.
    pub(super) fn examine(self: Arc<Self>, id: String) {
        // Held weakly, so that a file of gigabytes does not keep a stopped emulator.
        let weak = Arc::downgrade(&self);
        let Ok(job) = self.jobs.find(&id) else { return };
        let file = self.files.find(&job.record.training_file);
        let paths = file.map(|file| self.files.paths(&file));
        drop(self);
        tokio::task::spawn_blocking(move || {
            let gone = || {
                let text = format!("invalid training_file: {}", job.record.training_file);
                Err(JobError::of_training_file("invalid_training_file", text))
            };
            let found = match &paths {
                None => gone(),
                Some(paths) => match examine(paths, job.record.method, || weak.strong_count() > 0) {
                    Ok(Some(found)) => found,
                    Ok(None) => return,
                    // Deleted while it was read.
                    Err(_) => gone(),
                },
            };
            let Some(openai) = weak.upgrade() else { return };
            let verdict = Verdict { at: openai.shared.clock.now(), found };
            // A verdict that cannot be stored leaves the job validating, and the next
            // start looks again.
            let _ = openai.jobs.change(&id, |record| {
                record.verdict = Some(verdict);
                Ok(())
            });
        });
    }
}

/// A job as the service shows it.
pub(super) fn object(job: &Job, view: &View, behaviour: &OpenAiBehaviour) -> Value {
    let record = &job.record;
    let succeeded = view.status == Status::Succeeded;
    let hyperparameters = hyperparameters(record, view);
    let kind = match record.method {
        Method::Supervised => "supervised",
        Method::Dpo => "dpo",
        Method::Reinforcement => "reinforcement",
    };
    let error = match &view.error {
        Some(error) => json!(error),
        None if behaviour.is_odd(Odd::ErrorEmpty) => json!({}),
        None if behaviour.is_odd(Odd::ErrorNulls) => json!({ "code": null, "message": null, "param": null }),
        None => Value::Null,
    };
    let status = match view.status {
        Status::Running if behaviour.is_odd(Odd::UnknownStatus) => "pausing",
        status => status.name(),
    };
    let mut object = json!({
        "object": "fine_tuning.job",
        "id": record.id,
        "model": record.model,
        "created_at": record.created_at,
        "finished_at": view.finished.filter(|_| succeeded).map(|at| record.shown(at)),
        "fine_tuned_model": succeeded.then(|| record.model_name(OWNER, None)),
        "organization_id": ORGANISATION,
        "result_files": if succeeded && !record.result_deleted { vec![&record.result_file] } else { vec![] },
        "status": status,
        "validation_file": record.validation_file,
        "training_file": record.training_file,
        "hyperparameters": hyperparameters,
        "trained_tokens": view.schedule.filter(|_| succeeded).map(|schedule| schedule.trained_tokens),
        "error": error,
        "user_provided_suffix": record.suffix,
        "seed": record.seed,
        "estimated_finish": view.estimated_finish.filter(|_| !view.status.is_final()).map(|at| record.shown(at)),
        "integrations": record.integrations.clone().unwrap_or_else(|| json!([])),
        "metadata": record.metadata,
        "method": { "type": kind, kind: { "hyperparameters": hyperparameters } },
        "usage_metrics": null,
        "shared_with_openai": false,
    });
    let without: &[(Odd, &str)] =
        &[(Odd::NoHyperparameters, "hyperparameters"), (Odd::NoMetadata, "metadata")];
    if let Value::Object(map) = &mut object {
        for (odd, field) in without {
            if behaviour.is_odd(*odd) {
                map.remove(*field);
            }
        }
    }
    if behaviour.is_odd(Odd::NullHyperparameters) {
        object["hyperparameters"] = Value::Null;
    }
    if behaviour.is_odd(Odd::BareMethod) {
        object["method"] = json!({ "type": kind });
    }
    object
}

/// As given, with numbers in place of "auto" once the examples are known.
fn hyperparameters(record: &JobRecord, view: &View) -> Value {
    let mut shown = record.hyperparameters.clone();
    let Some(schedule) = view.schedule else { return Value::Object(shown) };
    for (name, number) in [
        ("n_epochs", json!(schedule.n_epochs)),
        ("batch_size", json!(schedule.batch_size)),
        ("learning_rate_multiplier", json!(schedule.learning_rate_multiplier)),
    ] {
        if shown.get(name).is_none_or(|given| !given.is_number()) {
            shown.insert(name.to_owned(), number);
        }
    }
    Value::Object(shown)
}

pub(super) async fn list(
    State(openai): State<Arc<OpenAi>>,
    Query(pairs): Query<Pairs>,
) -> Result<Response, ApiError> {
    let page = Page::of(&pairs, JOBS, MAX_LIST)?;
    let behaviour = openai.shared.behaviour().openai.clone();
    let now = openai.shared.clock.now();
    let filter = Filter::of(&pairs, &behaviour);
    let mut jobs = openai.jobs.all();
    jobs.retain(|job| now >= job.record.created + job.record.timing.list_delay && filter.takes(&job.record));
    // The page first, on ids alone: going through the lives of all jobs is not needed.
    let ids = jobs.iter().map(|job| json!({ "id": job.record.id })).collect();
    let mut reply = page.of_list(ids, &behaviour)?;
    if let Some(Value::Array(data)) = reply.get_mut("data") {
        for item in data {
            let Some(job) = jobs.iter().find(|job| item["id"] == job.record.id.as_str()) else { continue };
            *item = object(job, &job.at(now), &behaviour);
            if behaviour.is_odd(Odd::BareListItems)
                && let Value::Object(map) = item
            {
                map.retain(|key, _| !matches!(key.as_str(), "error" | "hyperparameters" | "seed"));
            }
        }
    }
    Ok(json_reply(StatusCode::OK, &reply))
}

/// The metadata that listed jobs have.
enum Filter {
    All,
    None,
    Pairs(Vec<(String, String)>),
}

impl Filter {
    fn of(pairs: &Pairs, behaviour: &OpenAiBehaviour) -> Self {
        if behaviour.is_odd(Odd::IgnoresMetadataFilter) {
            return Self::All;
        }
        if value(pairs, "metadata") == Some("null") {
            return Self::None;
        }
        let wanted: Vec<(String, String)> = pairs
            .iter()
            .filter_map(|(key, value)| {
                let key = key.strip_prefix("metadata[")?.strip_suffix(']')?;
                Some((key.to_owned(), value.clone()))
            })
            .collect();
        if wanted.is_empty() { Self::All } else { Self::Pairs(wanted) }
    }

    fn takes(&self, job: &JobRecord) -> bool {
        match self {
            Self::All => true,
            Self::None => job.metadata.as_ref().is_none_or(Map::is_empty),
            Self::Pairs(wanted) => job.metadata.as_ref().is_some_and(|metadata| {
                wanted
                    .iter()
                    .all(|(key, value)| metadata.get(key).is_some_and(|given| given == value.as_str()))
            }),
        }
    }
}

pub(super) async fn show(
    State(openai): State<Arc<OpenAi>>,
    UrlPath(id): UrlPath<String>,
) -> Result<Response, ApiError> {
    let job = openai.jobs.find(&id)?;
    Ok(openai.reply_with(&job))
}

impl OpenAi {
    pub(super) fn reply_with(&self, job: &Job) -> Response {
        let view = job.at(self.shared.clock.now());
        json_reply(StatusCode::OK, &object(job, &view, &self.shared.behaviour().openai))
    }

    async fn ask(self: &Arc<Self>, id: String, ask: Ask, route: &'static str) -> Result<Response, ApiError> {
        let openai = self.clone();
        let job = blocking(move || {
            let changed = openai.jobs.change(&id, |record| {
                let now = openai.shared.clock.now();
                let status = record.at(now).status;
                let text = match (ask, status) {
                    (_, status) if status.is_final() => {
                        format!("Job has already completed: {id} (status: {})", status.name())
                    }
                    (Ask::Cancel, _)
                    | (Ask::Pause, Status::Queued | Status::Running)
                    | (Ask::Resume, Status::Paused) => {
                        record.asked.push((now, ask));
                        return Ok(());
                    }
                    (Ask::Pause, status) => {
                        format!("Job {id} cannot be paused (status: {})", status.name())
                    }
                    (Ask::Resume, status) => format!("Job {id} is not paused (status: {})", status.name()),
                };
                Err(ApiError::bad_request(text))
            });
            Ok(changed.inspect(|_| openai.shared.counters.effect(route)))
        })
        .await??;
        Ok(self.reply_with(&job))
    }
}

pub(super) async fn cancel(
    State(openai): State<Arc<OpenAi>>,
    UrlPath(id): UrlPath<String>,
) -> Result<Response, ApiError> {
    openai.ask(id, Ask::Cancel, "POST /v1/fine_tuning/jobs/{id}/cancel").await
}

pub(super) async fn pause(
    State(openai): State<Arc<OpenAi>>,
    UrlPath(id): UrlPath<String>,
) -> Result<Response, ApiError> {
    openai.ask(id, Ask::Pause, "POST /v1/fine_tuning/jobs/{id}/pause").await
}

pub(super) async fn resume(
    State(openai): State<Arc<OpenAi>>,
    UrlPath(id): UrlPath<String>,
) -> Result<Response, ApiError> {
    openai.ask(id, Ask::Resume, "POST /v1/fine_tuning/jobs/{id}/resume").await
}
