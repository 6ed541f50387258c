//! Jobs as they are read.

use super::id::JobId;
use super::state::State;
use tunesmith_core::ProviderId;

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    pub id: JobId,
    /// Its place in the order of creation, which pages go by.
    pub number: i64,
    /// Its name, as the job file has it.
    pub name: String,
    /// Who carries it out.
    pub provider: ProviderId,
    /// Which service of that provider: a base URL without credentials.
    pub service: String,
    /// The method's id.
    pub method: String,
    pub base_model: String,
    /// It runs on the emulator, so its results are not real.
    pub emulated: bool,
    /// A service carries it out; see [`NewJob::remote`](super::new::NewJob::remote).
    #[serde(skip)]
    pub remote: bool,
    /// Digest of the dataset.
    pub dataset: String,
    /// Digest of the plan.
    pub plan: String,
    pub state: State,
    /// Why it is in this state, where there is more to say.
    pub reason: Option<String>,
    /// The current attempt, from 1.
    pub attempt: u32,
    /// What marks the attempt's remote job as ours; stored before anything is sent.
    pub run_id: String,
    /// The id of the remote job, or the model's name, once the service has it.
    pub remote_id: Option<String>,
    /// Steps done, where they are known.
    pub step: Option<u64>,
    /// Steps in all, where they are known.
    pub total_steps: Option<u64>,
    /// Who owns it.
    pub owner: Option<Owner>,
    /// Synced transactions so far.
    pub synced: u32,
    pub created_ms: i64,
    /// When its state last changed.
    pub changed_ms: i64,
    /// The number of its last event.
    #[serde(skip)]
    pub(crate) last_event: i64,
}

/// The process that owns a job.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Its process id, for people; it decides nothing.
    pub pid: u32,
    /// Its last sign of life.
    pub beat_ms: i64,
    #[serde(skip)]
    pub(crate) token: String,
}

/// One try at a job.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    pub run_id: String,
    /// What the service made of it.
    pub remote_id: Option<String>,
    pub started_ms: i64,
    pub ended_ms: Option<i64>,
}

/// A stored plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Digest of the document.
    pub digest: String,
    /// The plan's deterministic part, byte for byte.
    pub document: String,
    /// The sidecar: what was measured, for this job.
    pub measured: serde_json::Value,
    /// The job file.
    pub spec: serde_json::Value,
}

/// Which jobs to list. The default is all.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// In one of these states; empty means any.
    pub states: Vec<State>,
    pub provider: Option<ProviderId>,
    /// Whose name contains this, in any case (of ASCII letters).
    pub name: Option<String>,
    /// On the emulator, or not.
    pub emulated: Option<bool>,
}
