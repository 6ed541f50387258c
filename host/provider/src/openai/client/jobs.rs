//! Fine-tuning jobs: created once, looked up, controlled, followed.

use super::Client;
use super::error::{ApiError, ErrorKind, Operation};
use super::paging::all;
use super::policy::Policy;
use super::transport::Call;
use super::types::{Checkpoint, Entry as _, Event, Job, JobStatus};
use crate::http::lenient::Fields;
use crate::openai::request::RUN_ID_KEY;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// What came of creating a job.
#[derive(Debug)]
pub enum Created {
    /// The service has it.
    Job(Box<Job>),
    /// The request was sent once, and whether the service has the job is not known:
    /// look it up by its run id before anything else.
    Unclear(ApiError),
}

/// What can be done to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// End it. At once, and for good.
    Cancel,
    /// Hold it; a checkpoint is saved, and the work so far is billed.
    Pause,
    /// Let it go on.
    Resume,
}

impl Control {
    fn operation(self) -> Operation {
        match self {
            Self::Cancel => Operation::CancelJob,
            Self::Pause => Operation::PauseJob,
            Self::Resume => Operation::ResumeJob,
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }

    /// Whether a job with this status is where this leads.
    fn is_reached(self, status: &JobStatus) -> bool {
        match self {
            Self::Cancel => *status == JobStatus::Cancelled,
            Self::Pause => matches!(status, JobStatus::Pausing | JobStatus::Paused),
            Self::Resume => {
                matches!(
                    status,
                    JobStatus::ValidatingFiles
                        | JobStatus::Queued
                        | JobStatus::Running
                        | JobStatus::Succeeded
                )
            }
        }
    }
}

/// What came of controlling a job.
#[derive(Debug)]
pub enum Controlled {
    /// The job is where it should be.
    Done(Box<Job>),
    /// The reply was lost, and the job, looked up since, is not there yet. It may
    /// still get there; asking again is the caller's choice.
    Unclear {
        /// The job as it is now.
        job: Box<Job>,
        /// What became of the request.
        error: ApiError,
    },
}

impl Client {
    /// Creates a job from a request, such as [`super::super::JobRequest`], with the run id
    /// in its `metadata`. It is sent again only when nothing was sent, or after a plain
    /// "too often".
    ///
    /// # Errors
    ///
    /// The service refused, or nothing was sent: no job came of it. Everything else
    /// is [`Created::Unclear`].
    pub async fn create_job(&self, request: &impl Serialize, run_id: &str) -> Result<Created, ApiError> {
        let Ok(Value::Object(mut request)) = serde_json::to_value(request) else {
            let error = ApiError::new(Operation::CreateJob, &self.0.endpoint, ErrorKind::Local);
            return Err(error.because("the request is not a JSON object"));
        };
        let mut metadata = match request.remove("metadata") {
            Some(Value::Object(metadata)) => metadata,
            _ => Map::new(),
        };
        metadata.insert(RUN_ID_KEY.to_owned(), run_id.into());
        request.insert("metadata".to_owned(), metadata.into());
        let call = Call::post(Operation::CreateJob, &["fine_tuning", "jobs"], Policy::Once)
            .json(&Value::Object(request));
        match self.object(&call).await.and_then(|fields| self.job_in(Operation::CreateJob, fields)) {
            Ok(job) => Ok(Created::Job(Box::new(job))),
            Err(error) if error.may_have_happened() => Ok(Created::Unclear(error)),
            Err(error) => Err(error),
        }
    }

    /// A job as it is now.
    ///
    /// # Errors
    ///
    /// The service cannot be reached, refuses, or has no such job.
    pub async fn job(&self, id: &str) -> Result<Job, ApiError> {
        let fields = self.object(&Call::get(Operation::GetJob, &["fine_tuning", "jobs", id])).await?;
        self.job_in(Operation::GetJob, fields)
    }

    /// All jobs, or those whose metadata has this entry. The service may not know the
    /// filter, so it is applied here as well.
    ///
    /// # Errors
    ///
    /// The service cannot be reached or refuses, or its list has no end.
    pub async fn jobs(&self, metadata: Option<(&str, &str)>) -> Result<Vec<Job>, ApiError> {
        let path = ["fine_tuning", "jobs"];
        let Some((key, value)) = metadata else {
            return self.list(Operation::ListJobs, &path, &[], all).await;
        };
        let name = format!("metadata[{key}]");
        let filtered = self.list(Operation::ListJobs, &path, &[(&name, value)], all).await;
        let mut jobs: Vec<Job> = match filtered {
            // A service that refuses the filter still lists everything.
            Err(error) if error.kind == ErrorKind::Invalid => {
                self.list(Operation::ListJobs, &path, &[], all).await?
            }
            other => other?,
        };
        jobs.retain(|job| job.metadata.get(key).map(String::as_str) == Some(value));
        Ok(jobs)
    }

    /// Cancels, pauses or resumes a job. After an unclear reply the job is looked up
    /// instead of being asked again; a refusal counts as done when the job is already
    /// where it should be.
    ///
    /// # Errors
    ///
    /// The service refused or cannot be reached.
    pub async fn control_job(&self, id: &str, control: Control) -> Result<Controlled, ApiError> {
        let operation = control.operation();
        let path = ["fine_tuning", "jobs", id, control.path()];
        let sent = self.object(&Call::post(operation, &path, Policy::Once)).await;
        let error = match sent.and_then(|fields| self.job_in(operation, fields)) {
            Ok(job) => return Ok(Controlled::Done(Box::new(job))),
            Err(error) => error,
        };
        let refused = matches!(error.kind, ErrorKind::Invalid | ErrorKind::Conflict);
        if !error.may_have_happened() && !refused {
            return Err(error);
        }
        let job = match self.job(id).await {
            Ok(job) => Box::new(job),
            // The first error says more about what was asked.
            Err(_) => return Err(error),
        };
        if control.is_reached(&job.status) {
            Ok(Controlled::Done(job))
        } else if error.may_have_happened() {
            Ok(Controlled::Unclear { job, error })
        } else {
            Err(error)
        }
    }

    /// A job's events that are not `known` yet, oldest first, each once. The service
    /// lists the newest first; reading ends at a page of which everything is known, so
    /// the caller must store what it gets as a whole. With nothing known, all are read.
    ///
    /// # Errors
    ///
    /// The service cannot be reached or refuses, or its list has no end; then nothing
    /// is returned, and the same call can be made again.
    pub async fn events(&self, job: &str, known: &HashSet<String>) -> Result<Vec<Event>, ApiError> {
        let path = ["fine_tuning", "jobs", job, "events"];
        let stop = |page: &[Event]| {
            let newest_first =
                page.first().and_then(|e| e.created_at) >= page.last().and_then(|e| e.created_at);
            if !page.is_empty() && newest_first && page.iter().all(|event| known.contains(&event.id)) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let mut events: Vec<Event> = self.list(Operation::ListEvents, &path, &[], stop).await?;
        events.retain(|event| !known.contains(&event.id));
        // Reversed first: of one second, the service lists the later one first.
        events.reverse();
        events.sort_by_key(|event| event.created_at);
        Ok(events)
    }

    /// A job's checkpoints, by step.
    ///
    /// # Errors
    ///
    /// The service cannot be reached or refuses, or its list has no end.
    pub async fn checkpoints(&self, job: &str) -> Result<Vec<Checkpoint>, ApiError> {
        let path = ["fine_tuning", "jobs", job, "checkpoints"];
        let mut checkpoints: Vec<Checkpoint> = self.list(Operation::ListCheckpoints, &path, &[], all).await?;
        checkpoints.sort_by(|a, b| a.step.cmp(&b.step).then_with(|| a.id.cmp(&b.id)));
        Ok(checkpoints)
    }

    fn job_in(&self, operation: Operation, fields: Fields) -> Result<Job, ApiError> {
        let job = Job::read(fields).ok_or_else(|| self.malformed(operation, "it has no id"))?;
        if self.check_id(operation, &job.id).is_err() {
            return Err(self.malformed(operation, "its id cannot be one"));
        }
        Ok(job)
    }
}
